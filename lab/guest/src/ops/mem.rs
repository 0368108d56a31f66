// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory taken for a while and given back.

use super::{Answer, errno};

/// Anonymous memory that is not touched yet.
#[derive(Debug)]
pub(crate) struct Region {
    at: *mut u8,
    len: usize,
}

impl Region {
    /// Room for `len` bytes, of which none takes memory before it is touched.
    ///
    /// # Errors
    /// The errno of the kernel.
    pub(crate) fn new(len: usize) -> Answer<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping wherever the kernel likes.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len, access, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(errno());
        }
        // SAFETY: the mapping is ours. Huge pages make touching quick; without them it is only slower.
        unsafe { libc::madvise(at, len, libc::MADV_HUGEPAGE) };
        Ok(Self { at: at.cast(), len })
    }

    /// Touches every page of a part, as far as it lies within.
    pub(crate) fn touch(&mut self, from: usize, len: usize) {
        let end = from.saturating_add(len).min(self.len);
        for offset in (from..end).step_by(4096) {
            // SAFETY: `offset` is below the length of a mapping that is ours alone and writable.
            unsafe { self.at.add(offset).write_volatile(1) };
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody uses it after this.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_within() {
        let mut region = Region::new(1 << 20).unwrap();
        region.touch(0, 8192);
        region.touch(1 << 20, 4096);
        region.touch((1 << 20) - 4096, usize::MAX);
    }
}
