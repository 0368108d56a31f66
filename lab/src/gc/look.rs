// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is: kernels, work folders, images, controls, dumps, and what killed labs left; with their sizes, their last
//! use, and who holds them.

use super::plan::{Kind, Thing};
use super::{GONE, KEEP, Places, is_locked, is_shared};
use crate::error::{Doing, Result};
use crate::evidence::{dumps_in, pins};
use crate::store::file;
use lab_core::job::{BootJob, BuildReport, Job, Work};
use lab_core::verdict::RunRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// In a kernel's folder: changed when the kernel is used, locked while it runs.
pub(super) const USED: &str = "used";
/// Temporary files that are older belong to nobody.
const ABANDONED: Duration = Duration::from_secs(3600);
/// A score that wrote nothing for this long does not run any more. It holds no lock.
const SCORE_RUNS: Duration = Duration::from_secs(24 * 3600);
/// How temporary files and folders begin.
const TEMPORARY: [&str; 3] = [".new-", ".import-", ".tmp"];

/// Everything that could be freed.
pub(super) fn look(places: &Places, now: SystemTime) -> Result<Vec<Thing>> {
    // A cache that cannot be read would seem empty, and its kernels' controls orphans.
    match fs::read_dir(places.cache.join("kernels")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).doing(|| format!("read {}", places.cache.display()));
        }
        _ => {}
    }
    let sets: Vec<SetAt> = entries(&places.results)
        .iter()
        .map(|at| SetAt::of(at, now))
        .collect();
    let mut holders = Holders::default();
    sets.iter().for_each(|set| holders.add(set));
    let look = Look {
        places,
        now,
        holders,
    };
    let mut things = look.kernels();
    things.extend(look.slots());
    things.extend(look.images());
    things.extend(look.controls());
    things.extend(look.leftovers_of_cache());
    for set in &sets {
        look.of_set(set, &mut things);
    }
    Ok(things)
}

/// A folder of results: a set, or a score.
struct SetAt {
    folder: PathBuf,
    held: Option<String>,
}

impl SetAt {
    fn of(folder: &Path, now: SystemTime) -> Self {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let kept = || {
            folder
                .join(KEEP)
                .exists()
                .then(|| format!("{name} is marked keep"))
        };
        let used = || is_locked(&folder.join(".lock")).then(|| format!("a lab works on {name}"));
        let scored = || {
            let unfinished = name.starts_with("score-") && !folder.join("score.json").exists();
            let runs = modified(&folder.join("runs")).max(modified(&folder.join("builds")));
            (unfinished && age(now, runs) < SCORE_RUNS).then(|| format!("{name} may still run"))
        };
        Self {
            held: kept().or_else(used).or_else(scored),
            folder: folder.to_owned(),
        }
    }
}

/// Who must not lose what.
#[derive(Default)]
struct Holders {
    /// Names of kernels (keys), with the reason.
    kernels: BTreeMap<String, String>,
    /// Beginnings of names of images, with the reason.
    images: BTreeMap<String, String>,
}

impl Holders {
    /// All kernels and disks that a held set was made with.
    fn add(&mut self, set: &SetAt) {
        let Some(why) = &set.held else { return };
        let kernels = kernels_of(&set.folder).into_iter();
        self.kernels.extend(kernels.map(|key| (key, why.clone())));
        for disk in boots_of(&set.folder)
            .into_iter()
            .flat_map(|boot| boot.machine.disks)
        {
            let fs = disk.fs.as_deref().unwrap_or("empty");
            let begin = format!("{fs}-{}M-", disk.mib);
            self.images.insert(begin, why.clone());
        }
    }
}

/// Keys of all kernels that a set has built or booted.
pub(super) fn kernels_of(set: &Path) -> BTreeSet<String> {
    let report = |build: PathBuf| file::read_json::<BuildReport>(&build.join("build.json")).ok()?;
    let built = entries(&set.join("builds")).into_iter().filter_map(report);
    let key = |boot: BootJob| Some(boot.kernel.file_name()?.to_string_lossy().into_owned());
    let booted = boots_of(set).into_iter().filter_map(key);
    // A build that failed before it had a key has an empty one.
    let keys = built.map(|report| report.key).chain(booted);
    keys.filter(|key| !key.is_empty()).collect()
}

/// Folders of the boots of a set or score, and of its replays.
fn runs_of(set: &Path) -> Vec<PathBuf> {
    let below = |name: &str| entries(&set.join(name));
    [below("runs"), below("replays")].concat()
}

fn boots_of(set: &Path) -> Vec<BootJob> {
    let boot = |run: PathBuf| match file::read_json::<Job>(&run.join("job.json")) {
        Ok(Some(job)) => match job.work {
            Work::Boot(boot) => Some(boot),
            Work::Build(_) => None,
        },
        _ => None,
    };
    runs_of(set).into_iter().filter_map(boot).collect()
}

struct Look<'a> {
    places: &'a Places,
    now: SystemTime,
    holders: Holders,
}

