// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mail room: from mails and folders to a [`Series`].

mod model;
pub use model::*;
