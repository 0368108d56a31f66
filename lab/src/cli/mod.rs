// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands, one file each.

pub mod profiles;
