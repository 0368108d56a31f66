// SPDX-License-Identifier: MIT OR Apache-2.0
//! Patches onto bytes: text hunks and binary deltas, exact or not at all, as `git apply` does it.

mod binary;
mod hunks;
mod image;
mod record;
mod report;
#[cfg(test)]
mod tests;

pub use binary::{DeltaError, apply_binary};
pub use hunks::{HunkError, HunkFault, Patched, Place, apply_hunks, unapply_hunks};
pub use record::*;
pub use report::{Misfit, misfit};
