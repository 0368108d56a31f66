// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole corridor as a user walks it: the binary `lab` from a folder of mails to its verdict.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers fail by panic and tell by print, as its functions do"
)]

mod bench;
mod builds;
mod kills;
mod replays;
mod rig;
mod scores;
mod shelf;
mod stops;
mod triage;
mod verdicts;
