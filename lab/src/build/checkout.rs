// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tree's files in a folder, changed by difference: what does not change keeps its time, so make rebuilds what
//! it must and nothing else.

use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use git2::{Delta, DiffOptions, ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

const LINK: i32 = 0o120_000;
const EXECUTABLE: i32 = 0o100_755;
const SUBMODULE: i32 = 0o160_000;

/// What an update did.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Files written.
    pub(super) written: usize,
    /// Files removed.
    #[cfg(test)]
    pub(super) removed: usize,
    /// A file that decides about configuration changed.
    pub(super) kconfig: bool,
}

struct Entry {
    path: PathBuf,
    blob: Oid,
    mode: i32,
}

/// Brings `src` to the tree `to`. With `from`, which the folder is known to hold, only what differs between the two
/// trees is touched; without it everything is compared with what is there, and only what differs is written.
pub(super) fn update(
    repository: &Path,
    src: &Path,
    from: Option<Oid>,
    to: Oid,
    stop: &Stop,
) -> Result<Changes> {
    let repo = Repository::open(repository)
        .doing(|| format!("open the repository {}", repository.display()))?;
    fs::create_dir_all(src).doing(|| format!("make {}", src.display()))?;
    let (gone, entries) = match from {
        Some(from) => difference(&repo, from, to)?,
        None => everything(&repo, src, to)?,
    };
    let mut changes = Changes {
        kconfig: from.is_none() || gone.iter().any(|path| decides_config(path)),
        #[cfg(test)]
        removed: gone.len(),
        written: 0,
    };
    for path in &gone {
        remove(src, path).doing(|| format!("remove {}", path.display()))?;
    }
    changes.kconfig |= entries.iter().any(|entry| decides_config(&entry.path));
    changes.written = write_all(repository, src, &entries, from.is_none(), stop)?;
    Ok(changes)
}

/// Kconfig files, and what they run: `$(shell …)` and `$(cc-option …)` live below scripts/.
fn decides_config(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.starts_with(b"Kconfig")
        || path == Path::new("Makefile")
        || path.starts_with("scripts")
        || (path.starts_with("arch") && name == b"Makefile")
}

fn difference(repo: &Repository, from: Oid, to: Oid) -> Result<(Vec<PathBuf>, Vec<Entry>)> {
    let (from, to) = (repo.find_tree(from)?, repo.find_tree(to)?);
    let mut options = DiffOptions::new();
    options.include_typechange(true).skip_binary_check(true);
    let diff = repo.diff_tree_to_tree(Some(&from), Some(&to), Some(&mut options))?;
    let (mut gone, mut entries) = (Vec::new(), Vec::new());
    for delta in diff.deltas() {
        let side = match delta.status() {
            Delta::Deleted => delta.old_file(),
            _ => delta.new_file(),
        };
        let path = safe(side.path_bytes().unwrap_or_default())?;
        let mode = i32::from(side.mode());
        match delta.status() {
            Delta::Deleted => gone.push(path),
            _ if mode == SUBMODULE => {}
            _ => entries.push(Entry {
                path,
                blob: side.id(),
                mode,
            }),
        }
    }
    Ok((gone, entries))
}

fn everything(repo: &Repository, src: &Path, to: Oid) -> Result<(Vec<PathBuf>, Vec<Entry>)> {
    let mut entries = Vec::new();
    let mut trouble = None;
    repo.find_tree(to)?
        .walk(TreeWalkMode::PreOrder, |folder, entry| {
            if entry.kind() != Some(ObjectType::Blob) {
                return TreeWalkResult::Ok;
            }
            let path = [folder.as_bytes(), entry.name_bytes()].concat();
            match safe(&path) {
                Ok(path) => entries.push(Entry {
                    path,
                    blob: entry.id(),
                    mode: entry.filemode(),
                }),
                Err(error) => {
                    trouble = Some(error);
                    return TreeWalkResult::Abort;
                }
            }
            TreeWalkResult::Ok
        })
        .or_else(|error| {
            if trouble.is_some() {
                Ok(())
            } else {
                Err(error)
            }
        })?;
    if let Some(error) = trouble {
        return Err(error);
    }
    let wanted: HashSet<&Path> = entries.iter().map(|entry| entry.path.as_path()).collect();
    let mut gone = Vec::new();
    strangers(src, Path::new(""), &wanted, &mut gone)?;
    Ok((gone, entries))
}