impl Look<'_> {
    fn kernels(&self) -> Vec<Thing> {
        let all = visible(&self.places.cache.join("kernels")).into_iter();
        let thing = |path: PathBuf| Thing {
            bytes: size(&path),
            used: modified(&path.join(USED)).max(modified(&path.join("known.json"))),
            held: self.kernel_held(&path),
            dumps: pins(&path)
                .iter()
                .flat_map(|folder| dumps_in(folder))
                .collect(),
            ..blank(Kind::Kernel, path)
        };
        all.map(thing).collect()
    }

    fn kernel_held(&self, kernel: &Path) -> Option<String> {
        if is_shared(&kernel.join(USED)) {
            return Some("it runs".into());
        }
        let key = kernel.file_name()?.to_str()?;
        let by_set = self.holders.kernels.get(key).cloned();
        by_set.or_else(|| pinned_otherwise(kernel))
    }

    fn slots(&self) -> Vec<Thing> {
        let all = visible(&self.places.cache.join("slots")).into_iter();
        let thing = |path: PathBuf| {
            let busy = is_locked(&path.join("lock"));
            Thing {
                // A folder in which make is at work changes under the hand that counts.
                bytes: size(&path),
                used: modified(&path.join("state.json")).max(modified(&path.join("making"))),
                held: busy.then(|| "a kernel is being built there".into()),
                ..blank(Kind::Slot, path)
            }
        };
        all.map(thing).collect()
    }

    fn images(&self) -> Vec<Thing> {
        let all = visible(&self.places.cache.join("images")).into_iter();
        let thing = |path: PathBuf| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let held = self
                .holders
                .images
                .iter()
                .find(|(begin, _)| name.starts_with(*begin));
            Thing {
                bytes: size(&path),
                used: modified(&path),
                held: held.map(|(_, why)| why.clone()),
                ..blank(Kind::Image, path)
            }
        };
        all.map(thing).collect()
    }

    fn controls(&self) -> Vec<Thing> {
        let all = visible(&self.places.cache.join("controls")).into_iter();
        let thing = |path: PathBuf| {
            let records = file::read_lines::<RunRecord>(&path);
            let keys: BTreeSet<String> = (records.map(|(all, _)| all).unwrap_or_default())
                .into_iter()
                .map(|record| record.key)
                .collect();
            let kernels = self.places.cache.join("kernels");
            Thing {
                bytes: size(&path),
                used: modified(&path),
                of: keys.iter().map(|key| kernels.join(key)).collect(),
                ..blank(Kind::Control, path)
            }
        };
        all.map(thing).collect()
    }

    fn leftovers_of_cache(&self) -> Vec<Thing> {
        let folders = ["", "kernels", "slots", "images", "controls", "trees"];
        let folders = folders.map(|name| self.places.cache.join(name));
        folders
            .iter()
            .flat_map(|folder| self.leftovers(folder))
            .collect()
    }

    /// What is being removed (by a lab that was killed: this one is alone), and temporary files that are old.
    fn leftovers(&self, folder: &Path) -> Vec<Thing> {
        let is = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let temporary = TEMPORARY.iter().any(|begin| name.starts_with(begin))
                || name.starts_with('.') && name.ends_with(".new");
            name.starts_with(GONE) || temporary && age(self.now, modified(path)) > ABANDONED
        };
        let thing = |path: PathBuf| Thing {
            bytes: size(&path),
            used: modified(&path),
            ..blank(Kind::Leftover, path)
        };
        entries(folder).into_iter().filter(is).map(thing).collect()
    }

    /// Dumps and leftovers of a set.
    fn of_set(&self, set: &SetAt, things: &mut Vec<Thing>) {
        let mut mine = self.leftovers(&set.folder);
        for run in runs_of(&set.folder) {
            mine.extend(self.leftovers(&run));
            let busy = is_locked(&run.join(".lock")).then(|| "its boot still runs".to_owned());
            mine.extend(dumps_in(&run).into_iter().map(|path| Thing {
                bytes: size(&path),
                used: modified(&path),
                held: busy.clone(),
                ..blank(Kind::Dump, path)
            }));
        }
        for thing in &mut mine {
            thing.held = set.held.clone().or(thing.held.take());
        }
        things.extend(mine);
    }
}

fn blank(kind: Kind, path: PathBuf) -> Thing {
    Thing {
        kind,
        path,
        bytes: 0,
        used: SystemTime::UNIX_EPOCH,
        held: None,
        dumps: Vec::new(),
        of: Vec::new(),
    }
}

/// Needed by something that is no dump in plain sight: a set marked keep, wherever it lies, or a folder that cannot be
/// looked into.
pub(super) fn pinned_otherwise(kernel: &Path) -> Option<String> {
    pins(kernel).into_iter().find_map(|folder| {
        // The folder is a run's, or a set's own.
        let set = folder.ancestors().nth(2).unwrap_or(&folder);
        if let Some(kept) = [&folder, set].into_iter().find(|f| f.join(KEEP).exists()) {
            return Some(format!("{} is marked keep", kept.display()));
        }
        match fs::read_dir(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Some(format!("{} may hold a dump of it: {e}", folder.display()))
            }
            _ => None,
        }
    })
}

/// Entries of a folder, sorted; none where it cannot be read.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = all.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Those that are not hidden.
fn visible(folder: &Path) -> Vec<PathBuf> {
    let hidden = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."))
    };
    entries(folder)
        .into_iter()
        .filter(|path| !hidden(path))
        .collect()
}

/// Bytes on the disk of a file, or of a folder with all in it. Links are not followed; what vanishes is nothing.
fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    let own = metadata.blocks() * 512;
    match metadata.is_dir() {
        true => own + entries(path).iter().map(|entry| size(entry)).sum::<u64>(),
        false => own,
    }
}

fn modified(path: &Path) -> SystemTime {
    let time = fs::symlink_metadata(path).and_then(|m| m.modified());
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

fn age(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}
