// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the members of a round do to its file.

use super::plan::{Kind, Round};
use crate::ops::{self, Answer};
use crate::scenario::fault::{Fault, content, due, gone, may};
use crate::scenario::nfs_open::doors::{Doors, SERVER, USUAL};
use crate::scenario::nfs_open::{CONTESTED, CREATE};
use libc::{O_CREAT, O_EXCL, O_RDONLY, O_RDWR};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a client names files that are open and unlinked: `SILLYNAME_PREFIX` of `fs/nfs/unlink.c`.
const SILLY: &[u8] = b".nfs";
/// Lookups of a name that is being removed.
const LOOKS: u32 = 400;
const OLD: &[u8] = b"old content";
const NEW: &[u8] = b"new content\n";

fn usual<'a>(doors: &'a Doors, round: &Round) -> BorrowedFd<'a> {
    doors.dir(USUAL, round.dir)
}

/// Makes the file of a round, and the one that is renamed over it. What nobody is going to hold is made on the
/// server's side, where it costs least.
pub(crate) fn make(doors: &Doors, round: &Round) -> Result<(), Fault> {
    let door = if round.held { USUAL } else { SERVER };
    let dir = doors.dir(door, round.dir);
    let put = |name: &CStr, text: &[u8]| -> Answer<()> {
        let file = ops::open(dir, name, O_RDWR | O_CREAT | O_EXCL)?;
        ops::write_at_0(file.as_fd(), text)
    };
    let (name, other) = (round.name(), round.other());
    let mut made = put(name.as_c(), OLD);
    if round.kind == Kind::Over {
        made = made.and_then(|()| put(other.as_c(), NEW));
    }
    made.map_err(|errno| {
        let _ = ops::unlink(dir, name.as_c(), 0);
        let _ = ops::unlink(dir, other.as_c(), 0);
        due("fresh name cannot be made", "create")(errno)
    })
}

/// Opens the file of a round.
pub(crate) fn grasp(doors: &Doors, round: &Round) -> Result<OwnedFd, Fault> {
    let file = ops::open(usual(doors, round), round.name().as_c(), O_RDONLY);
    file.map_err(due("name made by this client not found", "open"))
}

/// Takes its name from the file of a round.
pub(crate) fn strike(doors: &Doors, round: &Round) -> Result<(), Fault> {
    let (dir, name) = (usual(doors, round), round.name());
    let answer = match round.kind {
        Kind::Over => ops::rename((dir, round.other().as_c()), (dir, name.as_c())),
        Kind::Under => ops::unlink(doors.dir(SERVER, round.dir), name.as_c(), 0),
        // Somebody who makes the name anew is in the way of nothing: the name is there.
        Kind::Unlink | Kind::Anew => ops::unlink(dir, name.as_c(), 0),
    };
    // A client that finds the file in use and cannot rename it out of the way says so.
    answer.map_err(may("unlink of a file in use", &[libc::EBUSY]))
}

/// Looks for the name, by stat or by open.
pub(crate) fn look(doors: &Doors, round: &Round, open: bool) -> Result<(), Fault> {
    let (dir, name) = (usual(doors, round), round.name());
    let answer = if open {
        ops::open(dir, name.as_c(), O_RDONLY).map(drop)
    } else {
        ops::stat(dir, name.as_c()).map(drop)
    };
    answer.map_err(may("a lookup of a name being removed", CONTESTED))
}

/// Looks for the name again and again, as long as it is there and until it is `struck`: a lookup that the client
/// answers by itself is over long before the server has removed the name.
pub(crate) fn look_on(doors: &Doors, round: &Round, struck: &AtomicBool) -> Result<(), Fault> {
    for _ in 0..LOOKS {
        look(doors, round, false)?;
        if struck.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Makes the name anew meanwhile, or opens it as it was.
pub(crate) fn anew(doors: &Doors, round: &Round) -> Result<(), Fault> {
    let name = round.name();
    let answer = ops::open(usual(doors, round), name.as_c(), CREATE);
    answer
        .map(drop)
        .map_err(may("create of a name being removed", CONTESTED))
}

/// Reads the file that has lost its name.
pub(crate) fn read(file: BorrowedFd<'_>, round: &Round) -> Result<(), Fault> {
    let read = content(file, OLD, "unlinked open file lost");
    match (read, round.kind) {
        // The server may have nothing left to be read; other content would be wrong all the same.
        (Err(Fault::Wrong(_, seen)), Kind::Under) if seen.starts_with("read gave") => {
            Err(Fault::Answer(libc::ESTALE))
        }
        (read, _) => read,
    }
}

/// What the name must have become for the client that did it.
pub(crate) fn check(doors: &Doors, round: &Round) -> Result<(), Fault> {
    let (dir, name) = (usual(doors, round), round.name());
    match round.kind {
        Kind::Unlink => gone(dir, name.as_c(), "unlinked name still there"),
        Kind::Over => {
            gone(dir, round.other().as_c(), "renamed name still there")?;
            let file =
                ops::open(dir, name.as_c(), O_RDONLY).map_err(due("own name lost", "open"))?;
            content(file.as_fd(), NEW, "name renamed over is another file")
        }
        Kind::Anew | Kind::Under => Ok(()),
    }
}

/// Removes what is left of a round's names.
pub(crate) fn clean(doors: &Doors, round: &Round) -> Result<(), Fault> {
    let dir = usual(doors, round);
    for name in [round.name(), round.other()] {
        match ops::unlink(dir, name.as_c(), 0) {
            Ok(()) | Err(libc::ENOENT) => {}
            Err(errno) => return Err(may("unlink of a past name", CONTESTED)(errno)),
        }
    }
    Ok(())
}

/// A name that a client gave to an unlinked file in this directory, if there is one now.
pub(crate) fn silly(dir: BorrowedFd<'_>) -> Option<CString> {
    let mut found = None;
    let read = ops::read_dir(dir, |name| {
        if name.to_bytes().starts_with(SILLY) {
            found = Some(name.to_owned());
        }
    });
    read.ok().and(found)
}

/// Looks such a name up again and again, until it is gone or enough was done.
pub(crate) fn peek(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    for turn in 0..6 {
        let answer = match turn % 3 {
            2 => ops::open(dir, name, O_RDONLY).map(drop),
            _ => ops::stat(dir, name).map(drop),
        };
        answer.map_err(may("a lookup of a name being removed", CONTESTED))?;
    }
    Ok(())
}
