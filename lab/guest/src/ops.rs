// SPDX-License-Identifier: MIT OR Apache-2.0
//! The system calls of the workload, on held directories and relative names.
//!
//! An absolute path walks through the root each time, and a component with d_revalidate there
//! leaves RCU mode before the code under test is reached. So every name here is one component
//! below a directory that stays open.

pub(crate) mod child;
pub(crate) mod handle;
pub(crate) mod label;
pub(crate) mod mem;
pub(crate) mod padded;
pub(crate) mod route;
pub(crate) mod sched;
pub(crate) mod tree;
pub(crate) mod watch;

use libc::{AT_FDCWD, c_int};
use std::ffi::CStr;
use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// What a system call answered: a value, or an errno.
pub(crate) type Answer<T> = Result<T, i32>;

/// A name of one component, on the stack: workers do not allocate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    bytes: [u8; 24],
}

impl Name {
    /// `prefix` and a number, e.g. `n3`. A prefix too long is cut.
    pub(crate) fn new(prefix: &str, number: u64) -> Self {
        let mut bytes = [0; 24];
        let mut at = prefix.len().min(3);
        bytes[..at].copy_from_slice(&prefix.as_bytes()[..at]);
        let mut digits = [0; 20];
        let mut left = number;
        let mut count = 0;
        loop {
            digits[count] = b'0' + (left % 10) as u8;
            left /= 10;
            count += 1;
            if left == 0 {
                break;
            }
        }
        for digit in digits[..count].iter().rev() {
            bytes[at] = *digit;
            at += 1;
        }
        Self { bytes }
    }

    /// As the kernel wants it.
    pub(crate) fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"?")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_c().to_str().unwrap_or("?"))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn checked(answer: c_int) -> Answer<c_int> {
    if answer < 0 { Err(errno()) } else { Ok(answer) }
}

/// Nothing, or the errno of a call that answered so.
pub(crate) fn done(answer: c_int) -> Answer<()> {
    checked(answer).map(drop)
}

/// openat(2); `flags` get O_CLOEXEC and O_NOCTTY, new files mode 0644.
pub(crate) fn open(dir: BorrowedFd<'_>, name: &CStr, flags: c_int) -> Answer<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOCTTY;
    // SAFETY: `name` ends in NUL; a descriptor that is not negative is new and ours.
    unsafe {
        let fd = checked(libc::openat(dir.as_raw_fd(), name.as_ptr(), flags, 0o644))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Opens a directory by its path, to be held.
pub(crate) fn open_dir(path: &CStr) -> Answer<OwnedFd> {
    // SAFETY: AT_FDCWD is a valid directory for openat.
    let here = unsafe { BorrowedFd::borrow_raw(AT_FDCWD) };
    open(here, path, libc::O_RDONLY | libc::O_DIRECTORY)
}

/// What the oracles compare of a stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Inode number.
    pub(crate) ino: u64,
    /// Hard links.
    pub(crate) links: u64,
}

/// fstatat(2), links not followed; an empty name is the descriptor itself.
pub(crate) fn stat(dir: BorrowedFd<'_>, name: &CStr) -> Answer<Meta> {
    let flags = libc::AT_SYMLINK_NOFOLLOW
        | if name.is_empty() {
            libc::AT_EMPTY_PATH
        } else {
            0
        };
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `name` ends in NUL; the kernel fills `stat` when it answers 0.
    let stat = unsafe {
        done(libc::fstatat(
            dir.as_raw_fd(),
            name.as_ptr(),
            stat.as_mut_ptr(),
            flags,
        ))?;
        stat.assume_init()
    };
    Ok(Meta {
        ino: stat.st_ino,
        links: stat.st_nlink,
    })
}

/// unlinkat(2); `flags` 0 or AT_REMOVEDIR.
pub(crate) fn unlink(dir: BorrowedFd<'_>, name: &CStr, flags: c_int) -> Answer<()> {
    // SAFETY: `name` ends in NUL.
    done(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), flags) })
}

