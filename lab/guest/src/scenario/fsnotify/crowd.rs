// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories that all threads fight in, watched by instances that all share: marks come and go while names do.

use super::Op;
use crate::ops::{self, Answer, Name, errno_name, watch};
use crate::scenario::caches::Caches;
use crate::scenario::fault::{Fault, due, may, starved};
use libc::{
    IN_ATTRIB, IN_CREATE, IN_EXCL_UNLINK, IN_MASK_ADD, IN_ONESHOT, IN_OPEN, O_CREAT, O_DIRECTORY,
    O_RDONLY, O_RDWR,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// Names fought over in each directory.
pub(super) const NAMES: u32 = 6;
/// Numbers of absent names: their negative dentries are many, and come again.
pub(super) const ABSENT: u32 = 4096;

/// A contested directory.
#[derive(Debug)]
pub(super) struct Dir {
    /// The directory as the threads see it.
    pub(super) fd: OwnedFd,
    /// The same on the server's side.
    pub(super) served: Option<OwnedFd>,
    /// The number of the last watch that was put on it.
    last: AtomicI32,
}

impl Dir {
    /// A directory, and the same as its server sees it.
    pub(super) fn new(fd: OwnedFd, served: Option<OwnedFd>) -> Self {
        Self {
            fd,
            served,
            last: AtomicI32::new(0),
        }
    }

    /// One of the two sides of a network filesystem.
    fn side(&self, server: bool) -> BorrowedFd<'_> {
        self.served
            .as_ref()
            .filter(|_| server)
            .unwrap_or(&self.fd)
            .as_fd()
    }
}

/// What all share.
#[derive(Debug)]
pub(super) struct Crowd {
    /// Contested directories.
    pub(super) dirs: Vec<Dir>,
    /// A shared inotify instance.
    inotify: OwnedFd,
    /// A shared fanotify group, where the kernel has one.
    fanotify: Option<OwnedFd>,
    caches: Option<Caches>,
    remote: bool,
}

/// A step on contested directories: the numbers that were drawn for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draw {
    /// Directory.
    pub(super) dir: u32,
    /// Name in it.
    pub(super) name: u32,
    /// Bits that say how.
    pub(super) how: u32,
    /// Another directory.
    pub(super) other: u32,
}

impl Crowd {
    /// Shared instances over those directories.
    ///
    /// # Errors
    /// When there is no inotify instance.
    pub(super) fn new(dirs: Vec<Dir>, remote: bool) -> Answer<Self> {
        Ok(Self {
            dirs,
            inotify: watch::inotify()?,
            fanotify: watch::fanotify().ok(),
            caches: Caches::open(),
            remote,
        })
    }

    fn dir(&self, number: u32) -> &Dir {
        &self.dirs[number as usize % self.dirs.len()]
    }

    /// Does one step; `held` is this thread's own descriptor of a contested directory, for dnotify.
    pub(super) fn act(
        &self,
        op: Op,
        it: Draw,
        held: &[OwnedFd],
        buffer: &mut [u8],
    ) -> Result<(), Fault> {
        let (dir, name) = (self.dir(it.dir), Name::new("n", it.name.into()));
        let (fd, name) = (dir.fd.as_fd(), name.as_c());
        let answer = match op {
            Op::Watch => return self.watch(dir, it),
            Op::WatchFile => return self.watch_file(dir, it),
            Op::Unwatch => return self.unwatch(dir),
            Op::Fan => return self.fan(dir, it),
            Op::Dnotify => return dnotify(held, it),
            Op::Drain => return self.drain(buffer),
            Op::Drop => return self.caches.as_ref().map_or(Ok(()), Caches::drop_dentries),
            Op::Create => ops::open(fd, name, O_RDWR | O_CREAT).map(drop),
            Op::Unlink => ops::unlink(fd, name, 0),
            Op::Mkdir => ops::mkdir(fd, Name::new("d", it.name.into()).as_c()),
            Op::Rmdir => {
                let name = Name::new("d", it.name.into());
                ops::unlink(fd, name.as_c(), libc::AT_REMOVEDIR)
            }
            Op::Rename => {
                let to = Name::new("n", u64::from(it.how % NAMES));
                ops::rename((fd, name), (self.dir(it.other).fd.as_fd(), to.as_c()))
            }
            Op::Link => {
                let to = Name::new("n", u64::from(it.how % NAMES));
                ops::link((fd, name), (self.dir(it.other).fd.as_fd(), to.as_c()))
            }
            Op::Open => ops::open(dir.side(it.how & 1 != 0), name, O_RDONLY).map(drop),
            Op::Chmod => watch::chmod(fd, name, 0o600),
            _ => {
                let absent = Name::new("z", u64::from(it.how % ABSENT));
                ops::stat(dir.side(it.how & 1 != 0), absent.as_c()).map(drop)
            }
        };
        answer.map_err(|errno| judged(op, errno, self.remote))
    }

