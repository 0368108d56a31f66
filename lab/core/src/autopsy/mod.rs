// SPDX-License-Identifier: MIT OR Apache-2.0
//! The autopsy of a dump: what the scripts read out of a guest's memory, and what follows from it. No I/O here.
//!
//! `autopsy.json` is written by the lab's drgn scripts in the shape of [`Autopsy`]; all that people see (text, graph,
//! tables) is derived from it.

mod audits;
mod graph;
mod headline;
mod identity;
mod knots;
mod model;
mod show;
mod svg;
mod table;
#[cfg(test)]
mod tests;
mod text;

pub use audits::{AUDITS_FORMAT, Audits, ScenarioAudit};
pub use graph::{Edge, Graph, Kind, Link, Node};
pub use headline::headlines;
pub use identity::{core_build_id, vmlinux_build_id};
pub use knots::{Cycle, Root};
pub use model::{
    AUTOPSY_FORMAT, Audit, Autopsy, Dentry, Frame, Held, InodeOf, Lock, RpcTask, Task, Violation,
    Wait,
};
pub use show::{crash_frames, name_of, stuck_in};
pub use svg::svg;
pub use table::{Row, Table};
pub use text::{summary, text};
