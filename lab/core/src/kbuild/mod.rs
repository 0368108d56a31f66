// SPDX-License-Identifier: MIT OR Apache-2.0
//! Knowledge of the kernel's build: its configuration file, its Kconfig language, and what make prints.

mod build_id;
pub mod dotconfig;
pub mod kconfig;
pub mod log;

pub use build_id::build_id;
