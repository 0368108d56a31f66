// SPDX-License-Identifier: MIT OR Apache-2.0
//! The drgn scripts, which the binary carries and unpacks into the cache.

use crate::error::{Doing, Result};
use crate::store::file;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the one that is run.
pub(super) const ENTRY: &str = "autopsy.py";

/// All of them, by name: those in `scripts/` when the lab was built, but for their tests.
const SCRIPTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/scripts.rs"));

/// Folder of the scripts, made if it is not there. Its name is a hash of them, so that another lab's never mix with these.
///
/// # Errors
/// It cannot be written.
pub(super) fn folder(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("autopsy").join(hash(SCRIPTS));
    // The entry comes last: with it, all are there.
    if folder.join(ENTRY).is_file() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
    let (entry, others): (Vec<_>, Vec<_>) = SCRIPTS.iter().partition(|(name, _)| *name == ENTRY);
    for (name, text) in others.into_iter().chain(entry) {
        file::write(&folder.join(name), text.as_bytes())?;
    }
    Ok(folder)
}

fn hash(scripts: &[(&str, &str)]) -> String {
    let mut hash = Sha256::new();
    for (name, text) in scripts {
        for part in [name.as_bytes(), text.as_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    let digest = hash.finalize();
    digest
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_carries_every_script_and_unpacks_it_once() {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/autopsy/scripts");
        let cache = tempfile::tempdir().unwrap();
        let unpacked = folder(cache.path()).unwrap();
        let mut count = 0;
        for entry in fs::read_dir(shipped).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".py") && !name.starts_with("test_") {
                let text = fs::read(unpacked.join(name)).unwrap();
                assert!(text == fs::read(&path).unwrap(), "{name}");
                count += 1;
            }
        }
        assert_eq!(count, SCRIPTS.len());
        assert!(SCRIPTS.iter().any(|(name, _)| *name == ENTRY));
        let stamp = |path: &Path| fs::metadata(path.join(ENTRY)).unwrap().modified().unwrap();
        let before = stamp(&unpacked);
        assert_eq!(folder(cache.path()).unwrap(), unpacked);
        assert_eq!(stamp(&unpacked), before);
    }

    #[test]
    fn a_script_that_changes_changes_the_folder() {
        let names = [
            hash(&[("a", "b")]),
            hash(&[("ab", "")]),
            hash(&[("a", "c")]),
        ];
        assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2]);
    }
}
