// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file as lines with a gap, so that hunks applied front to back cost what they touch.

/// One line, with its newline if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    /// Written by an earlier hunk of the same patch; such a line matches no later hunk.
    pub(super) patched: bool,
}

/// Lines before the gap in order, lines after it in reverse.
#[derive(Debug)]
pub(super) struct Image<'a> {
    left: Vec<Line<'a>>,
    right: Vec<Line<'a>>,
}

/// Splits into lines that keep their newline.
pub(super) fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

impl<'a> Image<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let line = |text| Line {
            text,
            patched: false,
        };
        Self {
            left: Vec::new(),
            right: lines(bytes).rev().map(line).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.left.len() + self.right.len()
    }

    /// The line at `index`, which must be below `len()`.
    pub(super) fn line(&self, index: usize) -> Line<'a> {
        match index.checked_sub(self.left.len()) {
            None => self.left[index],
            Some(after) => self.right[self.right.len() - 1 - after],
        }
    }

    /// Puts `new` in the place of `count` lines at `at`, marked as patched.
    pub(super) fn splice(&mut self, at: usize, count: usize, new: impl Iterator<Item = &'a [u8]>) {
        while self.left.len() > at {
            self.right.extend(self.left.pop());
        }
        while self.left.len() < at {
            self.left.extend(self.right.pop());
        }
        self.right.truncate(self.right.len() - count);
        self.left.extend(new.map(|text| Line {
            text,
            patched: true,
        }));
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        let all = || self.left.iter().chain(self.right.iter().rev());
        let mut out = Vec::with_capacity(all().map(|line| line.text.len()).sum());
        for line in all() {
            out.extend_from_slice(line.text);
        }
        out
    }
}
