// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that only one thread uses, unlinked and renamed over while they are open.

use crate::ops::{self, Answer, Name};
use crate::scenario::fault::{Fault, content, due, gone};
use libc::{O_CREAT, O_EXCL, O_RDONLY, O_RDWR};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

const NOT_FREE: &str = "own name not free";
const LOST: &str = "own name lost";
const GHOST: &str = "unlinked open file lost";
const BACK: &str = "unlinked name still there";

/// Makes a file with that content; without memory or space nothing is left of it.
fn make(dir: BorrowedFd<'_>, name: &CStr, text: &[u8]) -> Answer<OwnedFd> {
    let file = ops::open(dir, name, O_RDWR | O_CREAT | O_EXCL)?;
    match ops::write_at_0(file.as_fd(), text) {
        Ok(()) => Ok(file),
        Err(errno) => {
            let _ = ops::unlink(dir, name, 0);
            Err(errno)
        }
    }
}

/// Unlinks an open file; it can be read until it is closed, and its name is gone at once.
pub(crate) fn ghost(dir: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    let name = Name::new("og", worker.into());
    let name = name.as_c();
    let file = make(dir, name, b"ghost").map_err(due(NOT_FREE, "create"))?;
    ops::unlink(dir, name, 0).map_err(due(LOST, "unlink"))?;
    gone(dir, name, BACK)?;
    content(file.as_fd(), b"ghost", GHOST)?;
    drop(file);
    gone(dir, name, BACK)
}

/// Unlinks an open file and makes its name anew, before the old one is closed and after.
pub(crate) fn again(dir: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    let name = Name::new("oa", worker.into());
    let name = name.as_c();
    let old = make(dir, name, b"old").map_err(due(NOT_FREE, "create"))?;
    ops::unlink(dir, name, 0).map_err(due(LOST, "unlink"))?;
    let new = make(dir, name, b"new").map_err(due(NOT_FREE, "create anew"))?;
    content(old.as_fd(), b"old", GHOST)?;
    drop((old, new));
    let file = ops::open(dir, name, O_RDONLY).map_err(due(LOST, "open"))?;
    content(file.as_fd(), b"new", "name made anew is another file")?;
    ops::unlink(dir, name, 0).map_err(due(LOST, "unlink"))?;
    gone(dir, name, BACK)
}

/// Renames over an open file; it can be read, and the name shows the other one.
pub(crate) fn over(dir: BorrowedFd<'_>, dir2: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    let (old, new) = (
        Name::new("ov", worker.into()),
        Name::new("ow", worker.into()),
    );
    let (old, new) = (old.as_c(), new.as_c());
    let covered = make(dir2, new, b"covered").map_err(due(NOT_FREE, "create"))?;
    if let Err(errno) = make(dir, old, b"covers") {
        let _ = ops::unlink(dir2, new, 0);
        return Err(due(NOT_FREE, "create")(errno));
    }
    ops::rename((dir, old), (dir2, new)).map_err(due(LOST, "rename over"))?;
    let read = content(covered.as_fd(), b"covered", "file renamed over lost");
    drop(covered);
    gone(dir, old, "renamed name still there")?;
    let file = ops::open(dir2, new, O_RDONLY).map_err(due(LOST, "open"))?;
    content(file.as_fd(), b"covers", "name renamed over is another file")?;
    drop(file);
    ops::unlink(dir2, new, 0).map_err(due(LOST, "unlink"))?;
    gone(dir2, new, BACK)?;
    read
}
