// SPDX-License-Identifier: MIT OR Apache-2.0
//! Binary patches: a literal, or a git pack delta (gitformat-pack(5), «Deltified representation»).

use crate::series::BinaryDelta;

/// Largest file that a binary patch may make, bytes.
const LARGEST: u64 = 1 << 28;

/// Why a binary patch was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The delta is cut short, or names bytes that are not there.
    #[error("the delta is damaged")]
    Damaged,
    /// It was made from a file of another size.
    #[error("the delta was made from another file ({wanted} bytes, not {found})")]
    OtherSource {
        /// Size it wants.
        wanted: u64,
        /// Size that is there.
        found: u64,
    },
    /// It makes a file larger than the lab takes.
    #[error("the result would be larger than {LARGEST} bytes")]
    TooLarge,
}

/// Applies one half of a binary patch to `old`.
///
/// # Errors
/// A delta that is damaged, made from another file, or makes too large a file.
pub fn apply_binary(old: &[u8], patch: &BinaryDelta) -> Result<Vec<u8>, DeltaError> {
    match patch {
        BinaryDelta::Literal(bytes) => Ok(bytes.clone()),
        BinaryDelta::Delta(delta) => apply_delta(old, delta),
    }
}

fn apply_delta(old: &[u8], delta: &[u8]) -> Result<Vec<u8>, DeltaError> {
    let mut rest = delta;
    let wanted = size(&mut rest)?;
    let found = old.len() as u64;
    if wanted != found {
        return Err(DeltaError::OtherSource { wanted, found });
    }
    let target = size(&mut rest)?;
    if target > LARGEST {
        return Err(DeltaError::TooLarge);
    }
    let mut out = Vec::new();
    while let Some(op) = byte(&mut rest) {
        let piece = match op {
            0 => return Err(DeltaError::Damaged),
            1..=0x7f => insert(&mut rest, usize::from(op))?,
            _ => copy(old, &mut rest, op)?,
        };
        if (out.len() + piece.len()) as u64 > target {
            return Err(DeltaError::Damaged);
        }
        out.extend_from_slice(piece);
    }
    if out.len() as u64 == target {
        Ok(out)
    } else {
        Err(DeltaError::Damaged)
    }
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    Some(*first)
}

fn insert<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], DeltaError> {
    let (piece, tail) = rest.split_at_checked(count).ok_or(DeltaError::Damaged)?;
    *rest = tail;
    Ok(piece)
}

fn copy<'a>(old: &'a [u8], rest: &mut &[u8], op: u8) -> Result<&'a [u8], DeltaError> {
    let mut number = |bits: std::ops::Range<u32>| -> Result<usize, DeltaError> {
        let mut value = 0;
        for (place, bit) in bits.enumerate() {
            if op & (1 << bit) != 0 {
                value |= usize::from(byte(rest).ok_or(DeltaError::Damaged)?) << (8 * place);
            }
        }
        Ok(value)
    };
    let offset = number(0..4)?;
    let size = match number(4..7)? {
        0 => 0x10000,
        size => size,
    };
    let end = offset.checked_add(size).ok_or(DeltaError::Damaged)?;
    old.get(offset..end).ok_or(DeltaError::Damaged)
}

/// A little-endian base-128 size.
fn size(rest: &mut &[u8]) -> Result<u64, DeltaError> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let next = byte(rest).ok_or(DeltaError::Damaged)?;
        value |= u64::from(next & 0x7f) << shift;
        if next & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DeltaError::Damaged)
}
