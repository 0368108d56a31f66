// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets marked keep: a file in the set's folder, and one at each kernel that names the set, so that whoever frees space
//! in this cache learns of it, wherever the set lies.

use super::KEEP;
use super::look::kernels_of;
use crate::error::{Doing, Result};
use crate::evidence;
use crate::store::file;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The set is marked.
pub fn is_kept(set: &Path) -> bool {
    set.join(KEEP).exists()
}

/// Marks a set; gives how many of its kernels are gone already.
///
/// # Errors
/// When the set's folder or a kernel's cannot be written.
pub fn keep(set: &Path, cache: &Path) -> Result<usize> {
    let set = fs::canonicalize(set).doing(|| format!("find {}", set.display()))?;
    // The mark first: from here on nothing of the set is freed.
    file::write(
        &set.join(KEEP),
        b"lab gc frees nothing that this set needs\n",
    )?;
    let mut gone = 0;
    for key in kernels_of(&set) {
        let kernel = cache.join("kernels").join(key);
        if !kernel.join("bzImage").is_file() {
            gone += 1;
            continue;
        }
        evidence::pin_kernel(&kernel, &set)?;
    }
    Ok(gone)
}

/// Takes the mark away.
///
/// # Errors
/// When the set's folder or a kernel's cannot be written.
pub fn undo(set: &Path, cache: &Path) -> Result<()> {
    let set = fs::canonicalize(set).doing(|| format!("find {}", set.display()))?;
    for key in kernels_of(&set) {
        evidence::unpin_kernel(&cache.join("kernels").join(key), &set)?;
    }
    let mark = set.join(KEEP);
    match fs::remove_file(&mark) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).doing(|| format!("remove {}", mark.display()))
        }
        _ => Ok(()),
    }
}
