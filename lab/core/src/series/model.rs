// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a series is, after reading: plain data that the other rooms work on.

use serde::{Deserialize, Serialize};

/// Format of `series.json`.
pub const SERIES_FORMAT: u32 = 1;

/// A patch series as its author sent it, in order, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// [`SERIES_FORMAT`].
    pub format: u32,
    /// Short name for folders and refs: lower case, `[a-z0-9._-]`, from the path or the subject.
    pub name: String,
    /// `v3` in `[PATCH v3 04/19]`; 1 where the subject names none.
    pub version: u32,
    /// Subject of the cover letter, or of the only patch, without the bracketed prefix.
    pub subject: String,
    /// Text of the cover letter, if there was one.
    pub cover: Option<String>,
    /// `RFC` stood in the prefix.
    pub rfc: bool,
    /// `RESEND` stood in the prefix.
    pub resend: bool,
    /// Full or abbreviated commit of a `base-commit:` line.
    pub base_commit: Option<String>,
    /// `change-id:` line of b4.
    pub change_id: Option<String>,
    /// `prerequisite-patch-id:` lines, in order.
    pub prerequisites: Vec<String>,
    /// The patches, in the order in which they apply.
    pub patches: Vec<Patch>,
    /// What was odd but harmless, for people.
    pub warnings: Vec<String>,
}

/// One patch: what becomes one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Place in the series, from 1.
    pub number: u32,
    /// Subject without the bracketed prefix: first line of the commit message.
    pub subject: String,
    /// Whole commit message (subject, blank line, body, trailers), ending in one newline.
    pub message: String,
    /// Author's name.
    pub author_name: String,
    /// Author's mail address, without `<>`.
    pub author_email: String,
    /// Author date, seconds since the epoch.
    pub date_seconds: i64,
    /// Author date's offset from UTC, minutes.
    pub date_offset: i32,
    /// Message-Id without `<>`, where it was mail.
    pub message_id: Option<String>,
    /// Where it was read, for error messages: `v3.mbox: message 4` or a file name.
    pub source: String,
    /// Files it touches.
    pub files: Vec<FilePatch>,
    /// `git patch-id --stable` of the diff: 40 hex digits.
    pub patch_id: String,
}

/// What a patch does to one file. Paths are relative, `/`-separated, checked: no empty, `.`, `..` or
/// `.git` component, no NUL, no leading slash; they are bytes that happen to be UTF-8, or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePatch {
    /// Path before; `None` for a new file.
    pub old_path: Option<String>,
    /// Path after; `None` for a deleted file.
    pub new_path: Option<String>,
    /// How the two belong together.
    pub change: Change,
    /// `similarity index`, percent, where the patch names it: part of its patch-id.
    #[serde(default)]
    pub similarity: Option<u8>,
    /// Mode before, octal as in git (0o100644), where the patch names it.
    pub old_mode: Option<u32>,
    /// Mode after, where the patch names it.
    pub new_mode: Option<u32>,
    /// Abbreviated blob ids of the `index a..b` line.
    pub blobs: Option<(String, String)>,
    /// The difference itself.
    pub body: Body,
    /// Line in the source where this file's diff begins, from 1.
    pub line: u32,
}

/// How old and new path belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The same path before and after.
    Modify,
    /// A new file.
    Add,
    /// The file goes.
    Delete,
    /// It moves (and may change).
    Rename,
    /// A copy is made (and may change).
    Copy,
}

/// The difference inside one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Text hunks, in order; empty for a pure rename or mode change.
    Text(Vec<Hunk>),
    /// A `GIT binary patch`, already inflated.
    Binary {
        /// Old → new.
        forward: BinaryDelta,
        /// New → old, where given.
        reverse: Option<BinaryDelta>,
    },
}

/// One half of a binary patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinaryDelta {
    /// The whole content.
    Literal(Vec<u8>),
    /// A git pack delta against the other side.
    Delta(Vec<u8>),
}

/// One `@@` hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// First line before, from 1 (0 when there are none).
    pub old_start: u32,
    /// Lines before.
    pub old_lines: u32,
    /// First line after.
    pub new_start: u32,
    /// Lines after.
    pub new_lines: u32,
    /// Text after the second `@@`.
    pub section: String,
    /// The lines, in order.
    pub lines: Vec<HunkLine>,
    /// Line in the source where this hunk's `@@` stands, from 1.
    pub line: u32,
}

/// One line of a hunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HunkLine {
    /// Context, removed or added.
    pub kind: LineKind,
    /// Its bytes with the newline, if it has one (`\ No newline at end of file` takes it away).
    #[serde(with = "as_text")]
    pub text: Vec<u8>,
}

/// What a hunk line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LineKind {
    /// Stays.
    Context,
    /// Goes.
    Remove,
    /// Comes.
    Add,
}

/// Bytes that are nearly always text: a string in JSON where they are UTF-8, else a list of numbers. Nothing is lost, and
/// `series.json` can be read by people.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => to.serialize_str(text),
            Err(_) => to.collect_seq(bytes),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        Ok(match Either::deserialize(from)? {
            Either::Text(text) => text.into_bytes(),
            Either::Bytes(bytes) => bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunk_line_comes_back_from_json_whatever_its_bytes() {
        for (text, json) in [
            (&b"\tint x;\n"[..], r#""\tint x;\n""#),
            (b"\xff\n", "[255,10]"),
        ] {
            let line = HunkLine {
                kind: LineKind::Add,
                text: text.to_vec(),
            };
            let said = serde_json::to_string(&line).unwrap();
            assert_eq!(said, format!(r#"{{"kind":"add","text":{json}}}"#));
            assert_eq!(serde_json::from_str::<HunkLine>(&said).unwrap(), line);
        }
    }
}
