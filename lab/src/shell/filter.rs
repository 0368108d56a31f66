// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest prints, made harmless as it comes: printable text, newlines, tabs and backspaces stay, everything else
//! becomes visible.

use crate::ui::harmless;

/// Longest console line; what is beyond is shown as lines of its own.
const LINE: usize = 4096;

/// Text out of bytes as they come, in any pieces.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// The beginning of a character that is not all there.
    rest: Vec<u8>,
}

impl Text {
    /// The text that these bytes complete. Carriage returns are left out: the screen makes its own.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let bytes = std::mem::take(&mut self.rest);
        let mut text = String::new();
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.extend(chunk.valid().chars().map(Piece));
            let invalid = chunk.invalid();
            // A character has four bytes at most; three that begin one may still become it.
            if chunks.peek().is_none() && may_begin(invalid) {
                self.rest = invalid.to_vec();
            } else {
                text.extend(invalid.iter().map(|byte| format!("\\x{byte:02x}")));
            }
        }
        text
    }
}

/// A character as it may be shown.
struct Piece(char);

impl Extend<Piece> for String {
    fn extend<T: IntoIterator<Item = Piece>>(&mut self, pieces: T) {
        for Piece(c) in pieces {
            match c {
                '\r' => {}
                '\n' | '\x08' => self.push(c),
                c if c.is_ascii_graphic() || c == ' ' => self.push(c),
                c => self.push_str(&harmless(c.encode_utf8(&mut [0; 4]))),
            }
        }
    }
}

/// The first bytes of a character of several.
fn may_begin(bytes: &[u8]) -> bool {
    let wanted = match bytes.first() {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => return false,
    };
    bytes.len() < wanted
}

/// Whole lines out of the bytes of a console.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: Text,
    line: String,
}

impl Lines {
    /// The lines that these bytes complete, without their ends.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.line += &self.text.push(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.line.find('\n') {
            let rest = self.line.split_off(end + 1);
            let mut line = std::mem::replace(&mut self.line, rest);
            line.pop();
            lines.push(line.replace('\x08', "\\u{8}"));
        }
        if self.line.len() > LINE {
            lines.push(std::mem::take(&mut self.line).replace('\x08', "\\u{8}"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(bytes: &[u8], wanted: &str) {
        assert_eq!(Text::default().push(bytes), wanted);
    }

    #[test]
    fn what_a_terminal_obeys_becomes_visible() {
        check(b"a\tb\r\n\x08 \x08", "a\tb\n\x08 \x08");
        check(
            b"\x1b]0;owned\x07\x1b[2J",
            "\\u{1b}]0;owned\\u{7}\\u{1b}[2J",
        );
        check("é\u{9b}31m\u{202e}x".as_bytes(), "é\\u{9b}31m\\u{202e}x");
        check(b"a\xffb\x80", "a\\xffb\\x80");
        check(b"\x00\x7f", "\\u{0}\\u{7f}");
    }

    #[test]
    fn a_character_may_come_in_pieces() {
        let mut text = Text::default();
        let pieces = [
            "€".as_bytes()[..1].to_vec(),
            "€".as_bytes()[1..].to_vec(),
            b"\xe2x".to_vec(),
        ];
        let got: Vec<String> = pieces.iter().map(|piece| text.push(piece)).collect();
        assert_eq!(got, ["", "€", "\\xe2x"]);
    }

    #[test]
    fn lines_come_whole_and_a_very_long_one_in_parts() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"[    1.0] a"), [""; 0]);
        assert_eq!(lines.push(b"b\r\n\r\nc"), ["[    1.0] ab", ""]);
        let long = lines.push(&[b'x'; LINE]);
        assert_eq!(long.len(), 1);
        assert!(lines.push(b"\n")[0].is_empty());
    }

    proptest! {
        #[test]
        fn nothing_but_text_comes_out_however_it_is_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 0..12),
        ) {
            let (mut pieces, mut text) = (String::new(), Text::default());
            for chunk in &chunks {
                pieces += &text.push(chunk);
            }
            let all: Vec<u8> = chunks.concat();
            let mut whole = Text::default();
            prop_assert_eq!(&pieces, &whole.push(&all));
            prop_assert!(text.rest.len() < 4);
            prop_assert!(pieces.chars().all(|c| !c.is_control() || "\n\t\x08".contains(c)));
        }
    }
}
