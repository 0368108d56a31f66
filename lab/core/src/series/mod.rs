// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mail room: from mails and folders to a [`Series`].

mod model;
mod patch_id;
mod path;
pub use model::*;
pub use patch_id::{diff_id_of_files, patch_id_of_files};
