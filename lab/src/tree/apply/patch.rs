// SPDX-License-Identifier: MIT OR Apache-2.0
//! One patch onto one tree: every file of it, or none.

use super::edit::{self, Leaf};
use super::fault::{Attempt, hostile, tree_fault};
use super::merge;
use super::store::Store;
use crate::tree::directory::{EXEC, FILE, LINK, honest_link, honest_name};
use git2::Oid;
use lab_core::apply::{AppliedFile, Place, Reason, apply_binary, apply_hunks, misfit};
use lab_core::series::{Body, Change, FilePatch, Hunk, Patch};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

/// One file of a patch, done: all that its proof needs.
pub(super) struct Done<'p> {
    pub(super) patch: &'p FilePatch,
    pub(super) old: Arc<[u8]>,
    pub(super) new: Arc<[u8]>,
    pub(super) new_mode: Option<u32>,
    pub(super) old_mode: Option<u32>,
    pub(super) places: Vec<Place>,
    pub(super) merged_over: Option<Oid>,
}

impl Done<'_> {
    pub(super) fn path(&self) -> &str {
        path_of(self.patch)
    }

    pub(super) fn record(&self) -> AppliedFile {
        let from = self.patch.old_path.clone();
        AppliedFile {
            path: self.path().to_owned(),
            from: from.filter(|from| from != self.path()),
            change: self.patch.change,
            offsets: self.places.iter().map(|place| place.offset).collect(),
            merged_over: self.merged_over.map(|id| id.to_string()),
        }
    }
}

/// The path that a file's patch is named by: after it, or before it if it deletes.
pub(super) fn path_of(file: &FilePatch) -> &str {
    let path = file.new_path.as_deref().or(file.old_path.as_deref());
    path.unwrap_or_default()
}

/// The content after, where its hunks went, and the blob it was merged over.
type Content = (Arc<[u8]>, Vec<Place>, Option<Oid>);

/// A patch being applied.
pub(super) struct Applying<'s, 'r> {
    store: &'s mut Store<'r>,
    root: Oid,
    /// Files as this patch leaves them; `None` for those that went.
    edits: BTreeMap<String, Option<Leaf>>,
    /// Old paths of its deletions and renames: their names are free for others in the same patch. In order, so that
    /// those below a folder are found without looking at all of them: a patch may take 100,000 files away.
    leaving: BTreeSet<&'s str>,
    /// New paths of its renames, copies and new files.
    arriving: HashSet<&'s str>,
}

/// What a patch makes.
pub(super) struct Made<'p> {
    pub(super) tree: Oid,
    pub(super) edits: BTreeMap<String, Option<Leaf>>,
    pub(super) files: Vec<Done<'p>>,
}

/// Applies a patch to the tree `root`.
pub(super) fn apply_patch<'p>(
    store: &mut Store<'_>,
    root: Oid,
    patch: &'p Patch,
) -> Attempt<Made<'p>> {
    if patch.files.is_empty() {
        return Err(tree_fault("", "changes no file"));
    }
    let leaving = patch
        .files
        .iter()
        .filter(|file| matches!(file.change, Change::Delete | Change::Rename))
        .filter_map(|file| file.old_path.as_deref());
    let arriving = patch
        .files
        .iter()
        .filter(|file| !matches!(file.change, Change::Modify | Change::Delete))
        .filter_map(|file| file.new_path.as_deref());
    let mut applying = Applying {
        leaving: leaving.collect(),
        arriving: arriving.collect(),
        store,
        root,
        edits: BTreeMap::new(),
    };
    let mut files = Vec::with_capacity(patch.files.len());
    for file in &patch.files {
        files.push(applying.file(file)?);
    }
    let edits = applying.edits;
    let tree = edit::rewrite(store, root, &edits)?;
    Ok(Made { tree, edits, files })
}

