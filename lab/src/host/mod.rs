// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host: what it has, what it can do, and how it gets what is missing.

pub mod doctor;
pub mod drgn;
pub mod machine;
pub mod setup;
pub mod tools;
