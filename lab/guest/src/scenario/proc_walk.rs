// SPDX-License-Identifier: MIT OR Apache-2.0
//! /proc walked while the tasks that it shows come and go.
//!
//! A name below /proc is there exactly as long as its task, so most lookups may find nothing. What must be so: who
//! lives is found, a zombie too; who was reaped is not; an open descriptor is listed once; a namespace keeps its name.

mod task;

use super::caches::Caches;
use super::fault::{Fault, due, may};
use super::step::{Step, operations};
use super::worker::Worker;
use super::{Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::{self, Name, child::read_link, errno_name};
use lab_wire::Scenario;
use libc::{EACCES, ENOENT, EPERM, ESRCH, O_DIRECTORY, O_RDONLY};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

operations! {
    /// What the threads do.
    pub(crate) enum Op {
        Own "own" 60 "Looks up this process by its number and by self.",
        Look "look" 200 "Looks up a file of a task that comes and goes.",
        List "list" 60 "Reads a folder of such a task.",
        Descriptors "fds" 40 "Reads the list of open descriptors and looks for one that stays.",
        Namespace "ns" 40 "Reads the name of a namespace.",
        Sys "sys" 60 "Looks up and reads below /proc/sys.",
        Numbers "numbers" 20 "Reads the list of processes and looks for this one.",
        Child "child" 40 "Makes a child, finds it, reaps it, finds it no more.",
        Thread "thread" 30 "Makes a thread, finds it, and lets it end.",
        Drop "drop" 2 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
    }
}

/// Files and folders of a task.
const FILES: &[&CStr] = &[
    c"stat",
    c"status",
    c"fd",
    c"fd/0",
    c"fdinfo",
    c"fdinfo/1",
    c"task",
    c"map_files",
    c"ns",
    c"ns/mnt",
    c"cwd",
    c"root",
    c"exe",
    c"net",
    c"attr",
    c"maps",
    c"no-such-file",
];
/// Folders of a task.
const FOLDERS: &[&CStr] = &[c".", c"fd", c"fdinfo", c"task", c"map_files", c"ns"];
/// Files below /proc/sys.
const SYS: &[&CStr] = &[
    c"sys/kernel/pid_max",
    c"sys/fs/dentry-state",
    c"sys/fs/file-nr",
    c"sys/kernel/osrelease",
    c"sys/vm/swappiness",
];
/// Namespaces.
const NAMESPACES: &[&CStr] = &[c"self/ns/mnt", c"self/ns/pid", c"self/ns/uts"];
/// What a task that ends may answer.
const ENDING: &[i32] = &[ENOENT, ESRCH, EACCES, EPERM, libc::EINVAL, libc::ENOTDIR];

/// What the workers share.
struct ProcWalk {
    root: OwnedFd,
    /// This process.
    pid: i32,
    /// The names of the namespaces as they were.
    namespaces: Vec<Vec<u8>>,
    /// The latest child or thread of each worker.
    tasks: Vec<AtomicI32>,
    caches: Option<Caches>,
}

/// Opens /proc.
///
/// # Errors
/// When there is none.
pub(crate) fn set_up(_place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let walk = ProcWalk::new(asked.threads);
    let refused = |errno| Refusal::Absent(format!("no /proc: {}", errno_name(errno)));
    Ok(Box::new(walk.map_err(refused)?))
}

impl ProcWalk {
    fn new(threads: u32) -> ops::Answer<Self> {
        let root = ops::open_dir(c"/proc")?;
        let name_of = |namespace: &&CStr| {
            let mut bytes = [0; 64];
            // A kernel without that kind of namespace shows no such name, now and later.
            read_link(root.as_fd(), namespace, &mut bytes).map_or(Vec::new(), <[u8]>::to_vec)
        };
        Ok(Self {
            namespaces: NAMESPACES.iter().map(name_of).collect(),
            root,
            pid: std::process::id() as i32,
            tasks: (0..threads).map(|_| AtomicI32::new(0)).collect(),
            caches: Caches::open(),
        })
    }

    fn act(&self, step: &Step) -> Result<(), Fault> {
        let [own, other, which, salt] = step.args;
        let (root, which) = (self.root.as_fd(), which as usize);
        match Op::of(step.op) {
            Op::Own => self.own(),
            Op::Look => self.look(other, FILES[which % FILES.len()]),
            Op::List => self.list(other, FOLDERS[which % FOLDERS.len()]),
            Op::Descriptors => self.descriptors(),
            Op::Namespace => self.namespace(which % NAMESPACES.len()),
            Op::Sys => sys(root, SYS[which % SYS.len()]),
            Op::Numbers => self.numbers(),
            Op::Child => task::child(root, salt, |pid| self.show_task(own, pid)),
            Op::Thread => task::thread(root, |tid| self.show_task(own, tid)),
            Op::Drop => self.caches.as_ref().map_or(Ok(()), Caches::drop_dentries),
        }
    }

    fn show_task(&self, own: u32, id: i32) {
        self.tasks[own as usize].store(id, Ordering::Relaxed);
    }

    /// The name of somebody's task, if there ever was one.
    fn task(&self, other: u32) -> Option<Name> {
        let id = self.tasks[other as usize].load(Ordering::Relaxed);
        (id > 0).then(|| Name::new("", id as u64))
    }

    fn own(&self) -> Result<(), Fault> {
        const LOST: &str = "a living process is not found";
        let number = Name::new("", self.pid as u64);
        let by_number = ops::stat(self.root.as_fd(), number.as_c()).map_err(due(LOST, "stat"))?;
        ops::open(self.root.as_fd(), c"self", O_RDONLY | O_DIRECTORY)
            .map_err(due(LOST, "open of self"))?;
        ops::open(self.root.as_fd(), c"thread-self/status", O_RDONLY)
            .map_err(due(LOST, "open of thread-self"))?;
        if by_number.links > 0 {
            return Ok(());
        }
        Err(Fault::wrong(LOST, format!("{by_number:?}")))
    }

    fn look(&self, other: u32, file: &CStr) -> Result<(), Fault> {
        let Some(task) = self.task(other) else {
            return Ok(());
        };
        let folder = ops::open(self.root.as_fd(), task.as_c(), O_RDONLY | O_DIRECTORY)
            .map_err(may("open of a task", ENDING))?;
        ops::stat(folder.as_fd(), file)
            .map(drop)
            .map_err(may("stat below a task", ENDING))
    }

    fn list(&self, other: u32, folder: &CStr) -> Result<(), Fault> {
        let Some(task) = self.task(other) else {
            return Ok(());
        };
        let dir = ops::open(self.root.as_fd(), task.as_c(), O_RDONLY | O_DIRECTORY)
            .map_err(may("open of a task", ENDING))?;
        let dir = ops::open(dir.as_fd(), folder, O_RDONLY | O_DIRECTORY)
            .map_err(may("open below a task", ENDING))?;
        ops::read_dir(dir.as_fd(), |_| {}).map_err(may("getdents below a task", ENDING))
    }

    fn descriptors(&self) -> Result<(), Fault> {
        const ONCE: &str = "an open descriptor is not listed once";
        let wanted = Name::new("", self.root.as_raw_fd() as u64);
        let dir = ops::open(self.root.as_fd(), c"self/fd", O_RDONLY | O_DIRECTORY)
            .map_err(due(ONCE, "open"))?;
        let mut seen = 0;
        ops::read_dir(dir.as_fd(), |name| seen += u32::from(name == wanted.as_c()))
            .map_err(due(ONCE, "getdents"))?;
        ops::stat(dir.as_fd(), wanted.as_c())
            .map_err(due("an open descriptor is not found", "stat"))?;
        if seen == 1 {
            return Ok(());
        }
        Err(Fault::wrong(ONCE, format!("listed {seen} times")))
    }

    fn namespace(&self, which: usize) -> Result<(), Fault> {
        let (name, was) = (NAMESPACES[which], &self.namespaces[which]);
        if was.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; 64];
        let is = read_link(self.root.as_fd(), name, &mut bytes);
        let is = is.map_err(due("a namespace is not found", "readlink"))?;
        if is == was.as_slice() {
            return Ok(());
        }
        let seen = format!(
            "{} instead of {}",
            String::from_utf8_lossy(is),
            String::from_utf8_lossy(was)
        );
        Err(Fault::wrong("a namespace changed its name", seen))
    }

    fn numbers(&self) -> Result<(), Fault> {
        let wanted = Name::new("", self.pid as u64);
        let mut seen = 0;
        ops::read_dir(self.root.as_fd(), |name| {
            seen += u32::from(name == wanted.as_c())
        })
        .map_err(due("processes cannot be listed", "getdents"))?;
        if seen == 1 {
            return Ok(());
        }
        let seen = format!("listed {seen} times");
        Err(Fault::wrong("a living process is not listed once", seen))
    }
}

