// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console reader: raw bytes of a kernel's console in, findings out.
//!
//! Knowledge stands in ordered tables, one file a family, under `table/`; mechanics stand here once:
//!
//! ```text
//! bytes ─ lines::Lines ─ line::Line (stamp, caller, text) ─ table::Matcher (which head?) ─ report::Report ─ Finding
//!                                                     └────── frame (stack) ──────────────┘
//! ```
//!
//! The reader never fails: what a kernel printed is data. It holds at most a few open reports (one for each caller id), each
//! of bounded size, whatever the input. Console bytes are split only at line ends, so chunk borders change nothing.

mod excerpt;
mod frame;
mod identity;
mod line;
mod lines;
mod reader;
mod report;
mod skip;
mod table;

pub use excerpt::{excerpt, printable};
pub use reader::{Heard, Options, Reader};

use crate::finding::Finding;

/// Reads a whole console at once: the findings in the order of their first bytes.
pub fn read(console: &[u8]) -> Vec<Finding> {
    let mut reader = Reader::new(Options::default());
    let mut findings = complete(reader.push(console));
    findings.extend(reader.finish());
    findings.sort_by_key(|finding| (finding.start, finding.end));
    findings
}

/// The findings among what was heard.
pub fn complete(heard: Vec<Heard>) -> Vec<Finding> {
    heard
        .into_iter()
        .filter_map(|heard| match heard {
            Heard::Complete(finding) => Some(finding),
            Heard::Begun { .. } => None,
        })
        .collect()
}

/// What the kernel's hung-task detector would say of a stack that was read from /proc/PID/stack (innermost first), so
/// that the agent's report of a task and the console's meet under one signature. `None` for a stack without a name.
pub fn hung(comm: &str, tid: i32, stack: &[String]) -> Option<Finding> {
    let mut text = format!(
        "INFO: task {comm}:{tid} blocked for more than 60 seconds.\nCall Trace:\n <TASK>\n"
    );
    for line in stack {
        // /proc/PID/stack puts «[<0>] » before each frame.
        let frame = line.rsplit("] ").next().unwrap_or(line).trim();
        text += &format!(" {frame}\n");
    }
    text += " </TASK>\n";
    let finding = read(text.as_bytes()).into_iter().next()?;
    finding.function.is_some().then_some(finding)
}

#[cfg(test)]
mod tests;
