// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doing half of the lab: what touches files, processes, networks and terminals.

pub mod build;
pub mod cli;
pub mod error;
pub mod exit;
pub mod process;
pub mod profiles;
pub mod stop;
