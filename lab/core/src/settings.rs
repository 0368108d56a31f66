// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file `lab.yaml`: what a user sets once instead of on each command line.

use crate::yaml;
use serde::Deserialize;
use std::path::PathBuf;

pub use crate::yaml::YamlError as SettingsError;

/// The file's shape: every key optional, unknown ones refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsFile {
    /// Kernel tree: any clone, worktree or bare repository.
    pub tree: Option<PathBuf>,
    /// Profiles that `lab run` uses without `--profile`.
    pub profiles: Vec<String>,
    /// Folder of results.
    pub results: Option<PathBuf>,
    /// Folder of the cache.
    pub cache: Option<PathBuf>,
    /// Cores that builds and boots may use.
    pub cores: Option<u32>,
}

/// Reads the file's text.
///
/// # Errors
/// What is wrong with it, with its line, its key and what is accepted.
pub fn parse(file: &str, text: &str) -> Result<SettingsFile, SettingsError> {
    yaml::parse(file, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_are_read_and_an_unknown_one_is_named_with_its_line() {
        let file = parse(
            "lab.yaml",
            "tree: ../linux\nprofiles: [rt, kasan]\ncores: 3\n",
        )
        .unwrap();
        assert_eq!(
            (file.tree.unwrap().to_str(), file.profiles.len(), file.cores),
            (Some("../linux"), 2, Some(3))
        );
        assert_eq!(
            parse("lab.yaml", "# nothing yet\n").unwrap(),
            SettingsFile::default()
        );
        let error = parse("lab.yaml", "cores: 2\nprofile: rt\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("lab.yaml:2: ") && error.contains("did you mean `profiles`?"),
            "{error}"
        );
    }
}