impl Applying<'_, '_> {
    fn file<'p>(&mut self, file: &'p FilePatch) -> Attempt<Done<'p>> {
        check_honest(file)?;
        let source = self.source(file)?;
        let (mode, id) = source.unzip();
        let old = match id {
            Some(id) => self.store.blob(id)?,
            None => Vec::new().into(),
        };
        let target = self.target_mode(file, mode)?;
        let (new, places, merged_over) = self.content(file, &old, id)?;
        if target == Some(LINK) && !honest_link(path_of(file).as_bytes(), &new) {
            return Err(hostile(path_of(file), "the symbolic link leaves the tree"));
        }
        if target.is_none() && !new.is_empty() {
            let why = "is to be deleted, but has lines that the patch does not take away";
            return Err(tree_fault(path_of(file), why));
        }
        self.enter(file, target, &new)?;
        Ok(Done {
            patch: file,
            old,
            new,
            new_mode: target,
            old_mode: mode,
            places,
            merged_over,
        })
    }

    /// The file that the patch starts from.
    fn source(&mut self, file: &FilePatch) -> Attempt<Option<Leaf>> {
        if let Some(new) = file.new_path.as_deref()
            && file.change != Change::Modify
            && !self.leaving.contains(new)
            && self.now(new)?.is_some()
        {
            return Err(tree_fault(new, "is to be made, but is in the tree already"));
        }
        let Some(old) = file
            .old_path
            .as_deref()
            .filter(|_| file.change != Change::Add)
        else {
            return Ok(None);
        };
        // Renames and copies start from the tree before the patch, whatever the order of its files.
        let found = match file.change {
            Change::Rename | Change::Copy => edit::find(self.store, self.root, old)?,
            _ => self.now(old)?,
        };
        let missing = || tree_fault(old, "is not in the tree");
        let found = found.ok_or_else(missing)?;
        if !matches!(found.0, FILE | EXEC | LINK) {
            return Err(hostile(old, "is a submodule or no file in the tree"));
        }
        Ok(Some(found))
    }

    /// A path as the files before left it.
    fn now(&mut self, path: &str) -> Attempt<Option<Leaf>> {
        match self.edits.get(path) {
            Some(edit) => Ok(*edit),
            // A folder may become a file when the same patch takes what is in it.
            None if self.empties(path) => Ok(None),
            None => edit::find(self.store, self.root, path),
        }
    }

    fn empties(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        let from = (Bound::Included(folder.as_str()), Bound::Unbounded);
        let mut below = self.leaving.range::<str, _>(from);
        below.next().is_some_and(|path| path.starts_with(&folder))
    }

    /// The mode after; `None` when the file goes.
    fn target_mode(&self, file: &FilePatch, old: Option<u32>) -> Attempt<Option<u32>> {
        let path = path_of(file);
        let stated = file.old_mode.map(canonical).or(old.map(|_| FILE));
        if let (Some(old), Some(stated)) = (old, stated)
            && (old == LINK) != (stated == LINK)
        {
            let is = if old == LINK {
                "a symbolic link"
            } else {
                "a file"
            };
            let why = format!("is {is} in the tree, and the patch takes it for something else");
            return Err(tree_fault(path, &why));
        }
        if file.change == Change::Delete {
            return Ok(None);
        }
        let new = file.new_mode.map(canonical).or(old).unwrap_or(FILE);
        if old.is_some_and(|old| (old == LINK) != (new == LINK)) {
            return Err(hostile(
                path,
                "a file may not turn into a symbolic link, or back",
            ));
        }
        Ok(Some(new))
    }

    /// The content after, where its hunks went, and what it was merged over.
    fn content(&mut self, file: &FilePatch, old: &Arc<[u8]>, id: Option<Oid>) -> Attempt<Content> {
        let hunks = match &file.body {
            Body::Text(hunks) if hunks.is_empty() => return Ok((old.clone(), Vec::new(), None)),
            Body::Text(hunks) => hunks,
            Body::Binary { .. } => return Ok((binary(file, old, id)?, Vec::new(), None)),
        };
        match apply_hunks(old, hunks) {
            Ok(patched) => Ok((patched.content.into(), patched.places, None)),
            Err(error) => match merge::merge(self.store, file, hunks, old)? {
                Ok((merged, base)) => Ok((merged.into(), Vec::new(), Some(base))),
                Err(merge) => {
                    let misfit = misfit(&error, &hunks[error.index]);
                    Err(super::fault::fault(
                        path_of(file),
                        Reason::Conflict { misfit, merge },
                    ))
                }
            },
        }
    }

    fn enter(&mut self, file: &FilePatch, mode: Option<u32>, new: &Arc<[u8]>) -> Attempt<()> {
        if let Some(old) = &file.old_path
            && matches!(file.change, Change::Delete | Change::Rename)
        {
            // Names may be swapped within a patch: then the other file is at the old name already.
            let swapped = file.change == Change::Rename && self.arriving.contains(old.as_str());
            let touched = self.edits.contains_key(old);
            if touched && file.change == Change::Rename && !swapped {
                return Err(hostile(
                    old,
                    "is changed and renamed by two diffs of one patch",
                ));
            }
            if !(touched && swapped) {
                self.edits.insert(old.clone(), None);
            }
        }
        if let (Some(path), Some(mode)) = (&file.new_path, mode) {
            let id = self.store.put_blob(new)?;
            self.edits.insert(path.clone(), Some((mode, id)));
        }
        Ok(())
    }
}

