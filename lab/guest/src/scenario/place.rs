// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a scenario works: a folder of its own on a mounted filesystem.

use crate::fs::mount::Refusal;
use std::path::{Path, PathBuf};

/// A folder that is the scenario's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The folder, empty at the beginning.
    pub(crate) base: PathBuf,
    /// Kind of filesystem, as in jobs: `xfs`.
    pub(crate) fs: String,
    /// It is a network filesystem: other errno are allowed, an unlinked open file keeps its link.
    pub(crate) remote: bool,
    /// The same folder as the server of a network filesystem sees it.
    pub(crate) server: Option<PathBuf>,
    /// No other scenario works at the same time, so what the kernel counts for the whole machine tells something.
    pub(crate) alone: bool,
}

impl Place {
    /// Makes the folder `name` below a mounted filesystem.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn make(
        fs: &str,
        at: &Path,
        server: Option<&Path>,
        name: &str,
    ) -> Result<Self, Refusal> {
        let base = at.join(name);
        std::fs::create_dir(&base)
            .map_err(|error| Refusal::Failed(format!("mkdir {}: {error}", base.display())))?;
        Ok(Self {
            base,
            fs: fs.to_owned(),
            remote: server.is_some(),
            server: server.map(|server| server.join(name)),
            alone: true,
        })
    }

    /// A folder in this one, for a scenario that works beside others.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn part(&self, name: &str) -> Result<Self, Refusal> {
        let made = Self::make(&self.fs, &self.base, self.server.as_deref(), name)?;
        Ok(Self {
            alone: false,
            ..made
        })
    }

    /// A folder that is there already, for tests on this host.
    #[cfg(test)]
    pub(crate) fn folder(base: PathBuf) -> Self {
        Self {
            base,
            fs: "tmpfs".into(),
            remote: false,
            server: None,
            alone: true,
        }
    }
}
