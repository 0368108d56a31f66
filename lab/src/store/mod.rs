// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shelf: result sets on disk. One folder a set:
//!
//! ```text
//! results/SET/
//!   manifest.json  series.json  series.mbox  apply.json  verdict.json
//!   runs.jsonl                        the ledger: one line a build or boot
//!   counted-PROFILE.json              the boots that a verdict counts
//!   builds/ID/  job.json  build.json  build.log  config
//!   runs/ID/    job.json  recording.json  console.log  events.jsonl  findings.json
//!               decoded.txt  registers.txt  state.txt  vmcore.zst  autopsy.{json,txt,svg}  audit.json
//!   replays/ID/ the same of boots that were made again to look closer
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

/// A boot on the shelf.
#[derive(Debug)]
pub struct RunAt {
    /// Its folder.
    pub folder: PathBuf,
    /// Its name.
    pub id: String,
    /// The set it belongs to; none for a boot of a score or of `lab job`.
    pub set: Option<Set>,
}

/// The boot that a command names: `SET/RUN` (the set's name or a unique beginning of it), a run's folder, or a run's name
/// alone, which is looked for in the newest set that has it.
///
/// # Errors
/// When there is no such run.
pub fn find_run(results: &Path, name: &str) -> Result<RunAt> {
    let no_run = || {
        Error::usage(format!("there is no run {name}"))
            .hint("name it as SET/RUN; `lab ls` lists sets, `lab show SET` lists runs")
    };
    let direct = fs::canonicalize(name).ok();
    if let Some(folder) = direct.filter(|folder| folder.join("job.json").is_file()) {
        let id = folder.file_name().and_then(|n| n.to_str());
        let id = id.ok_or_else(no_run)?.to_owned();
        let set = folder.parent().and_then(Path::parent).map(Path::to_owned);
        let set = set.filter(|set| set.join("manifest.json").is_file());
        let set = set.map(|set| Set::open(results, &set.display().to_string()));
        return Ok(RunAt {
            set: set.transpose()?,
            folder,
            id,
        });
    }
    let (set, id) = match name.trim_end_matches('/').rsplit_once('/') {
        Some((set, run)) => (Set::open(results, set)?, run.to_owned()),
        None => {
            let mut sets: Vec<Set> = (list(results)?.iter())
                .filter(|set| results.join(set).join("runs").join(name).is_dir())
                .filter_map(|set| Set::open(results, set).ok())
                .collect();
            sets.sort_by(|a, b| a.manifest.begun.cmp(&b.manifest.begun));
            (sets.pop().ok_or_else(no_run)?, name.to_owned())
        }
    };
    let folder = set.run_folder(&id);
    match folder.join("job.json").is_file() {
        true => Ok(RunAt {
            folder,
            id,
            set: Some(set),
        }),
        false => Err(no_run()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(results: &Path, name: &str, begun: &str, run: &str) {
        let folder = results.join(name);
        fs::create_dir_all(folder.join("runs").join(run)).unwrap();
        fs::write(folder.join("runs").join(run).join("job.json"), "{}").unwrap();
        let manifest = json!({
            "format": MANIFEST_FORMAT, "set": name, "lab": "0", "begun": begun, "series": name, "version": 1,
            "subject": "", "patches": [], "tree": "", "base": "", "base_commit": "", "kernel": "", "profiles": [],
            "options": {"runs": 1, "most_runs": 1, "confidence": 0.95, "seconds": null, "seed": 1, "each": false,
                "no_sandbox": false, "cores": 1},
            "argv": [], "host": {"kernel": "", "cpus": 1, "memory_mib": 1, "accel": "tcg", "accel_reason": "",
                "tools": []},
        });
        fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    }

    #[test]
    fn a_run_is_found_by_set_by_folder_and_by_its_name_alone() {
        let results = tempfile::tempdir().unwrap();
        let results = results.path();
        set(results, "one-v1", "2026-01-02T00:00:00Z", "rt-0001-01");
        set(results, "two-v1", "2026-01-01T00:00:00Z", "rt-0001-01");
        let check = |name: &str, wanted: &str| {
            let found = find_run(results, name).unwrap();
            let set = found.set.map(|set| set.manifest().set.clone());
            assert_eq!(
                (set.as_deref(), &*found.id),
                (Some(wanted), "rt-0001-01"),
                "{name}"
            );
        };
        check("two/rt-0001-01", "two-v1");
        check("rt-0001-01", "one-v1");
        let folder = results.join("two-v1/runs/rt-0001-01");
        check(&folder.display().to_string(), "two-v1");
        for absent in ["one/rt-9", "rt-9", "three/rt-0001-01"] {
            let error = find_run(results, absent).unwrap_err();
            assert_eq!(error.exit(), crate::exit::Exit::Usage, "{absent}");
        }
    }

    #[test]
    fn a_boot_of_no_set_is_found_by_its_folder() {
        let results = tempfile::tempdir().unwrap();
        let folder = results.path().join("score/boots/rt-01");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("job.json"), "{}").unwrap();
        let found = find_run(results.path(), &folder.display().to_string()).unwrap();
        assert!(found.set.is_none());
        assert_eq!(found.id, "rt-01");
    }
}
