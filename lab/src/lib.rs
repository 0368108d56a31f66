// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doing half of the lab: what touches files, processes, networks and terminals.

pub mod autopsy;
pub mod build;
pub mod capsule;
pub mod cli;
pub mod error;
pub mod evidence;
pub mod exec;
pub mod exit;
pub mod fetch;
pub mod gc;
pub mod host;
pub mod image;
pub mod intake;
pub mod listen;
pub mod pipeline;
pub mod process;
pub mod profiles;
pub mod replay;
pub mod report;
pub mod score;
pub mod settings;
pub mod shell;
pub mod stop;
pub mod store;
pub mod symbols;
pub mod tree;
pub mod triage;
pub mod ui;
pub mod vm;
