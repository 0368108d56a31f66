// SPDX-License-Identifier: MIT OR Apache-2.0
//! Marks of inotify, fanotify and dnotify come and go on busy directories; each event owed is counted.
//!
//! Every thread does two things by turns. In directories that all share, watched by instances that all share,
//! marks are put on and taken off while names are made and removed: there locks meet that must not. In
//! directories of its own, heard by an instance of its own, it does known sequences: there each event is held
//! against what is owed. One thread also fills a directory and looks whether touching one child takes longer
//! for the number of the others.

mod crowd;
mod full;
mod others;
mod owed;
mod own;

use super::step::{Step, operations};
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::{self, Answer, Name, errno_name, watch};
use crowd::{Crowd, Draw};
use full::Full;
use lab_wire::Scenario;
use others::Others;
use own::Own;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

operations! {
    /// What this scenario does.
    pub(crate) enum Op {
        Watch "watch" 120 "Puts a watch on a contested directory, often one for a single event.",
        WatchFile "watch-file" 40 "Watches a contested name.",
        Unwatch "unwatch" 50 "Takes the last watch off a contested directory.",
        Fan "fan" 50 "Puts a fanotify mark on a contested directory or name, or takes it off.",
        Dnotify "dnotify" 20 "Asks dnotify twice on one descriptor of a contested directory.",
        Drain "drain" 15 "Reads the events that the shared instances have.",
        Create "create" 90 "Makes or opens a contested name.",
        Unlink "unlink" 80 "Unlinks a contested name.",
        Mkdir "mkdir" 60 "Makes a contested directory.",
        Rmdir "rmdir" 60 "Removes a contested directory.",
        Rename "rename" 30 "Renames a contested name to another.",
        Link "link" 20 "Links a contested name to another.",
        Open "open" 60 "Opens a contested name.",
        Chmod "chmod" 20 "Changes the mode of a contested name.",
        Absent "absent" 40 "Stats one of many absent names of a contested directory.",
        Touch "touch" 60 "Opens a child of a directory whose owner puts watches on it and takes them off.",
        Drop "drop" 1 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
        Life "life" 20 "The life of a file in a watched directory of its own.",
        Tree "tree" 15 "Makes, watches, moves and removes a directory.",
        Known "known" 20 "Moves a known file into a watched directory and out of it.",
        Over "over" 15 "Renames a watched file over another watched file.",
        Exchange "exchange" 12 "Lets two watched names change places.",
        Links "links" 15 "Touches a file by a watched name and by another.",
        Oneshot "oneshot" 25 "Does more than one thing under a watch for one event.",
        Off "off" 15 "Takes a watch off and goes on.",
        Gone "gone" 15 "Unlinks a watched file in a watched directory.",
        Excluded "excluded" 10 "Writes to an unlinked file, with and without IN_EXCL_UNLINK.",
        Among "among" 30 "Watches a directory whose children others touch.",
        Served "served" 15 "Watches the server's side of a directory while the client works.",
        Names "names" 15 "Hears by fanotify which names were made, moved and removed.",
        Signals "signals" 10 "Hears by dnotify that names were made.",
        Overflow "overflow" 2 "Does more than a short queue holds.",
        Unmount "unmount" 2 "Unmounts a filesystem with watches on it.",
        Full "full" 2 "Touches a child of a full directory after its watch was taken off.",
    }
}

/// Threads that have directories of their own; more only join the crowd.
const OWNERS: u32 = 64;
/// Draws until a thread of the crowd takes what is not for it.
const TRIES: u32 = 16;

/// State of the scenario.
#[derive(Debug)]
struct Watching {
    base: PathBuf,
    root: OwnedFd,
    server: Option<OwnedFd>,
    crowd: Crowd,
    /// The directories in which others touch the children.
    touched: Vec<OwnedFd>,
    full: Full,
    /// A filesystem that needs no disk: all its dentries stay.
    memory: bool,
    /// Events that were owed and came, by sequences that ended well.
    sequences: AtomicU64,
}

fn path(path: &Path) -> Result<CString, String> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())
}

/// Makes the directories.
///
/// # Errors
/// When one cannot be made, or the kernel has no inotify.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    Ok(Box::new(make(place, asked).map_err(|why| match why {
        (what, libc::ENOSYS) => Refusal::Absent(format!("{what}: the kernel has it not")),
        (what, errno) => Refusal::Failed(format!("{what}: {}", errno_name(errno))),
    })?))
}

