// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thinking half of the lab. Nothing in this crate does I/O: values in, values out.

pub mod apply;
pub mod autopsy;
pub mod bisect;
pub mod boot;
pub mod console;
pub mod finding;
pub mod job;
pub mod kbuild;
pub mod measure;
pub mod outcome;
pub mod profile;
pub mod report;
pub mod score;
pub mod series;
pub mod settings;
pub mod stats;
pub mod symbol;
pub mod text;
pub mod verdict;
mod yaml;
