// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watching: inotify(7), fanotify(7) and dnotify (F_NOTIFY of fcntl(2)), and the calls that only what is watched
//! needs.

use super::{Answer, checked, done, errno};
use libc::c_int;
use std::ffi::CStr;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `FAN_REPORT_DFID_NAME` of `linux/fanotify.h`: events tell the directory's handle and the name.
const FAN_REPORT_DFID_NAME: u32 = 0xc00;
/// `FAN_MARK_EVICTABLE`: the mark does not keep its inode.
pub(crate) const FAN_MARK_EVICTABLE: u32 = 0x200;
/// What dnotify can be asked for, `linux/fcntl.h`: files read,
pub(crate) const DN_ACCESS: u32 = 0x1;
/// written,
pub(crate) const DN_MODIFY: u32 = 0x2;
/// made,
pub(crate) const DN_CREATE: u32 = 0x4;
/// removed,
pub(crate) const DN_DELETE: u32 = 0x8;
/// renamed,
pub(crate) const DN_RENAME: u32 = 0x10;
/// with other attributes,
pub(crate) const DN_ATTRIB: u32 = 0x20;
/// and more than once.
pub(crate) const DN_MULTISHOT: u32 = 0x8000_0000;
/// `F_SETSIG` and `F_SETOWN_EX` of `asm-generic/fcntl.h`.
const F_SETSIG: c_int = 10;
const F_SETOWN_EX: c_int = 15;
/// What dnotify shall send: a real-time signal, for those are queued.
pub(crate) const SIGNAL: c_int = 40;
/// Another one, for what a thread does alone and counts.
pub(crate) const SIGNAL_OWN: c_int = 41;

/// An inotify instance that never blocks its reader.
pub(crate) fn inotify() -> Answer<OwnedFd> {
    // SAFETY: a descriptor that is not negative is new and ours.
    unsafe {
        let fd = checked(libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// inotify_add_watch(2) on a name of the working directory; gives the watch's number.
pub(crate) fn add_watch(inotify: BorrowedFd<'_>, name: &CStr, mask: u32) -> Answer<i32> {
    // SAFETY: `name` ends in NUL.
    checked(unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), name.as_ptr(), mask) })
}

/// inotify_rm_watch(2).
pub(crate) fn rm_watch(inotify: BorrowedFd<'_>, watch: i32) -> Answer<()> {
    // SAFETY: no memory is handed over.
    done(unsafe { libc::inotify_rm_watch(inotify.as_raw_fd(), watch) })
}

/// read(2) of a descriptor that does not block; 0 when there is nothing.
pub(crate) fn read_ready(fd: BorrowedFd<'_>, into: &mut [u8]) -> Answer<usize> {
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::read(fd.as_raw_fd(), into.as_mut_ptr().cast(), into.len()) };
    match usize::try_from(got) {
        Ok(got) => Ok(got),
        Err(_) if errno() == libc::EAGAIN => Ok(0),
        Err(_) => Err(errno()),
    }
}

