// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stages of a boot and how long each may take.

use crate::job::BootJob;
use crate::outcome::BootOutcome;
use std::fmt;
use std::time::Duration;

/// Where a boot is. A boot only goes forward through these; the last are its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// QEMU is not started yet.
    Off,
    /// No byte was printed yet.
    Firmware,
    /// The kernel prints, the agent has not said hello.
    Kernel,
    /// The agent prepares a scenario.
    Prepare {
        /// Which.
        index: u32,
    },
    /// A scenario runs.
    Scenario {
        /// Which.
        index: u32,
    },
    /// A hit will end the run; its report is read to the end first.
    Hit,
    /// The work is over; the guest is to stop its threads and power off.
    Drain,
    /// It went wrong; what else there is to hear is heard first.
    Settle,
    /// What only a living machine can tell is gathered.
    Evidence,
    /// QEMU is leaving.
    Quit,
    /// QEMU was killed.
    Killed,
    /// Over.
    Gone,
}

impl Stage {
    /// Grows along the way: a boot enters a stage only if this grows.
    pub fn order(self) -> u64 {
        const END: u64 = u64::MAX - 16;
        match self {
            Stage::Off => 0,
            Stage::Firmware => 1,
            Stage::Kernel => 2,
            Stage::Prepare { index } => 3 + 2 * u64::from(index),
            Stage::Scenario { index } => 4 + 2 * u64::from(index),
            Stage::Hit => END,
            Stage::Drain => END + 1,
            Stage::Settle => END + 2,
            Stage::Evidence => END + 3,
            Stage::Quit => END + 4,
            Stage::Killed => END + 5,
            Stage::Gone => END + 6,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Off => f.write_str("off"),
            Stage::Firmware => f.write_str("firmware"),
            Stage::Kernel => f.write_str("kernel"),
            Stage::Prepare { index } => write!(f, "prepare {index}"),
            Stage::Scenario { index } => write!(f, "scenario {index}"),
            Stage::Hit => f.write_str("hit"),
            Stage::Drain => f.write_str("drain"),
            Stage::Settle => f.write_str("settle"),
            Stage::Evidence => f.write_str("evidence"),
            Stage::Quit => f.write_str("quit"),
            Stage::Killed => f.write_str("killed"),
            Stage::Gone => f.write_str("gone"),
        }
    }
}

/// Each stage of a boot with a debugger.
const DEBUGGING: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// For QEMU to leave after it was asked to, and again after it was killed.
const LEAVE: Duration = Duration::from_secs(3);
/// Reports may come one after the other: after a hit, this part of the settling time without a byte ends the wait for more.
pub(super) const HIT_WAITS: u32 = 4;

/// How long the stages of one job may take.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    firmware: Duration,
    kernel: Duration,
    extra: Duration,
    drain: Duration,
    /// Work of each scenario and the time its threads get to stop.
    scenarios: Vec<Duration>,
    /// Silence that counts as lost.
    pub(super) agent: Duration,
    /// Quiet after a report.
    pub(super) settle: Duration,
}

impl Limits {
    pub(super) fn new(job: &BootJob) -> Self {
        // Who debugs a guest lets it stand as long as it takes.
        let seconds = |n: u32| match job.gdb {
            Some(_) => DEBUGGING,
            None => Duration::from_secs(u64::from(n)),
        };
        let stop = seconds(job.guest.drain_seconds);
        Self {
            firmware: seconds(job.limits.firmware),
            kernel: seconds(job.limits.kernel),
            extra: seconds(job.limits.scenario_extra),
            drain: seconds(job.limits.drain) + stop,
            scenarios: (job.guest.scenarios.iter())
                .map(|scenario| seconds(scenario.seconds) + stop)
                .collect(),
            agent: seconds(job.limits.agent.max(1)),
            // What is settling has said its last: nobody thinks about it.
            settle: Duration::from_secs(u64::from(job.limits.settle)),
        }
    }

    /// The longest that a stage may take; none for those without an end of their own.
    pub(super) fn of(&self, stage: Stage) -> Option<Duration> {
        match stage {
            // What is gathered there has limits of its own.
            Stage::Evidence => Some(Duration::ZERO),
            Stage::Off | Stage::Gone => None,
            Stage::Firmware => Some(self.firmware),
            Stage::Kernel => Some(self.kernel),
            Stage::Prepare { .. } => Some(self.extra),
            Stage::Scenario { index } => {
                let own = self.scenarios.get(index as usize).copied();
                Some(own.unwrap_or_default() + self.extra)
            }
            Stage::Hit => Some(self.settle),
            Stage::Drain => Some(self.drain),
            Stage::Settle => Some(self.settle),
            Stage::Quit | Stage::Killed => Some(LEAVE),
        }
    }

    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.scenarios.len()).unwrap_or(u32::MAX)
    }

    /// The sum of all, which no boot can exceed.
    pub(super) fn longest(&self) -> Duration {
        let work = (0..self.count())
            .flat_map(|index| [Stage::Prepare { index }, Stage::Scenario { index }]);
        let rest = [
            Stage::Firmware,
            Stage::Kernel,
            Stage::Hit,
            Stage::Drain,
            Stage::Settle,
            Stage::Evidence,
            Stage::Quit,
            Stage::Killed,
        ];
        work.chain(rest).filter_map(|stage| self.of(stage)).sum()
    }
}

/// What beats what when two ends meet: a crash, then the lab's own trouble and the user's wish, then what was found
/// on purpose, then a lost connection, then a time-out.
pub(super) fn strength(outcome: &BootOutcome) -> u8 {
    use BootOutcome::*;
    match outcome {
        Panicked | Reset => 8,
        RigFailed { .. } => 7,
        Interrupted => 6,
        StoppedAtHit => 5,
        ThreadsStuck { .. } => 4,
        QemuDied { .. } => 3,
        NoKernel | AgentNeverUp | AgentLost | EarlyPowerOff => 2,
        ScenarioOverran { .. } | NeverOff => 1,
        Completed => 0,
    }
}
