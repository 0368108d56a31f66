// SPDX-License-Identifier: MIT OR Apache-2.0
//! System calls that change a tree: renames with flags, links, modes, mounts; and who a thread is.

use super::{Answer, done, errno};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// An ordinary user's number: nobody.
const NOBODY: libc::c_long = 65_534;

/// renameat2(2).
pub(crate) fn rename_with(
    from: (BorrowedFd<'_>, &CStr),
    to: (BorrowedFd<'_>, &CStr),
    flags: libc::c_uint,
) -> Answer<()> {
    let (old, new) = (from.0.as_raw_fd(), to.0.as_raw_fd());
    // SAFETY: both names end in NUL.
    done(unsafe { libc::renameat2(old, from.1.as_ptr(), new, to.1.as_ptr(), flags) })
}

/// Two names change places.
pub(crate) fn exchange(from: (BorrowedFd<'_>, &CStr), to: (BorrowedFd<'_>, &CStr)) -> Answer<()> {
    rename_with(from, to, libc::RENAME_EXCHANGE)
}

/// linkat(2) of a held file itself.
pub(crate) fn link_held(file: BorrowedFd<'_>, to: (BorrowedFd<'_>, &CStr)) -> Answer<()> {
    let (old, new) = (file.as_raw_fd(), to.0.as_raw_fd());
    let flags = libc::AT_EMPTY_PATH;
    // SAFETY: both names end in NUL.
    done(unsafe { libc::linkat(old, c"".as_ptr(), new, to.1.as_ptr(), flags) })
}

/// symlinkat(2).
pub(crate) fn symlink(text: &CStr, dir: BorrowedFd<'_>, name: &CStr) -> Answer<()> {
    // SAFETY: both strings end in NUL.
    done(unsafe { libc::symlinkat(text.as_ptr(), dir.as_raw_fd(), name.as_ptr()) })
}

/// fchmodat(2).
pub(crate) fn chmod(dir: BorrowedFd<'_>, name: &CStr, mode: libc::mode_t) -> Answer<()> {
    // SAFETY: `name` ends in NUL.
    done(unsafe { libc::fchmodat(dir.as_raw_fd(), name.as_ptr(), mode, 0) })
}

/// readlinkat(2): the part of `into` that was filled.
pub(crate) fn read_link<'a>(
    dir: BorrowedFd<'_>,
    name: &CStr,
    into: &'a mut [u8],
) -> Answer<&'a [u8]> {
    let (fd, room) = (dir.as_raw_fd(), into.len());
    // SAFETY: `name` ends in NUL, the buffer is valid for its length.
    let got = unsafe { libc::readlinkat(fd, name.as_ptr(), into.as_mut_ptr().cast(), room) };
    match usize::try_from(got) {
        Ok(got) => Ok(&into[..got]),
        Err(_) => Err(errno()),
    }
}

/// mount(2) with MS_BIND.
pub(crate) fn bind(what: &CStr, at: &CStr) -> Answer<()> {
    mount(what, at, c"", libc::MS_BIND)
}

/// mount(2) of an empty tmpfs.
pub(crate) fn cover(at: &CStr) -> Answer<()> {
    mount(c"tmpfs", at, c"tmpfs", 0)
}

fn mount(what: &CStr, at: &CStr, kind: &CStr, flags: libc::c_ulong) -> Answer<()> {
    let none = std::ptr::null();
    // SAFETY: all strings end in NUL.
    done(unsafe { libc::mount(what.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, none) })
}

/// umount2(2), symbolic links not followed.
pub(crate) fn unmount(at: &CStr, flags: libc::c_int) -> Answer<()> {
    // SAFETY: the path ends in NUL.
    done(unsafe { libc::umount2(at.as_ptr(), flags | libc::UMOUNT_NOFOLLOW) })
}

/// Makes this thread alone, not the process, an ordinary user without any capability, for good. The C library
/// would change all threads, so the system calls are made directly.
pub(crate) fn drop_root() -> Answer<()> {
    // SAFETY: neither call touches memory.
    unsafe {
        done(libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) as libc::c_int)?;
        done(libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) as libc::c_int)
    }
}

/// Gives this thread a working directory of its own.
pub(crate) fn own_cwd() -> Answer<()> {
    // SAFETY: no memory is handed over.
    done(unsafe { libc::unshare(libc::CLONE_FS) })
}

/// fchdir(2): of the process, or of this thread after [`own_cwd`].
pub(crate) fn enter(dir: BorrowedFd<'_>) -> Answer<()> {
    // SAFETY: the descriptor is open.
    done(unsafe { libc::fchdir(dir.as_raw_fd()) })
}

/// What stands for the working directory in calls that take a directory.
pub(crate) fn here() -> BorrowedFd<'static> {
    // SAFETY: AT_FDCWD is valid for ever where a directory is asked for.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
}

/// getcwd(2), without the text.
pub(crate) fn cwd() -> Answer<()> {
    let mut room = [0u8; 512];
    // SAFETY: the buffer is valid for its length.
    done(unsafe { libc::syscall(libc::SYS_getcwd, room.as_mut_ptr(), room.len()) } as libc::c_int)
}
