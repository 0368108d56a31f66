// SPDX-License-Identifier: MIT OR Apache-2.0
//! `git patch-id --stable`: what a patch is, whatever its line numbers, blanks and file order.
//!
//! As git (2.39 and later) defines it: SHA-1 over the header and hunk lines of each file without white space,
//! `index` and `@@` lines left out, and the hashes of all files added up as 160-bit numbers. A binary file counts by the
//! two blob ids of its `index` line instead of its content. Patches that were not written by `git diff` with the
//! `a/` and `b/` prefixes get the id they would have if they were.

use super::model::{Body, Change, FilePatch, LineKind};
use super::path::quote;
use sha1::{Digest, Sha1};

/// Mode of a new or deleted file where the diff names none.
pub(super) const PLAIN_MODE: u32 = 0o100_644;

/// `git patch-id --stable` of a diff: 40 hex digits. For binary files both blob ids have to be given in full.
pub fn patch_id_of_files(files: &[FilePatch]) -> String {
    id(files, true)
}

/// The same, but blind to the percentage in `similarity index`, which every diff program measures in its own
/// way: for comparing a mailed patch with the recomputed diff of the commit that it became.
pub fn diff_id_of_files(files: &[FilePatch]) -> String {
    id(files, false)
}

fn id(files: &[FilePatch], similarity: bool) -> String {
    let mut sum = [0u8; 20];
    let mut hash = Sha1::new();
    let mut after_binary = false;
    for (at, file) in files.iter().enumerate() {
        for (nth, line) in header_lines(file, similarity).iter().enumerate() {
            // git passes over the first header line that follows a binary file.
            if !(nth == 0 && after_binary) {
                update(&mut hash, line.as_bytes());
            }
        }
        after_binary = false;
        match &file.body {
            Body::Text(hunks) => {
                for line in hunks.iter().flat_map(|hunk| &hunk.lines) {
                    hash.update(match line.kind {
                        LineKind::Context => &b""[..],
                        LineKind::Remove => b"-",
                        LineKind::Add => b"+",
                    });
                    update(&mut hash, &line.text);
                }
                // A file without hunks has no end that git would see: it shares the hash of the next one.
                if !hunks.is_empty() && at + 1 < files.len() {
                    add(&mut sum, std::mem::take(&mut hash));
                }
            }
            Body::Binary { .. } => {
                let (old, new) = file.blobs.as_ref().map_or(("", ""), |(a, b)| (a, b));
                hash.update(old);
                hash.update(new);
                add(&mut sum, std::mem::take(&mut hash));
                after_binary = true;
            }
        }
    }
    add(&mut sum, hash);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hashes a line without white space, in runs.
fn update(hash: &mut Sha1, line: &[u8]) {
    for run in line.split(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
        hash.update(run);
    }
}

fn add(sum: &mut [u8; 20], hash: Sha1) {
    let mut carry = 0u16;
    for (total, byte) in sum.iter_mut().zip(hash.finalize()) {
        carry += u16::from(*total) + u16::from(byte);
        *total = (carry & 0xff) as u8;
        carry >>= 8;
    }
}

/// The header lines of a file as git writes them, without the `index` line.
pub(super) fn header_lines(file: &FilePatch, similarity: bool) -> Vec<String> {
    let old = file
        .old_path
        .as_deref()
        .or(file.new_path.as_deref())
        .unwrap_or("");
    let new = file.new_path.as_deref().unwrap_or(old);
    let mut out = vec![format!(
        "diff --git {} {}",
        quote("a/", old),
        quote("b/", new)
    )];
    match (file.change, file.old_mode, file.new_mode) {
        (Change::Add, _, mode) => {
            out.push(format!("new file mode {:06o}", mode.unwrap_or(PLAIN_MODE)))
        }
        (Change::Delete, mode, _) => out.push(format!(
            "deleted file mode {:06o}",
            mode.unwrap_or(PLAIN_MODE)
        )),
        (_, Some(before), Some(after)) if before != after => {
            out.push(format!("old mode {before:06o}"));
            out.push(format!("new mode {after:06o}"));
        }
        _ => {}
    }
    if let Some(percent) = file.similarity.filter(|_| similarity) {
        out.push(format!("similarity index {percent}%"));
    }
    let verb = match file.change {
        Change::Rename => Some("rename"),
        Change::Copy => Some("copy"),
        _ => None,
    };
    if let Some(verb) = verb {
        out.push(format!("{verb} from {}", quote("", old)));
        out.push(format!("{verb} to {}", quote("", new)));
    }
    if matches!(&file.body, Body::Text(hunks) if !hunks.is_empty()) {
        let side = |sign: &str, prefix: &str, path: Option<&String>| match path {
            Some(path) => format!("{sign} {}", quote(prefix, path)),
            None => format!("{sign} /dev/null"),
        };
        out.push(side("---", "a/", file.old_path.as_ref()));
        out.push(side("+++", "b/", file.new_path.as_ref()));
    }
    out
}
