// SPDX-License-Identifier: MIT OR Apache-2.0
//! The autopsy of a dump: what the scripts read out of a guest's memory, and what follows from it. No I/O here.
//!
//! `autopsy.json` is written by the lab's drgn scripts in the shape of [`Autopsy`]; all that people see (text, graph,
//! tables) is derived from it.

mod model;

pub use model::{
    AUTOPSY_FORMAT, Audit, Autopsy, Dentry, Frame, Held, InodeOf, Lock, RpcTask, Task, Violation,
    Wait,
};
