// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a series may hold: far above any real one, far below what hurts the host.

/// Bytes of everything that is read for one series, after unpacking.
pub const MAX_SERIES_BYTES: usize = 256 << 20;
/// Lines of everything that is read for one series; a line costs some tens of bytes of bookkeeping.
pub const MAX_LINES: usize = 8_000_000;
/// Mails in one mbox, replies among them.
pub const MAX_MAILS: usize = 50_000;
/// Patches in one series.
pub const MAX_PATCHES: usize = 10_000;
/// Files that one patch touches.
pub const MAX_FILES: usize = 100_000;
/// Hunks in one patch.
pub const MAX_HUNKS: usize = 200_000;
/// Lines of all hunks in one patch.
pub const MAX_HUNK_LINES: usize = 2_000_000;
/// Inflated bytes of one half of a binary patch.
pub const MAX_BINARY: usize = 32 << 20;
/// Inflated bytes of all binary halves in one patch.
pub const MAX_BINARY_TOTAL: usize = 128 << 20;
/// Bytes of one path.
pub const MAX_PATH: usize = 4096;
/// Bytes of one commit message.
pub const MAX_MESSAGE: usize = 1 << 20;
/// Multipart bodies within each other.
pub const MAX_NESTING: usize = 8;
