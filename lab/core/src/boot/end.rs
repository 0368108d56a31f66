// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a boot ends: what is concluded, how it leaves, and what time does.

use super::stage::{HIT_WAITS, strength};
use super::{Action, Boot, QemuEnd, Stage};
use crate::outcome::BootOutcome;
use lab_wire::ToGuest;
use std::time::Duration;

/// A paused guest prints no more: this quiet means that all of it was read.
const PAUSED_QUIET: Duration = Duration::from_millis(200);

impl Boot {
    pub(super) fn conclude(&mut self, outcome: BootOutcome) {
        let stronger = |known: &BootOutcome| strength(&outcome) > strength(known);
        if self.concluded.as_ref().is_none_or(stronger) {
            self.concluded = Some(outcome);
        }
    }

    pub(super) fn crashed(&mut self, outcome: BootOutcome) {
        if self.stage != Stage::Off {
            self.conclude(outcome);
            self.enter(Stage::Settle);
        }
    }

    pub(super) fn stop_orderly(&mut self) {
        if self.stage.order() >= Stage::Drain.order() {
            return;
        }
        self.conclude(BootOutcome::Interrupted);
        self.forget_wanted();
        self.leave();
    }

    /// Ends the work: by the agent if there is one, else by QEMU.
    pub(super) fn leave(&mut self) {
        if self.facts.agent_up.is_some() {
            self.actions.push(Action::SendAgent(ToGuest::Stop));
            self.enter(Stage::Drain);
        } else {
            self.enter(Stage::Quit);
        }
    }

    pub(super) fn exited(&mut self, end: &QemuEnd) {
        if self.stage.order() < Stage::Quit.order() {
            let reason = died(end);
            self.conclude(BootOutcome::QemuDied { reason });
        }
        self.over();
    }

    pub(super) fn over(&mut self) {
        self.outcome = Some(self.concluded.take().unwrap_or(BootOutcome::RigFailed {
            reason: "the boot ended for no reason that the lab knows".into(),
        }));
        self.go(Stage::Gone);
    }

    /// Goes to a later stage and does what it begins with; false if it is not later.
    pub(super) fn enter(&mut self, stage: Stage) -> bool {
        if !self.go(stage) {
            return false;
        }
        match stage {
            Stage::Evidence => self.gather_at_end(),
            Stage::Quit => self.actions.push(Action::Quit),
            Stage::Killed => self.actions.push(Action::Kill),
            _ => {}
        }
        true
    }

    pub(super) fn go(&mut self, stage: Stage) -> bool {
        if stage.order() <= self.stage.order() {
            return false;
        }
        self.stage = stage;
        self.entered = self.now;
        self.active = self.now;
        if stage.order() >= Stage::Settle.order() {
            self.forget_wanted();
        }
        true
    }

    pub(super) fn stage_deadline(&self) -> Option<Duration> {
        let limit = self.entered.saturating_add(self.limits.of(self.stage)?);
        let quiet = match self.stage {
            Stage::Hit => Some(self.limits.settle / HIT_WAITS),
            Stage::Settle if self.paused => Some(PAUSED_QUIET),
            // All is told; the kernel may still be about to say the same.
            Stage::Settle if self.all_told => Some(self.limits.settle / HIT_WAITS),
            _ => None,
        };
        Some(quiet.map_or(limit, |quiet| limit.min(self.active.saturating_add(quiet))))
    }

    /// The agent is asked after half its limit of silence, and lost after the other half.
    pub(super) fn silence_deadline(&self) -> Option<Duration> {
        let listening = match self.stage {
            Stage::Prepare { .. } | Stage::Scenario { .. } => true,
            Stage::Drain => !self.said_bye,
            _ => false,
        };
        let since = self.asked.or(self.agent_heard).filter(|_| listening)?;
        Some(since.saturating_add(self.limits.agent / 2))
    }

    pub(super) fn time_up(&mut self) {
        if self.gathering() {
            self.gather_over();
        } else if self.stage_deadline().is_some_and(|due| due <= self.now) {
            self.stage_over();
        } else if self.asked.is_some() {
            self.conclude(BootOutcome::AgentLost);
            self.remark("the agent fell silent and did not answer when asked");
            self.enter(Stage::Settle);
        } else {
            self.pings += 1;
            self.asked = Some(self.now);
            let ping = ToGuest::Ping { n: self.pings };
            self.actions.push(Action::SendAgent(ping));
        }
    }

    fn stage_over(&mut self) {
        match self.stage {
            Stage::Firmware => {
                self.conclude(BootOutcome::NoKernel);
                self.enter(Stage::Evidence);
            }
            Stage::Kernel => {
                self.conclude(BootOutcome::AgentNeverUp);
                self.enter(Stage::Settle);
            }
            Stage::Prepare { index } | Stage::Scenario { index } => {
                // The agent may still say which threads hang, and where.
                self.conclude(BootOutcome::ScenarioOverran { index });
                self.remark(format!("scenario {index} ran past its limit"));
                self.gather_and_leave();
            }
            Stage::Hit => self.gather_and_leave(),
            Stage::Drain => {
                self.conclude(BootOutcome::NeverOff);
                self.remark("the guest did not power off in time");
                self.enter(Stage::Evidence);
            }
            Stage::Settle => {
                self.enter(Stage::Evidence);
            }
            Stage::Evidence => {
                self.enter(Stage::Quit);
            }
            Stage::Quit => {
                self.enter(Stage::Killed);
            }
            Stage::Killed => {
                self.remark("QEMU was killed and is still there");
                self.over();
            }
            Stage::Off | Stage::Gone => {}
        }
    }
}

fn died(end: &QemuEnd) -> String {
    let how = match (end.code, end.signal) {
        (_, Some(signal)) => format!("QEMU was killed by signal {signal}"),
        (Some(code), None) => format!("QEMU exited with code {code}"),
        (None, None) => "QEMU is gone".to_owned(),
    };
    match end.said.trim() {
        "" => how,
        said => format!("{how}: {said}"),
    }
}