fn make(place: &Place, asked: &Scenario) -> Result<Watching, (&'static str, i32)> {
    let held = |at: &Path| {
        let path = path(at).map_err(|_| ("the folder's name", libc::EINVAL))?;
        ops::open_dir(&path).map_err(|errno| ("opening the folder", errno))
    };
    let root = held(&place.base)?;
    let server = place.server.as_deref().map(held).transpose()?;
    let mut dirs = Vec::new();
    for number in 0..asked.dirs {
        let name = Name::new("s", number.into());
        ops::mkdir(root.as_fd(), name.as_c()).map_err(|errno| ("making a directory", errno))?;
        let fd = open_dir(root.as_fd(), &name).map_err(|errno| ("opening a directory", errno))?;
        let served = server
            .as_ref()
            .map(|server| open_dir(server.as_fd(), &name))
            .transpose();
        let served = served.map_err(|errno| ("opening a directory", errno))?;
        dirs.push(crowd::Dir::new(fd, served));
    }
    let mut touched = Vec::new();
    for number in 0..asked.threads.min(OWNERS) {
        let own = make_own(root.as_fd(), number).map_err(|errno| ("making a directory", errno))?;
        touched.push(own);
    }
    others::more_instances();
    let full = full::make(server.as_ref().unwrap_or(&root).as_fd(), asked.names)
        .map_err(|errno| ("making the full directory", errno))?;
    let crowd = Crowd::new(dirs, place.remote).map_err(|errno| ("inotify", errno))?;
    Ok(Watching {
        base: place.base.clone(),
        crowd,
        touched,
        full,
        memory: place.fs == "tmpfs",
        sequences: AtomicU64::new(0),
        root,
        server,
    })
}

fn open_dir(base: BorrowedFd<'_>, name: &Name) -> Answer<OwnedFd> {
    ops::open(base, name.as_c(), libc::O_RDONLY | libc::O_DIRECTORY)
}

/// Directories of one thread; gives the one in which others touch the children.
fn make_own(root: BorrowedFd<'_>, number: u32) -> Answer<OwnedFd> {
    let name = Name::new("o", number.into());
    ops::mkdir(root, name.as_c())?;
    let own = open_dir(root, &name)?;
    for name in [c"a", c"b", c"t"] {
        ops::mkdir(own.as_fd(), name)?;
    }
    let touched = ops::open(own.as_fd(), c"t", libc::O_RDONLY | libc::O_DIRECTORY)?;
    for child in 0..own::CHILDREN {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        ops::open(touched.as_fd(), Name::new("c", child).as_c(), flags)?;
    }
    Ok(touched)
}

/// What a thread has for itself.
struct Life {
    own: Option<Own>,
    others: Others,
    held: Vec<OwnedFd>,
    buffer: Vec<u8>,
}

impl Watching {
    fn begin(&self, number: u32) -> Life {
        let name = Name::new("o", number.into());
        let open = || {
            let base = open_dir(self.root.as_fd(), &name)?;
            let served = self
                .server
                .as_ref()
                .map(|server| open_dir(server.as_fd(), &name));
            let served = served.transpose()?;
            Own::open(base.as_fd(), served.as_ref().map(|served| served.as_fd()))
        };
        Life {
            own: (number < OWNERS).then(open).and_then(Result::ok),
            others: Others::new(&self.base, number),
            held: crowd::hold(&self.crowd.dirs),
            buffer: vec![0; 16 << 10],
        }
    }

    /// A step as the seed wants it; what is not possible here is another.
    fn plan(&self, worker: &mut Worker<'_>) -> (Op, Draw) {
        let mut op = Op::of(worker.pick());
        // Sequences take long: half of the threads leave them to the others, so that the crowd stays busy.
        for _ in 0..TRIES {
            if worker.number.is_multiple_of(2) || (op as u8) < Op::Life as u8 {
                break;
            }
            op = Op::of(worker.pick());
        }
        let local = self.server.is_none();
        let possible = match op {
            // An NFS client renames an open file that is unlinked, and lets it go later.
            Op::Gone | Op::Over | Op::Tree | Op::Excluded | Op::Exchange | Op::Unmount => local,
            Op::Served => !local,
            Op::Full => worker.number == 0,
            _ => true,
        };
        if !possible {
            op = Op::Life;
        }
        let (rng, dirs) = (&mut worker.rng, worker.shared.asked.dirs);
        // The first directory is left to inotify: a lasting mark would keep it from ever being unwatched.
        let free = match op {
            Op::Fan | Op::Dnotify if dirs > 1 => 1,
            _ => 0,
        };
        let it = Draw {
            dir: free + rng.below(dirs - free),
            name: rng.below(crowd::NAMES),
            how: rng.next() as u32,
            other: rng.below(dirs),
        };
        (op, it)
    }

