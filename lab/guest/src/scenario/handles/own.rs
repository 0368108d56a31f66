// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handles of objects that only one thread uses: renamed, moved, unlinked. What generic/426 and 467 of xfstests look
//! at, with other threads at work.

use super::tree::file;
use crate::ops::handle::{Handle, Node, handle, node, open};
use crate::ops::{self, Name};
use crate::scenario::fault::{Fault, content, due, starved};
use libc::{AT_REMOVEDIR, O_DIRECTORY, O_RDONLY};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

const REFUSED: &str = "own object refused";
const LOST: &str = "handle of an existing object not opened";
/// How long something else in the kernel may hold an inode that nobody uses any more.
const HELD: Duration = Duration::from_secs(8);

/// Opens an own object by handle; it must be the one that it was.
fn same(root: BorrowedFd<'_>, handle: &Handle, flags: i32, was: Node) -> Result<OwnedFd, Fault> {
    let opened = open(root, handle, flags).map_err(due(LOST, "open_by_handle_at"))?;
    let (is, _) = node(opened.as_fd()).map_err(due(LOST, "fstat"))?;
    if is == was {
        return Ok(opened);
    }
    let seen = format!("was {was:?}, is {is:?}");
    Err(Fault::wrong("another object was opened", seen))
}

/// A removed object that nobody has open any more: its handle stays stale.
fn stale(root: BorrowedFd<'_>, handle: &Handle, flags: i32) -> Result<(), Fault> {
    const GHOST: &str = "handle of a removed object opened";
    let begun = Instant::now();
    loop {
        match open(root, handle, flags) {
            Err(libc::ESTALE) => return Ok(()),
            Err(errno) => return Err(due(GHOST, "open_by_handle_at")(errno)),
            Ok(_) if begun.elapsed() > HELD => {
                return Err(Fault::wrong(GHOST, "it still opens after a while"));
            }
            Ok(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Unlinks an open file and looks at its handle before and after the last close.
pub(crate) fn ghost(root: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    let name = Name::new("g", worker.into());
    let text = name.as_c().to_bytes();
    let made = match file(root, name.as_c(), text) {
        Ok(made) => made,
        Err(errno) => return given_up(root, &[(name.as_c(), 0)], errno),
    };
    let was = node(made.as_fd()).map_err(due(REFUSED, "fstat"))?.0;
    let known = handle(made.as_fd(), c"").map_err(due(REFUSED, "name_to_handle_at"))?;
    ops::unlink(root, name.as_c(), 0).map_err(due(REFUSED, "unlink"))?;
    {
        let again = same(root, &known, O_RDONLY, was)?;
        content(again.as_fd(), text, "handle opens a file of other content")?;
    }
    drop(made);
    stale(root, &known, O_RDONLY)
}

/// Removes an open directory; its handle may or may not open before the last close, and never after.
pub(crate) fn dead(root: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    let name = Name::new("d", worker.into());
    let (held, known, was) = own_dir(root, name.as_c())?;
    ops::unlink(root, name.as_c(), AT_REMOVEDIR).map_err(due(REFUSED, "rmdir"))?;
    match same(root, &known, O_RDONLY | O_DIRECTORY, was) {
        Err(Fault::Wrong(oracle, _)) if oracle == LOST => {}
        other => drop(other?),
    }
    drop(held);
    stale(root, &known, O_RDONLY | O_DIRECTORY)
}

/// Renames an own directory with a file in it, within the root or to another parent, after `forget` has dropped the
/// caches; both handles still open, and the directory by its new name.
pub(crate) fn renamed(
    root: BorrowedFd<'_>,
    worker: u32,
    elsewhere: bool,
    forget: impl FnOnce() -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (old, new) = (Name::new("r", worker.into()), Name::new("s", worker.into()));
    let (old, new) = (old.as_c(), new.as_c());
    let parent = Name::new("p", worker.into());
    let left = [(old, AT_REMOVEDIR), (parent.as_c(), AT_REMOVEDIR)];
    let (held, known, was) = own_dir(root, old)?;
    let inside = match file(held.as_fd(), c"in", b"inside") {
        Ok(inside) => inside,
        Err(errno) => {
            let _ = ops::unlink(held.as_fd(), c"in", 0);
            return given_up(root, &left, errno);
        }
    };
    let in_was = node(inside.as_fd()).map_err(due(REFUSED, "fstat"))?.0;
    let in_known = handle(inside.as_fd(), c"").map_err(due(REFUSED, "name_to_handle_at"))?;
    let target = if elsewhere {
        ops::mkdir(root, parent.as_c())
            .and_then(|()| ops::open(root, parent.as_c(), O_RDONLY | O_DIRECTORY))
    } else {
        ops::open(root, c".", O_RDONLY | O_DIRECTORY)
    };
    let moved = target.and_then(|target| {
        ops::rename((root, old), (target.as_fd(), new))?;
        Ok(target)
    });
    let target = match moved {
        Ok(target) => target,
        Err(errno) => {
            let _ = ops::unlink(held.as_fd(), c"in", 0);
            return given_up(root, &left, errno);
        }
    };
    drop((held, inside));
    forget()?;
    {
        let dir = same(root, &known, O_RDONLY | O_DIRECTORY, was)?;
        let inside = same(root, &in_known, O_RDONLY, in_was)?;
        content(
            inside.as_fd(),
            b"inside",
            "handle opens a file of other content",
        )?;
        let by_name = ops::stat(target.as_fd(), new).map_err(due("own name lost", "stat"))?;
        if by_name.ino != was.ino {
            let seen = format!("was inode {}, is {}", was.ino, by_name.ino);
            return Err(Fault::wrong("own name is another file", seen));
        }
        ops::unlink(dir.as_fd(), c"in", 0).map_err(due("own name lost", "unlink"))?;
    }
    ops::unlink(target.as_fd(), new, AT_REMOVEDIR).map_err(due("own name lost", "rmdir"))?;
    if elsewhere {
        ops::unlink(root, parent.as_c(), AT_REMOVEDIR).map_err(due("own name lost", "rmdir"))?;
    }
    stale(root, &known, O_RDONLY | O_DIRECTORY)
}

fn own_dir(root: BorrowedFd<'_>, name: &CStr) -> Result<(OwnedFd, Handle, Node), Fault> {
    ops::mkdir(root, name).map_err(due(REFUSED, "mkdir"))?;
    let look = || {
        let held = ops::open(root, name, O_RDONLY | O_DIRECTORY)?;
        let known = handle(root, name)?;
        let (was, _) = node(held.as_fd())?;
        Ok((held, known, was))
    };
    look().map_err(|errno| {
        let _ = ops::unlink(root, name, AT_REMOVEDIR);
        due(REFUSED, "open")(errno)
    })
}

/// Without space or memory: takes away what was made, so that the names are free the next time.
fn given_up(root: BorrowedFd<'_>, left: &[(&CStr, i32)], errno: i32) -> Result<(), Fault> {
    if starved(errno) {
        for (name, flags) in left {
            let _ = ops::unlink(root, name, *flags);
        }
    }
    Err(due(REFUSED, "making it")(errno))
}
