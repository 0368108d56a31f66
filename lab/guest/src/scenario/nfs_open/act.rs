// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing a step through a door, and judging what the client answered.
//!
//! A client may answer by what was true a moment ago. So what it owes at once is what it did itself, what a mount
//! that trusts no dentry finds, and that a name is absent which nobody ever made. A mount that asks for the
//! directory's attributes each time owes the rest once the directory has changed again.

use super::doors::{ABSENT, Doors, FRESH, KEEP, KEEP_CONTENT, SERVER, STRICT};
use super::plan::{Op, contested};
use crate::ops::handle::node;
use crate::ops::{self, errno_name};
use crate::scenario::fault::{Fault, content, due, may, starved};
use crate::scenario::step::Step;
use libc::{AT_REMOVEDIR, O_CREAT, O_DIRECTORY, O_RDONLY, O_WRONLY};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Errnos that others may cause on a contested name, seen late or at once.
pub(crate) const CONTESTED: &[i32] = &[
    libc::ENOENT,
    libc::EEXIST,
    libc::ENOTDIR,
    libc::EISDIR,
    libc::ENOTEMPTY,
    libc::ESTALE,
    libc::EBUSY,
    libc::EPERM,
];
/// How contested names are made. Who may read as well may get a delegation for writing, and 6.12's nfsd warns on its
/// own account when that is recalled twice: for an open on the server's side, and for an unlink right after it.
pub(crate) const CREATE: i32 = O_WRONLY | O_CREAT;
/// How long a client may take to see what the server did, told again and again: far more than any cache lasts.
const SEEN: Duration = Duration::from_secs(4);
/// How often it is told in that time at least.
const TOLD: u32 = 30;

/// One step of a meddler on contested names.
pub(crate) fn meddle(doors: &Doors, step: &Step) -> Result<(), Fault> {
    let [door, dir, name, other] = step.args;
    let fd = doors.dir(door, dir);
    let (first, second) = (contested(name), contested(other));
    let (first, second) = (first.as_c(), second.as_c());
    let answer = match Op::of(step.op) {
        Op::Open => ops::open(fd, first, O_RDONLY).map(drop),
        Op::List => ops::open(fd, first, O_RDONLY | O_DIRECTORY).map(drop),
        Op::Create => ops::open(fd, first, CREATE).map(drop),
        Op::Stat => ops::stat(fd, first).map(drop),
        Op::Unlink => ops::unlink(fd, first, 0),
        Op::Rename => ops::rename((fd, first), (fd, second)),
        Op::Mkdir => ops::mkdir(fd, first),
        Op::Rmdir => ops::unlink(fd, first, AT_REMOVEDIR),
        Op::Readdir => return listed(fd),
        Op::Keep => return keep(doors, door, dir),
        _ => return absent(fd, ABSENT, O_RDONLY),
    };
    answer.map_err(may("a call on a contested name", CONTESTED))
}

/// The stable name is there with its own inode and content.
pub(crate) fn keep(doors: &Doors, door: u32, dir: u32) -> Result<(), Fault> {
    const LOST: &str = "stable name lost";
    let file = ops::open(doors.dir(door, dir), KEEP, O_RDONLY).map_err(due(LOST, "open"))?;
    let (seen, _) = node(file.as_fd()).map_err(due(LOST, "fstat"))?;
    let wanted = doors.keeps[dir as usize % doors.keeps.len()];
    if seen != wanted {
        let seen = format!("was {wanted:?}, is {seen:?}");
        return Err(Fault::wrong("stable name is another file", seen));
    }
    content(file.as_fd(), KEEP_CONTENT, "stable content changed")
}

