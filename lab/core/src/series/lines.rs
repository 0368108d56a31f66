// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of a text, each with its line number in the source it was decoded from.

/// Bytes cut into lines. A line keeps its `\n`; the last may have none.
#[derive(Debug, Default, Clone)]
pub(super) struct Lines {
    data: Vec<u8>,
    /// Where each line begins in `data`, and its number in the source.
    marks: Vec<(usize, u32)>,
}

impl Lines {
    /// Cuts a plain text whose first line has this number.
    pub(super) fn plain(data: &[u8], first: u32) -> Self {
        let mut lines = Lines::default();
        let mut number = first;
        for line in data.split_inclusive(|&b| b == b'\n') {
            lines.push(line, number);
            number = number.saturating_add(1);
        }
        lines
    }

    /// Adds one whole line.
    pub(super) fn push(&mut self, line: &[u8], number: u32) {
        self.marks.push((self.data.len(), number));
        self.data.extend_from_slice(line);
    }

    /// Adds bytes that may end, begin or hold several lines; a line takes the number at which it begins.
    pub(super) fn extend(&mut self, bytes: &[u8], number: u32) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            if self.data.is_empty() || self.data.ends_with(b"\n") {
                self.marks.push((self.data.len(), number));
            }
            self.data.extend_from_slice(piece);
        }
    }

    /// How many lines.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// The line with its newline; empty past the end.
    pub(super) fn get(&self, at: usize) -> &[u8] {
        let Some(&(start, _)) = self.marks.get(at) else {
            return &[];
        };
        let end = self.marks.get(at + 1).map_or(self.data.len(), |m| m.0);
        &self.data[start..end]
    }

    /// The line without its newline.
    pub(super) fn bare(&self, at: usize) -> &[u8] {
        let line = self.get(at);
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// The line's number in the source; that of the last line past the end.
    pub(super) fn number(&self, at: usize) -> u32 {
        self.marks.get(at).or(self.marks.last()).map_or(1, |m| m.1)
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.data
    }
}
