// SPDX-License-Identifier: MIT OR Apache-2.0
//! What to show a person of a hunk that does not fit: its own lines, and the tree's where they are most alike.

use super::hunks::{HunkError, before};
use super::image::lines;
use crate::series::Hunk;
use crate::text::harmless;
use serde::{Deserialize, Serialize};

/// Line comparisons spent on finding the most alike place.
const EFFORT: usize = 20_000_000;
/// Lines shown of either side.
const SHOWN: usize = 7;

/// A hunk beside the place that is most like it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Misfit {
    /// The hunk, from 1.
    pub hunk: usize,
    /// Its `@@` line.
    pub header: String,
    /// The hunk's place in the series' source, line from 1.
    pub source_line: u32,
    /// Why.
    pub reason: String,
    /// Lines that it wants to see, from just before the first that differs.
    pub wants: Vec<String>,
    /// What the tree has there.
    pub has: Vec<String>,
    /// Line of the first of `has` in the tree's file, from 1.
    pub line: usize,
    /// Lines of the hunk found at that place, of how many.
    pub alike: (usize, usize),
}

/// Describes why `hunk`, which failed with `error`, does not fit.
pub fn misfit(error: &HunkError, hunk: &Hunk) -> Misfit {
    let wants: Vec<&[u8]> = before(hunk).collect();
    let has: Vec<&[u8]> = lines(&error.found).collect();
    let at = most_alike(&wants, &has, error.expected);
    let alike = score(&wants, &has, at);
    let differs = (0..wants.len())
        .find(|i| has.get(at + i) != Some(&wants[*i]))
        .unwrap_or(0);
    let from = differs.saturating_sub(2);
    let there = has.get(at + from..).unwrap_or_default();
    Misfit {
        hunk: error.index + 1,
        header: header(hunk),
        source_line: hunk.line,
        reason: error.fault.to_string(),
        wants: show(&wants[from..]),
        has: show(there),
        line: at + from + 1,
        alike: (alike, wants.len()),
    }
}

fn header(hunk: &Hunk) -> String {
    let text = format!(
        "@@ -{},{} +{},{} @@ {}",
        hunk.old_start, hunk.old_lines, hunk.new_start, hunk.new_lines, hunk.section
    );
    text.trim_end().to_owned()
}

/// The place with most equal lines, the nearest to `expected` of those.
fn most_alike(wants: &[&[u8]], has: &[&[u8]], expected: usize) -> usize {
    let expected = expected.min(has.len().saturating_sub(1));
    let reach = EFFORT / wants.len().max(1);
    let first = expected.saturating_sub(reach / 2);
    let last = (expected + reach / 2).min(has.len());
    (first..last)
        .max_by_key(|at| {
            let distance = at.abs_diff(expected);
            (score(wants, has, *at), std::cmp::Reverse(distance))
        })
        .unwrap_or(expected)
}

fn score(wants: &[&[u8]], has: &[&[u8]], at: usize) -> usize {
    let there = has.get(at..).unwrap_or_default();
    wants.iter().zip(there).filter(|(a, b)| a == b).count()
}

/// Text of some lines, control characters replaced, so that a hostile file reaches no terminal.
fn show(lines: &[&[u8]]) -> Vec<String> {
    let one = |line: &&[u8]| {
        let text = String::from_utf8_lossy(line);
        let start: String = text.trim_end_matches('\n').chars().take(160).collect();
        harmless(&start)
    };
    lines.iter().take(SHOWN).map(one).collect()
}
