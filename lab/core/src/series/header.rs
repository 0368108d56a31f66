// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines above the hunks: git's extended headers, and the `---`/`+++` names of plain diffs.

use super::error::Refusal;
use super::model::{Body, Change, FilePatch};
use super::patch_id::PLAIN_MODE;
use super::path;

/// What the lines from `diff --git` to the hunks say.
#[derive(Debug, Default)]
pub(super) struct GitHeader {
    strip: usize,
    /// The name in the `diff --git` line where both sides agree on it.
    name: Option<String>,
    from: Option<String>,
    to: Option<String>,
    change: Option<Change>,
    old_mode: Option<u32>,
    new_mode: Option<u32>,
    similarity: Option<u8>,
    blobs: Option<(String, String)>,
}

impl GitHeader {
    /// From the `diff --git` line. Without prefixes (`diff.noprefix`) both names are equal, and nothing is stripped.
    pub(super) fn new(line: &[u8], strip: usize) -> Result<Self, Refusal> {
        let rest = line.strip_prefix(b"diff --git ").unwrap_or(line);
        let rest = rest.strip_suffix(b"\r").unwrap_or(rest);
        let mut head = GitHeader {
            strip,
            ..Self::default()
        };
        if let Some((old, new)) = both_names(rest) {
            if old == new && strip == 1 {
                head.strip = 0;
            }
            let (old, new) = (
                path::strip(&old, head.strip)?,
                path::strip(&new, head.strip)?,
            );
            head.name = (old == new).then_some(old);
        }
        Ok(head)
    }

    /// Takes one extended header line; false when the line is none.
    pub(super) fn take(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let after = |word: &str| line.strip_prefix(word.as_bytes());
        if let Some(value) = after("old mode ") {
            self.old_mode = Some(mode(value)?);
        } else if let Some(value) = after("new mode ") {
            self.new_mode = Some(mode(value)?);
        } else if let Some(value) = after("new file mode ") {
            self.set(Change::Add)?;
            self.new_mode = Some(mode(value)?);
        } else if let Some(value) = after("deleted file mode ") {
            self.set(Change::Delete)?;
            self.old_mode = Some(mode(value)?);
        } else if let Some(value) = after("rename from ").or(after("rename old ")) {
            self.set(Change::Rename)?;
            self.from = Some(self.bare_path(value)?);
        } else if let Some(value) = after("rename to ").or(after("rename new ")) {
            self.set(Change::Rename)?;
            self.to = Some(self.bare_path(value)?);
        } else if let Some(value) = after("copy from ") {
            self.set(Change::Copy)?;
            self.from = Some(self.bare_path(value)?);
        } else if let Some(value) = after("copy to ") {
            self.set(Change::Copy)?;
            self.to = Some(self.bare_path(value)?);
        } else if let Some(value) = after("similarity index ") {
            self.similarity = percent(value);
        } else if let Some(value) = after("index ") {
            self.index(value)?;
        } else {
            return Ok(after("dissimilarity index ").is_some());
        }
        Ok(true)
    }

    fn set(&mut self, change: Change) -> Result<(), Refusal> {
        if self.change.is_some_and(|known| known != change) {
            return Err(Refusal::Diff(
                "extended headers that contradict each other".into(),
            ));
        }
        self.change = Some(change);
        Ok(())
    }

    /// Names in rename and copy lines have no `a/`: one component less is stripped.
    fn bare_path(&self, value: &[u8]) -> Result<String, Refusal> {
        let strip = self.strip.saturating_sub(1);
        match path::unquote(value) {
            Some((name, _)) => path::strip(&name, strip),
            None => path::strip(value, strip),
        }
    }

    fn index(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let text = std::str::from_utf8(value).unwrap_or("");
        let (ids, bits) = text
            .trim_end()
            .split_once(' ')
            .unwrap_or((text.trim_end(), ""));
        let hex =
            |id: &str| (4..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit());
        let Some((old, new)) = ids.split_once("..").filter(|(a, b)| hex(a) && hex(b)) else {
            return Err(Refusal::Diff("unreadable index line".into()));
        };
        self.blobs = Some((old.to_ascii_lowercase(), new.to_ascii_lowercase()));
        if !bits.is_empty() {
            let bits = mode(bits.as_bytes())?;
            self.old_mode.get_or_insert(bits);
            self.new_mode.get_or_insert(bits);
        }
        Ok(())
    }

    /// Checks the `---` and `+++` names against the rest, or takes them where the first line was ambiguous.
    pub(super) fn sides(&mut self, old: &[u8], new: &[u8]) -> Result<(), Refusal> {
        let (old, new) = (plain_side(old), plain_side(new));
        let (want_old, want_new) = match self.change {
            Some(Change::Rename | Change::Copy) => (self.from.clone(), self.to.clone()),
            _ => (self.name.clone(), self.name.clone()),
        };
        if old.null {
            self.set(Change::Add)?;
        }
        if new.null {
            self.set(Change::Delete)?;
        }
        for (side, want) in [(old, want_old), (new, want_new)] {
            if side.null {
                continue;
            }
            let name = path::strip(&side.path, self.strip)?;
            match want {
                Some(want) if want != name => {
                    return Err(Refusal::Diff(format!(
                        "its header says {want:?}, its ---/+++ line {name:?}"
                    )));
                }
                Some(_) => {}
                None => {
                    self.name.get_or_insert(name);
                }
            }
        }
        Ok(())
    }

