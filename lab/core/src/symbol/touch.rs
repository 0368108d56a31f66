// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which lines of a file come from which patch: the diffs of a series, carried forward to the last of its commits.

/// A hunk without context, in git's way of counting: where a side has no lines, its start is the line before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hunk {
    /// First line before.
    pub old_start: u32,
    /// Lines before.
    pub old_lines: u32,
    /// First line after.
    pub new_start: u32,
    /// Lines after.
    pub new_lines: u32,
}

impl Hunk {
    /// First old line that is gone or comes after the hunk, from 1.
    fn old_first(&self) -> u32 {
        self.old_start
            .saturating_add(u32::from(self.old_lines == 0))
    }

    /// Last old line that is gone; one less than [`Hunk::old_first`] where none is.
    fn old_last(&self) -> u32 {
        self.old_first()
            .saturating_sub(1)
            .saturating_add(self.old_lines)
    }

    fn new_first(&self) -> u32 {
        self.new_start
            .saturating_add(u32::from(self.new_lines == 0))
    }

    fn new_last(&self) -> u32 {
        self.new_first()
            .saturating_sub(1)
            .saturating_add(self.new_lines)
    }
}

/// What one patch did, in line numbers of the file as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    /// It wrote these lines, which still stand.
    Wrote { patch: u32, first: u32, last: u32 },
    /// It took something out after this line (0: at the top), or what it wrote there was changed again.
    Cut { patch: u32, after: u32 },
}

/// What a series did to one file so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touches {
    all: Vec<Touch>,
}

impl Touches {
    /// Goes on by one patch, whose hunks are given in their order and do not overlap.
    pub fn step(&mut self, patch: u32, hunks: &[Hunk]) {
        let mut next: Vec<Touch> = Vec::with_capacity(self.all.len() + hunks.len());
        for touch in &self.all {
            match *touch {
                Touch::Wrote { patch, first, last } => wrote(&mut next, patch, first, last, hunks),
                Touch::Cut { patch, after } => next.push(Touch::Cut {
                    patch,
                    after: gap(after, hunks),
                }),
            }
        }
        for hunk in hunks {
            if hunk.new_lines > 0 {
                next.push(Touch::Wrote {
                    patch,
                    first: hunk.new_first(),
                    last: hunk.new_last(),
                });
            } else {
                next.push(Touch::Cut {
                    patch,
                    after: hunk.new_start,
                });
            }
        }
        self.all = next;
    }

    /// Patches that wrote this line, in order.
    pub fn line(&self, line: u32) -> Vec<u32> {
        self.numbers(|touch| match touch {
            Touch::Wrote { first, last, .. } => (*first..=*last).contains(&line),
            Touch::Cut { .. } => false,
        })
    }

    /// Patches that wrote a line from `begin` to `end`, or took one out between them, in order.
    pub fn within(&self, begin: u32, end: u32) -> Vec<u32> {
        self.numbers(|touch| match touch {
            Touch::Wrote { first, last, .. } => *first <= end && *last >= begin,
            Touch::Cut { after, .. } => (begin..end).contains(after),
        })
    }

    fn numbers(&self, so: impl Fn(&Touch) -> bool) -> Vec<u32> {
        let number = |touch: &Touch| match touch {
            Touch::Wrote { patch, .. } | Touch::Cut { patch, .. } => *patch,
        };
        let mut numbers: Vec<u32> = self.all.iter().filter(|t| so(t)).map(number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}

/// Carries written lines over a patch: what it leaves of them, and a cut where it leaves nothing.
fn wrote(next: &mut Vec<Touch>, patch: u32, first: u32, last: u32, hunks: &[Hunk]) {
    let before = next.len();
    let mut from = first;
    for hunk in hunks {
        if from > last {
            break;
        }
        let (gone, until) = (hunk.old_first(), hunk.old_last());
        if gone > last {
            break;
        }
        if until < from && gone <= from {
            continue;
        }
        if gone > from {
            keep(next, patch, from, gone - 1, hunks);
        }
        from = from.max(until.saturating_add(1));
    }
    if from <= last {
        keep(next, patch, from, last, hunks);
    }
    if next.len() == before {
        next.push(Touch::Cut {
            patch,
            after: gap(first.saturating_sub(1), hunks),
        });
    }
}

/// Lines that a patch leaves as they are, at their new numbers.
fn keep(next: &mut Vec<Touch>, patch: u32, first: u32, last: u32, hunks: &[Hunk]) {
    let moved = shift(first, hunks);
    next.push(Touch::Wrote {
        patch,
        first: moved,
        last: moved.saturating_add(last - first),
    });
}

/// The new number of a line that no hunk takes out.
fn shift(line: u32, hunks: &[Hunk]) -> u32 {
    let moved = hunks
        .iter()
        .take_while(|hunk| hunk.old_first() <= line)
        .fold(i64::from(line), |line, hunk| {
            line + i64::from(hunk.new_lines) - i64::from(hunk.old_lines)
        });
    u32::try_from(moved.max(1)).unwrap_or(u32::MAX)
}

/// Where the gap after a line comes to be: after the same line, or, where that is gone, before what replaced it.
fn gap(after: u32, hunks: &[Hunk]) -> u32 {
    if after == 0 {
        return 0;
    }
    match hunks
        .iter()
        .find(|hunk| (hunk.old_first()..=hunk.old_last()).contains(&after))
    {
        Some(hunk) => hunk.new_first().saturating_sub(1),
        None => shift(after, hunks),
    }
}