    /// Puts a watch on a directory, or changes it: what makes it ask for events of its children, or no longer.
    /// The first directory gets watches for one event only, so that each of them begins anew.
    fn watch(&self, dir: &Dir, it: Draw) -> Result<(), Fault> {
        const ONCE: u32 = IN_CREATE | IN_OPEN | IN_ATTRIB | IN_ONESHOT;
        const MASKS: [u32; 8] = [
            ONCE,
            ONCE,
            ONCE,
            IN_CREATE,
            libc::IN_ALL_EVENTS,
            IN_OPEN | IN_EXCL_UNLINK,
            libc::IN_DELETE | IN_ATTRIB | IN_MASK_ADD,
            libc::IN_MOVE | libc::IN_MOVE_SELF,
        ];
        let side = dir.side(it.how & 8 != 0);
        watch::go_to(side).map_err(due("directory lost", "fchdir"))?;
        let mask = match it.dir {
            0 => ONCE,
            _ => MASKS[it.how as usize % MASKS.len()],
        };
        let number = watch::add_watch(self.inotify.as_fd(), c".", mask)
            .map_err(may("inotify_add_watch", &[]))?;
        dir.last.store(number, Ordering::Relaxed);
        Ok(())
    }

    /// Watches a name in a directory, which others may unlink at any time.
    fn watch_file(&self, dir: &Dir, it: Draw) -> Result<(), Fault> {
        let side = dir.side(it.how & 8 != 0);
        watch::go_to(side).map_err(due("directory lost", "fchdir"))?;
        let mask = [libc::IN_ALL_EVENTS, IN_ATTRIB | IN_ONESHOT][it.how as usize & 1];
        let name = Name::new("n", it.name.into());
        let added = watch::add_watch(self.inotify.as_fd(), name.as_c(), mask);
        added
            .map(drop)
            .map_err(may("inotify_add_watch", &[libc::ENOENT, libc::ESTALE]))
    }

    fn unwatch(&self, dir: &Dir) -> Result<(), Fault> {
        let last = dir.last.swap(0, Ordering::Relaxed);
        // Another thread, or its one event, may have ended it.
        let removed = watch::rm_watch(self.inotify.as_fd(), last);
        removed.map_err(may("inotify_rm_watch", &[libc::EINVAL]))
    }

    /// Marks of fanotify on a directory or a name in it, with and without keeping the inode.
    fn fan(&self, dir: &Dir, it: Draw) -> Result<(), Fault> {
        let Some(group) = &self.fanotify else {
            return Ok(());
        };
        let name = Name::new("n", it.name.into());
        let name = if it.how & 16 != 0 { name.as_c() } else { c"" };
        let mask = libc::FAN_OPEN | libc::FAN_CLOSE_WRITE;
        let mask = match name.is_empty() {
            true => mask | libc::FAN_CREATE | libc::FAN_DELETE | libc::FAN_EVENT_ON_CHILD,
            false => mask,
        };
        let evictable = if it.how & 1 != 0 {
            watch::FAN_MARK_EVICTABLE
        } else {
            0
        };
        let (flags, mask) = match it.how >> 1 & 3 {
            0 => (libc::FAN_MARK_REMOVE, mask),
            1 if it.how >> 5 & 7 == 0 => (libc::FAN_MARK_FLUSH, 0),
            _ => (libc::FAN_MARK_ADD | evictable, mask),
        };
        // A mark that keeps its inode cannot be told not to; a filesystem may have no file handles to tell.
        let allowed = &[
            libc::ENOENT,
            libc::EEXIST,
            libc::ESTALE,
            libc::EINVAL,
            libc::EOPNOTSUPP,
            libc::ENODEV,
            libc::EXDEV,
        ];
        let side = dir.side(it.how & 8 != 0);
        watch::fan_mark(group.as_fd(), flags, mask, side, name)
            .map_err(may("fanotify_mark", allowed))
    }

