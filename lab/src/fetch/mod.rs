// SPDX-License-Identifier: MIT OR Apache-2.0
//! Getting files from elsewhere, whole or not at all.

mod attempt;
mod checksum;
mod download;
mod kernel;
#[cfg(test)]
mod tests;

pub use checksum::find_checksum;
pub use download::{Download, Limits, Progress, download};
pub use kernel::{KERNEL_ORG, kernel_tarball};
