// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shelf: result sets on disk. One folder a set:
//!
//! ```text
//! results/SET/
//!   manifest.json  series.json  series.mbox  apply.json  verdict.json
//!   runs.jsonl                        the ledger: one line a build or boot
//!   builds/ID/  job.json  build.json  build.log  config
//!   runs/ID/    job.json  recording.json  console.log  events.jsonl  findings.json
//! ```

pub mod file;
mod manifest;

pub use manifest::{Host, MANIFEST_FORMAT, Manifest, PatchLine, ProfileLine, RunOptions};

use crate::error::{Doing, Error, Result};
use lab_core::verdict::{Line, Verdict};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// One result set, open for one writer at a time.
#[derive(Debug)]
pub struct Set {
    folder: PathBuf,
    manifest: Manifest,
    _lock: Option<Flock<File>>,
}

impl Set {
    /// Makes a new set below `results`, named after series, version and time.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn create(results: &Path, mut manifest: Manifest) -> Result<Self> {
        fs::create_dir_all(results).doing(|| format!("make {}", results.display()))?;
        let wanted = manifest.set.clone();
        let mut number = 1;
        let folder = loop {
            let folder = results.join(&manifest.set);
            match fs::create_dir(&folder) {
                Ok(()) => break folder,
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    number += 1;
                    manifest.set = format!("{wanted}-{number}");
                }
                Err(e) => return Err(e).doing(|| format!("make {}", folder.display())),
            }
        };
        for sub in ["builds", "runs"] {
            fs::create_dir(folder.join(sub))
                .doing(|| format!("make {}", folder.join(sub).display()))?;
        }
        file::write_json(&folder.join("manifest.json"), &manifest)?;
        Ok(Self {
            _lock: Some(lock(&folder)?),
            folder,
            manifest,
        })
    }

    /// Opens a set to go on with it: nobody else may write to it meanwhile.
    ///
    /// # Errors
    /// When it is not there, is being written by another lab, or is of a newer format.
    pub fn resume(results: &Path, name: &str) -> Result<Self> {
        let mut set = Self::open(results, name)?;
        set._lock = Some(lock(&set.folder)?);
        Ok(set)
    }

    /// Opens a set to read it. `name` may be a path, a set's name, or a unique beginning of one.
    ///
    /// # Errors
    /// When it is not there or is of a newer format.
    pub fn open(results: &Path, name: &str) -> Result<Self> {
        let folder = find(results, name)?;
        let path = folder.join("manifest.json");
        let manifest: Manifest = file::read_json(&path)?.ok_or_else(|| {
            Error::usage(format!(
                "{} is no result set: it has no manifest.json",
                folder.display()
            ))
        })?;
        if manifest.format > MANIFEST_FORMAT {
            return Err(Error::usage(format!(
                "{} has format {}, this lab knows {MANIFEST_FORMAT}",
                folder.display(),
                manifest.format
            ))
            .hint("use the lab that wrote it, or a newer one"));
        }
        Ok(Self {
            folder,
            manifest,
            _lock: None,
        })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it was made from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Folder of one build.
    pub fn build_folder(&self, id: &str) -> PathBuf {
        self.folder.join("builds").join(id)
    }

    /// Folder of one boot.
    pub fn run_folder(&self, id: &str) -> PathBuf {
        self.folder.join("runs").join(id)
    }

    /// The ledger, oldest first, and how many torn lines were skipped. A build or boot that was made again, because
    /// the rig had spoilt it, stands there as it went the last time.
    pub fn ledger(&self) -> Result<(Vec<Line>, usize)> {
        let (lines, torn) = file::read_lines::<Line>(&self.folder.join("runs.jsonl"))?;
        let mut last = std::collections::BTreeSet::new();
        let mut kept: Vec<Line> = lines
            .into_iter()
            .rev()
            .filter(|line| last.insert(line.id().to_owned()))
            .collect();
        kept.reverse();
        Ok((kept, torn))
    }

    /// Appends a line to the ledger.
    pub fn append(&self, line: &Line) -> Result<()> {
        file::append_json(&self.folder.join("runs.jsonl"), line)
    }

    /// The verdict, if it was reached.
    pub fn verdict(&self) -> Result<Option<Verdict>> {
        file::read_json(&self.folder.join("verdict.json"))
    }
}

fn lock(folder: &Path) -> Result<Flock<File>> {
    let path = folder.join(".lock");
    let file = File::create(&path).doing(|| format!("make {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        Error::usage(format!(
            "{} is being written by another lab",
            folder.display()
        ))
        .hint("wait for it, or stop it first")
    })
}

/// All sets below `results`, by name.
pub fn list(results: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(results) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).doing(|| format!("read {}", results.display())),
    };
    let mut names: Vec<String> = entries
        .filter_map(std::result::Result::ok)
        .filter(|entry| entry.path().join("manifest.json").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

fn find(results: &Path, name: &str) -> Result<PathBuf> {
    let direct = PathBuf::from(name);
    if direct.join("manifest.json").is_file() {
        return Ok(direct);
    }
    let all = list(results)?;
    if all.iter().any(|n| n == name) {
        return Ok(results.join(name));
    }
    let matching: Vec<&String> = all.iter().filter(|n| n.starts_with(name)).collect();
    match matching.as_slice() {
        [one] => Ok(results.join(one)),
        [] => Err(
            Error::usage(format!("there is no set {name} in {}", results.display()))
                .hint("`lab ls` lists them; --results DIR looks elsewhere"),
        ),
        several => Err(
            Error::usage(format!("{name} may be any of {} sets", several.len())).hint(
                several
                    .iter()
                    .map(|s| s.as_str())
                    .collect::<Vec<_>>()
                    .join("  "),
            ),
        ),
    }
}
