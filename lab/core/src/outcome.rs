// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a build or a boot ended, and whose fault that is.

use serde::{Deserialize, Serialize};

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
