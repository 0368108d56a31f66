// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trees of folders and files: made, walked by others meanwhile, removed.

use super::fd;
use crate::ops::{self, Name, label::Label};
use crate::scenario::fault::{Fault, due, gone, may};
use libc::{AT_REMOVEDIR, ENOENT, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// Folders of a tree.
const FOLDERS: u32 = 8;
/// Absent names looked up in one go.
const ABSENT: u32 = 24;
const MADE: &str = "own tree lost";

/// Makes a tree of about `names` names as `name` in `dir`, and removes it, unless it is told to stop before.
pub(super) fn make_and_remove(
    dir: BorrowedFd<'_>,
    name: Name,
    names: u32,
    stop: &AtomicBool,
) -> Result<(), Fault> {
    ops::mkdir(dir, name.as_c()).map_err(due("own name not free", "mkdir"))?;
    let root = ops::open(dir, name.as_c(), O_RDONLY | O_DIRECTORY).map_err(due(MADE, "open"))?;
    let filled = fill(fd(&root), names, stop);
    if !empty(fd(&root), names, stop)? {
        return filled;
    }
    drop(root);
    ops::unlink(dir, name.as_c(), AT_REMOVEDIR).map_err(due(MADE, "rmdir"))?;
    gone(dir, name.as_c(), "removed folder still there")?;
    filled
}

/// Makes folders with files in a folder; stops where memory or space runs out, or when told to.
pub(super) fn fill(root: BorrowedFd<'_>, names: u32, stop: &AtomicBool) -> Result<(), Fault> {
    for folder in 0..FOLDERS {
        let name = Name::new("d", folder.into());
        ops::mkdir(root, name.as_c()).map_err(due("own name not free", "mkdir"))?;
        let at = ops::open(root, name.as_c(), O_RDONLY | O_DIRECTORY).map_err(due(MADE, "open"))?;
        for file in 0..names / FOLDERS {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let name = Label::new("f", file.into());
            ops::open(fd(&at), name.as_c(), O_RDWR | O_CREAT | O_EXCL)
                .map_err(due("own name not free", "create"))?;
        }
    }
    Ok(())
}

/// Removes what [`fill`] made, as far as it came; whether all of it, for who is told to stop leaves it as it is.
fn empty(root: BorrowedFd<'_>, names: u32, stop: &AtomicBool) -> Result<bool, Fault> {
    let left = may("removal of an own name", &[ENOENT]);
    let gone_or = |answer: ops::Answer<()>| match answer.map_err(&left) {
        Err(Fault::Wrong(_, seen)) => Err(Fault::Wrong(MADE, seen)),
        _ => Ok(()),
    };
    for folder in 0..FOLDERS {
        let name = Name::new("d", folder.into());
        let at = match ops::open(root, name.as_c(), O_RDONLY | O_DIRECTORY) {
            Ok(at) => at,
            Err(ENOENT) => return Ok(true),
            Err(errno) => return Err(due(MADE, "open")(errno)),
        };
        for file in 0..names / FOLDERS {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let name = Label::new("f", file.into());
            gone_or(ops::unlink(fd(&at), name.as_c(), 0))?;
        }
        gone_or(ops::unlink(root, name.as_c(), AT_REMOVEDIR))?;
    }
    Ok(true)
}

/// Looks up a folder of somebody's tree and some names in it. They may be gone at any moment.
pub(super) fn walk(dir: BorrowedFd<'_>, name: Name, names: u32, salt: u32) -> Result<(), Fault> {
    let expected = may("lookup in a tree", &[ENOENT]);
    let folder = Name::new("d", (salt % FOLDERS).into());
    let root = ops::open(dir, name.as_c(), O_RDONLY | O_DIRECTORY).map_err(&expected)?;
    let at = ops::open(fd(&root), folder.as_c(), O_RDONLY | O_DIRECTORY).map_err(&expected)?;
    drop(root);
    for file in 0..8 {
        let number = salt.wrapping_add(file * 7) % (names / FOLDERS).max(1);
        let name = Label::new("f", number.into());
        match ops::stat(fd(&at), name.as_c()).map_err(&expected) {
            Ok(_) | Err(Fault::Answer(_)) => {}
            Err(wrong) => return Err(wrong),
        }
    }
    absent(fd(&at), salt % ABSENT)
}

/// Makes a folder, looks up names that are not in it, and removes it with what the kernel remembers of them.
pub(super) fn hollow(dir: BorrowedFd<'_>, name: Name, salt: u32) -> Result<(), Fault> {
    ops::mkdir(dir, name.as_c()).map_err(due("own name not free", "mkdir"))?;
    let at = ops::open(dir, name.as_c(), O_RDONLY | O_DIRECTORY).map_err(due(MADE, "open"))?;
    let looked = (0..ABSENT).try_for_each(|n| absent(fd(&at), n.wrapping_add(salt)));
    // Half of them are removed while they are open.
    let held = salt.is_multiple_of(2).then_some(at);
    ops::unlink(dir, name.as_c(), AT_REMOVEDIR).map_err(due(MADE, "rmdir"))?;
    gone(dir, name.as_c(), "removed folder still there")?;
    if let Some(at) = held {
        absent(fd(&at), salt)?;
    }
    looked
}

/// Looks up a name that nobody ever makes.
pub(super) fn absent(dir: BorrowedFd<'_>, number: u32) -> Result<(), Fault> {
    let name = Label::new("no", number.into());
    gone(dir, name.as_c(), "a name that was never made is there")
}
