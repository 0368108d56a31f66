// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the few console lines that tell of the machine itself: a kernel begins, a kernel panics.
//!
//! The panic line matters where the kernel has no pvpanic driver, or dies before it is up. A second banner is a reset.

use super::event::Mark;

/// Longest start of a line that is looked at: time stamp, caller id and the words all fit.
const LOOK: usize = 160;

/// A streaming reader in constant memory; gives the same marks in any chunking.
#[derive(Debug, Default)]
pub struct Marks {
    line: Vec<u8>,
}

impl Marks {
    /// Takes what was printed, gives the marks of the lines that it ended.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.keep(&rest[..end]);
            marks.extend(mark(&self.line));
            self.line.clear();
            rest = &rest[end + 1..];
        }
        self.keep(rest);
        marks
    }

    /// The mark of a last line that never ended.
    pub fn finish(&mut self) -> Option<Mark> {
        mark(&std::mem::take(&mut self.line))
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LOOK.saturating_sub(self.line.len());
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// What a line says, time stamp and caller id set aside.
fn mark(line: &[u8]) -> Option<Mark> {
    let mut words = line;
    while words.first() == Some(&b'[') {
        let end = memchr::memchr(b']', words)?;
        words = words[end + 1..].trim_ascii_start();
    }
    if words.starts_with(b"Kernel panic - not syncing") {
        Some(Mark::Panic)
    } else if words.starts_with(b"Rebooting in ") || words.starts_with(b"Kernel Offset: ") {
        Some(Mark::LastWords)
    } else if words.starts_with(b"Linux version ") && memchr::memchr(b'(', words).is_some() {
        Some(Mark::Banner)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, wanted: &[Mark]) {
        let mut marks = Marks::default();
        let mut got = marks.push(text.as_bytes());
        got.extend(marks.finish());
        assert_eq!(got, wanted, "{text:?}");
    }

    #[test]
    fn finds_banner_and_panic_behind_any_prefix() {
        let banner = "Linux version 6.12.117 (root@host) (gcc 12.2.0) #1 SMP";
        check(&format!("{banner}\n"), &[Mark::Banner]);
        check(&format!("[    0.000000] {banner}\n"), &[Mark::Banner]);
        check(
            &format!("[    0.000000][    T0] {banner}\r\n"),
            &[Mark::Banner],
        );
        check(
            "[ 1.2] Kernel panic - not syncing: Attempted to kill init!",
            &[Mark::Panic],
        );
        check(
            "[   33.4][   T88] Kernel Offset: disabled\n[   33.4][   T88] Rebooting in 1 seconds..",
            &[Mark::LastWords; 2],
        );
    }

    #[test]
    fn lines_that_only_mention_them_are_none() {
        check("[ 1.0] ---[ end Kernel panic - not syncing: x ]---\n", &[]);
        check("SeaBIOS Linux version 1 (x)\n", &[]);
        check("[[[[\n[\n]\n\n", &[]);
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(bytes in prop::collection::vec(prop::sample::select(b"[ 1.]\nLinux version 6 (Kernel panic - not syncing:".to_vec()), 0..300), at in 0usize..300) {
            let mut whole = Marks::default();
            let mut parts = Marks::default();
            let at = at.min(bytes.len());
            let mut split = parts.push(&bytes[..at]);
            split.extend(parts.push(&bytes[at..]));
            prop_assert_eq!(whole.push(&bytes), split);
            prop_assert!(parts.line.len() <= LOOK);
        }
    }
}
