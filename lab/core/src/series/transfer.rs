// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transfer encodings, charsets and encoded words (RFC 2045, RFC 2047), lenient as mail readers are.

use std::borrow::Cow;

/// Decodes one line of quoted-printable; a soft break at its end takes the newline away.
/// What is no valid escape stays as it stands.
pub(super) fn quoted_printable(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        let byte = line[at];
        if byte == b'=' {
            if line[at + 1..].iter().all(|b| b.is_ascii_whitespace()) {
                return out;
            }
            if let Some(value) = hex_pair(&line[at + 1..]) {
                out.push(value);
                at += 3;
                continue;
            }
        }
        out.push(byte);
        at += 1;
    }
    out
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|&b| (b as char).to_digit(16));
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

/// A base64 decoder that keeps its state between lines and passes over foreign bytes.
#[derive(Debug, Default)]
pub(super) struct Base64 {
    bits: u32,
    count: u8,
}

impl Base64 {
    /// Decodes what it can of these bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() / 4 * 3 + 3);
        for &byte in bytes {
            let value = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                b'=' => {
                    *self = Self::default();
                    continue;
                }
                _ => continue,
            };
            self.bits = (self.bits << 6 | u32::from(value)) & 0xff_ffff;
            self.count += 1;
            if self.count > 1 {
                out.push((self.bits >> (8 - 2 * self.count)) as u8);
            }
            if self.count == 4 {
                *self = Self::default();
            }
        }
        out
    }
}

/// Bytes as text. Without a charset, and for UTF-8 and ASCII, what is not UTF-8 is read as Latin-1,
/// as git guesses. `None`: the charset is not known.
pub(super) fn text<'a>(bytes: &'a [u8], charset: Option<&str>) -> Option<Cow<'a, str>> {
    let label = charset.unwrap_or("utf-8").trim().to_ascii_lowercase();
    if matches!(
        label.as_str(),
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" | "unknown-8bit" | "x-unknown"
    ) {
        return Some(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => encoding_rs::mem::decode_latin1(bytes),
        });
    }
    let encoding = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
    Some(encoding.decode_without_bom_handling(bytes).0)
}

/// Decodes the encoded words of a header value. Blanks between two of them go; neighbours in one
/// charset are joined before decoding, since some mail programs cut inside a character.
/// `Err` holds the charset that is not known.
pub(super) fn words(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut pending: Option<(String, Vec<u8>)> = None;
    let mut rest = value;
    while let Some(start) = rest.find("=?") {
        let Some((charset, bytes, end)) = word(&rest[start..]) else {
            flush(&mut pending, &mut out)?;
            out.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        let gap = &rest[..start];
        if pending.is_none() || !gap.trim().is_empty() {
            flush(&mut pending, &mut out)?;
            out.push_str(gap);
        }
        match &mut pending {
            Some((known, data)) if known.eq_ignore_ascii_case(&charset) => data.extend(bytes),
            _ => {
                flush(&mut pending, &mut out)?;
                pending = Some((charset, bytes));
            }
        }
        rest = &rest[start + end..];
    }
    flush(&mut pending, &mut out)?;
    out.push_str(rest);
    Ok(out)
}

fn flush(pending: &mut Option<(String, Vec<u8>)>, out: &mut String) -> Result<(), String> {
    if let Some((charset, bytes)) = pending.take() {
        out.push_str(&text(&bytes, Some(&charset)).ok_or(charset)?);
    }
    Ok(())
}

/// An encoded word has at most 75 characters by RFC 2047; real ones are longer, hostile ones have no end.
const MAX_WORD: usize = 4096;

/// `=?charset?encoding?text?=` at the beginning: charset, decoded bytes, length.
fn word(at: &str) -> Option<(String, Vec<u8>, usize)> {
    let window = &at.as_bytes()[..at.len().min(MAX_WORD)];
    let charset_end = 2 + memchr::memchr(b'?', &window[2..])?;
    let encoding = window.get(charset_end + 1)?.to_ascii_lowercase();
    if window.get(charset_end + 2) != Some(&b'?') {
        return None;
    }
    let start = charset_end + 3;
    let length = memchr::memmem::find(&window[start..], b"?=")?;
    let body = &window[start..start + length];
    let bytes = match encoding {
        b'b' => Base64::default().feed(body),
        b'q' => {
            let spaced: Vec<u8> = body
                .iter()
                .map(|&b| if b == b'_' { b' ' } else { b })
                .collect();
            quoted_printable(&spaced)
        }
        _ => return None,
    };
    // A language may follow the charset after `*` (RFC 2231).
    let name = std::str::from_utf8(&window[2..charset_end]).ok()?;
    let name = name.split('*').next().unwrap_or(name);
    Some((name.to_owned(), bytes, start + length + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_in_several_charsets() {
        let check =
            |input: &str, want: &str| assert_eq!(words(input).as_deref(), Ok(want), "{input}");
        check("plain =? text", "plain =? text");
        check(
            "=?UTF-8?q?J=C3=BCrgen_Gro=C3=9F?= <j@x>",
            "Jürgen Groß <j@x>",
        );
        check("=?ISO-8859-1?Q?Andr=E9?=", "André");
        check("=?utf-8?B?w6k=?= =?utf-8?B?w6g=?= x", "éè x");
        check("=?utf-8?q?a=C3?= =?utf-8?q?=A9b?=", "aéb");
        check("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本");
        check("=?koi8-r?B?8NLJ18XU?=", "Привет");
        check("=?utf-8?x?no?= =?broken", "=?utf-8?x?no?= =?broken");
        assert_eq!(words("=?klingon?q?x?="), Err("klingon".to_owned()));
    }

    #[test]
    fn quoted_printable_keeps_what_is_no_escape() {
        assert_eq!(quoted_printable(b"a=3Db=\n"), b"a=b");
        assert_eq!(quoted_printable(b"a=ZZ=e9\n"), b"a=ZZ\xe9\n");
        assert_eq!(quoted_printable(b"x=\r\n"), b"x");
    }

    #[test]
    fn base64_runs_over_line_ends() {
        let mut decoder = Base64::default();
        let mut out = decoder.feed(b"aGVs\r\nbG8g");
        out.extend(decoder.feed(b"d29\n"));
        out.extend(decoder.feed(b"ybGQ="));
        assert_eq!(out, b"hello world");
    }
}
