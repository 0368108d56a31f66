// SPDX-License-Identifier: MIT OR Apache-2.0
//! Work folders: `CACHE/slots/PROFILE-CONFIG/{src,out,state.json}`, one user at a time.
//!
//! When the folder of a configuration is taken, another is opened beside it as long as the machine has cores for
//! more makes at once; beyond that the lab waits, because a first build costs more than the wait.

use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use crate::store::file;
use lab_core::job::Diagnostic;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const FORMAT: u32 = 1;
/// After a reboot, what was written this long before the last make may not have reached the disk either.
const WRITEBACK: Duration = Duration::from_secs(60);

/// A work folder, locked for as long as this lives.
#[derive(Debug)]
pub(super) struct Slot {
    /// Checked-out source; make sees it read-only.
    pub(super) src: PathBuf,
    /// make's output.
    pub(super) out: PathBuf,
    /// Whole output of the last make.
    pub(super) log: PathBuf,
    /// What is known of the folders.
    pub(super) state: State,
    folder: PathBuf,
    _lock: Flock<File>,
}

/// What a slot holds. `None` and `false` are the careful answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    format: u32,
    /// The kernel's boot in which this was written: a crash of the host may have torn what came after.
    boot: String,
    /// Tree that `src` holds; absent while it is being changed.
    pub(super) tree: Option<String>,
    /// `.config` is what was asked for, for the Kconfig files of `tree`.
    pub(super) configured: bool,
    /// What the configuration lost and may lose.
    pub(super) lost: Vec<String>,
    /// make is at work, or was killed at work.
    pub(super) making: bool,
    /// Objects of the last whole build.
    pub(super) whole: Option<u32>,
    /// Objects of the last build that was not whole.
    pub(super) part: Option<u32>,
    /// Warnings by the target whose making gave them.
    pub(super) warnings: BTreeMap<String, Vec<Diagnostic>>,
}

impl Slot {
    /// Takes a work folder, waiting for one if it must.
    pub(super) async fn take(cache: &Path, name: &str, most: usize, stop: &Stop) -> Result<Self> {
        loop {
            for index in 1..=most.max(1) {
                let folder = match index {
                    1 => cache.join("slots").join(name),
                    _ => cache.join("slots").join(format!("{name}-{index}")),
                };
                if let Some(slot) = Self::try_take(folder)? {
                    return Ok(slot);
                }
            }
            if stop.level() > Level::Run {
                return Err(Error::interrupted());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn try_take(folder: PathBuf) -> Result<Option<Self>> {
        let (src, out) = (folder.join("src"), folder.join("out"));
        for path in [&src, &out] {
            fs::create_dir_all(path).doing(|| format!("make {}", path.display()))?;
        }
        let lock = File::create(folder.join("lock"))?;
        let lock = match Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => {
                let words = format!("cannot lock {}: {errno}", folder.display());
                return Err(Error::rig(words));
            }
        };
        // Whoever frees space may have taken the folder away between the opening of the lock and the locking.
        if !is_at(&lock, &folder.join("lock")) {
            return Ok(None);
        }
        let mut slot = Self {
            src,
            out,
            log: folder.join("build.log"),
            state: read_state(&folder.join("state.json")),
            folder,
            _lock: lock,
        };
        slot.heal()?;
        Ok(Some(slot))
    }

    /// Undoes what a killed make or a crashed host may have left half written.
    fn heal(&mut self) -> Result<()> {
        let crashed = self.state.boot != boot_id();
        if !(self.state.making || crashed) {
            return Ok(());
        }
        let doing = || format!("clean {}", self.out.display());
        match fs::metadata(self.marker()).and_then(|metadata| metadata.modified()) {
            Ok(begun) => {
                let margin = if crashed { WRITEBACK } else { Duration::ZERO };
                remove_since(&self.out, begun - margin).doing(doing)?;
            }
            Err(_) => {
                fs::remove_dir_all(&self.out).doing(doing)?;
                fs::create_dir(&self.out).doing(doing)?;
                self.state.whole = None;
            }
        }
        if crashed {
            self.state.tree = None;
        }
        self.state.configured = false;
        self.state.making = false;
        self.save()
    }

    /// Notes that make begins: what is newer than the marker's time was written by it.
    pub(super) fn begin_make(&mut self) -> Result<()> {
        File::create(self.marker())?.sync_all()?;
        self.state.making = true;
        self.save()
    }

    fn marker(&self) -> PathBuf {
        self.folder.join("making")
    }

    /// Stores the state.
    pub(super) fn save(&mut self) -> Result<()> {
        self.state.format = FORMAT;
        self.state.boot = boot_id();
        let bytes =
            serde_json::to_vec(&self.state).map_err(|error| Error::internal(error.to_string()))?;
        file::write(&self.folder.join("state.json"), &bytes)
    }
}

/// The state, or what is safe to assume when it is missing, torn or of another format.
fn read_state(path: &Path) -> State {
    let bytes = fs::read(path).unwrap_or_default();
    let state: State = serde_json::from_slice(&bytes).unwrap_or_default();
    match state.format == FORMAT {
        true => state,
        false => State::default(),
    }
}

/// An open file is the one of this name.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, named) = (file.metadata().map(number), fs::metadata(path).map(number));
    matches!((open, named), (Ok(open), Ok(named)) if open == named)
}

fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Removes every file and link that changed at or after a time. Links are not followed.
fn remove_since(folder: &Path, begun: SystemTime) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            remove_since(&entry.path(), begun)?;
        } else if metadata.modified()? >= begun {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
