// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which dumps are kept, and for how long the kernels that they belong to.

/// The dump of a run's failure, in its folder.
pub const VMCORE: &str = "vmcore.zst";
