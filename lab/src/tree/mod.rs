// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tree room: finds a kernel tree and puts a series onto it, one commit a patch, in memory.
//!
//! A user's tree is only ever given objects, and refs under `refs/lab/`. Its branches, index, work tree and
//! configuration are never written to, and no hook of it is run.

mod apply;
mod directory;
mod import;
mod locate;
mod obtain;
mod pack;
#[cfg(test)]
pub(crate) mod testing;
mod unpack;
mod version;

pub use apply::{Options, Verdict, apply, refusal_error, try_apply};
pub use import::{Progress, import};
pub use locate::{Choice, DEFAULT_KERNEL, Origin, Tree, locate};
pub use obtain::{look, obtain, wants_source};
pub use version::kernel_version;
