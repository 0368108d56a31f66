// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cuts a stream of bytes into lines: chunk borders leave no trace, and a line without end takes no memory.

/// How many bytes of a line are looked at. The kernel's own limit is about a thousand; what follows is counted, not kept.
pub(super) const LINE_LIMIT: usize = 4096;

/// What one chunk gives, in this order.
pub(super) struct Cut<'a> {
    /// A line that began in an earlier chunk and ends here: kept bytes, where it starts and ends.
    pub(super) joined: Option<(Vec<u8>, u64, u64)>,
    /// The whole lines of this chunk, with the offset of the first byte.
    pub(super) whole: (&'a [u8], u64),
}

/// The line that has no end yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    kept: Vec<u8>,
    open: bool,
    start: u64,
    offset: u64,
}

impl Lines {
    /// Takes one chunk. The offset is where the chunk begins in the console.
    pub(super) fn cut<'a>(&mut self, chunk: &'a [u8]) -> Cut<'a> {
        let mut chunk = chunk;
        let mut joined = None;
        if self.open {
            match memchr::memchr(b'\n', chunk) {
                None => {
                    self.keep(chunk);
                    self.offset += chunk.len() as u64;
                    return Cut {
                        joined: None,
                        whole: (&[], self.offset),
                    };
                }
                Some(end) => {
                    self.keep(&chunk[..end]);
                    self.offset += end as u64 + 1;
                    self.open = false;
                    joined = Some((std::mem::take(&mut self.kept), self.start, self.offset));
                    chunk = &chunk[end + 1..];
                }
            }
        }
        let whole_len = memchr::memrchr(b'\n', chunk).map_or(0, |end| end + 1);
        let (whole, rest) = chunk.split_at(whole_len);
        let whole = (whole, self.offset);
        self.offset += whole_len as u64;
        if !rest.is_empty() {
            self.open = true;
            self.start = self.offset;
            self.keep(rest);
            self.offset += rest.len() as u64;
        }
        Cut { joined, whole }
    }

    /// The last line, when it has no end: kept bytes, where it starts and ends.
    pub(super) fn rest(&mut self) -> Option<(Vec<u8>, u64, u64)> {
        let open = std::mem::take(&mut self.open);
        open.then(|| (std::mem::take(&mut self.kept), self.start, self.offset))
    }

    /// Bytes kept of the open line.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.kept.capacity()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_LIMIT.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
