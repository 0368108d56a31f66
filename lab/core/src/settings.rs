// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file `lab.yaml`: what a user sets once instead of on each command line.

use serde::Deserialize;
use std::path::PathBuf;

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
