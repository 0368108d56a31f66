// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the agent tells, and what follows from it.

use super::{Boot, Evidence, Stage};
use crate::finding::{Class, Weight};
use crate::outcome::BootOutcome;
use lab_wire::{Ended, Event as Told, FromGuest, PROTOCOL};
use std::time::Duration;

impl Boot {
    pub(super) fn heard(&mut self, said: FromGuest) {
        self.agent_heard = Some(self.now);
        self.asked = None;
        match said.event {
            Told::Hello {
                protocol, release, ..
            } => self.hello(protocol, release),
            Told::Begin { index, .. } => self.begin(index),
            Told::Progress { ran_ms, .. } if matches!(self.stage, Stage::Scenario { .. }) => {
                self.running = Duration::from_millis(ran_ms);
            }
            Told::Wrong { .. } => self.reported(Weight::Finding, Class::WrongResult),
            Told::Stuck { .. } => self.stuck(self.stuck.saturating_add(1)),
            Told::End {
                index, how, ran_ms, ..
            } => self.end(index, &how, ran_ms),
            Told::Fault { reason } => {
                let reason = format!("the agent itself failed: {reason}");
                self.remark(reason.clone());
                self.conclude(BootOutcome::RigFailed { reason });
            }
            Told::StateEnd => self.gathered(&Evidence::State, None),
            Told::Settled { index } => self.settled(index),
            Told::Bye => self.said_bye = true,
            Told::Progress { .. }
            | Told::Pong { .. }
            | Told::Measure { .. }
            | Told::Latencies { .. }
            | Told::Slow { .. }
            | Told::Stall { .. }
            | Told::State { .. }
            | Told::Note { .. } => {}
        }
    }

    fn hello(&mut self, protocol: u32, release: String) {
        if self.facts.agent_up.is_some() {
            self.remark("the agent said hello twice: the machine was reset");
            return self.crashed(BootOutcome::Reset);
        }
        self.facts.agent_up = Some(self.now.saturating_sub(self.started));
        self.facts.release = Some(release);
        if protocol != PROTOCOL {
            let reason = format!(
                "the agent speaks protocol {protocol}, this lab speaks {PROTOCOL}: build both from one source"
            );
            self.conclude(BootOutcome::RigFailed { reason });
            self.enter(Stage::Quit);
        } else if let Some(class) = self.early_hit.take() {
            self.enter(Stage::Hit);
            self.dump_report(Weight::Finding, class);
        } else if self.limits.count() == 0 {
            self.enter(Stage::Drain);
        } else {
            self.enter(Stage::Prepare { index: 0 });
        }
    }

    fn begin(&mut self, index: u32) {
        if index >= self.limits.count() {
            return self.remark(format!(
                "the agent began scenario {index}, which the job has not"
            ));
        }
        if self.enter(Stage::Scenario { index }) && self.facts.first_operation.is_none() {
            self.facts.first_operation = Some(self.now.saturating_sub(self.started));
        }
    }

    fn end(&mut self, index: u32, how: &Ended, ran_ms: u64) {
        let ran = std::mem::take(&mut self.running).max(Duration::from_millis(ran_ms));
        self.facts.exposure = self.facts.exposure.saturating_add(ran);
        match how {
            Ended::Stuck { threads } => {
                self.all_told = true;
                self.active = self.now;
                return self.stuck((*threads).max(self.stuck));
            }
            Ended::Failed { reason } => self.remark(format!("scenario {index} failed: {reason}")),
            Ended::Skipped { reason } => self.remark(format!("scenario {index} skipped: {reason}")),
            Ended::Done | Ended::Stopped => {}
        }
        let next = index.saturating_add(1);
        if next < self.limits.count() {
            self.enter(Stage::Prepare { index: next });
        } else if self.stage.order() < Stage::Hit.order() {
            self.enter(Stage::Drain);
        }
    }

    pub(super) fn stuck(&mut self, threads: u32) {
        self.stuck = threads;
        match &mut self.concluded {
            Some(BootOutcome::ThreadsStuck { threads: known }) => *known = threads,
            _ => self.conclude(BootOutcome::ThreadsStuck { threads }),
        }
        self.enter(Stage::Settle);
    }

    pub(super) fn garbage(&mut self) {
        self.facts.garbage += 1;
        if self.facts.garbage == 1 {
            self.remark("the agent's port gave a line that is no message");
        }
    }
}
