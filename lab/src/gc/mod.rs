// SPDX-License-Identifier: MIT OR Apache-2.0
//! Space: what may be freed of the cache and of the dumps, by policy, and what never.
//!
//! ```text
//! look (what there is, how large, last used, who holds it) ─> plan (a value: what goes, and why) ─> act
//! ```
//! Dumps go first, for a kernel is needed as long as a dump of it exists. What is freed is first renamed to `.gone-…`, so
//! that nobody finds half of it, and so that the next time finishes what a kill left.

mod act;
pub mod keep;
mod look;
mod plan;
#[cfg(test)]
mod tests;
mod text;

pub use plan::{Decision, Fate, Kind, Policy, Thing};
pub use text::text;

use crate::error::{Doing, Error, Result};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// In a set's folder: nothing that the set needs is freed.
pub const KEEP: &str = "keep";
/// Begins the name of what is being removed.
const GONE: &str = ".gone-";

/// Where there may be something to free.
#[derive(Debug, Clone)]
pub struct Places {
    /// Folder of the cache.
    pub cache: PathBuf,
    /// Folder of results.
    pub results: PathBuf,
}

/// Frees by policy, or with `dry` only says what would be freed.
///
/// # Errors
/// When another lab frees in the same cache, or the cache cannot be read. What cannot be removed is no error: it is
/// told in its place, and the rest goes on.
pub fn run(places: &Places, policy: &Policy, now: SystemTime, dry: bool) -> Result<Vec<Decision>> {
    let _alone = if dry { None } else { alone(&places.cache)? };
    let mut decisions = plan::plan(look::look(places, now)?, policy, now);
    if !dry {
        decisions.iter_mut().for_each(act::act);
    }
    Ok(decisions)
}

fn alone(cache: &Path) -> Result<Option<Flock<File>>> {
    let path = cache.join("gc.lock");
    if !cache.is_dir() {
        return Ok(None);
    }
    let file = File::create(&path).doing(|| format!("make {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => {
            let words = format!("another lab frees space in {}", cache.display());
            Err(Error::usage(words).hint("wait for it"))
        }
        Err((_, errno)) => {
            Err(std::io::Error::from(errno)).doing(|| format!("lock {}", path.display()))
        }
    }
}

/// Work folders of the cache in which a kernel is being built.
pub fn busy_slots(cache: &Path) -> Vec<PathBuf> {
    let slots = look::entries(&cache.join("slots"));
    let busy = |slot: &PathBuf| is_locked(&slot.join("lock"));
    slots.into_iter().filter(busy).collect()
}

/// Somebody holds the lock of this file alone. The look itself holds a shared lock, for a moment.
fn is_locked(path: &Path) -> bool {
    refuses(path, FlockArg::LockSharedNonblock)
}

/// Somebody shares the lock of this file, as boots share their kernel's. They wait while this looks.
fn is_shared(path: &Path) -> bool {
    refuses(path, FlockArg::LockExclusiveNonblock)
}

fn refuses(path: &Path, how: FlockArg) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let asked = Flock::lock(file, how);
    matches!(asked, Err((_, Errno::EWOULDBLOCK)))
}

/// Notes that a kernel is used now, and keeps it from being freed as long as the answer lives. A cache that cannot be
/// written to is none of which anything is freed.
pub fn hold_kernel(kernel: &Path) -> Option<Flock<File>> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let file = options.open(kernel.join(look::USED)).ok()?;
    let _old = file.set_modified(SystemTime::now());
    Flock::lock(file, FlockArg::LockShared).ok()
}