/// Files that are there and not wanted. Links are not followed.
fn strangers(
    root: &Path,
    folder: &Path,
    wanted: &HashSet<&Path>,
    gone: &mut Vec<PathBuf>,
) -> Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => strangers(root, &path, wanted, gone)?,
            false if !wanted.contains(path.as_path()) => gone.push(path),
            false => {}
        }
    }
    Ok(())
}

/// A path that stays where it belongs.
fn safe(bytes: &[u8]) -> Result<PathBuf> {
    let path = Path::new(OsStr::from_bytes(bytes));
    let plain = |part: Component<'_>| match part {
        Component::Normal(part) => !part.as_bytes().eq_ignore_ascii_case(b".git"),
        _ => false,
    };
    if bytes.is_empty() || bytes.contains(&0) || !path.components().all(plain) {
        let words = format!(
            "the tree holds the path `{}`, which the lab does not write",
            path.display()
        );
        return Err(Error::rig(words));
    }
    Ok(path.to_owned())
}

/// Removes a file and the folders below `src` that this leaves empty.
fn remove(src: &Path, path: &Path) -> std::io::Result<()> {
    match fs::remove_file(src.join(path)) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(error);
        }
        _ => {}
    }
    let above = path
        .ancestors()
        .skip(1)
        .filter(|folder| !folder.as_os_str().is_empty());
    for folder in above {
        if fs::remove_dir(src.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}

/// Writes entries on all cores; with `compare`, those that are there already are left alone.
fn write_all(
    repository: &Path,
    src: &Path,
    entries: &[Entry],
    compare: bool,
    stop: &Stop,
) -> Result<usize> {
    // Folders first and by one hand, so that no two threads meet over one.
    let mut ready = HashSet::new();
    for entry in entries {
        make_parents(src, entry.path.parent(), &mut ready)?;
    }
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = workers.min(entries.len().div_ceil(64)).max(1);
    let work = || -> Result<usize> {
        let repo = Repository::open(repository)?;
        let mut written = 0;
        loop {
            let from = next.fetch_add(64, Ordering::Relaxed);
            let Some(part) = entries.get(from..entries.len().min(from + 64)) else {
                return Ok(written);
            };
            if part.is_empty() {
                return Ok(written);
            }
            if stop.level() > Level::Run {
                return Err(Error::interrupted());
            }
            for entry in part {
                let path = src.join(&entry.path);
                if !(compare && holds(&path, entry)) {
                    write(&repo, &path, entry)
                        .map_err(|error| error.doing(format!("write {}", path.display())))?;
                    written += 1;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| {
            let panicked = |_| Err(Error::internal("a thread of the checkout panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        joined.sum()
    })
}

/// Makes the folders above a file, each a real one: a link or file in the way goes.
fn make_parents<'a>(
    src: &Path,
    parent: Option<&'a Path>,
    ready: &mut HashSet<&'a Path>,
) -> Result<()> {
    let Some(parent) = parent.filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(());
    };
    if !ready.insert(parent) {
        return Ok(());
    }
    make_parents(src, parent.parent(), ready)?;
    let path = src.join(parent);
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => fs::remove_file(&path)?,
        Err(_) => {}
    }
    fs::create_dir(&path).doing(|| format!("make {}", path.display()))
}

/// Whether the file is there as it should be: kind, mode and content.
fn holds(path: &Path, entry: &Entry) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return false;
    };
    let content = match entry.mode {
        LINK if metadata.is_symlink() => {
            fs::read_link(path).map(|target| target.as_os_str().as_bytes().to_vec())
        }
        LINK => return false,
        mode => {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            if !metadata.is_file() || executable != (mode == EXECUTABLE) {
                return false;
            }
            fs::read(path)
        }
    };
    let hash = content
        .ok()
        .and_then(|bytes| Oid::hash_object(ObjectType::Blob, &bytes).ok());
    hash == Some(entry.blob)
}

fn write(repo: &Repository, path: &Path, entry: &Entry) -> Result<()> {
    let blob = repo.find_blob(entry.blob)?;
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path)?,
        Ok(_) => fs::remove_file(path)?,
        Err(_) => {}
    }
    if entry.mode == LINK {
        symlink(OsStr::from_bytes(blob.content()), path)?;
        return Ok(());
    }
    let mode = if entry.mode == EXECUTABLE {
        0o755
    } else {
        0o644
    };
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(blob.content())?;
    Ok(())
}

#[cfg(test)]
mod tests;
