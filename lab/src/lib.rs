// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doing half of the lab: what touches files, processes, networks and terminals.

pub mod error;
pub mod exit;
pub mod image;
pub mod stop;
pub mod vm;
