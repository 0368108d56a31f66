// SPDX-License-Identifier: MIT OR Apache-2.0
//! One console line: what stands before the kernel's words (level, time, caller, syslog), and the words.

/// Who printed a line, with `CONFIG_PRINTK_CALLER`: `T123` a thread, `C1` a CPU in interrupt context.
pub(super) type Caller = Option<(u8, u32)>;

/// A line taken apart. Offsets count from the first byte of the console.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Offset of the first byte.
    pub(super) start: u64,
    /// One past the last byte, line end included.
    pub(super) end: u64,
    /// Seconds since boot.
    pub(super) time: Option<f64>,
    /// Who printed it.
    pub(super) caller: Caller,
    /// The kernel's words, with no blanks or control bytes at either end.
    pub(super) text: &'a [u8],
}

/// How far into a line a second time stamp is looked for: a program's prompt or a torn line may stand before it.
const STAMP_REACH: usize = 256;

impl<'a> Line<'a> {
    /// Takes `raw` apart. The words begin after the last time stamp among its first bytes, so a line that was printed into
    /// the middle of another one is read from its own beginning.
    pub(super) fn parse(raw: &'a [u8], start: u64, end: u64) -> Self {
        let mut line = Line {
            start,
            end,
            time: None,
            caller: None,
            text: trim(raw),
        };
        let mut at = 0;
        let mut reach = line.text.len().min(STAMP_REACH);
        while let Some(open) = line
            .text
            .get(at..reach)
            .and_then(|rest| memchr::memchr(b'[', rest))
        {
            at += open;
            match stamp(&line.text[at..]) {
                Some((time, used)) => {
                    line.time = Some(time);
                    at += used;
                    let (caller, used) = caller(&line.text[at..]);
                    line.caller = caller;
                    at += used;
                    line.text = line.text[at..]
                        .strip_prefix(b" ")
                        .unwrap_or(&line.text[at..]);
                    at = 0;
                    reach = line.text.len().min(reach);
                }
                None => at += 1,
            }
        }
        if line.time.is_none() {
            line.text = after_syslog(after_level(line.text));
            if let Some((time, caller, text)) = kmsg(line.text) {
                line.time = Some(time);
                line.caller = caller;
                line.text = text;
            }
        } else {
            line.text = after_host(after_level(line.text));
        }
        line.text = line.text.trim_ascii_start();
        line
    }
}

/// Drops line ends, terminal sequences and other control bytes at both ends; tabs and spaces in front stay.
fn trim(mut raw: &[u8]) -> &[u8] {
    loop {
        match raw {
            [0x1b, b'[', rest @ ..] => {
                let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
                raw = end.map_or(&[][..], |end| &rest[end + 1..]);
            }
            [byte, rest @ ..] if byte.is_ascii_control() && *byte != b'\t' => raw = rest,
            _ => break,
        }
    }
    loop {
        match raw {
            [rest @ .., byte] if byte.is_ascii_control() || *byte == b' ' => raw = rest,
            [rest @ .., 0x1b, b'[', b'0', b'm'] | [rest @ .., 0x1b, b'[', b'm'] => raw = rest,
            _ => return raw,
        }
    }
}

/// `[    1.234567]` at the beginning of `text`: seconds, and how many bytes it takes.
fn stamp(text: &[u8]) -> Option<(f64, usize)> {
    let close = memchr::memchr(b']', text.get(..24.min(text.len()))?)?;
    let inside = text[1..close].trim_ascii_start();
    // With both a time and a caller in one bracket some consoles print `[1.234567@1]`.
    let number = inside.split(|byte| *byte == b'@').next()?;
    let dot = memchr::memchr(b'.', number)?;
    let digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    if !digits(&number[..dot]) || !digits(&number[dot + 1..]) {
        return None;
    }
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, close + 1))
}

/// `[    T1]` or `[ C0]` after a time stamp (a space may stand between): who, and how many bytes it takes.
fn caller(text: &[u8]) -> (Caller, usize) {
    let space = usize::from(text.first() == Some(&b' '));
    let rest = &text[space..];
    let parsed = (|| {
        let inside = rest.strip_prefix(b"[")?;
        let close = memchr::memchr(b']', inside.get(..16.min(inside.len()))?)?;
        let who = who(inside[..close].trim_ascii())?;
        Some((Some(who), space + close + 2))
    })();
    parsed.unwrap_or((None, 0))
}

/// A record of /dev/kmsg: `6,1234,567890,-;text`, with `,caller=T1` where callers are kept. Time in microseconds.
fn kmsg(text: &[u8]) -> Option<(f64, Caller, &[u8])> {
    let semicolon = memchr::memchr(b';', text.get(..text.len().min(80))?)?;
    let mut fields = text[..semicolon].split(|byte| *byte == b',');
    let number = |field: Option<&[u8]>| -> Option<u64> {
        let field =
            field.filter(|field| !field.is_empty() && field.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(field).ok()?.parse().ok()
    };
    number(fields.next())?;
    number(fields.next())?;
    let time = number(fields.next())?;
    let caller = fields
        .find_map(|field| field.strip_prefix(b"caller="))
        .and_then(who);
    Some((time as f64 / 1e6, caller, &text[semicolon + 1..]))
}

/// Drops `host kernel: `, as journals print it after a time since boot.
fn after_host(text: &[u8]) -> &[u8] {
    let head = &text[..text.len().min(80)];
    match memchr::memmem::find(head, b" kernel: ") {
        Some(at) if !head[..at].contains(&b' ') => after_level(&text[at + 9..]),
        _ => text,
    }
}

/// `T123` or `C0`.
fn who(text: &[u8]) -> Caller {
    let (kind, number) = text.split_first()?;
    let known = matches!(kind, b'T' | b'C') && !number.is_empty();
    if !known || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((*kind, std::str::from_utf8(number).ok()?.parse().ok()?))
}

/// Drops `<4>`.
fn after_level(text: &[u8]) -> &[u8] {
    match text {
        [b'<', digits @ ..] => match memchr::memchr(b'>', &digits[..digits.len().min(4)]) {
            Some(close) if close > 0 && digits[..close].iter().all(u8::is_ascii_digit) => {
                &digits[close + 1..]
            }
            _ => text,
        },
        _ => text,
    }
}

/// Drops what a log daemon or a harness puts in front of a line that has no time stamp: `Nov 21 02:12:22 host kernel: `,
/// `2018/01/09 14:28:48 `, `2018-01-09T14:28:48.123+00:00 host kernel: `.
fn after_syslog(text: &[u8]) -> &[u8] {
    let head = &text[..text.len().min(96)];
    if let Some(at) = memchr::memmem::find(head, b" kernel: ") {
        let clock = head[..at]
            .windows(3)
            .any(|w| w[0].is_ascii_digit() && w[1] == b':' && w[2].is_ascii_digit());
        if clock {
            return after_level(&text[at + 9..]);
        }
    }
    if !head.first().is_some_and(u8::is_ascii_digit) {
        return text;
    }
    let shape: Vec<u8> = head
        .iter()
        .take(20)
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { *byte })
        .collect();
    match shape.as_slice() {
        b"0000/00/00 00:00:00 " | b"0000-00-00 00:00:00 " => &text[20..],
        _ => text,
    }
}
