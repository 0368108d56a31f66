// SPDX-License-Identifier: MIT OR Apache-2.0
//! Removing what the plan says. Whatever could have changed since the look is looked at again first.

use super::plan::{Decision, Fate, Kind};
use super::{GONE, KEEP, is_locked, look};
use crate::evidence;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Removes a thing that is to go; afterwards its fate says what really became of it.
pub(super) fn act(decision: &mut Decision) {
    if !decision.goes() {
        return;
    }
    let path = &decision.thing.path;
    let went = match decision.thing.kind {
        Kind::Kernel => kernel(path),
        Kind::Slot => locked_folder(path, "lock", || Ok(())),
        Kind::Dump => dump(path),
        Kind::Leftover | Kind::Image | Kind::Control => remove(path).map_err(failed),
    };
    if let Err(fate) = went {
        decision.fate = fate;
    }
}

fn failed(error: std::io::Error) -> Fate {
    Fate::Failed(error.to_string())
}

fn held<T>(why: impl Into<String>) -> Result<T, Fate> {
    Err(Fate::Held(why.into()))
}

/// A kernel goes only if nobody has begun to run or to need it meanwhile, and all dumps of it are really gone.
fn kernel(path: &Path) -> Result<(), Fate> {
    locked_folder(path, look::USED, || {
        let folders = evidence::pins(path);
        if let Some(dump) = folders.iter().flat_map(|f| evidence::dumps_in(f)).next() {
            return held(format!("{} was made of it", dump.display()));
        }
        look::pinned_otherwise(path).map_or(Ok(()), held)
    })
}

/// Removes a folder whose users lock a file in it, under that lock.
fn locked_folder(path: &Path, lock: &str, may: impl Fn() -> Result<(), Fate>) -> Result<(), Fate> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let file = match options.open(path.join(lock)) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    let Ok(_lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        return held("it is in use");
    };
    may()?;
    let gone = aside(path);
    match fs::rename(path, &gone) {
        Ok(()) => remove(&gone).map_err(failed),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

/// The name under which nobody looks for it any more. One that is taken is a leftover of the same thing.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free = (0..).map(|n| path.with_file_name(format!("{GONE}{n}-{name}")));
    free.into_iter()
        .find(|to| fs::symlink_metadata(to).is_err())
        .unwrap_or_else(|| path.to_owned())
}

/// A dump of a set that somebody has begun to keep or to work on stays.
fn dump(path: &Path) -> Result<(), Fate> {
    let run = path.parent().unwrap_or(Path::new("/"));
    let set = run.ancestors().nth(2).unwrap_or(run);
    if set.join(KEEP).exists() {
        return held("its set is marked keep");
    }
    if is_locked(&run.join(".lock")) || is_locked(&set.join(".lock")) {
        return held("it is in use");
    }
    remove(path).map_err(failed)
}

/// Removes a file, or a folder with all in it; what is gone already is gone.
fn remove(path: &Path) -> std::io::Result<()> {
    let is_folder = fs::symlink_metadata(path).map(|m| m.is_dir());
    let removed = match is_folder {
        Ok(true) => fs::remove_dir_all(path),
        Ok(false) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
