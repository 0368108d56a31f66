// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where profiles come from: a `profiles/` folder where the lab runs, then those in the binary.

use crate::error::{Error, Result};
use lab_core::profile::{Library, Profile, ProfileError};
use std::fs;
use std::io::Read;
use std::path::Path;

/// Largest profile or fragment read, bytes.
const TEXT_MAX: u64 = 1 << 20;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Profiles and fragments that ship with the lab.
        const SHIPPED: &[(&str, &str)] =
            &[$((concat!("shipped/", $name), include_str!(concat!("../../profiles/", $name)))),*];
    };
}

shipped![
    "fast.yaml",
    "lockdep.yaml",
    "rt.yaml",
    "kasan.yaml",
    "kcsan.yaml",
    "fragments/base.config",
    "fragments/lockdep.config",
    "fragments/rt.config",
    "fragments/kasan.config",
    "fragments/kcsan.config",
];

/// All profiles to be had from `folder` (such as `profiles`; may be absent) and from the binary. A file that cannot be read
/// is among them, as one that cannot be resolved.
///
/// # Errors
/// None: a file that cannot be read is told when it is needed.
pub fn library(folder: &Path) -> Result<Library> {
    let mut library = Library::default();
    for (file, text) in SHIPPED {
        library.add_shipped(file, text);
    }
    add_folder(&mut library, folder, &["yaml", "yml"]);
    add_folder(&mut library, &folder.join("fragments"), &["config"]);
    Ok(library)
}

fn add_folder(library: &mut Library, folder: &Path, endings: &[&str]) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| endings.contains(&ending)) && path.is_file() {
            // One file that cannot be read must not hide the others.
            let name = path.display().to_string();
            match text_of(&path) {
                Ok(text) => library.add_own(&name, &text),
                Err(why) => library.add_unreadable(&name, &why),
            }
        }
    }
}

/// A file's text, or why it is none.
fn text_of(path: &Path) -> std::result::Result<String, String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = file.take(TEXT_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TEXT_MAX {
        return Err(format!("larger than {TEXT_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Folder of a user's own profiles, where the lab runs.
pub const FOLDER: &str = "profiles";

/// Reads and resolves one profile of those to be had here.
///
/// # Errors
/// As [`library`] and [`resolve`].
pub fn load(name: &str) -> Result<Profile> {
    resolve(&library(Path::new(FOLDER))?, name)
}

/// The same with chosen scenarios instead of the profile's, as [`Profile::only`] takes them.
///
/// # Errors
/// As [`load`], and for a scenario that there is not.
pub fn load_with(name: &str, scenarios: &[String]) -> Result<Profile> {
    let chosen = load(name)?.only(scenarios);
    chosen.map_err(|why| Error::usage(why).hint("`lab scenarios` lists them"))
}

/// Resolves a profile.
///
/// # Errors
/// What is wrong with it, as a mistake of the user's.
pub fn resolve(library: &Library, name: &str) -> Result<Profile> {
    library.resolve(name).map_err(|error: ProfileError| {
        Error::usage(error.to_string()).hint("`lab profiles` lists what there is")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_embedded_and_resolves() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
        for folder in ["", "fragments/"] {
            for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
                let name = format!("shipped/{folder}{}", entry.file_name().to_string_lossy());
                let file = entry.file_type().unwrap().is_file();
                assert!(
                    !file || SHIPPED.iter().any(|(known, _)| *known == name),
                    "{name}"
                );
            }
        }
        let library = library(Path::new("/nonexistent")).unwrap();
        assert_eq!(library.names(), ["fast", "kasan", "kcsan", "lockdep", "rt"]);
        let digests: std::collections::HashSet<_> = library
            .names()
            .iter()
            .map(|name| resolve(&library, name).unwrap().digest())
            .collect();
        assert_eq!(digests.len(), 5);
    }

    #[test]
    fn a_folder_comes_first_and_its_mistakes_are_the_users() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("fast.yaml"),
            "extends: shipped/fast\nmachine: {cpus: 7}\n",
        )
        .unwrap();
        fs::write(folder.path().join("bad.yaml"), "extends: fsat\n").unwrap();
        let library = library(folder.path()).unwrap();
        assert_eq!(resolve(&library, "fast").unwrap().cpus, 7);
        assert_eq!(resolve(&library, "rt").unwrap().cpus, 7);
        let error = resolve(&library, "bad").unwrap_err();
        assert_eq!(error.exit(), crate::exit::Exit::Usage);
        assert!(
            error
                .to_string()
                .contains("bad.yaml:1: extends: no profile `fsat` (did you mean `fast`?)"),
            "{error}"
        );
    }
}
