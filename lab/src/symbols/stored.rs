// SPDX-License-Identifier: MIT OR Apache-2.0
//! `decoded.txt` of a run's folder: the excerpts of its findings with their source, for people, and read again to be shown.
//!
//! Lines of the console begin with `  | ` there, inlined frames with `  > `, lines of source with `  = `, so that none
//! can be taken for the file's own.

use crate::error::{Doing, Result};
use crate::store::file;
use lab_core::finding::Finding;
use lab_core::symbol::Out;
use lab_core::text::harmless;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const CONSOLE: &str = "  | ";
const INLINED: &str = "  > ";
const SOURCE: &str = "  = ";

/// One finding's excerpt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// Its title, harmless.
    pub(super) title: String,
    /// Its signature, harmless.
    signature: String,
    /// First and last byte in the console; none for what the agent told.
    bytes: (u64, u64),
    /// Lines.
    pub(super) lines: Vec<Out>,
}

impl Excerpt {
    pub(super) fn new(finding: &Finding, lines: Vec<Out>) -> Self {
        Self {
            title: harmless(&finding.title),
            signature: harmless(&finding.signature),
            bytes: (finding.start, finding.end),
            lines,
        }
    }

    /// Whether it is this finding's.
    pub(super) fn is_of(&self, finding: &Finding) -> bool {
        self.bytes == (finding.start, finding.end) && self.signature == harmless(&finding.signature)
    }
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("decoded.txt")
}

/// Writes the file; without excerpts it is taken away. A file that already says so is left alone.
pub(super) fn write(folder: &Path, about: &str, excerpts: &[Excerpt]) -> Result<()> {
    let path = path(folder);
    if excerpts.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(e).doing(|| format!("remove {}", path.display()))
            }
            _ => Ok(()),
        };
    }
    let text = text(about, excerpts);
    if std::fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    file::write(&path, text.as_bytes())
}

fn text(about: &str, excerpts: &[Excerpt]) -> String {
    let mut text = format!("{}\n", about.trim_end());
    for excerpt in excerpts {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\nfinding: {}\nsignature: {}\nbytes: {} {}\n",
            excerpt.title, excerpt.signature, excerpt.bytes.0, excerpt.bytes.1
        );
        for line in &excerpt.lines {
            let (mark, line) = match line {
                Out::Console(line) => (CONSOLE, line),
                Out::Inlined(line) => (INLINED, line),
                Out::Source(line) => (SOURCE, line),
            };
            let _ = writeln!(text, "{mark}{line}");
        }
    }
    text
}

/// Reads the file. What is missing or damaged has no excerpts: it is derived and can be made again.
pub(super) fn read(folder: &Path) -> Vec<Excerpt> {
    let bytes = std::fs::read(path(folder)).unwrap_or_default();
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(text: &str) -> Vec<Excerpt> {
    let mut excerpts: Vec<Excerpt> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("finding: ") {
            excerpts.push(Excerpt {
                title: title.to_owned(),
                signature: String::new(),
                bytes: (0, 0),
                lines: Vec::new(),
            });
            continue;
        }
        let Some(excerpt) = excerpts.last_mut() else {
            continue;
        };
        if let Some(signature) = line.strip_prefix("signature: ") {
            excerpt.signature = signature.to_owned();
        } else if let Some(bytes) = line.strip_prefix("bytes: ") {
            let (start, end) = bytes.split_once(' ').unwrap_or_default();
            excerpt.bytes = (start.parse().unwrap_or(0), end.parse().unwrap_or(0));
        } else if let Some(line) = line.strip_prefix(CONSOLE) {
            excerpt.lines.push(Out::Console(line.to_owned()));
        } else if let Some(line) = line.strip_prefix(INLINED) {
            excerpt.lines.push(Out::Inlined(line.to_owned()));
        } else if let Some(line) = line.strip_prefix(SOURCE) {
            excerpt.lines.push(Out::Source(line.to_owned()));
        }
    }
    excerpts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_a_console_forges_nothing() {
        let finding = lab_core::console::read(b"Kernel panic - not syncing: x\n").remove(0);
        let lines = vec![
            Out::Console("finding: forged".to_owned()),
            Out::Inlined("bytes: 1 2".to_owned()),
            Out::Source("signature: x".to_owned()),
            Out::Console(String::new()),
        ];
        let excerpt = Excerpt::new(&finding, lines);
        assert!(excerpt.is_of(&finding));
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "about", std::slice::from_ref(&excerpt)).unwrap();
        assert_eq!(read(folder.path()), [excerpt]);
        write(folder.path(), "about", &[]).unwrap();
        assert_eq!(read(folder.path()), []);
        write(folder.path(), "about", &[]).unwrap();
    }
}
