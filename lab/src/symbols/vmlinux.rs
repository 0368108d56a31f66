// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel's vmlinux, read through a map: of 200 MB only the pages are touched that an answer needs.

use crate::error::{Doing, Error, Result};
use lab_core::symbol::Vmlinux;
use memmap2::Mmap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A vmlinux that is open.
#[derive(Debug)]
pub struct Mapped {
    path: PathBuf,
    map: Mmap,
}

impl Mapped {
    /// Maps the file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let opening = || format!("open {}", path.display());
        let file = File::open(path)
            .map_err(|e| {
                Error::rig(e.to_string()).hint(
                    "frames are told by file and line only while the kernel's vmlinux is kept",
                )
            })
            .doing(opening)?;
        // SAFETY: the map is only read. A file of the kernels' folder is written once, under another name; whoever
        // shortens a mapped file of their own meanwhile ends this process by SIGBUS, not by wrong answers.
        let map = unsafe { Mmap::map(&file) }.doing(opening)?;
        Ok(Self {
            path: path.to_owned(),
            map,
        })
    }

    /// Takes it apart.
    ///
    /// # Errors
    /// When it is no ELF file.
    pub fn vmlinux(&self) -> Result<Vmlinux<'_>> {
        Vmlinux::parse(&self.map, expand)
            .map_err(|e| {
                Error::usage(e.to_string()).hint("give the vmlinux of the kernel, not its bzImage")
            })
            .doing(|| format!("read {}", self.path.display()))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Expands a zstd section. Memory grows with what really comes out, whatever a damaged header promises.
fn expand(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let stream = zstd::stream::read::Decoder::with_buffer(packed).ok()?;
    let read = stream.take(size as u64).read_to_end(&mut bytes).ok()?;
    (read == size).then_some(bytes)
}