fn sys(root: BorrowedFd<'_>, file: &CStr) -> Result<(), Fault> {
    const LOST: &str = "a file of /proc/sys is not found";
    let mut bytes = [0; 64];
    // A kernel may be built without one of them; it is the lookup that counts.
    let file = ops::open(root, file, O_RDONLY).map_err(may("open", &[ENOENT]))?;
    ops::read_at_0(file.as_fd(), &mut bytes)
        .map(drop)
        .map_err(due(LOST, "read"))
}

impl Stage for ProcWalk {
    fn work(&self, worker: &mut Worker<'_>) {
        let threads = self.tasks.len() as u32;
        while !worker.stopped() {
            let other = worker.rng.below(threads);
            let (which, salt) = (worker.rng.below(1 << 16), worker.rng.next() as u32);
            let step = Step::new(worker.pick(), [worker.number, other, which, salt]);
            worker.step(step, || self.act(&step));
        }
    }

    fn show(&self, step: &Step) -> String {
        let [own, other, which, _] = step.args;
        let (op, which) = (Op::of(step.op), which as usize);
        let text = |name: &'static CStr| name.to_str().unwrap_or("?");
        match op {
            Op::Look => format!(
                "look task of w{other}: {}",
                text(FILES[which % FILES.len()])
            ),
            Op::List => format!(
                "list task of w{other}: {}",
                text(FOLDERS[which % FOLDERS.len()])
            ),
            Op::Namespace => format!("ns {}", text(NAMESPACES[which % NAMESPACES.len()])),
            Op::Sys => format!("sys {}", text(SYS[which % SYS.len()])),
            Op::Child | Op::Thread => format!("{} of w{own}", op.name()),
            _ => op.name().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_holds_on_this_host() {
        let walk = ProcWalk::new(2).unwrap();
        for salt in 0..12 {
            for op in Op::ALL {
                let step = Step::new(*op as u8, [0, 0, salt, salt]);
                assert!(
                    !matches!(walk.act(&step), Err(Fault::Wrong(..))),
                    "{op:?} {:?}",
                    walk.act(&step)
                );
            }
        }
    }

    #[test]
    fn who_is_not_there_is_missed() {
        let mut walk = ProcWalk::new(1).unwrap();
        walk.pid = i32::MAX;
        walk.namespaces[0] = b"mnt:[1]".to_vec();
        for op in [Op::Own, Op::Numbers, Op::Namespace] {
            let step = Step::new(op as u8, [0; 4]);
            assert!(matches!(walk.act(&step), Err(Fault::Wrong(..))), "{op:?}");
        }
    }
}
