// SPDX-License-Identifier: MIT OR Apache-2.0
//! Child processes that do nothing, made without a library's help: their maker has many threads.

use super::{Answer, errno};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A child that lives until it is reaped. Its end sends no signal, so it is not reaped behind our back where
/// SIGCHLD is ignored.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its process id.
    pub(crate) pid: i32,
}

impl Child {
    /// A new child; one that lingers lives until it is killed, another one ends at once.
    ///
    /// # Errors
    /// The errno of the kernel.
    pub(crate) fn start(lingers: bool) -> Answer<Self> {
        // SAFETY: a copy of this process with this thread alone, on a copy of its stack. Locks of other threads may be
        // held there for ever, so the child makes system calls and nothing else.
        let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
        if pid == 0 {
            loop {
                if lingers {
                    // SAFETY: no arguments.
                    unsafe { libc::syscall(libc::SYS_pause) };
                } else {
                    // SAFETY: ends this child.
                    unsafe { libc::syscall(libc::SYS_exit_group, 0) };
                }
            }
        }
        if pid < 0 {
            return Err(errno());
        }
        Ok(Self { pid: pid as i32 })
    }

    /// Kills it and waits until the kernel has let go of its number.
    ///
    /// # Errors
    /// The errno of the kernel.
    pub(crate) fn reap(self) -> Answer<()> {
        // SAFETY: a child of ours that was not waited for: its number is its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        loop {
            // SAFETY: no status is asked for.
            let answer = unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::__WALL) };
            match answer {
                pid if pid == self.pid => return Ok(()),
                _ if errno() == libc::EINTR => {}
                _ => return Err(errno()),
            }
        }
    }
}

/// readlinkat(2); the target, cut to the buffer.
///
/// # Errors
/// The errno of the kernel.
pub(crate) fn read_link<'a>(
    dir: BorrowedFd<'_>,
    name: &CStr,
    into: &'a mut [u8],
) -> Answer<&'a [u8]> {
    // SAFETY: `name` ends in NUL; the buffer is valid for its length.
    let got = unsafe {
        libc::readlinkat(
            dir.as_raw_fd(),
            name.as_ptr(),
            into.as_mut_ptr().cast(),
            into.len(),
        )
    };
    let got = usize::try_from(got).map_err(|_| errno())?;
    Ok(&into[..got])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_live_until_they_are_reaped() {
        for lingers in [true, false] {
            let child = Child::start(lingers).unwrap();
            let path = format!("/proc/{}", child.pid);
            assert!(std::fs::exists(&path).unwrap());
            assert_eq!(child.reap(), Ok(()));
            assert!(!std::fs::exists(&path).unwrap());
        }
    }
}
