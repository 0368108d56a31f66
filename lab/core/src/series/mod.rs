// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mail room: from mails and folders to a [`Series`].
//!
//! Bytes come in whole, a [`Series`] or a [`SeriesError`] goes out. The way of one mail: `mbox` cuts it out,
//! `mime` undoes its encodings, `message` finds the commit message as `git am` would, `diff` reads what is left; then
//! `collect` puts the letters of one version in order and refuses what is not whole.

mod author;
mod binary;
mod collect;
mod describe;
mod diff;
mod error;
mod header;
mod hunk;
mod letter;
pub mod limits;
mod lines;
mod mbox;
mod message;
mod mime;
mod model;
mod patch_id;
mod path;
mod quilt;
mod read;
mod subject;
mod transfer;
mod write;

#[cfg(test)]
mod tests;

pub use author::{UNKNOWN_AUTHOR, UNKNOWN_DATE};
pub use describe::describe;
pub use error::{Refusal, SeriesError};
pub use model::*;
pub use patch_id::{diff_id_of_files, patch_id_of_files};
pub use path::checked as checked_path;
pub use quilt::read_quilt;
pub use read::{ReadOptions, read_commits, read_diff, read_mails, read_mbox};
pub use write::{format_diff, format_patch};
