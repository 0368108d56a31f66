// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the text of a diff to [`FilePatch`]es. What is not understood inside a diff is refused, never passed over:
//! a lost hunk would test another series than the one that was sent.

use super::binary;
use super::error::Refusal;
use super::header::{self, GitHeader};
use super::hunk;
use super::limits::{MAX_FILES, MAX_HUNK_LINES, MAX_HUNKS};
use super::lines::Lines;
use super::model::{Body, Change, FilePatch, Hunk};
use super::path;

/// A refusal and the line (in the source) where it arose.
pub(super) type Refused = (u32, Refusal);

/// Reads all files of the diff that begins at or after line index `from`. `strip` is the `-p` of patch(1).
pub(super) fn parse(lines: &Lines, from: usize, strip: usize) -> Result<Vec<FilePatch>, Refused> {
    let mut reader = Reader {
        lines,
        at: from,
        strip,
        hunks: 0,
        hunk_lines: 0,
        inflated: 0,
        after_diff: false,
    };
    let mut files = Vec::new();
    while reader.at < lines.len() {
        if let Some(file) = reader.step()? {
            files.push(file);
        }
        if files.len() > MAX_FILES {
            return Err(reader.too_large("files in one patch", MAX_FILES));
        }
    }
    Ok(files)
}

fn plain_begins_at(lines: &Lines, at: usize) -> bool {
    lines.bare(at).starts_with(b"--- ")
        && lines.bare(at + 1).starts_with(b"+++ ")
        && lines.bare(at + 2).starts_with(b"@@ -")
}

struct Reader<'a> {
    lines: &'a Lines,
    at: usize,
    strip: usize,
    hunks: usize,
    hunk_lines: usize,
    inflated: usize,
    after_diff: bool,
}

impl Reader<'_> {
    fn error(&self, reason: impl Into<String>) -> Refused {
        (self.lines.number(self.at), Refusal::Diff(reason.into()))
    }

    fn too_large(&self, what: &'static str, limit: usize) -> Refused {
        (
            self.lines.number(self.at),
            Refusal::TooLarge { what, limit },
        )
    }

    /// Looks at one line outside of a file's diff; reads that file when it begins here.
    fn step(&mut self) -> Result<Option<FilePatch>, Refused> {
        let line = self.lines.bare(self.at);
        let after_diff = std::mem::replace(&mut self.after_diff, line.starts_with(b"diff "));
        if line.starts_with(b"diff --git ") {
            self.after_diff = false;
            return self.git_file().map(Some);
        }
        if plain_begins_at(self.lines, self.at) {
            return self.plain_file().map(Some);
        }
        if line.starts_with(b"diff --cc ") || line.starts_with(b"diff --combined ") {
            return Err(self.error("a merge's combined diff cannot be applied"));
        }
        if after_diff && line.starts_with(b"Binary files ") {
            return Err(self.omitted(line));
        }
        if hunk::header(line).is_some() {
            return Err(self.error("a hunk without a file header"));
        }
        self.at += 1;
        Ok(None)
    }

    fn omitted(&self, line: &[u8]) -> Refused {
        let shown = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
        (self.lines.number(self.at), Refusal::BinaryOmitted(shown))
    }

    fn git_file(&mut self) -> Result<FilePatch, Refused> {
        let line = self.lines.number(self.at);
        let mut head =
            GitHeader::new(self.lines.bare(self.at), self.strip).map_err(|r| (line, r))?;
        self.at += 1;
        while head
            .take(self.lines.bare(self.at))
            .map_err(|r| (self.lines.number(self.at), r))?
        {
            self.at += 1;
        }
        let text = self.lines.bare(self.at);
        let body = if text.starts_with(b"--- ") && self.lines.bare(self.at + 1).starts_with(b"+++ ")
        {
            let (old, new) = (&text[4..], &self.lines.bare(self.at + 1)[4..]);
            head.sides(old, new)
                .map_err(|r| (self.lines.number(self.at), r))?;
            self.at += 2;
            Body::Text(self.hunks()?)
        } else if text == b"GIT binary patch" {
            self.binary()?
        } else if text.starts_with(b"Binary files ") || text.starts_with(b"Files ") {
            return Err(self.omitted(text));
        } else {
            Body::Text(Vec::new())
        };
        head.finish(body, line).map_err(|r| (line, r))
    }

    fn binary(&mut self) -> Result<Body, Refused> {
        let lines = self.lines;
        let refused = |(at, reason)| (lines.number(at), reason);
        let forward = binary::half(lines, self.at + 1, &mut self.inflated).map_err(refused)?;
        let Some((forward, next)) = forward else {
            return Err((
                lines.number(self.at),
                Refusal::Binary("neither literal nor delta follows"),
            ));
        };
        self.at = next;
        let reverse = binary::half(lines, next, &mut self.inflated).map_err(refused)?;
        let reverse = reverse.map(|(half, next)| {
            self.at = next;
            half
        });
        Ok(Body::Binary { forward, reverse })
    }

    fn plain_file(&mut self) -> Result<FilePatch, Refused> {
        let line = self.lines.number(self.at);
        let old = header::plain_side(&self.lines.bare(self.at)[4..]);
        let new = header::plain_side(&self.lines.bare(self.at + 1)[4..]);
        self.at += 2;
        let hunks = self.hunks()?;
        let (adds, deletes) = match hunks.as_slice() {
            [only] => (
                only.old_start == 0 && only.old_lines == 0,
                only.new_start == 0 && only.new_lines == 0,
            ),
            _ => (false, false),
        };
        let change = if old.null || (old.epoch && adds) {
            Change::Add
        } else if new.null || (new.epoch && deletes) {
            Change::Delete
        } else {
            Change::Modify
        };
        let named = if new.null { &old.path } else { &new.path };
        let named = path::strip(named, self.strip).map_err(|r| (line, r))?;
        Ok(FilePatch {
            old_path: (change != Change::Add).then(|| named.clone()),
            new_path: (change != Change::Delete).then_some(named),
            change,
            similarity: None,
            old_mode: None,
            new_mode: None,
            blobs: None,
            body: Body::Text(hunks),
            line,
        })
    }

    fn hunks(&mut self) -> Result<Vec<Hunk>, Refused> {
        let mut hunks = Vec::new();
        while self.lines.bare(self.at).starts_with(b"@@ -") {
            let (hunk, next) = hunk::parse(self.lines, self.at)?;
            self.hunk_lines += hunk.lines.len();
            self.hunks += 1;
            self.at = next;
            hunks.push(hunk);
            if self.hunks > MAX_HUNKS {
                return Err(self.too_large("hunks in one patch", MAX_HUNKS));
            }
            if self.hunk_lines > MAX_HUNK_LINES {
                return Err(self.too_large("lines in one patch", MAX_HUNK_LINES));
            }
        }
        if hunks.is_empty() {
            return Err(self.error("no hunk after the file names"));
        }
        let next = self.lines.bare(self.at);
        if next.starts_with(b"+") || (next.starts_with(b"-") && !next.starts_with(b"--")) {
            return Err(self.error("the hunk has more lines than its @@ line says"));
        }
        Ok(hunks)
    }
}
