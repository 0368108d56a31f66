// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a set was made from, so that it can be gone on with and made again.

use lab_core::job::Accel;
use lab_core::profile::Profile;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Format of `manifest.json`.
pub const MANIFEST_FORMAT: u32 = 1;

/// `manifest.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Name of the set, of its folder.
    pub set: String,
    /// Version of the lab.
    pub lab: String,
    /// When it was begun, RFC 3339, UTC.
    pub begun: String,
    /// Series name.
    pub series: String,
    /// Its version.
    pub version: u32,
    /// Its subject.
    pub subject: String,
    /// Its patches.
    pub patches: Vec<PatchLine>,
    /// Git folder of the kernel tree.
    pub tree: PathBuf,
    /// Revision asked for as base.
    pub base: String,
    /// Commit it stood for.
    pub base_commit: String,
    /// Version of the kernel at the base.
    pub kernel: String,
    /// The profiles.
    pub profiles: Vec<ProfileLine>,
    /// How to run.
    pub options: RunOptions,
    /// Exact command line of the lab.
    pub argv: Vec<String>,
    /// The machine it ran on.
    pub host: Host,
}

/// One profile in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProfileLine {
    /// Its name.
    pub name: String,
    /// Digest of its resolved form.
    pub digest: String,
}

impl ProfileLine {
    /// The line of a profile.
    pub fn of(profile: &Profile) -> Self {
        Self {
            name: profile.name.clone(),
            digest: profile.digest(),
        }
    }
}

/// One patch in a manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchLine {
    /// From 1.
    pub number: u32,
    /// Subject.
    pub subject: String,
    /// Stable patch-id.
    pub patch_id: String,
    /// Commit made from it.
    pub commit: String,
    /// Files it touches.
    pub touched: Vec<String>,
}

/// The choices of a run that change what is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunOptions {
    /// Boots of each kernel.
    pub runs: u32,
    /// Boots of each kernel at most, while something is undecided.
    pub most_runs: u32,
    /// What a regression and a first bad patch need.
    pub confidence: f64,
    /// Seconds of each scenario, instead of the profile's.
    pub seconds: Option<u32>,
    /// Seed from which each boot's seed is made.
    pub seed: u64,
    /// Build every patch.
    pub each: bool,
    /// Pairs of boots of base and series, interleaved, whose speeds are compared.
    #[serde(default)]
    pub measure: u32,
    /// Scenarios instead of the profile's, as `NAME` or `NAME/FS`; empty: the profile's.
    #[serde(default)]
    pub scenarios: Vec<String>,
    /// Builds without a sandbox.
    pub no_sandbox: bool,
    /// Cores for builds and boots together.
    pub cores: u32,
}

/// The machine a set was made on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Kernel release.
    pub kernel: String,
    /// CPUs.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Accelerator of QEMU.
    pub accel: Accel,
    /// Why that one.
    pub accel_reason: String,
    /// Versions of QEMU and compiler.
    pub tools: Vec<String>,
}
