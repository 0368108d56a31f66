// SPDX-License-Identifier: MIT OR Apache-2.0
//! Cutting an mbox into its messages.

/// One message of an mbox.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    /// Line in the mbox where it begins, from 1 (after its separator).
    pub(super) line: u32,
    /// From its first header.
    pub(super) bytes: &'a [u8],
    /// Lines `>From `, `>>From `… were escaped when the mbox was written.
    pub(super) escaped: bool,
}

/// Cuts at `From ` lines that end in a date and are followed by a header: others are text.
/// A source without a separator is one message.
pub(super) fn split(bytes: &[u8]) -> Vec<Message<'_>> {
    let mut out: Vec<Message<'_>> = Vec::new();
    let (mut start, mut first_line, mut escaped) = (0, 1, false);
    let mut close = |start: usize, end: usize, line: u32, escaped: bool| {
        if bytes[start..end].iter().any(|b| !b.is_ascii_whitespace()) {
            out.push(Message {
                line,
                bytes: &bytes[start..end],
                escaped,
            });
        }
    };
    let (mut at, mut number) = (0, 1u32);
    while at < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n + 1);
        let line = &bytes[at..end];
        if is_separator(line) && header_follows(&bytes[end..]) {
            close(start, at, first_line, escaped);
            (start, first_line, escaped) = (end, number.saturating_add(1), is_escaped(line));
        }
        at = end;
        number = number.saturating_add(1);
    }
    close(start, bytes.len(), first_line, escaped);
    out
}

/// `From someone Thu Jan  1 00:00:00 1970`: a time with colons and a year after 1990, as git looks for.
pub(super) fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else {
        return false;
    };
    let rest = rest.trim_ascii_end();
    let Some(colon) = memchr::memrchr(b':', rest) else {
        return false;
    };
    let digit = |at: Option<usize>| {
        at.and_then(|at| rest.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let minutes =
        digit(colon.checked_sub(1)) && digit(colon.checked_sub(2)) && digit(colon.checked_sub(4));
    let seconds = digit(Some(colon + 1)) && digit(Some(colon + 2));
    let year = rest.get(colon + 3..).unwrap_or(b"").trim_ascii_start();
    minutes && seconds && year.first().is_some_and(u8::is_ascii_digit)
}

fn header_follows(bytes: &[u8]) -> bool {
    is_header(bytes)
        || (bytes.starts_with(b">From ") || bytes.starts_with(b"From ")) && !bytes.is_empty()
}

/// Whether a header field begins here: printable ASCII up to a colon (RFC 5322, 3.6.8).
pub(super) fn is_header(bytes: &[u8]) -> bool {
    let name = bytes
        .iter()
        .take(128)
        .take_while(|&&b| (33..=126).contains(&b) && b != b':')
        .count();
    name > 0 && bytes.get(name) == Some(&b':')
}

/// git writes its separators with one fixed date and escapes nothing; all others escape (mboxo, mboxrd).
fn is_escaped(separator: &[u8]) -> bool {
    !separator
        .trim_ascii_end()
        .ends_with(b" Mon Sep 17 00:00:00 2001")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_separators_cut() {
        let text = b"From a@b Thu Jan  1 00:00:00 1970\nSubject: x\n\nFrom here on it is text\nFrom me at 10:00:00 2020\n\
            and more\n\nFrom 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: y\n\nbody\n";
        let messages = split(text);
        let seen: Vec<_> = messages
            .iter()
            .map(|m| (m.line, m.escaped, m.bytes.len()))
            .collect();
        assert_eq!(seen, [(2, true, 71), (9, false, 14)]);
        assert_eq!(split(b"Subject: x\n\nbody").len(), 1);
        assert!(split(b"\n \n").is_empty());
        assert!(!is_separator(b"From : 10"));
    }
}
