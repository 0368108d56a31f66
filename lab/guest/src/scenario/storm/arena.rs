// SPDX-License-Identifier: MIT OR Apache-2.0
//! The directories that threads fight in, held open, each with its stable name.

use crate::ops::{self, Meta, errno_name};
use crate::scenario::caches::Caches;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The name that always exists.
pub(crate) const KEEP: &CStr = c"keep";
/// A second one, made after the first: of two neighbours, one is at the end of what a small buffer holds.
pub(crate) const STAY: &CStr = c"stay";
/// What is in the first one.
pub(crate) const KEEP_CONTENT: &[u8] = b"always here\n";
/// The name that never exists.
pub(crate) const ABSENT: &CStr = c"never";

/// One directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// The stable file as it was made.
    pub(crate) keep: Meta,
}

impl Dir {
    /// The held directory.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where a scenario runs.
#[derive(Debug)]
pub(crate) struct Arena {
    /// The directories.
    pub(crate) dirs: Vec<Dir>,
    /// Over a network filesystem: other errno are allowed, unlinked files keep a link.
    pub(crate) remote: bool,
    /// The kernel's caches, where the guest is ours to disturb.
    pub(crate) caches: Option<Caches>,
}

impl Arena {
    /// Makes `count` directories below `base`.
    ///
    /// # Errors
    /// Says which step failed and with what.
    pub(crate) fn make(base: &Path, count: u32, remote: bool) -> Result<Self, String> {
        let failed = |what: String| move |errno| format!("{what}: {}", errno_name(errno));
        let path = CString::new(base.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
        let root = ops::open_dir(&path).map_err(failed(format!("open {}", base.display())))?;
        let mut dirs = Vec::new();
        for number in 0..count {
            let name = ops::Name::new("d", number.into());
            let dir = make_dir(root.as_fd(), name.as_c());
            dirs.push(dir.map_err(failed(format!("making directory {name}")))?);
        }
        Ok(Self {
            dirs,
            remote,
            caches: Caches::open(),
        })
    }

    /// The directory of that number; numbers past the end start again.
    pub(crate) fn dir(&self, number: u32) -> &Dir {
        &self.dirs[number as usize % self.dirs.len()]
    }
}

fn make_dir(root: BorrowedFd<'_>, name: &CStr) -> ops::Answer<Dir> {
    ops::mkdir(root, name)?;
    let fd = ops::open(root, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
    let file = ops::open(
        fd.as_fd(),
        KEEP,
        libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
    )?;
    ops::write_at_0(file.as_fd(), KEEP_CONTENT)?;
    let keep = ops::stat(file.as_fd(), c"")?;
    ops::open(
        fd.as_fd(),
        STAY,
        libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
    )?;
    Ok(Dir { fd, keep })
}
