// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recognises a patch that the tree already has: it can be taken back out of it.

use super::edit;
use super::fault::Halt;
use super::patch::{apply_patch, named};
use super::store::Store;
use crate::error::Result;
use git2::Oid;
use lab_core::series::{Body, Change, FilePatch, Hunk, LineKind, Patch};

/// Whether all that `patch` does is in the tree `root`.
pub(super) fn already(store: &mut Store<'_>, root: Oid, patch: &Patch) -> Result<bool> {
    let mut text = patch.clone();
    let (binary, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut text.files)
        .into_iter()
        .partition(|file| matches!(file.body, Body::Binary { .. }));
    for file in &binary {
        if !has_binary(store, root, file)? {
            return Ok(false);
        }
    }
    text.files = rest.into_iter().rev().map(reversed).collect();
    if text.files.is_empty() {
        return Ok(!binary.is_empty());
    }
    match apply_patch(store, root, &text) {
        Ok(made) => Ok(made.files.iter().all(|file| file.merged_over.is_none())),
        Err(Halt::Fault(_)) => Ok(false),
        Err(Halt::Error(error)) => Err(error),
    }
}

fn has_binary(store: &mut Store<'_>, root: Oid, file: &FilePatch) -> Result<bool> {
    let find = |store: &mut Store<'_>, path: &Option<String>| match path {
        Some(path) => match edit::find(store, root, path) {
            Ok(leaf) => Ok(leaf),
            Err(Halt::Fault(_)) => Ok(None),
            Err(Halt::Error(error)) => Err(error),
        },
        None => Ok(None),
    };
    let there = find(store, &file.new_path)?;
    Ok(match (file.change, there, &file.blobs) {
        (Change::Delete, ..) => find(store, &file.old_path)?.is_none(),
        (_, Some((_, id)), Some((_, to))) => named(to, id),
        _ => false,
    })
}

/// The patch that takes this one back. A copy goes back by deleting the copy, if it is still as it was made.
fn reversed(mut file: FilePatch) -> FilePatch {
    std::mem::swap(&mut file.old_path, &mut file.new_path);
    std::mem::swap(&mut file.old_mode, &mut file.new_mode);
    // Without blobs nothing is merged: the question is what is there, not what could be.
    file.blobs = None;
    file.change = match file.change {
        Change::Add => Change::Delete,
        Change::Delete => Change::Add,
        Change::Copy => Change::Rename,
        change => change,
    };
    if let Body::Text(hunks) = &mut file.body {
        hunks.iter_mut().for_each(reverse);
    }
    file
}

fn reverse(hunk: &mut Hunk) {
    std::mem::swap(&mut hunk.old_start, &mut hunk.new_start);
    std::mem::swap(&mut hunk.old_lines, &mut hunk.new_lines);
    for line in &mut hunk.lines {
        line.kind = match line.kind {
            LineKind::Context => LineKind::Context,
            LineKind::Remove => LineKind::Add,
            LineKind::Add => LineKind::Remove,
        };
    }
}
