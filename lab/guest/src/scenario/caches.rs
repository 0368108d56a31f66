// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's caches, to be dropped in bad moments: /proc/sys/vm/drop_caches.

use super::fault::{Fault, due};
use crate::ops;
use std::fs::File;
use std::os::fd::AsFd;

/// The right to drop caches. It exists in a guest only: a host is not ours to disturb.
#[derive(Debug)]
pub(crate) struct Caches {
    file: File,
}

impl Caches {
    /// Opens the file; `None` elsewhere than in a guest, or where the kernel has no such file.
    pub(crate) fn open() -> Option<Self> {
        if std::process::id() != 1 {
            return None;
        }
        let mut options = File::options();
        let file = options.write(true).open("/proc/sys/vm/drop_caches").ok()?;
        // 4 silences the kernel's line about each time the caches are dropped.
        let _ = ops::write_at_0(file.as_fd(), b"4");
        Some(Self { file })
    }

    /// Drops dentries and inodes that nobody uses; the page cache is not what is looked at here.
    ///
    /// # Errors
    /// When the kernel refuses, which it may not.
    pub(crate) fn drop_dentries(&self) -> Result<(), Fault> {
        ops::write_at_0(self.file.as_fd(), b"2").map_err(due("caches cannot be dropped", "write"))
    }
}
