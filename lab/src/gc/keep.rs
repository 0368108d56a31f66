// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets marked keep: a file in the set's folder, and one at each kernel that names the set, so that whoever frees space
//! in this cache learns of it, wherever the set lies.

use super::KEEP;
use super::look::{NEEDED, kernels_of};
use crate::error::{Doing, Result};
use crate::store::file;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

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
        let pin = pin(&kernel, &set);
        let folder = kernel.join(NEEDED);
        fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        file::write(&pin, set.as_os_str().as_encoded_bytes())?;
    }
    Ok(gone)
}

/// Takes the mark away.
///
/// # Errors
/// When the set's folder or a kernel's cannot be written.
pub fn undo(set: &Path, cache: &Path) -> Result<()> {
    let set = fs::canonicalize(set).doing(|| format!("find {}", set.display()))?;
    let pins = kernels_of(&set).into_iter();
    let pins = pins.map(|key| pin(&cache.join("kernels").join(key), &set));
    for path in pins.chain([set.join(KEEP)]) {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(e).doing(|| format!("remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn pin(kernel: &Path, set: &Path) -> PathBuf {
    let name = set.file_name().unwrap_or_default().to_string_lossy();
    kernel.join(NEEDED).join(format!("keep-{name}"))
}
