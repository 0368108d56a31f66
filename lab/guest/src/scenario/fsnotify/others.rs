// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thread's other ways to hear: fanotify with names, dnotify's signals, a queue that is too short, and a
//! filesystem that goes away with the watches on it.

use super::owed::Ear;
use super::own::LONG;
use crate::fs::mount::{mount, unmount};
use crate::ops::{self, Answer, Name, watch};
use crate::scenario::fault::{Fault, due, may};
use libc::{O_CREAT, O_EXCL, O_RDONLY, O_RDWR};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where the kernel keeps its limits of inotify.
const LIMITS: &str = "/proc/sys/fs/inotify";
/// Events that a short queue holds.
const SHORT: usize = 48;
const LOST: &str = "own name lost";

/// Whether this is a guest: a host's limits and mounts are not ours.
fn guest() -> bool {
    std::process::id() == 1
}

/// Lets a guest have an instance for each of its threads.
pub(super) fn more_instances() {
    if guest() {
        // Without it, the threads that get none say so.
        let _ = std::fs::write(format!("{LIMITS}/max_user_instances"), "8192");
    }
}

/// A thread's own directory and instances for this.
#[derive(Debug)]
pub(super) struct Others {
    number: u32,
    dir: Option<OwnedFd>,
    group: Option<OwnedFd>,
    mount: PathBuf,
    buffer: Vec<u8>,
}

impl Others {
    /// Of the thread of that number; directories are made when they are needed.
    pub(super) fn new(base: &Path, number: u32) -> Self {
        Self {
            number,
            dir: None,
            group: None,
            mount: base.join(format!("m{number}")),
            buffer: vec![0; 4096],
        }
    }

    /// Its directory below `root`.
    fn dir(&mut self, root: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
        let held = match &self.dir {
            Some(dir) => dir,
            None => {
                let name = Name::new("h", self.number.into());
                ops::mkdir(root, name.as_c()).map_err(due("own name not free", "mkdir"))?;
                let dir = ops::open(root, name.as_c(), O_RDONLY | libc::O_DIRECTORY);
                self.dir.insert(dir.map_err(due(LOST, "open"))?)
            }
        };
        held.try_clone().map_err(|_| Fault::Answer(libc::EMFILE))
    }

    /// Hears by fanotify of names made, moved and removed. Events of one name that wait together become one, so
    /// they are read after each call.
    pub(super) fn names(&mut self, root: BorrowedFd<'_>) -> Result<(), Fault> {
        let dir = self.dir(root)?;
        let dir = dir.as_fd();
        let group = match self.group.take() {
            Some(group) => group,
            None => {
                watch::fanotify().map_err(may("fanotify_init", &[libc::ENOSYS, libc::EINVAL]))?
            }
        };
        let outcome = heard(dir, group.as_fd(), &mut self.buffer);
        match outcome {
            // A group that may have events left is not used again.
            Ok(()) => self.group = Some(group),
            Err(_) => tidy(dir),
        }
        outcome
    }

    /// Hears by dnotify: one signal for each thing done, or for the first one only.
    pub(super) fn signals(&mut self, root: BorrowedFd<'_>) -> Result<(), Fault> {
        const WRONG: &str = "dnotify signals are not what is owed";
        let dir = self.dir(root)?;
        let dir = dir.as_fd();
        let mask = watch::DN_CREATE | watch::DN_DELETE;
        for (mask, wanted) in [(mask | watch::DN_MULTISHOT, 2), (mask, 1)] {
            // A descriptor keeps what it was asked before, so each gets its own. Closing ends it.
            let own = ops::open(dir, c".", O_RDONLY | libc::O_DIRECTORY);
            let own = own.map_err(due(LOST, "open"))?;
            watch::take_signals();
            watch::notify(own.as_fd(), mask, watch::SIGNAL_OWN)
                .map_err(may("F_NOTIFY", &[libc::EINVAL]))?;
            twice(dir).inspect_err(|_| tidy(dir))?;
            if let Some(came) = watch::take_signals().filter(|came| *came != wanted) {
                return Err(Fault::Wrong(WRONG, format!("{came} came of {wanted}")));
            }
        }
        twice(dir).inspect_err(|_| tidy(dir))?;
        match watch::take_signals() {
            Some(0) | None => Ok(()),
            Some(came) => Err(Fault::Wrong(WRONG, format!("{came} came after the close"))),
        }
    }

