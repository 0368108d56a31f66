// SPDX-License-Identifier: MIT OR Apache-2.0
//! Folders: a quilt stack, a maildir, or files of format-patch.

use super::{file, refused};
use crate::error::{Doing, Error, Result};
use lab_core::series::{
    ReadOptions, Series, limits::MAX_MAILS, limits::MAX_SERIES_BYTES, read_mails, read_quilt,
};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

/// Reads whichever of the three kinds this folder is.
pub(super) fn read(path: &Path, options: &ReadOptions) -> Result<Series> {
    let source = absolute(path);
    if path.join("series").is_file() {
        return quilt(path, &source, options);
    }
    let files = if path.join("cur").is_dir() && path.join("new").is_dir() {
        let mut files = list(&path.join("cur"))?;
        files.extend(list(&path.join("new"))?);
        files
    } else {
        list(path)?
            .into_iter()
            .filter(|file| looks_like_patch(file))
            .collect()
    };
    if files.is_empty() {
        let told = format!("no patches in the folder {}", path.display());
        return Err(Error::usage(told)
            .hint("it needs *.patch, *.eml or *.mbox files, a maildir, or a quilt `series` file"));
    }
    let mut mails = Vec::new();
    let mut total = 0usize;
    for path in files {
        let bytes = file::open(&path)?;
        total = total.saturating_add(bytes.len());
        if total > MAX_SERIES_BYTES {
            return Err(Error::usage(format!(
                "its files hold more than {} MiB",
                MAX_SERIES_BYTES >> 20
            )));
        }
        mails.push((path.display().to_string(), bytes));
    }
    read_mails(mails, &source, options).map_err(refused)
}

/// `.` and `v2` name a series by the folders above them.
fn absolute(path: &Path) -> String {
    path.canonicalize()
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

/// The folder's files by name.
fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let doing = || format!("list {}", path.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).doing(doing)? {
        let file = entry.doing(doing)?.path();
        if file.is_file() {
            files.push(file);
        }
        if files.len() > MAX_MAILS {
            return Err(Error::usage(format!(
                "more than {MAX_MAILS} files in {}",
                path.display()
            )));
        }
    }
    files.sort();
    Ok(files)
}

fn looks_like_patch(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("");
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let known = [".patch", ".diff", ".eml", ".mbox", ".mbx"]
        .iter()
        .any(|end| name.ends_with(end));
    let numbered = name.len() > 5
        && name.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && name.as_bytes()[4] == b'-';
    !name.starts_with('.')
        && (known || numbered && !name.ends_with('~') && !name.ends_with(".orig"))
}

/// Reads a quilt stack; its patches have to lie inside the folder, whatever links say.
fn quilt(path: &Path, source: &str, options: &ReadOptions) -> Result<Series> {
    let stack = file::open(&path.join("series"))?;
    let stack = String::from_utf8_lossy(&stack);
    let home = path
        .canonicalize()
        .doing(|| format!("look into {}", path.display()))?;
    let failed = RefCell::new(None);
    let total = Cell::new(0usize);
    let lookup = |name: &str| {
        let file = home
            .join(name)
            .canonicalize()
            .ok()
            .filter(|file| file.starts_with(&home) && file.is_file())?;
        if total.get() > MAX_SERIES_BYTES {
            return None;
        }
        let bytes = file::open(&file)
            .map_err(|error| failed.replace(Some(error)))
            .ok()?;
        total.set(total.get().saturating_add(bytes.len()));
        Some(bytes)
    };
    let series = read_quilt(&stack, source, lookup, options);
    match failed.into_inner() {
        Some(error) => Err(error),
        None => series.map_err(refused),
    }
}
