// SPDX-License-Identifier: MIT OR Apache-2.0
//! File handles: a name for an object that no rename changes and no dropped cache forgets.

use super::{Answer, checked, done, errno};
use libc::c_int;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `MAX_HANDLE_SZ` of `include/linux/exportfs.h`.
const MOST: usize = 128;

/// `struct file_handle` of `include/linux/fs.h`, with room for the largest.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handle {
    bytes: u32,
    kind: c_int,
    data: [u8; MOST],
}

impl Handle {
    /// Its type and its bytes.
    pub(crate) fn parts(&self) -> (c_int, &[u8]) {
        (self.kind, &self.data[..MOST.min(self.bytes as usize)])
    }
}

/// name_to_handle_at(2); an empty name is the descriptor itself.
pub(crate) fn handle(dir: BorrowedFd<'_>, name: &CStr) -> Answer<Handle> {
    let mut handle = Handle {
        bytes: MOST as u32,
        kind: 0,
        data: [0; MOST],
    };
    let mut mount: c_int = 0;
    let flags = if name.is_empty() {
        libc::AT_EMPTY_PATH
    } else {
        0
    };
    // SAFETY: `name` ends in NUL; the kernel fills at most as many bytes as `handle` says that it has.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            dir.as_raw_fd(),
            name.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            flags,
        )
    };
    if answer < 0 { Err(errno()) } else { Ok(handle) }
}

/// open_by_handle_at(2) below the filesystem of `mount`; `flags` get O_CLOEXEC.
pub(crate) fn open(mount: BorrowedFd<'_>, handle: &Handle, flags: c_int) -> Answer<OwnedFd> {
    // SAFETY: the kernel reads as many bytes as the handle says; a descriptor that is not negative is new and ours.
    unsafe {
        let fd = libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            handle,
            flags | libc::O_CLOEXEC,
        );
        Ok(OwnedFd::from_raw_fd(checked(fd as c_int)?))
    }
}

/// What is compared of an object, however it was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// Inode number.
    pub(crate) ino: u64,
    /// Type bits of its mode.
    pub(crate) kind: u32,
}

/// Number and type of an open object, and its last change: seconds and nanoseconds.
pub(crate) fn node(file: BorrowedFd<'_>) -> Answer<(Node, (i64, i64))> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills `stat` when it answers 0.
    let stat = unsafe {
        done(libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()))?;
        stat.assume_init()
    };
    let node = Node {
        ino: stat.st_ino,
        kind: stat.st_mode & libc::S_IFMT,
    };
    Ok((node, (stat.st_ctime, stat.st_ctime_nsec)))
}

/// Where the kernel says that an open object is: the link of /proc/self/fd, in a buffer of the caller's.
pub(crate) fn path_of<'a>(file: BorrowedFd<'_>, buffer: &'a mut [u8]) -> Answer<&'a [u8]> {
    use std::io::Write;
    let mut link = [0u8; 40];
    // The last byte stays the NUL; a descriptor's number is far shorter.
    let _ = write!(&mut link[..39], "/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: `link` ends in NUL, and the buffer is valid for its length.
    let got = unsafe {
        libc::readlink(
            link.as_ptr().cast(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
        )
    };
    let got = usize::try_from(got).map_err(|_| errno())?;
    Ok(&buffer[..got])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn an_open_file_is_known_by_number_type_and_path() {
        let path = std::env::temp_dir().join(format!("lab-node-{}", std::process::id()));
        std::fs::write(&path, "x").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let (node, _) = node(file.as_fd()).unwrap();
        assert_eq!(node.kind, libc::S_IFREG);
        assert_ne!(node.ino, 0);
        let mut buffer = [0; 300];
        let seen = path_of(file.as_fd(), &mut buffer).unwrap();
        assert_eq!(seen, path.as_os_str().as_encoded_bytes());
        std::fs::remove_file(&path).unwrap();
        let seen = path_of(file.as_fd(), &mut buffer).unwrap();
        assert!(seen.ends_with(b" (deleted)"));
    }
}
