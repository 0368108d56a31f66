// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing a step, and judging what the kernel answered.

use super::arena::{ABSENT, Arena, Dir, KEEP, KEEP_CONTENT};
use super::rounds;
use super::step::{Op, Step};
use super::worker::Fault;
use crate::ops::{self, Name, errno_name};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// Does one step of a worker.
pub(crate) fn act(arena: &Arena, worker: u32, step: &Step) -> Result<(), Fault> {
    let (dir, dir2) = (arena.dir(step.dir), arena.dir(step.dir2));
    let (first, second) = (step.first(), step.second());
    let (from, to) = ((dir.fd(), first.as_c()), (dir2.fd(), second.as_c()));
    match step.op {
        Op::Open => ops::open(from.0, from.1, O_RDONLY).map(drop)?,
        Op::List => ops::open(from.0, from.1, O_RDONLY | O_DIRECTORY).map(drop)?,
        Op::Create => ops::open(from.0, from.1, O_RDWR | O_CREAT).map(drop)?,
        Op::Stat => ops::stat(from.0, from.1).map(drop)?,
        Op::Unlink => ops::unlink(from.0, from.1, 0)?,
        Op::Rename => ops::rename(from, to)?,
        Op::Link => ops::link(from, to)?,
        Op::Mkdir => ops::mkdir(from.0, from.1)?,
        Op::Rmdir => ops::unlink(from.0, from.1, libc::AT_REMOVEDIR)?,
        Op::Readdir => read_dir(arena, dir)?,
        Op::Keep => keep(dir)?,
        Op::Absent => absent(dir)?,
        Op::Own => own(dir.fd(), dir2.fd(), worker)?,
        Op::Ghost => ghost(arena, dir.fd(), worker)?,
        Op::Over => over(dir.fd(), dir2.fd(), worker)?,
        Op::Drop => drop_caches(arena)?,
    }
    Ok(())
}

/// Removes what a past round left of its fresh name, in whichever form.
pub(crate) fn forget(arena: &Arena, seed: u64, round: u32) {
    let number = rounds::dir_of(seed, round, arena.dirs.len() as u32);
    let (dir, name) = (arena.dir(number).fd(), Name::new("f", round.into()));
    if ops::unlink(dir, name.as_c(), 0) == Err(libc::EISDIR) {
        // Another thread may have been first; then there is nothing to do.
        let _ = ops::unlink(dir, name.as_c(), libc::AT_REMOVEDIR);
    }
}

