// SPDX-License-Identifier: MIT OR Apache-2.0
//! Symbols: what `func+0x12/0x340` in a console stands for in the source, and which patch of a series wrote it.
//!
//! ```text
//! line ─ spot::spots ─ table::Table (address) ─ vmlinux::Resolver (frames) ─ decode::render (text)
//!                     diffs of the series ─ touch::Touches ─ source::Source (line, patches) ─┘
//! ```
//!
//! All of it takes bytes and values. A damaged `vmlinux` gives fewer answers, never a panic.

mod decode;
mod source;
mod spot;
mod table;
pub mod touch;
mod vmlinux;

pub use decode::{Decoded, Out, Sources, decode, render};
pub use source::{Mark, Source};
pub use spot::{Kind, Spot, spots};
pub use vmlinux::{Expand, Frame, Resolved, Resolver, Unreadable, Vmlinux};

#[cfg(test)]
mod tests;
