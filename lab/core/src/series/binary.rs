// SPDX-License-Identifier: MIT OR Apache-2.0
//! `GIT binary patch`: base85 lines around a zlib stream, inflated within bounds.

use super::error::Refusal;
use super::limits::{MAX_BINARY, MAX_BINARY_TOTAL};
use super::lines::Lines;
use super::model::BinaryDelta;
use std::io::{Read, Write};

const ALPHABET: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
/// Bytes in one full line.
const LINE: usize = 52;

/// Reads the half at `at` (`literal N` or `delta N`). `None` when there is none there; else the half and
/// the index after its closing empty line. `used` counts inflated bytes of the whole patch.
pub(super) fn half(
    lines: &Lines,
    at: usize,
    used: &mut usize,
) -> Result<Option<(BinaryDelta, usize)>, (usize, Refusal)> {
    let head = lines.bare(at);
    let (size, make): (_, fn(Vec<u8>) -> BinaryDelta) =
        if let Some(size) = head.strip_prefix(b"literal ") {
            (size, BinaryDelta::Literal)
        } else if let Some(size) = head.strip_prefix(b"delta ") {
            (size, BinaryDelta::Delta)
        } else {
            return Ok(None);
        };
    let size = std::str::from_utf8(size)
        .ok()
        .and_then(|s| s.trim_end().parse::<usize>().ok());
    let size = size.ok_or((at, Refusal::Binary("no size")))?;
    *used = used.saturating_add(size);
    if size > MAX_BINARY || *used > MAX_BINARY_TOTAL {
        let limit = if size > MAX_BINARY {
            MAX_BINARY
        } else {
            MAX_BINARY_TOTAL
        };
        return Err((
            at,
            Refusal::TooLarge {
                what: "bytes of a binary patch",
                limit,
            },
        ));
    }
    let mut packed = Vec::new();
    let mut next = at + 1;
    while next < lines.len() && !lines.bare(next).is_empty() {
        decode_line(lines.bare(next), &mut packed).ok_or((next, Refusal::Binary("not base85")))?;
        next += 1;
    }
    let data = inflate(&packed, size).ok_or((
        at,
        Refusal::Binary("its content does not have the stated size"),
    ))?;
    Ok(Some((make(data), next + 1)))
}

fn decode_line(line: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (&first, body) = line.split_first()?;
    let length = match first {
        b'A'..=b'Z' => usize::from(first - b'A') + 1,
        b'a'..=b'z' => usize::from(first - b'a') + 27,
        _ => return None,
    };
    if body.len() != length.div_ceil(4) * 5 {
        return None;
    }
    let start = out.len();
    for group in body.chunks(5) {
        let mut value: u32 = 0;
        for &byte in group {
            let digit = ALPHABET.iter().position(|&c| c == byte)?;
            value = value
                .checked_mul(85)?
                .checked_add(u32::try_from(digit).ok()?)?;
        }
        out.extend(value.to_be_bytes());
    }
    out.truncate(start + length);
    Some(())
}

/// Inflates exactly `size` bytes, never more than one byte past it.
fn inflate(packed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let limit = u64::try_from(size).ok()?.checked_add(1)?;
    flate2::read::ZlibDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut out)
        .ok()?;
    (out.len() == size).then_some(out)
}

/// Writes one half as git does, closing empty line included.
pub(super) fn write(delta: &BinaryDelta, out: &mut Vec<u8>) {
    let (word, data) = match delta {
        BinaryDelta::Literal(data) => ("literal", data),
        BinaryDelta::Delta(data) => ("delta", data),
    };
    out.extend(format!("{word} {}\n", data.len()).into_bytes());
    for line in deflate(data).chunks(LINE) {
        let length = u8::try_from(line.len()).unwrap_or(0);
        out.push(if length <= 26 {
            b'A' + length - 1
        } else {
            b'a' + length - 27
        });
        for group in line.chunks(4) {
            let mut word = [0; 4];
            word[..group.len()].copy_from_slice(group);
            let mut value = u32::from_be_bytes(word);
            let mut digits = [0; 5];
            for digit in digits.iter_mut().rev() {
                *digit = ALPHABET[(value % 85) as usize];
                value /= 85;
            }
            out.extend(digits);
        }
        out.push(b'\n');
    }
    out.push(b'\n');
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    // Writing to a vector cannot fail; an empty stream would be refused by the reader.
    encoder
        .write_all(data)
        .and_then(|()| encoder.finish())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn halves_go_there_and_back(data in proptest::collection::vec(any::<u8>(), 0..3000), delta: bool) {
            let half_in = if delta { BinaryDelta::Delta(data) } else { BinaryDelta::Literal(data) };
            let mut text = Vec::new();
            write(&half_in, &mut text);
            let lines = Lines::plain(&text, 1);
            let (half_out, next) = half(&lines, 0, &mut 0).unwrap().unwrap();
            prop_assert_eq!(half_in, half_out);
            prop_assert_eq!(next, lines.len());
        }
    }

    fn refused(text: &str) -> Refusal {
        half(&Lines::plain(text.as_bytes(), 1), 0, &mut 0)
            .unwrap_err()
            .1
    }

    #[test]
    fn a_bomb_is_bounded_by_its_stated_size() {
        let mut text = Vec::new();
        write(&BinaryDelta::Literal(vec![0; 5_000_000]), &mut text);
        let small = String::from_utf8(text)
            .unwrap()
            .replace("literal 5000000", "literal 10");
        assert_eq!(
            refused(&small),
            Refusal::Binary("its content does not have the stated size")
        );
        assert!(matches!(
            refused("literal 99999999999\n"),
            Refusal::TooLarge { .. }
        ));
        assert_eq!(refused("literal x\n"), Refusal::Binary("no size"));
        assert_eq!(
            refused("literal 4\n!!!!\n\n"),
            Refusal::Binary("not base85")
        );
        assert_eq!(
            refused("literal 4\nD~~~~~\n\n"),
            Refusal::Binary("not base85")
        );
    }
}