/// A fanotify group that never blocks its reader; its events name a directory and an entry.
pub(crate) fn fanotify() -> Answer<OwnedFd> {
    let flags =
        libc::FAN_CLASS_NOTIF | libc::FAN_NONBLOCK | libc::FAN_CLOEXEC | FAN_REPORT_DFID_NAME;
    // SAFETY: a descriptor that is not negative is new and ours.
    unsafe {
        let fd = checked(libc::fanotify_init(flags, libc::O_RDONLY as u32))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// fanotify_mark(2) on a name below `dir`, or on `dir` itself if the name is empty.
pub(crate) fn fan_mark(
    group: BorrowedFd<'_>,
    flags: u32,
    mask: u64,
    dir: BorrowedFd<'_>,
    name: &CStr,
) -> Answer<()> {
    let path = match name.is_empty() {
        true => std::ptr::null(),
        false => name.as_ptr(),
    };
    // SAFETY: the path is NULL or ends in NUL.
    done(unsafe { libc::fanotify_mark(group.as_raw_fd(), flags, mask, dir.as_raw_fd(), path) })
}

/// Asks dnotify to send this thread that signal for what happens in a directory; 0 ends it.
pub(crate) fn notify(dir: BorrowedFd<'_>, mask: u32, signal: c_int) -> Answer<()> {
    #[repr(C)]
    struct Owner {
        kind: c_int,
        id: libc::pid_t,
    }
    // SAFETY: gettid has no arguments and cannot fail. `F_OWNER_TID` is 0.
    let owner = Owner {
        kind: 0,
        id: unsafe { libc::gettid() },
    };
    let fd = dir.as_raw_fd();
    // SAFETY: the owner outlives the calls.
    unsafe {
        done(libc::fcntl(fd, F_SETOWN_EX, &raw const owner))?;
        done(libc::fcntl(fd, F_SETSIG, signal))?;
        done(libc::fcntl(fd, libc::F_NOTIFY, mask as libc::c_ulong))
    }
}

/// Keeps dnotify's signals, and what the kernel sends instead when it cannot queue them, from this thread until
/// it asks for them.
pub(crate) fn hold_signals() {
    let set = signals();
    // SAFETY: the set is initialized.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// How many [`SIGNAL_OWN`] have come for this thread, which takes all others too; `None` if the kernel could not queue all of them.
pub(crate) fn take_signals() -> Option<u32> {
    let (set, now) = (
        signals(),
        libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
    );
    let (mut count, mut whole) = (0, true);
    loop {
        // SAFETY: set and time are initialized; no information is asked for.
        match unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const now) } {
            SIGNAL_OWN => count += 1,
            SIGNAL => {}
            libc::SIGIO => whole = false,
            _ => return whole.then_some(count),
        }
    }
}

fn signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initializes the set; both signals exist.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), SIGNAL);
        libc::sigaddset(set.as_mut_ptr(), SIGNAL_OWN);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGIO);
        set.assume_init()
    }
}

/// Gives this thread a working directory of its own, so that inotify can be asked by short names.
pub(crate) fn own_working_directory() -> Answer<()> {
    // SAFETY: no memory is handed over; other threads keep theirs.
    done(unsafe { libc::unshare(libc::CLONE_FS) })
}

/// fchdir(2).
pub(crate) fn go_to(dir: BorrowedFd<'_>) -> Answer<()> {
    // SAFETY: no memory is handed over.
    done(unsafe { libc::fchdir(dir.as_raw_fd()) })
}

/// chdir(2) to the root.
pub(crate) fn go_to_root() -> Answer<()> {
    // SAFETY: the path ends in NUL.
    done(unsafe { libc::chdir(c"/".as_ptr()) })
}

/// fchmodat(2).
pub(crate) fn chmod(dir: BorrowedFd<'_>, name: &CStr, mode: u32) -> Answer<()> {
    // SAFETY: `name` ends in NUL.
    done(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) })
}

/// ftruncate(2).
pub(crate) fn truncate(file: BorrowedFd<'_>, size: i64) -> Answer<()> {
    // SAFETY: no memory is handed over.
    done(unsafe { libc::ftruncate(file.as_raw_fd(), size) })
}

/// renameat2(2) with `RENAME_EXCHANGE`.
pub(crate) fn exchange(one: (BorrowedFd<'_>, &CStr), two: (BorrowedFd<'_>, &CStr)) -> Answer<()> {
    let (a, b) = (one.0.as_raw_fd(), two.0.as_raw_fd());
    let flags = libc::RENAME_EXCHANGE;
    // SAFETY: both names end in NUL.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            a,
            one.1.as_ptr(),
            b,
            two.1.as_ptr(),
            flags,
        )
    };
    done(answer as c_int)
}