/// Whether an errno means that memory, space or descriptors ran out: nobody's fault.
pub(crate) fn starved(errno: i32) -> bool {
    use libc::{EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
    [ENOMEM, ENOSPC, EMFILE, ENFILE, EDQUOT].contains(&errno)
}

/// Whether an outcome violates an oracle: its name and what was seen.
pub(crate) fn judge(
    step: &Step,
    outcome: Result<(), Fault>,
    remote: bool,
) -> Option<(&'static str, String)> {
    match outcome {
        Ok(()) => None,
        Err(Fault::Wrong(oracle, detail)) => Some((oracle, format!("{step}: {detail}"))),
        Err(Fault::Errno(errno)) if allowed(step.op, errno, remote) => None,
        Err(Fault::Errno(errno)) => {
            Some(("unexpected errno", format!("{step}: {}", errno_name(errno))))
        }
    }
}

/// Whether an operation on contested names may end so. A network filesystem may answer by what
/// the name was a moment ago, so there any reason that another thread can cause is allowed.
fn allowed(op: Op, errno: i32, remote: bool) -> bool {
    use libc::{EBUSY, EEXIST, EISDIR, EMLINK, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, ESTALE};
    let expected: &[i32] = match op {
        _ if starved(errno) => return true,
        Op::Open | Op::Stat => &[ENOENT],
        Op::List => &[ENOENT, ENOTDIR],
        Op::Create => &[EISDIR],
        Op::Unlink => &[ENOENT, EISDIR],
        Op::Rename => &[ENOENT, EISDIR, ENOTDIR, ENOTEMPTY, EEXIST],
        Op::Link => &[ENOENT, EEXIST, EPERM, EMLINK],
        Op::Mkdir => &[EEXIST],
        Op::Rmdir => &[ENOENT, ENOTDIR, ENOTEMPTY],
        Op::Readdir | Op::Keep | Op::Absent | Op::Own | Op::Ghost | Op::Over | Op::Drop => {
            return false;
        }
    };
    const REMOTE: &[i32] = &[
        ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ESTALE, EBUSY, EPERM,
    ];
    expected.contains(&errno) || remote && REMOTE.contains(&errno)
}

/// An errno in a step where none is due: starvation stays what it is, the rest is wrong.
fn due(oracle: &'static str, call: &'static str) -> impl Fn(i32) -> Fault {
    move |errno| match errno {
        errno if starved(errno) => Fault::Errno(errno),
        errno => Fault::Wrong(oracle, format!("{call} gave {}", errno_name(errno))),
    }
}

fn read_dir(arena: &Arena, dir: &Dir) -> Result<(), Fault> {
    let (mut keeps, mut absents) = (0, 0);
    ops::read_dir(dir.fd(), |name| {
        keeps += u32::from(name == KEEP);
        absents += u32::from(name == ABSENT);
    })
    .map_err(due("directory cannot be read", "getdents"))?;
    if absents > 0 {
        let seen = format!("readdir shows it {absents} times");
        return Err(Fault::Wrong("absent name seen", seen));
    }
    // An NFS client pages through a directory that changes below it; it may meet a name twice.
    if keeps == 1 || arena.remote && keeps > 1 {
        return Ok(());
    }
    let seen = format!("readdir shows it {keeps} times");
    Err(Fault::Wrong("stable name not listed once", seen))
}

fn keep(dir: &Dir) -> Result<(), Fault> {
    const LOST: &str = "stable name lost";
    let by_name = ops::stat(dir.fd(), KEEP).map_err(due(LOST, "stat"))?;
    let file = ops::open(dir.fd(), KEEP, O_RDONLY).map_err(due(LOST, "open"))?;
    let by_file = ops::stat(file.as_fd(), c"").map_err(due(LOST, "fstat"))?;
    if by_name != dir.keep || by_file != dir.keep {
        let seen = format!(
            "was {:?}, is {by_name:?} by name, {by_file:?} by file",
            dir.keep
        );
        return Err(Fault::Wrong("stable name is another file", seen));
    }
    content(file.as_fd(), KEEP_CONTENT, "stable content changed")
}

fn absent(dir: &Dir) -> Result<(), Fault> {
    match ops::open(dir.fd(), ABSENT, O_RDONLY) {
        Err(libc::ENOENT) => Ok(()),
        Err(errno) => Err(due("absent name is not ENOENT", "open")(errno)),
        Ok(_) => Err(Fault::Wrong("absent name opened", "open succeeded".into())),
    }
}

/// What was written is read again.
fn content(file: BorrowedFd<'_>, wanted: &[u8], oracle: &'static str) -> Result<(), Fault> {
    let mut bytes = [0; 32];
    let got = ops::read_at_0(file, &mut bytes).map_err(due(oracle, "read"))?;
    if &bytes[..got] == wanted {
        return Ok(());
    }
    let seen = String::from_utf8_lossy(&bytes[..got]);
    Err(Fault::Wrong(oracle, format!("{got} bytes: {seen:?}")))
}

fn gone(dir: BorrowedFd<'_>, name: &CStr, oracle: &'static str) -> Result<(), Fault> {
    match ops::stat(dir, name) {
        Err(libc::ENOENT) => Ok(()),
        Err(errno) => Err(due(oracle, "stat")(errno)),
        Ok(meta) => Err(Fault::Wrong(
            oracle,
            format!("stat finds inode {}", meta.ino),
        )),
    }
}

fn own(dir: BorrowedFd<'_>, dir2: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    const LOST: &str = "own name lost";
    let (old, new) = (Name::new("o", worker.into()), Name::new("p", worker.into()));
    let (old, new) = (old.as_c(), new.as_c());
    let flags = O_RDWR | O_CREAT | O_EXCL;
    let file = ops::open(dir, old, flags).map_err(due("own name not free", "create"))?;
    let made = ops::stat(file.as_fd(), c"").map_err(due(LOST, "fstat"))?;
    drop(file);
    let found = ops::stat(dir, old).map_err(due(LOST, "stat"))?;
    ops::rename((dir, old), (dir2, new)).map_err(due(LOST, "rename"))?;
    gone(dir, old, "renamed name still there")?;
    let moved = ops::stat(dir2, new).map_err(due(LOST, "stat after rename"))?;
    ops::unlink(dir2, new, 0).map_err(due(LOST, "unlink"))?;
    gone(dir2, new, "unlinked name still there")?;
    if (made.ino, made.ino) == (found.ino, moved.ino) {
        return Ok(());
    }
    let seen = format!(
        "made {}, found {}, moved {}",
        made.ino, found.ino, moved.ino
    );
    Err(Fault::Wrong("own name is another file", seen))
}

fn ghost(arena: &Arena, dir: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    const LOST: &str = "unlinked open file lost";
    let name = Name::new("g", worker.into());
    let flags = O_RDWR | O_CREAT | O_EXCL;
    let file = ops::open(dir, name.as_c(), flags).map_err(due("own name not free", "create"))?;
    let file = file.as_fd();
    let wrote = ops::write_at_0(file, name.as_c().to_bytes());
    ops::unlink(dir, name.as_c(), 0).map_err(due("own name lost", "unlink"))?;
    wrote.map_err(due(LOST, "write"))?;
    gone(dir, name.as_c(), "unlinked name still there")?;
    let meta = ops::stat(file, c"").map_err(due(LOST, "fstat"))?;
    // Over NFS it is a silly rename: the file keeps its link until it is closed.
    if meta.links != 0 && !arena.remote {
        let seen = format!("fstat counts {} links", meta.links);
        return Err(Fault::Wrong("unlinked file keeps a link", seen));
    }
    content(file, name.as_c().to_bytes(), LOST)
}

fn over(dir: BorrowedFd<'_>, dir2: BorrowedFd<'_>, worker: u32) -> Result<(), Fault> {
    const LOST: &str = "file renamed over lost";
    let (old, new) = (Name::new("v", worker.into()), Name::new("w", worker.into()));
    let (old, new) = (old.as_c(), new.as_c());
    let flags = O_RDWR | O_CREAT | O_EXCL;
    let covered = ops::open(dir2, new, flags).map_err(due("own name not free", "create"))?;
    let wrote = ops::write_at_0(covered.as_fd(), new.to_bytes());
    let made = ops::open(dir, old, flags).map(drop);
    if let Err(errno) = wrote.and(made) {
        let _ = ops::unlink(dir2, new, 0);
        let _ = ops::unlink(dir, old, 0);
        return Err(due("own name not free", "create")(errno));
    }
    ops::rename((dir, old), (dir2, new)).map_err(due("own name lost", "rename over"))?;
    let read = content(covered.as_fd(), new.to_bytes(), LOST);
    gone(dir, old, "renamed name still there")?;
    ops::unlink(dir2, new, 0).map_err(due("own name lost", "unlink"))?;
    gone(dir2, new, "unlinked name still there")?;
    read
}

fn drop_caches(arena: &Arena) -> Result<(), Fault> {
    let Some(file) = &arena.drop_caches else {
        return Ok(());
    };
    // 2: dentries and inodes; the page cache is not what is looked at here.
    ops::write_at_0(file.as_fd(), b"2").map_err(due("caches cannot be dropped", "write"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(op: Op) -> Step {
        Step {
            op,
            dir: 0,
            dir2: 1,
            name: 2,
            name2: 3,
            fresh: None,
        }
    }

    #[test]
    fn an_errno_that_nobody_can_cause_is_wrong() {
        let wrong = judge(&step(Op::Unlink), Err(Fault::Errno(libc::EIO)), false);
        assert_eq!(
            wrong,
            Some(("unexpected errno", "unlink d0/n2: EIO".into()))
        );
        let stale = Err(Fault::Errno(libc::ESTALE));
        assert!(judge(&step(Op::Stat), stale.clone(), false).is_some());
        assert_eq!(judge(&step(Op::Stat), stale, true), None);
        assert_eq!(
            judge(&step(Op::Mkdir), Err(Fault::Errno(libc::ENOSPC)), false),
            None
        );
    }

    #[test]
    fn oracles_fire_on_a_directory_that_was_tampered_with() {
        let temp = std::env::temp_dir().join(format!("lab-act-{}", std::process::id()));
        let arena = Arena::make(&temp, 2, false).unwrap();
        let oracle = |op| match act(&arena, 0, &step(op)) {
            Err(Fault::Wrong(oracle, _)) => oracle,
            other => panic!("{op:?}: {other:?}"),
        };
        for op in Op::ALL
            .iter()
            .filter(|op| **op as u8 >= Op::Keep as u8 || **op == Op::Readdir)
        {
            assert_eq!(act(&arena, 0, &step(*op)), Ok(()), "{op:?}");
        }
        let d0 = temp.join("d0");
        std::fs::write(d0.join("keep"), "something else").unwrap();
        assert_eq!(oracle(Op::Keep), "stable content changed");
        std::fs::rename(d0.join("keep"), d0.join("never")).unwrap();
        assert_eq!(oracle(Op::Keep), "stable name lost");
        assert_eq!(oracle(Op::Absent), "absent name opened");
        assert_eq!(oracle(Op::Readdir), "absent name seen");
        std::fs::remove_file(d0.join("never")).unwrap();
        assert_eq!(oracle(Op::Readdir), "stable name not listed once");
        for name in ["o0", "g0"] {
            std::fs::write(d0.join(name), "").unwrap();
        }
        assert_eq!(oracle(Op::Own), "own name not free");
        assert_eq!(oracle(Op::Ghost), "own name not free");
        std::fs::remove_dir_all(&temp).unwrap();
    }
}
