// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tasks of our own: known to live, and known to be gone.

use crate::ops::{self, Name, child::Child};
use crate::scenario::fault::{Fault, due};
use libc::{ENOENT, ESRCH, O_DIRECTORY, O_RDONLY};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Looks at a number that is found though its task is gone, before that is wrong: the number may have been given to
/// another task, which may end at any moment.
const LOOKS: u32 = 20;

/// Makes a child, finds it while it lives and as a zombie, reaps it, and finds it no more.
pub(super) fn child(root: BorrowedFd<'_>, salt: u32, show: impl Fn(i32)) -> Result<(), Fault> {
    const LOST: &str = "a child that was not reaped is not found";
    // No memory or no number left is nobody's fault.
    let child = Child::start(salt.is_multiple_of(2)).map_err(Fault::Answer)?;
    let name = Name::new("", child.pid as u64);
    show(child.pid);
    let folder = ops::open(root, name.as_c(), O_RDONLY | O_DIRECTORY).map_err(due(LOST, "open"));
    let begun = folder
        .as_ref()
        .map_or(None, |folder| start_time(folder.as_fd()));
    let found = ops::stat(root, name.as_c()).map_err(due(LOST, "stat"));
    child
        .reap()
        .map_err(due("a child cannot be reaped", "waitpid"))?;
    let folder = folder?;
    found?;
    // What is held keeps the kernel from forgetting the name; half of them are let go first.
    if salt % 4 < 2 {
        drop(folder);
        return gone(root, name, begun);
    }
    match ops::open(folder.as_fd(), c"stat", O_RDONLY) {
        Err(ENOENT | ESRCH) => gone(root, name, begun),
        Err(errno) => Err(due("a reaped task answers", "open of stat")(errno)),
        Ok(_) => Err(Fault::wrong(
            "a reaped task is found in its held folder",
            "open of stat succeeded",
        )),
    }
}

/// Nobody is found by the number of a task that was reaped, unless somebody else has it now. Looked up, not opened:
/// an open asks the task for permission and fails without it, whatever the name led to.
fn gone(root: BorrowedFd<'_>, name: Name, begun: Option<u64>) -> Result<(), Fault> {
    for _ in 0..LOOKS {
        match ops::stat(root, name.as_c()) {
            Err(ENOENT | ESRCH) => return Ok(()),
            Err(errno) => return Err(due("lookup of a reaped task", "stat")(errno)),
            Ok(_) => {}
        }
        let folder = ops::open(root, name.as_c(), O_RDONLY | O_DIRECTORY).ok();
        match folder.and_then(|folder| start_time(folder.as_fd())) {
            Some(other) if begun.is_some_and(|begun| begun != other) => return Ok(()),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Err(Fault::wrong(
        "a reaped task is still found",
        format!("/proc/{name} is there"),
    ))
}

/// When a task began, in ticks since boot: the 22nd field of its stat.
fn start_time(folder: BorrowedFd<'_>) -> Option<u64> {
    let file = ops::open(folder, c"stat", O_RDONLY).ok()?;
    let mut bytes = [0; 512];
    let got = ops::read_at_0(file.as_fd(), &mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes[..got]);
    let fields = text.get(text.rfind(')')? + 1..)?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Makes a thread, finds it among the tasks of this process, and lets it end.
pub(super) fn thread(root: BorrowedFd<'_>, show: impl Fn(i32)) -> Result<(), Fault> {
    let tid = AtomicI32::new(0);
    let maker = std::thread::current();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 << 10);
        let started = thread.spawn_scoped(scope, || {
            // SAFETY: no arguments.
            tid.store(unsafe { libc::gettid() }, Ordering::Release);
            maker.unpark();
            while tid.load(Ordering::Acquire) != 0 {
                std::thread::park();
            }
        });
        let Ok(started) = started else {
            return Err(Fault::Answer(libc::EAGAIN));
        };
        while tid.load(Ordering::Acquire) == 0 {
            std::thread::park();
        }
        let id = tid.load(Ordering::Acquire);
        show(id);
        let found = find(root, Name::new("", id as u64));
        tid.store(0, Ordering::Release);
        started.thread().unpark();
        found
    })
}

fn find(root: BorrowedFd<'_>, name: Name) -> Result<(), Fault> {
    const LOST: &str = "a living thread is not found";
    let tasks = ops::open(root, c"self/task", O_RDONLY | O_DIRECTORY).map_err(due(LOST, "open"))?;
    ops::stat(tasks.as_fd(), name.as_c())
        .map(drop)
        .map_err(due(LOST, "stat"))
}
