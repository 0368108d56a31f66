// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doors of the mail room.

use super::author::ident;
use super::collect;
use super::diff;
use super::error::{Refusal, SeriesError};
use super::letter::{self, Letter, Reading, Tags};
use super::limits::{MAX_LINES, MAX_MAILS, MAX_PATCHES, MAX_SERIES_BYTES};
use super::lines::Lines;
use super::mbox;
use super::message;
use super::model::{FilePatch, Patch, Series};
use super::patch_id::patch_id_of_files;
use super::subject::{self, Prefix};

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// The version to take where there are several; the newest otherwise.
    pub version: Option<u32>,
    /// The series' name, instead of one from its path or subject.
    pub name: Option<String>,
}

/// Reads an mbox, a single mail or a single patch file. `source` is its path, for names and messages.
///
/// # Errors
/// When it does not hold one whole series that can be read to the last hunk.
pub fn read_mbox(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Series, SeriesError> {
    let mut budget = Budget::default();
    let mut letters = Vec::new();
    read_source(bytes, source, &mut budget, &mut letters)?;
    collect::series(letters, source, options)
}

/// Reads files of a folder, each a mail, an mbox or a bare diff, in the order given.
///
/// # Errors
/// As [`read_mbox`].
pub fn read_mails(
    mails: Vec<(String, Vec<u8>)>,
    source: &str,
    options: &ReadOptions,
) -> Result<Series, SeriesError> {
    let mut budget = Budget::default();
    let mut letters = Vec::new();
    for (name, bytes) in mails {
        read_source(&bytes, &name, &mut budget, &mut letters)?;
    }
    collect::series(letters, source, options)
}

/// Makes a series of commits that someone else has taken apart: numbers, ids and the name are filled in here, messages
/// brought into a form that a mail can carry.
///
/// # Errors
/// When there are none or too many.
pub fn read_commits(
    patches: Vec<Patch>,
    source: &str,
    options: &ReadOptions,
) -> Result<Series, SeriesError> {
    let mut letters = Vec::new();
    for mut patch in patches {
        let mut warnings = Vec::new();
        patch.message = mailable(&patch.message, &patch.source, &mut warnings);
        patch.subject = patch.message.lines().next().unwrap_or("").to_owned();
        patch.patch_id = patch_id_of_files(&patch.files);
        (patch.author_name, patch.author_email) =
            ident(&subject::one_line(&patch.author_name), &patch.author_email);
        letters.push(Letter {
            prefix: Prefix::default(),
            patch,
            text: String::new(),
            tags: Tags::default(),
            warnings,
        });
    }
    if letters.len() > MAX_PATCHES {
        return Err(SeriesError::new(
            source,
            Refusal::TooLarge {
                what: "patches",
                limit: MAX_PATCHES,
            },
        ));
    }
    number(&mut letters);
    collect::series(letters, source, options)
}

/// Gives letters that stand in order their numbers.
pub(super) fn number(letters: &mut [Letter]) {
    let total = u32::try_from(letters.len()).unwrap_or(u32::MAX);
    for (letter, number) in letters.iter_mut().zip(1..) {
        letter.prefix.number = Some((number, total));
    }
}

/// Reads a bare diff, paths with the prefixes `a/` and `b/`.
///
/// # Errors
/// When something in it cannot be read; nothing is passed over.
pub fn read_diff(bytes: &[u8], source: &str) -> Result<Vec<FilePatch>, SeriesError> {
    Budget::default().take(bytes, source)?;
    diff::parse(&Lines::plain(bytes, 1), 0, 1).map_err(|(line, r)| SeriesError::at(source, line, r))
}

/// What may still be read for this series.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: usize,
    lines: usize,
    mails: usize,
}

impl Budget {
    pub(super) fn take(&mut self, bytes: &[u8], source: &str) -> Result<(), SeriesError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        let too_large =
            |what, limit| Err(SeriesError::new(source, Refusal::TooLarge { what, limit }));
        if self.bytes > MAX_SERIES_BYTES {
            return too_large("bytes", MAX_SERIES_BYTES);
        }
        self.lines += memchr::memchr_iter(b'\n', bytes).count();
        if self.lines > MAX_LINES {
            return too_large("lines", MAX_LINES);
        }
        Ok(())
    }

    fn mails(&mut self, count: usize, source: &str) -> Result<(), SeriesError> {
        self.mails = self.mails.saturating_add(count);
        if self.mails > MAX_MAILS {
            return Err(SeriesError::new(
                source,
                Refusal::TooLarge {
                    what: "mails",
                    limit: MAX_MAILS,
                },
            ));
        }
        Ok(())
    }
}

fn read_source(
    bytes: &[u8],
    source: &str,
    budget: &mut Budget,
    letters: &mut Vec<Letter>,
) -> Result<(), SeriesError> {
    budget.take(bytes, source)?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let messages = mbox::split(bytes);
    budget.mails(messages.len(), source)?;
    let fallback = subject_of_file(source);
    let many = messages.len() > 1;
    for (message, number) in messages.into_iter().zip(1..) {
        let place = if many {
            format!("{source}: message {number}")
        } else {
            source.to_owned()
        };
        // A file without an mbox separator may be a bare diff with a few words above it.
        let how = Reading {
            place: &place,
            strip: 1,
            fallback: &fallback,
            dep3: message.line == 1,
        };
        letters.push(letter::read(message, how)?);
    }
    Ok(())
}

/// `patches/0007-fs-wake-up.patch` → `fs wake up`.
pub(super) fn subject_of_file(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let stem = stem
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim_start_matches('-');
    let words = subject::clean(&stem.replace(['-', '_'], " "));
    if words.is_empty() {
        "patch without a name".to_owned()
    } else {
        words
    }
}

/// A message in a form that survives the way through a mail: lines that would end it there are set in by one blank.
pub(super) fn mailable(text: &str, source: &str, warnings: &mut Vec<String>) -> String {
    let text: String = text.chars().filter(|&c| c != '\0').collect();
    let text = message::compose("", &text);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let joined = subject::one_line(head);
    let mut subject = subject::clean(&joined);
    if subject != joined {
        warnings.push(format!(
            "{source}: brackets or `Re:` in front of its subject are left out: {joined}"
        ));
    }
    if subject.is_empty() {
        subject = "commit without a subject".to_owned();
    }
    let mut out = String::new();
    for line in body.lines() {
        if message::is_break(line.as_bytes()) || message::is_scissors(line) {
            warnings.push(format!(
                "{source}: a line of its message would end it in a mail, so it is set in: {line}"
            ));
            out.push(' ');
        }
        out.push_str(line);
        out.push('\n');
    }
    message::compose(&subject, &out)
}
