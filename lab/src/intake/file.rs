// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file or stream, unpacked within bounds.

use super::refused;
use crate::error::{Doing, Error, Result};
use lab_core::series::{ReadOptions, Series, limits::MAX_SERIES_BYTES, read_mbox};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The first bytes of a gzip member.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Reads a regular file, unpacked where it is gzip. Devices and pipes by path are read too, within the same bound.
pub(super) fn open(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).doing(|| format!("open {}", path.display()))?;
    read(file, &path.display().to_string())
}

/// Reads a stream to its end, unpacked where it begins as gzip does.
pub(super) fn read(from: impl Read, name: &str) -> Result<Vec<u8>> {
    within(from, name, MAX_SERIES_BYTES)
}

/// The same within a limit in bytes, unpacked: a bomb never unfolds.
pub(super) fn within(mut from: impl Read, name: &str, limit: usize) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    from.by_ref()
        .take(2)
        .read_to_end(&mut head)
        .doing(|| format!("read {name}"))?;
    let packed = head == GZIP;
    let whole = std::io::Cursor::new(head).chain(from);
    if packed {
        bounded(flate2::read::MultiGzDecoder::new(whole), name, limit)
    } else {
        bounded(whole, name, limit)
    }
}

fn bounded(from: impl Read, name: &str, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = from.take(limit as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::usage(format!("{name}: {error}")))?;
    if bytes.len() > limit {
        let told = format!("{name} holds more than {} MiB", limit >> 20);
        return Err(Error::usage(told).hint("cut the series' own mails out of it"));
    }
    Ok(bytes)
}

/// One file's bytes as a series.
pub(super) fn series(bytes: &[u8], source: &str, options: &ReadOptions) -> Result<Series> {
    read_mbox(bytes, source, options).map_err(refused)
}