    /// Reads all that has come and looks whether it makes sense.
    fn drain(&self, buffer: &mut [u8]) -> Result<(), Fault> {
        const LOST: &str = "events cannot be read";
        const SENSE: &str = "event without sense";
        // So often at most: the others go on.
        for _ in 0..16 {
            let got = watch::read_ready(self.inotify.as_fd(), buffer).map_err(due(LOST, "read"))?;
            if got == 0 {
                break;
            }
            for event in watch::events(&buffer[..got]) {
                let overflow = event.mask == libc::IN_Q_OVERFLOW && event.watch == -1;
                if !overflow && (event.watch <= 0 || event.mask == 0) {
                    return Err(Fault::Wrong(SENSE, format!("{event:?}")));
                }
            }
        }
        let Some(group) = &self.fanotify else {
            return Ok(());
        };
        let got = watch::read_ready(group.as_fd(), buffer).map_err(due(LOST, "read"))?;
        match watch::fan_events(&buffer[..got]).find(|event| event.mask == 0) {
            Some(event) => Err(Fault::Wrong(SENSE, format!("{event:?}"))),
            None => Ok(()),
        }
    }
}

/// Asks for signals, asks again on the same descriptor, or no longer. They are taken by whoever checks them.
fn dnotify(held: &[OwnedFd], it: Draw) -> Result<(), Fault> {
    let Some(dir) = held.get(it.dir as usize % held.len().max(1)) else {
        return Ok(());
    };
    let masks = [
        watch::DN_CREATE | watch::DN_DELETE,
        watch::DN_ATTRIB | watch::DN_MODIFY | watch::DN_MULTISHOT,
        watch::DN_RENAME | watch::DN_ACCESS,
        0,
    ];
    let mask = masks[it.how as usize % masks.len()];
    let answer = watch::notify(dir.as_fd(), mask, watch::SIGNAL);
    let again = watch::notify(dir.as_fd(), mask, watch::SIGNAL);
    watch::take_signals();
    // A kernel may have no dnotify.
    answer.and(again).map_err(may("F_NOTIFY", &[libc::EINVAL]))
}

/// What an errno of an operation on contested names means.
fn judged(op: Op, errno: i32, remote: bool) -> Fault {
    use libc::{EBUSY, EEXIST, EISDIR, EMLINK, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, ESTALE};
    const REMOTE: &[i32] = &[
        ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY, ESTALE, EBUSY, EPERM,
    ];
    let expected: &[i32] = match op {
        Op::Link => &[ENOENT, EEXIST, EPERM, EMLINK],
        Op::Mkdir => &[EEXIST],
        Op::Create => &[],
        _ => &[ENOENT],
    };
    if starved(errno) || expected.contains(&errno) || remote && REMOTE.contains(&errno) {
        return Fault::Answer(errno);
    }
    Fault::wrong(
        "unexpected errno",
        format!("{} gave {}", op.name(), errno_name(errno)),
    )
}

/// Opens the contested directories once more, for this thread alone.
pub(super) fn hold(dirs: &[Dir]) -> Vec<OwnedFd> {
    let open = |dir: &Dir| ops::open(dir.fd.as_fd(), c".", O_RDONLY | O_DIRECTORY);
    dirs.iter().filter_map(|dir| open(dir).ok()).collect()
}
