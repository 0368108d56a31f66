// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file a command: its arguments, and what it says.

pub mod apply;
pub mod series;
