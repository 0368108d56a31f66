// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finished kernels, `CACHE/kernels/KEY/`: bzImage, vmlinux, System.map, config, build.log and what is known of
//! them. A folder is there whole or not at all. Broken code is remembered likewise, without images.

use super::files::{regular, sync_folder};
use crate::error::{Doing, Error, Result};
use crate::store::file;
use lab_core::job::{BuildOutcome, BuildReport, Diagnostic};
use lab_core::kbuild::build_id;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;
const BZIMAGE: &str = "arch/x86/boot/bzImage";

/// What is known of a finished build: `known.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Known {
    format: u32,
    /// The report of whoever made it, with all warnings of the tree.
    pub(super) report: BuildReport,
}

/// Where finished kernels lie.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub(super) fn new(cache: &Path) -> Result<Self> {
        let folder = cache.join("kernels");
        fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The folder of a key.
    pub(super) fn place(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }

    /// What is known of a key, if it was built before.
    pub(super) fn find(&self, key: &str) -> Option<Known> {
        let place = self.place(key);
        let bytes = fs::read(place.join("known.json")).ok()?;
        let known: Known = serde_json::from_slice(&bytes).ok()?;
        let whole = match known.report.outcome {
            BuildOutcome::Built => ["bzImage", "vmlinux", "config"]
                .iter()
                .all(|name| place.join(name).is_file()),
            _ => true,
        };
        (known.format == FORMAT && whole).then_some(known)
    }

    /// GNU build id of a key's kernel, hexadecimal.
    pub(super) fn build_id(&self, key: &str) -> Option<String> {
        build_id(File::open(self.place(key).join("vmlinux")).ok()?)
    }

    /// Notes that a kernel was taken from here, for whoever frees space. Where that cannot be written, nothing is freed.
    pub(super) fn taken(&self, key: &str) {
        drop(crate::gc::hold_kernel(&self.place(key)));
    }

    /// Stores a build. `vmlinux` is moved, for it is large and the next build links it anew; the rest is copied.
    pub(super) fn put(&self, out: &Path, log: &Path, report: BuildReport) -> Result<()> {
        let key = report.key.clone();
        let temporary = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(&self.folder)
            .doing(|| format!("make a folder in {}", self.folder.display()))?;
        let new = temporary.path();
        if report.outcome == BuildOutcome::Built {
            for (from, to) in [(BZIMAGE, "bzImage"), ("System.map", "System.map")] {
                expect(out, from)?;
                copy(&out.join(from), &new.join(to))?;
            }
            expect(out, "vmlinux")?;
            fs::rename(out.join("vmlinux"), new.join("vmlinux"))?;
            File::open(new.join("vmlinux"))?.sync_all()?;
        }
        if regular(out, ".config")?.is_some() {
            copy(&out.join(".config"), &new.join("config"))?;
        }
        copy(log, &new.join("build.log"))?;
        let known = Known {
            format: FORMAT,
            report,
        };
        let bytes =
            serde_json::to_vec(&known).map_err(|error| Error::internal(error.to_string()))?;
        file::write(&new.join("known.json"), &bytes)?;
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(new, fs::Permissions::from_mode(0o755))?;
        sync_folder(new)?;
        let place = self.place(&key);
        if fs::rename(new, &place).is_err() {
            // Another build of the same key was first, or what lies there is damaged.
            if self.find(&key).is_none() {
                fs::remove_dir_all(&place).doing(|| format!("clear {}", place.display()))?;
                fs::rename(new, &place).doing(|| format!("store {}", place.display()))?;
            }
        }
        sync_folder(&self.folder)
    }
}

/// Fails when make said that it went well and a product is not there.
fn expect(out: &Path, name: &str) -> Result<()> {
    match regular(out, name)? {
        Some(_) => Ok(()),
        None => Err(Error::rig(format!("make ended well but left no {name}"))),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).doing(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(File::open(to)?.sync_all()?)
}

/// The warnings in files that matter to the asker, each once.
pub(super) fn warnings_in(all: &[Diagnostic], touched: &[String]) -> Vec<Diagnostic> {
    let mut seen: Vec<Diagnostic> = Vec::new();
    for warning in all {
        let matters = warning
            .file
            .as_ref()
            .is_some_and(|file| touched.contains(file));
        let same = |other: &Diagnostic| {
            (&other.file, other.line, &other.message)
                == (&warning.file, warning.line, &warning.message)
        };
        if matters && !seen.iter().any(same) {
            seen.push(warning.clone());
        }
    }
    seen
}
