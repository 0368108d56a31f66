// SPDX-License-Identifier: MIT OR Apache-2.0
//! Last references: names that all make, remove and look up at once, and what is held when its name goes.

use super::{Op, References};
use crate::ops::{self, Name, tree};
use crate::scenario::fault::{Fault, due, gone, may, starved};
use crate::scenario::step::Step;
use libc::{AT_REMOVEDIR, EEXIST, ENOENT, O_CREAT, O_DIRECTORY, O_EXCL, O_PATH, O_RDONLY, O_RDWR};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// What is held is no longer what it was.
const HELD: &str = "a held file is another one";
/// The name of its own is not free, or not there.
const OWN: &str = "an own name went wrong";
/// It lost its last link, and still has one.
const LINKED: &str = "what was unlinked keeps a link";
/// It came back without a name.
const BACK: &str = "what was unlinked can be named again";
/// The removed working directory takes new names, or has a path.
const REMOVED: &str = "a removed working directory is used as one that is there";

impl References {
    /// One step on last references.
    pub(super) fn fight(&self, worker: u32, step: &Step) -> Result<(), Fault> {
        let [dir, name, extra, _] = step.args;
        let dir = self.dirs[dir as usize % self.dirs.len()].as_fd();
        let (file, sub) = (Name::new("n", name.into()), Name::new("s", name.into()));
        let (file, sub) = (file.as_c(), sub.as_c());
        match Op::of(step.op) {
            Op::Create => ops::open(dir, file, O_RDWR | O_CREAT)
                .map(drop)
                .map_err(may("create", &[])),
            Op::Unlink => ops::unlink(dir, file, 0).map_err(may("unlink", &[ENOENT])),
            Op::Stat => ops::stat(dir, file)
                .map(drop)
                .map_err(may("stat", &[ENOENT])),
            Op::Open => ops::open(dir, file, O_RDONLY)
                .map(drop)
                .map_err(may("open", &[ENOENT])),
            Op::Missing => gone(
                dir,
                Name::new("z", (extra % 4).into()).as_c(),
                "a missing name is there",
            ),
            Op::Hold => hold(dir, file),
            Op::Ghost => ghost(dir, worker),
            Op::Mkdir => ops::mkdir(dir, sub).map_err(may("mkdir", &[EEXIST])),
            Op::Rmdir => ops::unlink(dir, sub, AT_REMOVEDIR).map_err(may("rmdir", &[ENOENT])),
            Op::Inside => inside(dir, sub),
            Op::Leave if self.own_cwd => leave(dir, worker),
            Op::Drop => self
                .caches
                .as_ref()
                .map_or(Ok(()), |caches| caches.drop_dentries()),
            Op::Leave | Op::Walk => Ok(()),
        }
    }
}

/// Holds what is under a contested name, and looks at it again when it may have lost that.
fn hold(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    let file = ops::open(dir, name, O_PATH).map_err(may("open", &[ENOENT]))?;
    let held = ops::stat(file.as_fd(), c"").map_err(due(HELD, "fstat"))?;
    let removed = ops::unlink(dir, name, 0);
    let again = ops::stat(file.as_fd(), c"").map_err(due(HELD, "fstat"))?;
    if held.ino != again.ino || again.links > held.links {
        return Err(Fault::Wrong(HELD, format!("was {held:?}, is {again:?}")));
    }
    removed.map_err(may("unlink", &[ENOENT]))
}

/// Unlinks a file of its own that it holds: it has no link then, and gets none again.
fn ghost(dir: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    let name = Name::new("h", worker.into());
    let name = name.as_c();
    let made = ops::open(dir, name, O_RDWR | O_CREAT | O_EXCL).map_err(due(OWN, "create"))?;
    let held = ops::open(dir, name, O_PATH);
    drop(made);
    ops::unlink(dir, name, 0).map_err(due(OWN, "unlink"))?;
    gone(dir, name, "an unlinked name is there")?;
    let held = held.map_err(due(OWN, "open"))?;
    let meta = ops::stat(held.as_fd(), c"").map_err(due(HELD, "fstat"))?;
    if meta.links > 0 {
        return Err(Fault::Wrong(LINKED, format!("{} links", meta.links)));
    }
    match tree::link_held(held.as_fd(), (dir, name)) {
        Err(ENOENT) => Ok(()),
        Err(errno) => Err(due(BACK, "linkat")(errno)),
        Ok(()) => Err(Fault::wrong(BACK, "linkat succeeded")),
    }
}

/// Looks into a contested directory, which may be removed meanwhile.
fn inside(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    let held = ops::open(dir, name, O_PATH | O_DIRECTORY).map_err(may("open", &[ENOENT]))?;
    gone(held.as_fd(), c"nothing", "a missing name is there")?;
    ops::stat(held.as_fd(), c"..")
        .map(drop)
        .map_err(due(HELD, "stat of .."))
}

/// Works in a directory of its own while that is removed.
fn leave(dir: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    let name = Name::new("c", worker.into());
    let name = name.as_c();
    ops::mkdir(dir, name).map_err(due(OWN, "mkdir"))?;
    let entered =
        ops::open(dir, name, O_RDONLY | O_DIRECTORY).and_then(|own| tree::enter(own.as_fd()));
    let removed = ops::unlink(dir, name, AT_REMOVEDIR);
    let seen = match entered {
        Ok(()) => removed_cwd(dir),
        Err(errno) => Err(due(OWN, "fchdir")(errno)),
    };
    // The last reference of the directory is put here.
    tree::enter(dir).map_err(due(OWN, "fchdir"))?;
    removed.map_err(due(OWN, "rmdir"))?;
    seen?;
    gone(dir, name, "an unlinked name is there")
}

fn removed_cwd(above: BorrowedFd<'_>) -> Result<(), Fault> {
    let here = tree::here();
    let own = ops::stat(here, c".").map_err(due(REMOVED, "stat"))?;
    let [up, over] = [ops::stat(here, c".."), ops::stat(above, c"")]
        .map(|answer| answer.map_err(due(REMOVED, "stat of ..")));
    let (up, over) = (up?, over?);
    if own.links > 0 || up.ino != over.ino {
        let seen = format!("{} links, above {} not {}", own.links, up.ino, over.ino);
        return Err(Fault::Wrong(REMOVED, seen));
    }
    let answers = [
        (
            "create",
            ops::open(here, c"new", O_RDWR | O_CREAT).map(drop),
        ),
        ("mkdir", ops::mkdir(here, c"new")),
        ("getcwd", tree::cwd()),
    ];
    for (call, answer) in answers {
        match answer {
            Err(ENOENT) => {}
            Err(errno) if starved(errno) => {}
            Err(errno) => return Err(due(REMOVED, call)(errno)),
            Ok(()) => return Err(Fault::Wrong(REMOVED, format!("{call} succeeded"))),
        }
    }
    Ok(())
}