    fn own(&self, worker: &mut Worker<'_>, life: &mut Life, op: Op, it: Draw) {
        let Some(own) = &mut life.own else {
            return;
        };
        let (step, long) = (Step::new(op as u8, args(it)), it.how & 1 != 0);
        let mut well = false;
        worker.step(step, || {
            let outcome = own.run(long, |own, ear| match op {
                Op::Tree => own.tree(ear),
                Op::Known => own.known(ear),
                Op::Over => own.over(ear),
                Op::Exchange => own.exchange(ear),
                Op::Links => own.links(ear),
                Op::Oneshot => own.oneshot(ear),
                Op::Off => own.off(ear),
                Op::Gone => own.gone(ear),
                Op::Excluded => own.excluded(ear),
                Op::Among => own.among(ear),
                Op::Served => own.served(ear),
                _ => own.life(ear),
            });
            well = outcome.is_ok();
            outcome
        });
        self.sequences.fetch_add(u64::from(well), Ordering::Relaxed);
    }

    fn other(&self, worker: &mut Worker<'_>, life: &mut Life, op: Op, it: Draw) {
        let (step, others) = (Step::new(op as u8, args(it)), &mut life.others);
        worker.step(step, || match op {
            Op::Names => others.names(self.root.as_fd()),
            Op::Signals => others.signals(self.root.as_fd()),
            Op::Overflow => others.overflow(self.root.as_fd()),
            _ => others.unmount(),
        });
    }
}

fn args(it: Draw) -> [u32; 4] {
    [it.dir, it.name, it.how, it.other]
}

impl Stage for Watching {
    fn work(&self, worker: &mut Worker<'_>) {
        watch::hold_signals();
        // Without a directory of its own, this thread cannot name anything to inotify.
        if watch::own_working_directory().is_err() {
            return;
        }
        let mut life = self.begin(worker.number);
        if worker.number == 0 {
            // Filling takes longest, so it comes first.
            self.full.turn(worker, self.memory);
        }
        while !worker.stopped() {
            let (op, it) = self.plan(worker);
            let step = Step::new(op as u8, args(it));
            match op {
                Op::Full => self.full.turn(worker, self.memory),
                Op::Touch => {
                    let dir = &self.touched[it.how as usize % self.touched.len()];
                    worker.step(step, || full::touch_children(dir.as_fd()));
                }
                Op::Names | Op::Signals | Op::Overflow | Op::Unmount => {
                    self.other(worker, &mut life, op, it);
                }
                op if op as u8 >= Op::Life as u8 => self.own(worker, &mut life, op, it),
                op => worker.step(step, || {
                    self.crowd.act(op, it, &life.held, &mut life.buffer)
                }),
            }
        }
    }

    fn show(&self, step: &Step) -> String {
        let (op, [dir, name, how, other]) = (Op::of(step.op), step.args);
        let target = how % crowd::NAMES;
        match op {
            Op::Watch | Op::Unwatch | Op::Dnotify => format!("{} s{dir} ({how:#x})", op.name()),
            Op::Create | Op::Unlink | Op::Open | Op::Chmod => {
                format!("{} s{dir}/n{name}", op.name())
            }
            Op::WatchFile | Op::Fan => format!("{} s{dir}/n{name} ({how:#x})", op.name()),
            Op::Mkdir | Op::Rmdir => format!("{} s{dir}/d{name}", op.name()),
            Op::Rename | Op::Link => {
                format!("{} s{dir}/n{name} s{other}/n{target}", op.name())
            }
            Op::Absent => format!("absent s{dir}/z{}", how % crowd::ABSENT),
            Op::Touch => format!("touch o{}/t", how as usize % self.touched.len()),
            _ => op.name().to_owned(),
        }
    }

    fn numbers(&self) -> Vec<Number> {
        let sequences = self.sequences.load(Ordering::Relaxed) as f64;
        let mut numbers = vec![Number::count("sequences", sequences)];
        numbers.extend(self.full.numbers());
        numbers
    }
}

#[cfg(test)]
mod tests;