/// A binary change is only made from and to the blobs that its `index` line names.
fn binary(file: &FilePatch, old: &[u8], id: Option<Oid>) -> Attempt<Arc<[u8]>> {
    let refused = |why: String| super::fault::fault(path_of(file), Reason::Binary { why });
    let Body::Binary { forward, .. } = &file.body else {
        return Err(refused("it is none".to_owned()));
    };
    let Some((from, to)) = &file.blobs else {
        return Err(refused(
            "it has no index line, so it cannot be checked".to_owned(),
        ));
    };
    if id.is_some_and(|id| !named(from, id)) {
        return Err(refused(format!(
            "it was made from blob {from}, the tree has another"
        )));
    }
    let new = apply_binary(old, forward).map_err(|error| refused(error.to_string()))?;
    let made = crate::tree::pack::object_id(crate::tree::pack::Kind::Blob, &new)?;
    if file.change != Change::Delete && !named(to, made) {
        return Err(refused(format!(
            "it should give blob {to}, and gives {made}"
        )));
    }
    Ok(new.into())
}

/// Whether an abbreviated id means `id`.
pub(super) fn named(short: &str, id: Oid) -> bool {
    short.len() >= 7 && id.to_string().starts_with(&short.to_ascii_lowercase())
}

/// A regular file's mode as git keeps it; any other as it is.
fn canonical(mode: u32) -> u32 {
    match mode {
        0o100_664 => FILE,
        0o100_775 => EXEC,
        mode => mode,
    }
}

fn check_honest(file: &FilePatch) -> Attempt<()> {
    let paths = [&file.old_path, &file.new_path];
    for path in paths.into_iter().flatten() {
        if !path.split('/').all(|part| honest_name(part.as_bytes())) || path.len() > 4096 {
            return Err(hostile(path, "no file of a kernel has such a path"));
        }
    }
    for mode in [file.old_mode, file.new_mode].into_iter().flatten() {
        if !matches!(canonical(mode), FILE | EXEC | LINK) {
            let what = if mode == 0o160_000 {
                ", a submodule"
            } else {
                ""
            };
            let why = format!("mode {mode:06o}{what}; a patch may have 100644, 100755 or 120000");
            return Err(hostile(path_of(file), &why));
        }
    }
    let (old, new) = (file.old_path.is_some(), file.new_path.is_some());
    let agree = match file.change {
        Change::Add => new && !old,
        Change::Delete => old && !new,
        Change::Modify => old && file.old_path == file.new_path,
        Change::Rename | Change::Copy => old && new && file.old_path != file.new_path,
    };
    if agree {
        Ok(())
    } else {
        Err(hostile(
            path_of(file),
            "its old and new path do not belong to its kind",
        ))
    }
}

/// Hunks of a file's patch, if it is text.
pub(super) fn text(file: &FilePatch) -> Option<&[Hunk]> {
    match &file.body {
        Body::Text(hunks) => Some(hunks),
        Body::Binary { .. } => None,
    }
}
