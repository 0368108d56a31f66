// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing a step, and judging what the kernel answered.

use super::arena::{ABSENT, Arena, Dir, KEEP, KEEP_CONTENT, STAY};
use super::step::{Move, Op};
use crate::ops::{self, Name, errno_name};
use crate::scenario::fault::{Fault, content, due, gone, starved};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

/// Does one step of a worker.
pub(crate) fn act(arena: &Arena, worker: u32, it: &Move) -> Result<(), Fault> {
    let (dir, dir2) = (arena.dir(it.dir), arena.dir(it.dir2));
    let (first, second) = (it.first(), it.second());
    let (from, to) = ((dir.fd(), first.as_c()), (dir2.fd(), second.as_c()));
    let answer = match it.op {
        Op::Open => ops::open(from.0, from.1, O_RDONLY).map(drop),
        Op::List => ops::open(from.0, from.1, O_RDONLY | O_DIRECTORY).map(drop),
        Op::Create => ops::open(from.0, from.1, O_RDWR | O_CREAT).map(drop),
        Op::Stat => ops::stat(from.0, from.1).map(drop),
        Op::Unlink => ops::unlink(from.0, from.1, 0),
        Op::Rename => ops::rename(from, to),
        Op::Link => ops::link(from, to),
        Op::Mkdir => ops::mkdir(from.0, from.1),
        Op::Rmdir => ops::unlink(from.0, from.1, libc::AT_REMOVEDIR),
        Op::Readdir => return read_dir(arena, dir, it.name),
        Op::Keep => return keep(dir),
        Op::Absent => return absent(dir),
        Op::Own => return own(dir.fd(), dir2.fd(), worker),
        Op::Ghost => return ghost(arena, dir.fd(), worker),
        Op::Over => return over(dir.fd(), dir2.fd(), worker),
        Op::TooLong => return too_long(dir, it.name.is_multiple_of(2)),
        Op::Prepare => ops::open(from.0, from.1, O_RDWR | O_CREAT | O_EXCL).map(drop),
        Op::Forget => return forget(dir, from.1),
        Op::Drop => return drop_caches(arena),
    };
    answer.map_err(|errno| judged(it.op, errno, arena.remote))
}

/// What an errno of an operation on contested names means.
fn judged(op: Op, errno: i32, remote: bool) -> Fault {
    if allowed(op, errno, remote) {
        return Fault::Answer(errno);
    }
    Fault::wrong("unexpected errno", errno_name(errno))
}

/// Removes what a past round left of its fresh name, in whichever form. Nobody else uses that name any more, so it
/// is gone then, for whoever looks: had two dentries of it been hashed, the other one would be found.
fn forget(dir: &Dir, name: &CStr) -> Result<(), Fault> {
    const BACK: &str = "forgotten name is back";
    // Held open, its dentry is not turned into a negative one, which would hide another.
    let held = ops::open(dir.fd(), name, libc::O_PATH | libc::O_NOFOLLOW);
    let unlinked = match ops::unlink(dir.fd(), name, 0) {
        Err(libc::EISDIR) => ops::unlink(dir.fd(), name, libc::AT_REMOVEDIR),
        answer => answer,
    };
    drop(held);
    match unlinked {
        Ok(()) | Err(libc::ENOENT) => gone(dir.fd(), name, BACK),
        Err(errno) => Err(due(BACK, "unlink")(errno)),
    }
}

/// No lookup of a name over NAME_MAX may leave anything behind.
fn too_long(dir: &Dir, create: bool) -> Result<(), Fault> {
    let mut bytes = [b'l'; 257];
    bytes[256] = 0;
    let name = CStr::from_bytes_until_nul(&bytes).unwrap_or(c"l");
    let flags = if create { O_RDWR | O_CREAT } else { O_RDONLY };
    match ops::open(dir.fd(), name, flags) {
        Err(libc::ENAMETOOLONG) => Ok(()),
        Err(errno) => Err(due("name too long is taken", "open")(errno)),
        Ok(_) => Err(Fault::wrong("name too long is taken", "open succeeded")),
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
        _ => return false,
    };
    const REMOTE: &[i32] = &[
        ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ESTALE, EBUSY, EPERM,
    ];
    expected.contains(&errno) || remote && REMOTE.contains(&errno)
}

/// The buffer's size decides where the kernel stops and goes on later, while others change the directory.
fn read_dir(arena: &Arena, dir: &Dir, choice: u32) -> Result<(), Fault> {
    let names = [KEEP, STAY, ABSENT];
    let mut counts = [0; 3];
    let mut buffer = [0; 4096];
    let size = [72, 96, 128, 192, 320, 640, 1280, 4096][choice as usize % 8];
    ops::read_dir_in(dir.fd(), &mut buffer[..size], |name| {
        for (count, known) in counts.iter_mut().zip(names) {
            *count += u32::from(name == known);
        }
    })
    .map_err(due("directory cannot be read", "getdents"))?;
    let [stable @ .., absents] = counts;
    if absents > 0 {
        let seen = format!("readdir shows it {absents} times");
        return Err(Fault::Wrong("absent name seen", seen));
    }
    for (count, name) in stable.into_iter().zip(names) {
        // An NFS client pages through a directory that changes below it; it may meet a name twice.
        if count == 0 || count > 1 && !arena.remote {
            let name = name.to_string_lossy();
            let seen = format!("readdir in {size} bytes shows {name} {count} times");
            return Err(Fault::Wrong("stable name not listed once", seen));
        }
    }
    Ok(())
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

/// Elsewhere than in a guest there is nothing that it may drop.
fn drop_caches(arena: &Arena) -> Result<(), Fault> {
    match &arena.caches {
        Some(caches) => caches.drop_dentries(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(op: Op) -> Move {
        Move {
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
        let wrong = judged(Op::Unlink, libc::EIO, false);
        assert_eq!(wrong, Fault::wrong("unexpected errno", "EIO"));
        let stale = |remote| judged(Op::Stat, libc::ESTALE, remote);
        assert!(matches!(stale(false), Fault::Wrong(..)));
        assert_eq!(stale(true), Fault::Answer(libc::ESTALE));
        let full = judged(Op::Mkdir, libc::ENOSPC, false);
        assert_eq!(full, Fault::Answer(libc::ENOSPC));
    }

    #[test]
    fn oracles_fire_on_a_directory_that_was_tampered_with() {
        let temp = std::env::temp_dir().join(format!("lab-act-{}", std::process::id()));
        std::fs::create_dir(&temp).unwrap();
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