/// renameat(2).
pub(crate) fn rename(from: (BorrowedFd<'_>, &CStr), to: (BorrowedFd<'_>, &CStr)) -> Answer<()> {
    let (old, new) = (from.0.as_raw_fd(), to.0.as_raw_fd());
    // SAFETY: both names end in NUL.
    done(unsafe { libc::renameat(old, from.1.as_ptr(), new, to.1.as_ptr()) })
}

/// linkat(2).
pub(crate) fn link(from: (BorrowedFd<'_>, &CStr), to: (BorrowedFd<'_>, &CStr)) -> Answer<()> {
    let (old, new) = (from.0.as_raw_fd(), to.0.as_raw_fd());
    // SAFETY: both names end in NUL.
    done(unsafe { libc::linkat(old, from.1.as_ptr(), new, to.1.as_ptr(), 0) })
}

/// mkdirat(2), mode 0755.
pub(crate) fn mkdir(dir: BorrowedFd<'_>, name: &CStr) -> Answer<()> {
    // SAFETY: `name` ends in NUL.
    done(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), 0o755) })
}

/// pwrite(2) at 0, all of it.
pub(crate) fn write_at_0(file: BorrowedFd<'_>, bytes: &[u8]) -> Answer<()> {
    // SAFETY: the buffer is valid for its length.
    let wrote = unsafe { libc::pwrite(file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
    match usize::try_from(wrote) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(libc::ENOSPC),
        Err(_) => Err(errno()),
    }
}

/// pread(2) at 0; how many bytes came.
pub(crate) fn read_at_0(file: BorrowedFd<'_>, into: &mut [u8]) -> Answer<usize> {
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::pread(file.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), 0) };
    usize::try_from(got).map_err(|_| errno())
}

/// Reads a whole directory by getdents64(2) on a descriptor of its own and shows each name.
pub(crate) fn read_dir(dir: BorrowedFd<'_>, entry: impl FnMut(&CStr)) -> Answer<()> {
    read_dir_in(dir, &mut [0; 4096], entry)
}

/// The same in pieces of the buffer's size, which must hold the longest name that is there (and 20 bytes).
pub(crate) fn read_dir_in(
    dir: BorrowedFd<'_>,
    buffer: &mut [u8],
    mut entry: impl FnMut(&CStr),
) -> Answer<()> {
    // Offset of d_name in struct linux_dirent64.
    const NAME: usize = 19;
    let own = open(dir, c".", libc::O_RDONLY | libc::O_DIRECTORY)?;
    loop {
        // SAFETY: the buffer is valid for its length.
        let got = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                own.as_raw_fd(),
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        let got = usize::try_from(got).map_err(|_| errno())?;
        if got == 0 {
            return Ok(());
        }
        let mut rest = &buffer[..got];
        while rest.len() > NAME {
            let len = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
            if let Ok(name) = CStr::from_bytes_until_nul(&rest[NAME..len.clamp(NAME, rest.len())]) {
                entry(name);
            }
            rest = rest.get(len.max(1)..).unwrap_or_default();
        }
    }
}

/// The name of an errno that the workload meets, or its number.
pub(crate) fn errno_name(errno: i32) -> String {
    const NAMES: &[(i32, &str)] = &[
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::EINTR, "EINTR"),
        (libc::EIO, "EIO"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EISDIR, "EISDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::EMFILE, "EMFILE"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::EMLINK, "EMLINK"),
        (libc::ELOOP, "ELOOP"),
        (libc::ENOTEMPTY, "ENOTEMPTY"),
        (libc::ESTALE, "ESTALE"),
        (libc::EUCLEAN, "EUCLEAN"),
        (libc::ETIMEDOUT, "ETIMEDOUT"),
    ];
    NAMES
        .iter()
        .find(|(number, _)| *number == errno)
        .map_or_else(|| format!("errno {errno}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_prefix_and_number() {
        assert_eq!(Name::new("n", 0).to_string(), "n0");
        assert_eq!(Name::new("own", 1_090).to_string(), "own1090");
        assert_eq!(
            Name::new("abcdef", u64::MAX).to_string(),
            format!("abc{}", u64::MAX)
        );
    }
}
