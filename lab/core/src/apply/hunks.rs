// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text hunks onto a file. The rules are those of `git apply` with no options: every context line must be there byte
//! for byte, a hunk may have moved by whole lines, and the nearest place wins.

use super::image::Image;
use crate::series::{Hunk, HunkLine, LineKind};
use serde::{Deserialize, Serialize};

/// Line comparisons that one file may cost; a series that needs more is not an honest one.
const SEARCH_LIMIT: u64 = 400_000_000;

/// A file after its hunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patched {
    /// The bytes.
    pub content: Vec<u8>,
    /// Where each hunk went, in the order of the hunks.
    pub places: Vec<Place>,
}

/// Where one hunk went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// First line of the hunk, from 0, in the file as the hunks before it left it.
    pub line: usize,
    /// Lines that it moved from where its header puts it; 0 is where its author saw it.
    pub offset: i64,
}

/// Why a hunk was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum HunkFault {
    /// Its lines are nowhere in the file, or not at the end that they must touch.
    #[error("its lines are not in the file")]
    NotFound,
    /// Searching for its place took more than any honest patch needs.
    #[error("finding its place takes too long")]
    TooMuchSearch,
}

/// A hunk that was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("hunk {} does not apply: {fault}", index + 1)]
pub struct HunkError {
    /// Which, from 0.
    pub index: usize,
    /// Where it was looked for first, line from 0.
    pub expected: usize,
    /// Why.
    pub fault: HunkFault,
    /// The file as the hunks before it left it.
    pub found: Vec<u8>,
}

/// Applies `hunks` to `old`.
///
/// # Errors
/// The first hunk that does not fit; nothing is applied in part.
pub fn apply_hunks(old: &[u8], hunks: &[Hunk]) -> Result<Patched, HunkError> {
    let mut image = Image::new(old);
    let mut places = Vec::with_capacity(hunks.len());
    let mut budget = SEARCH_LIMIT;
    for (index, hunk) in hunks.iter().enumerate() {
        let wanted = Wanted::new(hunk);
        // The header's new position already counts what the hunks before this one added.
        let stated = (hunk.new_start as usize).saturating_sub(1);
        match wanted.find(&image, stated, &mut budget) {
            Ok(line) => {
                image.splice(line, wanted.before.len(), after(hunk));
                places.push(Place {
                    line,
                    offset: line as i64 - stated_line(hunk),
                });
            }
            Err(fault) => {
                return Err(HunkError {
                    index,
                    expected: stated,
                    fault,
                    found: image.into_bytes(),
                });
            }
        }
    }
    Ok(Patched {
        content: image.into_bytes(),
        places,
    })
}

/// Takes `hunks` back out of `new`, where each must be found exactly at its place: the strict counter-proof.
/// `None` when `new` does not hold what the hunks leave.
pub fn unapply_hunks(new: &[u8], hunks: &[Hunk], places: &[Place]) -> Option<Vec<u8>> {
    if hunks.len() != places.len() {
        return None;
    }
    let mut image = Image::new(new);
    for (hunk, place) in hunks.iter().zip(places).rev() {
        let there: Vec<&[u8]> = after(hunk).collect();
        let fits = place.line + there.len() <= image.len()
            && (0..there.len()).all(|i| image.line(place.line + i).text == there[i]);
        if !fits {
            return None;
        }
        image.splice(place.line, there.len(), before(hunk));
    }
    Some(image.into_bytes())
}

/// Lines that must be there: context and removed.
pub(super) fn before(hunk: &Hunk) -> impl Iterator<Item = &[u8]> {
    side(hunk, LineKind::Add)
}

/// Lines that will be there: context and added.
fn after(hunk: &Hunk) -> impl Iterator<Item = &[u8]> {
    side(hunk, LineKind::Remove)
}

fn side(hunk: &Hunk, without: LineKind) -> impl Iterator<Item = &[u8]> {
    let kept = move |line: &&HunkLine| line.kind != without;
    hunk.lines
        .iter()
        .filter(kept)
        .map(|line| line.text.as_slice())
}

/// The line, from 0, at which the header puts the hunk. A side without lines is named by the line before it.
fn stated_line(hunk: &Hunk) -> i64 {
    let start = i64::from(hunk.new_start);
    if hunk.new_lines == 0 {
        start
    } else {
        start - 1
    }
}

/// What a hunk wants to see, and where.
struct Wanted<'a> {
    before: Vec<&'a [u8]>,
    at_beginning: bool,
    at_end: bool,
}

impl<'a> Wanted<'a> {
    fn new(hunk: &'a Hunk) -> Self {
        let context = |line: Option<&HunkLine>| line.is_some_and(|l| l.kind == LineKind::Context);
        Self {
            before: before(hunk).collect(),
            at_beginning: hunk.old_start <= 1,
            // Without context at its end a hunk can only belong to the end of the file.
            at_end: !context(hunk.lines.last()),
        }
    }

    /// Goes outward from `stated`, one line forward, one back, as `git apply` does; the first fit is taken.
    fn find(&self, image: &Image<'_>, stated: usize, budget: &mut u64) -> Result<usize, HunkFault> {
        let end = image.len();
        let start = if self.at_beginning {
            0
        } else if self.at_end {
            end.saturating_sub(self.before.len())
        } else {
            stated.min(end)
        };
        let (mut back, mut forth) = (start, start);
        let mut at = start;
        let mut forward = true;
        while !self.fits(image, at, budget)? {
            if back == 0 && forth == end {
                return Err(HunkFault::NotFound);
            }
            // The side that has ended leaves its turn to the other one.
            let forth_now = if forward { forth < end } else { back == 0 };
            if forth_now {
                forth += 1;
                at = forth;
            } else {
                back -= 1;
                at = back;
            }
            forward = !forth_now;
        }
        Ok(at)
    }

    fn fits(&self, image: &Image<'_>, at: usize, budget: &mut u64) -> Result<bool, HunkFault> {
        let after = at + self.before.len();
        let placed = after <= image.len()
            && (!self.at_beginning || at == 0)
            && (!self.at_end || after == image.len());
        if !placed {
            *budget = budget.checked_sub(1).ok_or(HunkFault::TooMuchSearch)?;
            return Ok(false);
        }
        for (i, want) in self.before.iter().enumerate() {
            *budget = budget.checked_sub(1).ok_or(HunkFault::TooMuchSearch)?;
            let line = image.line(at + i);
            if line.patched || line.text != *want {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
