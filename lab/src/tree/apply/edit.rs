// SPDX-License-Identifier: MIT OR Apache-2.0
//! Edits of nested trees: looks paths up, and rewrites only the directories that are touched.

use super::fault::{Attempt, tree_fault};
use super::store::Store;
use crate::error::Result;
use crate::tree::directory::{DIR, Entry, LINK, order};
use git2::Oid;
use std::collections::BTreeMap;

/// A file as a tree holds it.
pub(super) type Leaf = (u32, Oid);

/// Finds a file. `None` when there is none.
///
/// A component of the way that is a file or a link is refused: nothing may be read or made through it.
pub(super) fn find(store: &mut Store<'_>, root: Oid, path: &str) -> Attempt<Option<Leaf>> {
    let mut dir = root;
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        let tree = store.tree(dir)?;
        let Some(entry) = tree.iter().find(|entry| entry.name == part.as_bytes()) else {
            return Ok(None);
        };
        match (entry.mode, parts.peek().is_some()) {
            (DIR, true) => dir = entry.id,
            (DIR, false) => return Err(tree_fault(path, "is a folder in the tree")),
            (mode, false) => return Ok(Some((mode, entry.id))),
            (LINK, true) => {
                let why =
                    format!("cannot be reached: {part} on its way is a symbolic link in the tree");
                return Err(tree_fault(path, &why));
            }
            (_, true) => {
                let why = format!("cannot be reached: {part} on its way is a file in the tree");
                return Err(tree_fault(path, &why));
            }
        }
    }
    Ok(None)
}

/// What is to become of a name, and of those below it.
#[derive(Default)]
struct Edit {
    gone: bool,
    written: Option<Leaf>,
    below: BTreeMap<Vec<u8>, Edit>,
}

/// Gives the tree `root` after each path became its leaf, or went.
pub(super) fn rewrite(
    store: &mut Store<'_>,
    root: Oid,
    edits: &BTreeMap<String, Option<Leaf>>,
) -> Attempt<Oid> {
    let mut top = Edit::default();
    for (path, leaf) in edits {
        let mut edit = &mut top;
        for part in path.split('/') {
            edit = edit.below.entry(part.as_bytes().to_vec()).or_default();
        }
        match leaf {
            Some(leaf) => edit.written = Some(*leaf),
            None => edit.gone = true,
        }
    }
    let below = folder(store, Some(root), &top.below, "")?;
    match below {
        Some(id) => Ok(id),
        None => Ok(store.put_tree(Vec::new())?),
    }
}

/// Rewrites one directory; `None` when nothing is left in it.
fn folder(
    store: &mut Store<'_>,
    id: Option<Oid>,
    edits: &BTreeMap<Vec<u8>, Edit>,
    path: &str,
) -> Attempt<Option<Oid>> {
    let old = match id {
        Some(id) => store.tree(id)?,
        None => Vec::new().into(),
    };
    let kept = old.iter().filter(|entry| !edits.contains_key(&entry.name));
    let mut entries: Vec<Entry> = kept.cloned().collect();
    for (name, edit) in edits {
        let before = old.iter().find(|entry| entry.name == *name);
        let path = format!("{path}/{}", String::from_utf8_lossy(name));
        if let Some((mode, id)) = one(store, before, edit, &path)? {
            let name = name.clone();
            entries.push(Entry { mode, name, id });
        }
    }
    if entries.is_empty() {
        return Ok(None);
    }
    entries.sort_by(|a, b| order((&a.name, a.mode), (&b.name, b.mode)));
    Ok(Some(store.put_tree(entries)?))
}

fn one(
    store: &mut Store<'_>,
    before: Option<&Entry>,
    edit: &Edit,
    path: &str,
) -> Attempt<Option<Leaf>> {
    let refused = |why: &str| Err(tree_fault(path.trim_start_matches('/'), why));
    let before = before.filter(|entry| !edit.gone || entry.mode == DIR);
    let folder_before = before
        .filter(|entry| entry.mode == DIR)
        .map(|entry| entry.id);
    if edit.below.is_empty() {
        return match (edit.written, folder_before) {
            (Some(_), Some(_)) => refused("is a folder in the tree"),
            (leaf, _) => Ok(leaf),
        };
    }
    if before.is_some() && folder_before.is_none() {
        return refused("is a file in the tree, not a folder");
    }
    let rest = folder(store, folder_before, &edit.below, path)?;
    match (edit.written, rest) {
        (Some(_), Some(_)) => refused("would be a file and a folder"),
        (Some(leaf), None) => Ok(Some(leaf)),
        (None, rest) => Ok(rest.map(|id| (DIR, id))),
    }
}

/// A path that two trees have differently: before, after.
pub(super) type Changed = BTreeMap<String, (Option<Leaf>, Option<Leaf>)>;

/// Compares two trees, going only into directories that differ.
pub(super) fn compare(store: &mut Store<'_>, old: Oid, new: Oid) -> Result<Changed> {
    let mut out = BTreeMap::new();
    compare_below(store, Some(old), Some(new), "", &mut out)?;
    Ok(out)
}

fn compare_below(
    store: &mut Store<'_>,
    old: Option<Oid>,
    new: Option<Oid>,
    path: &str,
    out: &mut Changed,
) -> Result<()> {
    if old == new {
        return Ok(());
    }
    let mut names: BTreeMap<Vec<u8>, (Option<Leaf>, Option<Leaf>)> = BTreeMap::new();
    if let Some(old) = old {
        for entry in store.tree(old)?.iter() {
            names.entry(entry.name.clone()).or_default().0 = Some((entry.mode, entry.id));
        }
    }
    if let Some(new) = new {
        for entry in store.tree(new)?.iter() {
            names.entry(entry.name.clone()).or_default().1 = Some((entry.mode, entry.id));
        }
    }
    for (name, (old, new)) in names.into_iter().filter(|(_, (old, new))| old != new) {
        let path = format!("{path}{}", String::from_utf8_lossy(&name));
        let dir = |leaf: Option<Leaf>| leaf.filter(|leaf| leaf.0 == DIR).map(|leaf| leaf.1);
        let file = |leaf: Option<Leaf>| leaf.filter(|leaf| leaf.0 != DIR);
        compare_below(store, dir(old), dir(new), &format!("{path}/"), out)?;
        if file(old) != file(new) {
            out.insert(path, (file(old), file(new)));
        }
    }
    Ok(())
}
