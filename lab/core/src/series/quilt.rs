// SPDX-License-Identifier: MIT OR Apache-2.0
//! Quilt folders: a `series` file that names patches, one a line.

use super::collect;
use super::error::{Refusal, SeriesError};
use super::letter::{self, Reading};
use super::limits::MAX_PATCHES;
use super::mbox::Message;
use super::model::Series;
use super::path;
use super::read::{Budget, ReadOptions, mailable, number, subject_of_file};

/// Reads a quilt series. `source` is the folder's path; `lookup` gives the bytes of a patch by its name in the series
/// file. `-pN` after a name says how many folders its paths lose; `#` begins a comment.
///
/// # Errors
/// When a patch is not there or cannot be read to the last hunk.
pub fn read_quilt(
    series: &str,
    source: &str,
    lookup: impl Fn(&str) -> Option<Vec<u8>>,
    options: &ReadOptions,
) -> Result<Series, SeriesError> {
    let mut budget = Budget::default();
    let mut letters = Vec::new();
    let file = format!("{}/series", source.trim_end_matches('/'));
    for (line, text) in (1u32..).zip(series.lines()) {
        let text = text.split('#').next().unwrap_or("");
        let mut words = text.split_ascii_whitespace();
        let Some(name) = words.next() else {
            continue;
        };
        let refuse = |reason| SeriesError::at(&file, line, reason);
        let strip = strip(words).map_err(refuse)?;
        path::checked(name.as_bytes()).map_err(refuse)?;
        let bytes =
            lookup(name).ok_or_else(|| refuse(Refusal::Quilt(format!("no file {name}"))))?;
        budget.take(&bytes, name)?;
        let how = Reading {
            place: name,
            strip,
            fallback: &subject_of_file(name),
            dep3: true,
        };
        let message = Message {
            line: 1,
            bytes: &bytes,
            escaped: false,
        };
        let mut letter = letter::read(message, how)?;
        if letter.patch.files.is_empty() {
            return Err(SeriesError::new(name, Refusal::Empty));
        }
        letter.prefix = Default::default();
        letter.patch.message = mailable(&letter.patch.message, name, &mut letter.warnings);
        letters.push(letter);
        if letters.len() > MAX_PATCHES {
            return Err(refuse(Refusal::TooLarge {
                what: "patches",
                limit: MAX_PATCHES,
            }));
        }
    }
    number(&mut letters);
    collect::series(letters, source, options)
}

fn strip<'a>(words: impl Iterator<Item = &'a str>) -> Result<usize, Refusal> {
    let mut strip = 1;
    for word in words {
        strip = match word {
            "-pab" | "-p1" => 1,
            "-R" => {
                return Err(Refusal::Quilt(
                    "reversed patches (-R) are not supported".into(),
                ));
            }
            _ => word
                .strip_prefix("-p")
                .and_then(|n| n.parse().ok())
                .filter(|&n| n < 100)
                .ok_or_else(|| Refusal::Quilt(format!("unknown option {word}")))?,
        };
    }
    Ok(strip)
}