    /// More events than the queue holds: all that fit, then one that says so.
    pub(super) fn overflow(&mut self, root: BorrowedFd<'_>) -> Result<(), Fault> {
        let dir = self.dir(root)?;
        let dir = dir.as_fd();
        let Some(ear) = short_queue().map_err(may("inotify_init1", &[]))? else {
            return Ok(());
        };
        watch::go_to(dir).map_err(due(LOST, "fchdir"))?;
        let mask = libc::IN_CREATE | libc::IN_DELETE;
        let number = watch::add_watch(ear.as_fd(), c".", mask);
        let number = number.map_err(due("own watch refused", "inotify_add_watch"))?;
        for _ in 0..SHORT / 2 + 4 {
            twice(dir).inspect_err(|_| tidy(dir))?;
        }
        let got = watch::read_ready(ear.as_fd(), &mut self.buffer);
        let got = got.map_err(due("events cannot be read", "read"))?;
        let all = || watch::events(&self.buffer[..got]);
        let whole = all().filter(|event| event.watch == number).count();
        let overflows = all()
            .filter(|event| event.mask == libc::IN_Q_OVERFLOW)
            .count();
        let last = all()
            .last()
            .is_some_and(|event| event.mask == libc::IN_Q_OVERFLOW);
        match (whole, overflows, last) {
            (SHORT, 1, true) => Ok(()),
            // An overflow before the queue is full says that there was no memory for an event.
            (..SHORT, 1, _) => Err(Fault::Answer(libc::ENOMEM)),
            _ => {
                let seen = format!("{whole} events of {SHORT}, {overflows} overflows");
                Err(Fault::Wrong("overflow of a queue is not told", seen))
            }
        }
    }

    /// A filesystem of its own goes away: its watches tell so and are gone.
    pub(super) fn unmount(&mut self) -> Result<(), Fault> {
        if !guest() {
            return Ok(());
        }
        let at = self.mount.clone();
        mount("tmpfs", "tmpfs", &at, "size=64k").map_err(|_| Fault::Answer(libc::ENOMEM))?;
        let outcome = watched_unmount(&at);
        if outcome.is_err() {
            // If it is still mounted, it shall not be in the way of the end.
            let _ = watch::go_to_root();
            let _ = unmount(&at);
        }
        outcome
    }
}

fn watched_unmount(at: &Path) -> Result<(), Fault> {
    let path = super::path(at).map_err(|why| Fault::wrong("own mount lost", why))?;
    let root = ops::open_dir(&path).map_err(due("own mount lost", "open"))?;
    let mut ear = Ear::new().map_err(due("no inotify instance", "inotify_init1"))?;
    create(root.as_fd(), c"x")?;
    let mask = libc::IN_OPEN | libc::IN_DELETE_SELF;
    let dir = ear.watch(root.as_fd(), c".", mask)?;
    let file = ear.watch(root.as_fd(), c"x", mask)?;
    watch::go_to_root().map_err(due("root lost", "chdir"))?;
    drop(root);
    if let Err(why) = unmount(at) {
        return Err(Fault::Wrong("still busy after its users are gone", why));
    }
    ear.hear_unmount(&[dir, file])
}

/// Makes and removes a file: two events.
fn twice(dir: BorrowedFd<'_>) -> Result<(), Fault> {
    create(dir, c"x")?;
    ops::unlink(dir, c"x", 0).map_err(due(LOST, "unlink"))
}

fn create(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    let made = ops::open(dir, name, O_RDWR | O_CREAT | O_EXCL);
    made.map(drop).map_err(due("own name not free", "create"))
}

fn tidy(dir: BorrowedFd<'_>) {
    for name in [c"x", c"y", LONG] {
        // What is not there needs no removal.
        let _ = ops::unlink(dir, name, 0);
        let _ = ops::unlink(dir, name, libc::AT_REMOVEDIR);
    }
}