    /// The file, when all that it needs was said.
    pub(super) fn finish(self, body: Body, line: u32) -> Result<FilePatch, Refusal> {
        let change = self.change.unwrap_or(Change::Modify);
        let missing = || Refusal::Diff("no clear file name in the header".into());
        let (old_path, new_path) = match change {
            Change::Rename | Change::Copy => (
                Some(self.from.ok_or_else(missing)?),
                Some(self.to.ok_or_else(missing)?),
            ),
            Change::Add => (None, Some(self.name.ok_or_else(missing)?)),
            Change::Delete => (Some(self.name.ok_or_else(missing)?), None),
            Change::Modify => {
                let name = self.name.ok_or_else(missing)?;
                (Some(name.clone()), Some(name))
            }
        };
        let (old_mode, new_mode) = match change {
            Change::Add => (None, self.new_mode.or(Some(PLAIN_MODE))),
            Change::Delete => (self.old_mode.or(Some(PLAIN_MODE)), None),
            _ if self.old_mode.is_some() != self.new_mode.is_some() => {
                return Err(Refusal::Diff(
                    "an old mode without a new one, or the other way round".into(),
                ));
            }
            _ => (self.old_mode, self.new_mode),
        };
        let nothing = body == Body::Text(Vec::new()) && old_mode == new_mode;
        if change == Change::Modify && nothing {
            return Err(Refusal::Diff("a file header without a change".into()));
        }
        Ok(FilePatch {
            old_path,
            new_path,
            change,
            similarity: self.similarity,
            old_mode,
            new_mode,
            blobs: self.blobs,
            body,
            line,
        })
    }
}

/// Both names of the `diff --git` line. Unquoted names may hold blanks, but when both are the same name
/// behind prefixes of one length, the middle is the only place to cut.
fn both_names(rest: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if let Some((old, tail)) = path::unquote(rest) {
        let tail = tail.strip_prefix(b" ")?;
        let new = path::unquote(tail).map_or_else(|| tail.to_vec(), |(new, _)| new);
        return Some((old, new));
    }
    if rest.ends_with(b"\"") {
        let start = memchr::memmem::find(rest, b" \"")?;
        return Some((rest[..start].to_vec(), path::unquote(&rest[start + 1..])?.0));
    }
    if memchr::memchr_iter(b' ', rest).count() == 1 {
        let blank = memchr::memchr(b' ', rest)?;
        return Some((rest[..blank].to_vec(), rest[blank + 1..].to_vec()));
    }
    let middle = rest.len() / 2;
    let (old, new) = (rest.get(..middle)?, rest.get(middle + 1..)?);
    let tail = |name: &[u8]| memchr::memchr(b'/', name).map(|slash| name[slash..].to_vec());
    (rest.get(middle) == Some(&b' ') && (old == new || tail(old) == tail(new)))
        .then(|| (old.to_vec(), new.to_vec()))
}

/// The modes a patch may name; submodules and devices are none of a series' business.
fn mode(value: &[u8]) -> Result<u32, Refusal> {
    let text = std::str::from_utf8(value).unwrap_or("").trim_end();
    match u32::from_str_radix(text, 8) {
        Ok(0o100_644 | 0o100_664) => Ok(0o100_644),
        Ok(0o100_755 | 0o100_775) => Ok(0o100_755),
        Ok(0o120_000) => Ok(0o120_000),
        _ => Err(Refusal::Diff(format!(
            "file mode {text:?} (100644, 100755 and 120000 are known)"
        ))),
    }
}

fn percent(value: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(value).ok()?.trim_end();
    text.trim_end_matches('%')
        .parse()
        .ok()
        .filter(|&n| n <= 100)
}

/// One `---` or `+++` line: the name as it stands, and what its time stamp says.
#[derive(Debug)]
pub(super) struct Side {
    /// Before stripping.
    pub(super) path: Vec<u8>,
    /// It is `/dev/null`.
    pub(super) null: bool,
    /// Its time stamp is the epoch, which diff -N writes for a file that is not there.
    pub(super) epoch: bool,
}

/// Reads what follows `--- ` or `+++ `.
pub(super) fn plain_side(text: &[u8]) -> Side {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let (path, stamp) = match path::unquote(text) {
        Some((name, rest)) => (name, rest),
        None => {
            let end = memchr::memchr(b'\t', text)
                .or_else(|| stamp_at(text))
                .unwrap_or(text.len());
            (text[..end].trim_ascii_end().to_vec(), &text[end..])
        }
    };
    let stamp = stamp.trim_ascii();
    // West of Greenwich the epoch is still in 1969.
    let epoch = stamp.starts_with(b"1970-01-01")
        || stamp.starts_with(b"1969-12-31")
        || stamp.starts_with(b"Thu Jan  1 00:00:00 1970");
    Side {
        null: path == b"/dev/null",
        path,
        epoch,
    }
}

/// Where a time stamp begins that a mail program set off with blanks.
fn stamp_at(text: &[u8]) -> Option<usize> {
    let digits = |from: usize, n: usize| {
        text.get(from..from + n)
            .is_some_and(|d| d.iter().all(u8::is_ascii_digit))
    };
    memchr::memchr_iter(b' ', text).find(|&at| {
        digits(at + 1, 4)
            && text.get(at + 5) == Some(&b'-')
            && digits(at + 6, 2)
            && text.get(at + 8) == Some(&b'-')
    })
}
