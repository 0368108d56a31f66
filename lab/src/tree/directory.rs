// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tree objects as bytes: reading, writing, git's order of names, and which modes and paths are honest.

use crate::error::{Error, Result};
use git2::Oid;
use std::cmp::Ordering;

/// A directory.
pub(super) const DIR: u32 = 0o040_000;
/// A file.
pub(super) const FILE: u32 = 0o100_644;
/// A file that can be run.
pub(super) const EXEC: u32 = 0o100_755;
/// A symbolic link; its content is its target.
pub(super) const LINK: u32 = 0o120_000;

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) mode: u32,
    pub(super) name: Vec<u8>,
    pub(super) id: Oid,
}

/// Git's order: a directory sorts as if its name ended in a slash.
pub(super) fn order(a: (&[u8], u32), b: (&[u8], u32)) -> Ordering {
    fn key((name, mode): (&[u8], u32)) -> impl Iterator<Item = u8> {
        let slash = (mode == DIR).then_some(b'/');
        name.iter().copied().chain(slash)
    }
    key(a).cmp(key(b))
}

/// Reads a tree object.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Vec<Entry>> {
    let damaged = || Error::rig("a tree object is damaged").hint("run git fsck in that repository");
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let space = memchr(bytes, b' ').ok_or_else(damaged)?;
        let zero = memchr(bytes, 0)
            .filter(|zero| *zero > space)
            .ok_or_else(damaged)?;
        let mode = std::str::from_utf8(&bytes[..space]).ok();
        let mode = mode.and_then(|text| u32::from_str_radix(text, 8).ok());
        let id = bytes.get(zero + 1..zero + 21).ok_or_else(damaged)?;
        out.push(Entry {
            mode: mode.ok_or_else(damaged)?,
            name: bytes[space + 1..zero].to_vec(),
            id: Oid::from_bytes(id)?,
        });
        bytes = &bytes[zero + 21..];
    }
    Ok(out)
}

fn memchr(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

/// Writes a tree object; `entries` are in git's order.
pub(super) fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 40);
    for entry in entries {
        out.extend(format!("{:o} ", entry.mode).into_bytes());
        out.extend(&entry.name);
        out.push(0);
        out.extend(entry.id.as_bytes());
    }
    out
}

/// Whether a name may stand in a path. `.git` is refused in every spelling that some filesystem takes for it.
pub(super) fn honest_name(name: &[u8]) -> bool {
    let git = name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1");
    let odd = name.is_empty() || name == b"." || name == b"..";
    !git && !odd && !name.contains(&0) && !name.contains(&b'/') && name.len() <= 255
}

/// Whether a link at `path` with this target stays in the tree.
pub(super) fn honest_link(path: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || target[0] == b'/' || target.contains(&0) {
        return false;
    }
    let mut depth = path.iter().filter(|byte| **byte == b'/').count();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            name if name.eq_ignore_ascii_case(b".git") => return false,
            _ => depth += 1,
        }
    }
    true
}
