// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gallery: what people read of a verdict.

mod verdict_text;
pub use verdict_text::{Proof, verdict_text};
