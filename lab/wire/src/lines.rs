// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cutting a byte stream into lines, in bounded memory, whatever the other side sends.

use crate::MAX_LINE;
use serde::{Serialize, de::DeserializeOwned};

/// Cuts a stream into lines of at most [`MAX_LINE`] bytes (without the newline).
///
/// A longer line is dropped up to its newline and counted, so that a guest gone mad costs the
/// lab one line and 64 KiB of memory, not its life.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    skipping: bool,
    damaged: u64,
}

impl Lines {
    /// An empty reader.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream and calls `line` for each line that they complete.
    /// Empty lines are left out.
    pub fn push(&mut self, mut bytes: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            self.keep(head);
            if !std::mem::take(&mut self.skipping) && !self.partial.is_empty() {
                line(&self.partial);
            }
            self.partial.clear();
        }
        self.keep(bytes);
    }

    /// How many lines were too long and dropped.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.partial.len() + bytes.len() > MAX_LINE {
            self.damaged += 1;
            self.skipping = true;
            self.partial.clear();
            return;
        }
        self.partial.extend_from_slice(bytes);
    }
}

/// One message as a line with its newline.
///
/// # Errors
/// When the value cannot be written as JSON, or its line would be longer than [`MAX_LINE`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, String> {
    let mut line = serde_json::to_vec(message).map_err(|error| error.to_string())?;
    if line.len() > MAX_LINE {
        return Err(format!(
            "a message of {} bytes is over the limit of {MAX_LINE}",
            line.len()
        ));
    }
    line.push(b'\n');
    Ok(line)
}

/// The message in a line.
///
/// # Errors
/// When the line is not that message; says where in the line.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ended, Event, FromGuest, ToGuest};
    use proptest::prelude::*;

    fn lines_of(chunks: &[&[u8]]) -> (Vec<Vec<u8>>, u64) {
        let mut reader = Lines::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            reader.push(chunk, |line| lines.push(line.to_vec()));
        }
        (lines, reader.damaged())
    }

    #[test]
    fn a_line_too_long_is_counted_and_the_next_is_read() {
        let long = vec![b'x'; MAX_LINE + 1];
        let fits = vec![b'y'; MAX_LINE];
        let (lines, damaged) = lines_of(&[&long, b"\n", &fits, b"\nz\n"]);
        assert_eq!(damaged, 1);
        assert_eq!(lines, [fits, b"z".to_vec()]);
    }

    #[test]
    fn the_tail_of_a_long_line_is_not_taken_for_a_line() {
        let long = vec![b'x'; MAX_LINE];
        let (lines, damaged) = lines_of(&[&long, b"{\"say\":", &long, b"}\n{}\n"]);
        assert_eq!((lines, damaged), (vec![b"{}".to_vec()], 1));
    }

    #[test]
    fn a_message_over_the_limit_is_refused() {
        let event = Event::Note {
            text: "x".repeat(MAX_LINE),
        };
        let error = encode(&FromGuest { t_ms: 1, event }).expect_err("too long");
        assert!(error.contains("over the limit"), "{error}");
    }

    #[test]
    fn events_come_back_as_sent() {
        let events = [
            Event::Hello {
                protocol: 1,
                release: "6.12.117".into(),
                cpus: 2,
                mem_kib: 1 << 20,
            },
            Event::Pong { n: u64::MAX },
            Event::Measure {
                index: 0,
                name: "open.p99".into(),
                value: 12.5,
                unit: "us".into(),
            },
            Event::Stuck {
                index: 1,
                tid: 77,
                comm: "w3".into(),
                state: 'D',
                op: "unlink d0/n3".into(),
                wchan: "d_alloc_parallel".into(),
                since_ms: 40,
                stack: vec!["d_alloc_parallel+0x3a0/0x6d0".into()],
            },
            Event::End {
                index: 1,
                how: Ended::Stuck { threads: 1 },
                ops: 9,
                ran_ms: 8,
            },
            Event::Bye,
        ];
        for event in events {
            let sent = FromGuest { t_ms: 42, event };
            let line = encode(&sent).expect("fits");
            let (lines, _) = lines_of(&[&line]);
            assert_eq!(decode::<FromGuest>(&lines[0]), Ok(sent));
        }
        let ping = encode(&ToGuest::Ping { n: 3 }).expect("fits");
        assert_eq!(ping, b"{\"say\":\"ping\",\"n\":3}\n");
    }

    proptest! {
        #[test]
        fn any_bytes_are_bounded_and_never_panic(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..50),
        ) {
            let mut reader = Lines::new();
            for chunk in &chunks {
                reader.push(chunk, |line| {
                    assert!(line.len() <= MAX_LINE && !line.is_empty() && !line.contains(&b'\n'));
                    let _ = decode::<FromGuest>(line);
                    let _ = decode::<ToGuest>(line);
                });
            }
        }

        #[test]
        fn how_the_stream_was_cut_does_not_matter(
            text in prop::collection::vec(prop::sample::select(&b"ab\n"[..]), 0..300),
            cuts in prop::collection::vec(0usize..300, 0..8),
        ) {
            let whole = lines_of(&[&text]);
            let mut at: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            at.extend([0, text.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            prop_assert_eq!(lines_of(&chunks), whole);
        }

        #[test]
        fn notes_of_any_words_come_back(text in ".{0,200}", t_ms in any::<u64>()) {
            let sent = FromGuest { t_ms, event: Event::Note { text } };
            let line = encode(&sent).expect("fits");
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            prop_assert_eq!(decode::<FromGuest>(&line[..line.len() - 1]), Ok(sent));
        }
    }
}
