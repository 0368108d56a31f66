// SPDX-License-Identifier: MIT OR Apache-2.0
//! The counter-check of an applied patch, by other means than those that applied it.

use super::edit::{self, Leaf};
use super::fault::{Attempt, unproven};
use super::patch::{Done, Made, text};
use super::store::Store;
use git2::{DiffOptions, Oid};
use lab_core::apply::{Proof, apply_binary, unapply_hunks};
use lab_core::series::{
    Body, Change, FilePatch, Hunk, HunkLine, LineKind, Patch, diff_id_of_files,
};
use std::collections::BTreeMap;

/// Proves that going from tree `root` to the patch's tree is what its mail says, or refuses.
pub(super) fn prove(
    store: &mut Store<'_>,
    root: Oid,
    patch: &Patch,
    made: &Made<'_>,
) -> Attempt<Proof> {
    paths(store, root, made)?;
    let merged = made.files.iter().any(|file| file.merged_over.is_some());
    for file in made.files.iter().filter(|file| file.merged_over.is_none()) {
        if !goes_back(file) {
            let why = "taking the patch back out does not give the file that was there before";
            return Err(unproven(file.path(), why));
        }
    }
    if merged {
        return Ok(Proof::Merge);
    }
    let own: Vec<FilePatch> = made.files.iter().map(rediff).collect::<Result<_, _>>()?;
    let same = diff_id_of_files(&own) == diff_id_of_files(&patch.files);
    Ok(if same { Proof::PatchId } else { Proof::Reverse })
}

/// The new tree differs from the old one in the paths of the patch, by what the patch made, and in nothing else.
fn paths(store: &mut Store<'_>, root: Oid, made: &Made<'_>) -> Attempt<()> {
    let changed = edit::compare(store, root, made.tree)?;
    let after: BTreeMap<&str, Option<Leaf>> = changed
        .iter()
        .map(|(path, (_, after))| (path.as_str(), *after))
        .collect();
    for (path, leaf) in &made.edits {
        match after.get(path.as_str()) {
            Some(there) if there == leaf => {}
            Some(_) => return Err(unproven(path, "the tree has another file there")),
            None => return Err(unproven(path, "the patch leaves it as it was")),
        }
    }
    match after.keys().find(|path| !made.edits.contains_key(**path)) {
        Some(path) => Err(unproven(path, "it changed, and the patch does not name it")),
        None => Ok(()),
    }
}

/// Whether the patch, taken back out of the new content, gives the old one byte for byte.
fn goes_back(file: &Done<'_>) -> bool {
    match &file.patch.body {
        Body::Text(hunks) => {
            unapply_hunks(&file.new, hunks, &file.places).as_deref() == Some(&*file.old)
        }
        // Both blob ids were compared when it was applied.
        Body::Binary { reverse, .. } => reverse
            .as_ref()
            .is_none_or(|reverse| apply_binary(&file.new, reverse).as_deref() == Ok(&*file.old)),
    }
}

/// The diff of what was really made.
fn rediff(file: &Done<'_>) -> Result<FilePatch, git2::Error> {
    let mut own = file.patch.clone();
    own.old_mode = file.old_mode;
    own.new_mode = file.new_mode;
    if let Some(hunks) = text(file.patch) {
        own.body = Body::Text(diff(
            &file.old,
            &file.new,
            context(hunks, file.patch.change),
        )?);
    }
    Ok(own)
}

/// Lines of context that the mail's diff was made with.
fn context(hunks: &[Hunk], change: Change) -> u32 {
    let is_context = |line: &&HunkLine| line.kind == LineKind::Context;
    let widest = hunks.iter().map(|hunk| {
        let before = hunk.lines.iter().take_while(is_context).count();
        let after = hunk.lines.iter().rev().take_while(is_context).count();
        before.max(after)
    });
    match change {
        Change::Add | Change::Delete => 3,
        _ => widest.max().unwrap_or(3) as u32,
    }
}

fn diff(old: &[u8], new: &[u8], context: u32) -> Result<Vec<Hunk>, git2::Error> {
    let mut options = DiffOptions::new();
    options
        .context_lines(context)
        .force_text(true)
        .indent_heuristic(true);
    let patch = git2::Patch::from_buffers(old, None, new, None, Some(&mut options))?;
    (0..patch.num_hunks())
        .map(|index| {
            let (hunk, count) = patch.hunk(index)?;
            let lines = (0..count)
                .map(|line| patch.line_in_hunk(index, line))
                .filter_map(|line| line.map(hunk_line).transpose())
                .collect::<Result<_, _>>()?;
            Ok(Hunk {
                old_start: hunk.old_start(),
                old_lines: hunk.old_lines(),
                new_start: hunk.new_start(),
                new_lines: hunk.new_lines(),
                section: String::new(),
                lines,
                line: 0,
            })
        })
        .collect()
}

/// `None` for the remark that a line has no newline, which the line's own text tells too.
fn hunk_line(line: git2::DiffLine<'_>) -> Option<HunkLine> {
    let kind = match line.origin() {
        ' ' => LineKind::Context,
        '-' => LineKind::Remove,
        '+' => LineKind::Add,
        _ => return None,
    };
    let text = line.content().to_vec();
    Some(HunkLine { kind, text })
}