/// An instance with a short queue; `None` where limits are not ours to change. or another
/// thread is at it.
fn short_queue() -> Answer<Option<OwnedFd>> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    if !guest() {
        return Ok(None);
    }
    let limit = format!("{LIMITS}/max_queued_events");
    let Ok(_one) = ONE.try_lock() else {
        return Ok(None);
    };
    let Ok(usual) = std::fs::read_to_string(&limit) else {
        return Ok(None);
    };
    if std::fs::write(&limit, SHORT.to_string()).is_err() {
        return Ok(None);
    }
    let ear = watch::inotify();
    // A limit that stays short would make other instances lose events, which they would tell as lack of memory.
    let _ = std::fs::write(&limit, usual.trim());
    ear.map(Some)
}

/// What fanotify tells of known calls in a marked directory.
fn heard(dir: BorrowedFd<'_>, group: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(), Fault> {
    use libc::{FAN_CREATE, FAN_DELETE, FAN_MOVED_FROM, FAN_MOVED_TO, FAN_ONDIR};
    // Not every filesystem has handles for fanotify to tell.
    const ABSENT: &[i32] = &[libc::EOPNOTSUPP, libc::ENODEV, libc::EXDEV, libc::EINVAL];
    let mask = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ONDIR;
    let marked = watch::fan_mark(group, libc::FAN_MARK_ADD, mask, dir, c"");
    marked.map_err(may("fanotify_mark", ABSENT))?;
    let mut check = |owed: &[(u64, &CStr)]| tell(group, buffer, owed);
    create(dir, LONG)?;
    check(&[(FAN_CREATE, LONG)])?;
    ops::rename((dir, LONG), (dir, c"x")).map_err(due(LOST, "rename"))?;
    check(&[(FAN_MOVED_FROM, LONG), (FAN_MOVED_TO, c"x")])?;
    ops::link((dir, c"x"), (dir, c"y")).map_err(due("own name not free", "link"))?;
    check(&[(FAN_CREATE, c"y")])?;
    ops::unlink(dir, c"x", 0).map_err(due(LOST, "unlink"))?;
    check(&[(FAN_DELETE, c"x")])?;
    ops::unlink(dir, c"y", 0).map_err(due(LOST, "unlink"))?;
    check(&[(FAN_DELETE, c"y")])?;
    ops::mkdir(dir, c"x").map_err(due("own name not free", "mkdir"))?;
    check(&[(FAN_CREATE | FAN_ONDIR, c"x")])?;
    ops::unlink(dir, c"x", libc::AT_REMOVEDIR).map_err(due(LOST, "rmdir"))?;
    check(&[(FAN_DELETE | FAN_ONDIR, c"x")])?;
    let removed = watch::fan_mark(group, libc::FAN_MARK_REMOVE, mask, dir, c"");
    removed.map_err(due("own mark lost", "fanotify_mark"))?;
    twice(dir)?;
    check(&[])
}

/// Reads the group: exactly these events.
fn tell(group: BorrowedFd<'_>, buffer: &mut [u8], owed: &[(u64, &CStr)]) -> Result<(), Fault> {
    let got = watch::read_ready(group, buffer).map_err(due("events cannot be read", "read"))?;
    let came = || watch::fan_events(&buffer[..got]);
    if came().any(|event| event.mask & libc::FAN_Q_OVERFLOW != 0) {
        return Err(Fault::Answer(libc::ENOMEM));
    }
    let same = |((mask, name), event): (&(u64, &CStr), watch::FanEvent<'_>)| {
        event.mask == *mask && event.name == name.to_bytes()
    };
    if came().count() == owed.len() && owed.iter().zip(came()).all(same) {
        return Ok(());
    }
    let came: Vec<_> = came()
        .map(|event| format!("{:#x} {}", event.mask, String::from_utf8_lossy(event.name)))
        .collect();
    let seen = format!("owed {owed:x?}, came {came:?}");
    Err(Fault::Wrong("another fanotify event than owed", seen))
}
