// SPDX-License-Identifier: MIT OR Apache-2.0
//! Objects while a series is applied: read from the repository, made in memory, stored as one pack at the end.

use crate::error::{Doing, Error, Result};
use crate::tree::directory::{Entry, parse};
use crate::tree::pack::{Kind, content, entry, header, object_id};
use git2::{Odb, OdbLookupFlags, Oid, Repository};
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

/// Bytes of blobs kept at hand.
const BLOBS_KEPT: usize = 64 << 20;
/// Directory entries kept at hand, about 100 bytes each.
const ENTRIES_KEPT: usize = 500_000;

/// The repository's objects, and those that are not in it yet.
pub(super) struct Store<'r> {
    odb: Odb<'r>,
    blobs: HashMap<Oid, Arc<[u8]>>,
    blob_bytes: usize,
    trees: HashMap<Oid, Arc<[Entry]>>,
    tree_entries: usize,
    fresh: HashMap<Oid, usize>,
    packed: Vec<Vec<u8>>,
}

impl<'r> Store<'r> {
    pub(super) fn new(repo: &'r Repository) -> Result<Self> {
        Ok(Self {
            odb: repo.odb()?,
            blobs: HashMap::new(),
            blob_bytes: 0,
            trees: HashMap::new(),
            tree_entries: 0,
            fresh: HashMap::new(),
            packed: Vec::new(),
        })
    }

    /// The content of a blob.
    pub(super) fn blob(&mut self, id: Oid) -> Result<Arc<[u8]>> {
        if let Some(blob) = self.blobs.get(&id) {
            return Ok(blob.clone());
        }
        let blob: Arc<[u8]> = self.read(id)?.into();
        self.keep_blob(id, blob.clone());
        Ok(blob)
    }

    /// The entries of a tree.
    pub(super) fn tree(&mut self, id: Oid) -> Result<Arc<[Entry]>> {
        if let Some(tree) = self.trees.get(&id) {
            return Ok(tree.clone());
        }
        let tree: Arc<[Entry]> = parse(&self.read(id)?)?.into();
        self.keep_tree(id, tree.clone());
        Ok(tree)
    }

    /// Makes a blob.
    pub(super) fn put_blob(&mut self, bytes: &Arc<[u8]>) -> Result<Oid> {
        let id = self.put(Kind::Blob, bytes)?;
        self.keep_blob(id, bytes.clone());
        Ok(id)
    }

    /// Makes a tree from entries in git's order.
    pub(super) fn put_tree(&mut self, entries: Vec<Entry>) -> Result<Oid> {
        let id = self.put(Kind::Tree, &crate::tree::directory::encode(&entries))?;
        self.keep_tree(id, entries.into());
        Ok(id)
    }

    /// Makes a commit.
    pub(super) fn put_commit(&mut self, bytes: &[u8]) -> Result<Oid> {
        self.put(Kind::Commit, bytes)
    }

    /// The blob that an abbreviated id means; `None` when the repository has none or several.
    pub(super) fn find_blob(&self, short: &str) -> Option<Oid> {
        let hex = short.len().clamp(4, 40) == short.len()
            && short.bytes().all(|byte| byte.is_ascii_hexdigit());
        let padded = hex.then(|| Oid::from_str(&format!("{short:0<40}")).ok())??;
        let id = self.odb.exists_prefix(padded, short.len()).ok()?;
        let (_, kind) = self.odb.read_header(id).ok()?;
        (kind == git2::ObjectType::Blob).then_some(id)
    }

    /// Stores all that was made, as one pack. Only after this may a ref name any of it.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.packed.is_empty() {
            return Ok(());
        }
        let doing = || "store the commits in the tree's repository";
        let mut writer = self.odb.packwriter().doing(doing)?;
        let mut hash = Sha1::new();
        let head = header(self.packed.len())?;
        let pieces = std::iter::once(head.as_slice()).chain(self.packed.iter().map(Vec::as_slice));
        for piece in pieces {
            hash.update(piece);
            writer.write_all(piece).doing(doing)?;
        }
        writer.write_all(&hash.finalize()).doing(doing)?;
        writer.commit().doing(doing)?;
        drop(writer);
        self.packed.clear();
        self.fresh.clear();
        Ok(self.odb.refresh()?)
    }

    fn read(&self, id: Oid) -> Result<Vec<u8>> {
        if let Some(place) = self.fresh.get(&id) {
            return Ok(content(&self.packed[*place])?);
        }
        let object = self.odb.read(id).map_err(|error| {
            Error::rig(error.message())
                .doing(format!("read object {id} from the tree"))
                .hint(
                    "a shallow history is fine, but a partial clone lacks files: fetch them first",
                )
        })?;
        Ok(object.data().to_vec())
    }

    fn put(&mut self, kind: Kind, bytes: &[u8]) -> Result<Oid> {
        let id = object_id(kind, bytes)?;
        let known =
            self.fresh.contains_key(&id) || self.odb.exists_ext(id, OdbLookupFlags::NO_REFRESH);
        if !known {
            self.fresh.insert(id, self.packed.len());
            self.packed.push(entry(kind, bytes)?);
        }
        Ok(id)
    }

    fn keep_blob(&mut self, id: Oid, blob: Arc<[u8]>) {
        if self.blob_bytes + blob.len() > BLOBS_KEPT {
            self.blobs.clear();
            self.blob_bytes = 0;
        }
        self.blob_bytes += blob.len();
        self.blobs.insert(id, blob);
    }

    fn keep_tree(&mut self, id: Oid, tree: Arc<[Entry]>) {
        if self.tree_entries + tree.len() > ENTRIES_KEPT {
            self.trees.clear();
            self.tree_entries = 0;
        }
        self.tree_entries += tree.len();
        self.trees.insert(id, tree);
    }
}
