// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a build or a boot ended, and whose fault that is.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How a boot ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "as")]
pub enum BootOutcome {
    /// All scenarios were gone through and the guest powered off.
    Completed,
    /// A hit ended the run early, as asked.
    StoppedAtHit,
    /// The kernel panicked.
    Panicked,
    /// Threads of a scenario never stopped.
    ThreadsStuck {
        /// How many.
        threads: u32,
    },
    /// The kernel reset the machine.
    Reset,
    /// No byte on the console within the firmware's limit.
    NoKernel,
    /// The kernel spoke but the agent never did.
    AgentNeverUp,
    /// The agent stopped answering.
    AgentLost,
    /// The guest powered off before its work was done.
    EarlyPowerOff,
    /// A scenario ran past its limit though the agent still answered.
    ScenarioOverran {
        /// Which.
        index: u32,
    },
    /// The work was done, but the guest did not power off within its limit.
    NeverOff,
    /// QEMU could not be started or died by itself.
    QemuDied {
        /// What it said.
        reason: String,
    },
    /// The lab could not do its part (disk full, socket, bad job).
    RigFailed {
        /// What it was.
        reason: String,
    },
    /// The user stopped the lab.
    Interrupted,
}

/// Whose an outcome is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The kernel under test (series or base, the verdict tells which).
    Kernel,
    /// The lab, the host, QEMU.
    Rig,
    /// Nobody: it ended as it should.
    Nobody,
}

impl BootOutcome {
    /// Who is to blame. A bad kernel is never mistaken for a bad lab: every variant is named here.
    pub fn blame(&self) -> Blame {
        use BootOutcome::*;
        match self {
            Completed | StoppedAtHit => Blame::Nobody,
            Panicked
            | ThreadsStuck { .. }
            | Reset
            | AgentNeverUp
            | AgentLost
            | EarlyPowerOff
            | ScenarioOverran { .. }
            | NeverOff => Blame::Kernel,
            NoKernel | QemuDied { .. } | RigFailed { .. } | Interrupted => Blame::Rig,
        }
    }
}

impl fmt::Display for BootOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use BootOutcome::*;
        match self {
            Completed => f.write_str("completed"),
            StoppedAtHit => f.write_str("stopped at its first finding"),
            Panicked => f.write_str("panicked"),
            ThreadsStuck { threads } => write!(f, "{threads} threads never stopped"),
            Reset => f.write_str("the kernel reset the machine"),
            NoKernel => f.write_str("no byte on the console"),
            AgentNeverUp => f.write_str("the agent never came up"),
            AgentLost => f.write_str("the agent stopped answering"),
            EarlyPowerOff => f.write_str("powered off before its work was done"),
            ScenarioOverran { index } => write!(f, "scenario {} ran past its limit", index + 1),
            NeverOff => f.write_str("never powered off"),
            QemuDied { reason } => write!(f, "QEMU died: {reason}"),
            RigFailed { reason } => write!(f, "the rig failed: {reason}"),
            Interrupted => f.write_str("stopped on request"),
        }
    }
}