/// A name that nobody ever made does not open.
pub(crate) fn absent(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<(), Fault> {
    match ops::open(dir, name, flags) {
        Err(libc::ENOENT) => Ok(()),
        Err(errno) => Err(due("absent name is not ENOENT", "open")(errno)),
        Ok(_) => Err(Fault::wrong("absent name opened", "open succeeded")),
    }
}

/// A name that nobody ever made has no inode.
pub(crate) fn not_there(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    match ops::stat(dir, name) {
        Err(libc::ENOENT) => Ok(()),
        Err(errno) => Err(due("absent name is not ENOENT", "stat")(errno)),
        Ok(meta) => Err(Fault::wrong(
            "absent name seen",
            format!("inode {}", meta.ino),
        )),
    }
}

fn listed(dir: BorrowedFd<'_>) -> Result<(), Fault> {
    let (mut keeps, mut absents) = (0, 0);
    ops::read_dir(dir, |name| {
        keeps += u32::from(name == KEEP);
        absents += u32::from(name == ABSENT);
    })
    .map_err(due("directory cannot be read", "getdents"))?;
    // A client pages through a directory that changes below it; it may meet a name twice, but never miss it.
    if keeps == 0 {
        return Err(Fault::wrong("stable name not listed", "readdir misses it"));
    }
    if absents > 0 {
        let seen = format!("readdir shows it {absents} times");
        return Err(Fault::wrong("absent name seen", seen));
    }
    Ok(())
}

/// How soon what was done through one door must be seen through another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owed {
    /// With the first call that begins afterwards.
    AtOnce,
    /// Once the directory changes again, after some calls.
    Later,
    /// When its caches run out; nobody waits for that.
    Sometime,
}

/// How soon a change made through `maker` must be seen through `door`.
///
/// All mounts are one client to the server, which recalls no delegation from the client that makes the change: so of
/// a file that was made or removed through another mount, a mount owes nothing soon.
pub(crate) fn owed(is_file: bool, maker: u32, door: u32) -> Owed {
    match door {
        door if door == maker => Owed::AtOnce,
        _ if is_file && maker != SERVER => Owed::Sometime,
        STRICT | SERVER => Owed::AtOnce,
        FRESH => Owed::Later,
        _ => Owed::Sometime,
    }
}

/// Asks until the answer is `wanted`, as long as the door may be late, and changes the directory on the server's
/// side in between; `oracle` is violated when it never is.
pub(crate) fn seen(
    doors: &Doors,
    (dir, member): (u32, u32),
    owed: Owed,
    oracle: &'static str,
    ask: impl Fn() -> Result<bool, i32>,
) -> Result<(), Fault> {
    let (begun, mut told) = (Instant::now(), 0);
    loop {
        let answer = ask();
        match answer {
            Ok(true) => return Ok(()),
            Err(errno) if starved(errno) => return Err(Fault::Answer(errno)),
            Ok(false) | Err(libc::ENOENT | libc::ESTALE) if owed == Owed::Sometime => {
                return Err(Fault::Answer(libc::ENOENT));
            }
            _ => {}
        }
        if owed == Owed::AtOnce || begun.elapsed() > SEEN && told > TOLD {
            let waited = begun.elapsed().as_millis();
            let answer = match answer {
                Ok(_) => "the name".to_owned(),
                Err(errno) => errno_name(errno),
            };
            return Err(Fault::wrong(
                oracle,
                format!("after {waited} ms the answer is {answer}"),
            ));
        }
        touch(doors, dir, member);
        told += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Changes a directory on the server's side, by a name that only this member uses.
pub(crate) fn touch(doors: &Doors, dir: u32, member: u32) {
    let fd = doors.dir(SERVER, dir);
    let name = ops::Name::new("t", member.into());
    // Without space there is nothing to see, and the caller only asks again.
    let _ = ops::mkdir(fd, name.as_c());
    let _ = ops::unlink(fd, name.as_c(), AT_REMOVEDIR);
}

/// When the server says that a directory was last changed.
pub(crate) fn changed(doors: &Doors, dir: u32) -> Option<(i64, i64)> {
    node(doors.dir(SERVER, dir)).ok().map(|(_, at)| at)
}

/// Changes a directory until its time differs from `before`: 6.12's XFS tells changes within one tick of the clock
/// not apart, and then a client rightly believes that there was none.
pub(crate) fn change_visibly(doors: &Doors, dir: u32, member: u32, before: Option<(i64, i64)>) {
    for _ in 0..200 {
        if changed(doors, dir) != before {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
        touch(doors, dir, member);
    }
}
