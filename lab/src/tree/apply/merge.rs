// SPDX-License-Identifier: MIT OR Apache-2.0
//! A hunk that does not fit: merge over the blob that the mail was made from, where the tree has it.

use super::fault::Attempt;
use super::patch::named;
use super::store::Store;
use crate::tree::pack::{Kind, object_id};
use git2::{MergeFileInput, MergeFileOptions, Oid, merge_file};
use lab_core::apply::apply_hunks;
use lab_core::series::{Change, FilePatch, Hunk};

/// The merged content with the blob it was merged over, or why there is none, for people.
pub(super) fn merge(
    store: &mut Store<'_>,
    file: &FilePatch,
    hunks: &[Hunk],
    ours: &[u8],
) -> Attempt<Result<(Vec<u8>, Oid), String>> {
    if matches!(file.change, Change::Add | Change::Delete) {
        return Ok(Err("a file made or deleted is not merged".to_owned()));
    }
    let Some((from, to)) = &file.blobs else {
        return Ok(Err("no merge: the patch has no index line".to_owned()));
    };
    let Some(base_id) = store.find_blob(from) else {
        return Ok(Err(format!("no merge: the tree has no blob {from}")));
    };
    let base = store.blob(base_id)?;
    let Ok(theirs) = apply_hunks(&base, hunks) else {
        return Ok(Err(format!(
            "no merge: it does not even fit blob {from}, from which it was made"
        )));
    };
    if !named(to, object_id(Kind::Blob, &theirs.content)?) {
        return Ok(Err(format!(
            "no merge: on blob {from} it does not give blob {to}"
        )));
    }
    let merged = three_way(&base, ours, &theirs.content)?;
    Ok(match merged {
        None => Err(format!("the merge over blob {from} has conflicts")),
        Some(merged) if merged == ours => Err(format!(
            "the merge over blob {from} changes nothing: all of it is there"
        )),
        Some(merged) => Ok((merged, base_id)),
    })
}

fn three_way(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Option<Vec<u8>>, git2::Error> {
    fn input(content: &[u8]) -> MergeFileInput<'_> {
        let mut input = MergeFileInput::new();
        input.content(content).path("file");
        input
    }
    let mut options = MergeFileOptions::new();
    let merged = merge_file(
        &input(base),
        &input(ours),
        &input(theirs),
        Some(&mut options),
    )?;
    Ok(merged.is_automergeable().then(|| merged.content().to_vec()))
}