/// CPU time that this thread has used, nanoseconds.
pub(crate) fn cpu_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the time is ours to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// An event as inotify gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event<'a> {
    /// The watch; -1 for an overflow.
    pub(crate) watch: i32,
    /// What happened.
    pub(crate) mask: u32,
    /// What binds the two events of a rename.
    pub(crate) cookie: u32,
    /// The entry of the watched directory; empty where there is none.
    pub(crate) name: &'a [u8],
}

/// The events in what was read of an inotify instance.
pub(crate) fn events(mut bytes: &[u8]) -> impl Iterator<Item = Event<'_>> {
    std::iter::from_fn(move || {
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (watch, mask, cookie) = (word(0)? as i32, word(4)?, word(8)?);
        const HEAD: usize = size_of::<libc::inotify_event>();
        let name = bytes.get(HEAD..HEAD + word(12)? as usize)?;
        bytes = &bytes[HEAD + name.len()..];
        let end = name.iter().position(|byte| *byte == 0);
        Some(Event {
            watch,
            mask,
            cookie,
            name: &name[..end.unwrap_or(name.len())],
        })
    })
}

/// An event as fanotify gives it: what happened, and the entry of the marked directory (`.` for itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FanEvent<'a> {
    /// What happened.
    pub(crate) mask: u64,
    /// The name; empty where the event names none.
    pub(crate) name: &'a [u8],
}

/// The events in what was read of a fanotify group; see `struct fanotify_event_metadata` and
/// `struct fanotify_event_info_fid` of `linux/fanotify.h`.
pub(crate) fn fan_events(mut bytes: &[u8]) -> impl Iterator<Item = FanEvent<'_>> {
    const DFID_NAME: u8 = 2;
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let head = usize::from(u16::from_ne_bytes(bytes.get(6..8)?.try_into().ok()?));
        let mask = u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?);
        let info = bytes.get(head..length)?;
        bytes = &bytes[length..];
        // Head of the record 4, filesystem 8, then the handle: size 4, type 4, and so many bytes.
        let name = match info.first() {
            Some(&DFID_NAME) => {
                let handle = u32::from_ne_bytes(info.get(12..16)?.try_into().ok()?) as usize;
                let name = info.get(20 + handle..)?;
                let end = name.iter().position(|byte| *byte == 0);
                &name[..end.unwrap_or(name.len())]
            }
            _ => &[],
        };
        Some(FanEvent { mask, name })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_cut_out_of_what_was_read() {
        let mut bytes = Vec::new();
        for word in [7u32, libc::IN_CREATE, 0, 16] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(b"name\0\0\0\0\0\0\0\0\0\0\0\0");
        for word in [7u32, libc::IN_IGNORED, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        let seen: Vec<_> = events(&bytes).collect();
        assert_eq!((seen[0].watch, seen[0].name), (7, b"name".as_slice()));
        assert_eq!((seen[1].mask, seen[1].name.len()), (libc::IN_IGNORED, 0));
        assert_eq!(seen.len(), 2);
        assert_eq!(events(&bytes[..20]).count(), 0);
    }

    #[test]
    fn names_are_cut_out_of_fanotify_records() {
        let mut bytes = Vec::new();
        let record = |bytes: &mut Vec<u8>, name: &[u8]| {
            let length = 24 + 4 + 8 + 8 + 8 + name.len() as u32;
            bytes.extend(length.to_ne_bytes());
            bytes.extend([3, 0, 24, 0]);
            bytes.extend(0x100u64.to_ne_bytes());
            bytes.extend([0; 8]);
            bytes.extend([2, 0, 0, 0]);
            bytes.extend([9; 8]);
            bytes.extend(8u32.to_ne_bytes());
            bytes.extend([0; 12]);
            bytes.extend(name);
        };
        record(&mut bytes, b"one\0");
        record(&mut bytes, b"another\0\0\0\0\0");
        let seen: Vec<_> = fan_events(&bytes).collect();
        assert_eq!(seen.len(), 2);
        assert_eq!((seen[0].mask, seen[0].name), (0x100, b"one".as_slice()));
        assert_eq!(seen[1].name, b"another");
    }
}
