// SPDX-License-Identifier: MIT OR Apache-2.0
//! The course of one boot, as a value: events and the time go in, actions come out, and in the end one outcome.
//!
//! ```text
//!  Off ── Firmware ── Kernel ── Prepare 0 ── Scenario 0 ── Prepare 1 … ── Drain ── (guest powers off)
//!            │           │           │            │ overrun ────────────────┤            │
//!            │           ├───────────┴────────────┴──── Hit (until_hit) ────┤            │
//!            │           │                                                  │            │
//!            └───────────┴──────── panic, reset, lost, stuck ───────────── Settle        │
//!                                                                           │            │
//!                                                                       Evidence         │
//!                                                                           │            │
//!                                                   Gone ── (Killed) ──── Quit ──────────┘
//! ```
//!
//! A boot only goes forward, and each stage has a limit, so it ends whatever the guest does. What ends a boot is
//! not final at once: in `Settle` (and while a guest drains) something stronger may still come, so that a crash beats a
//! lost connection and that beats a time-out. A guest that fell silent is asked before it is called lost.
//!
//! What only a living machine can tell is gathered in `Evidence`, where the guest does not go on. From a guest that does, it
//! is gathered where the boot stands, once its agent is up: at the first report of a lockup, at the beginning and the end of `Hit`, at an overrun,
//! and for an audit at a scenario's end. The clocks of the stage stand still meanwhile; gathering has limits of its own, and
//! the boot stays bounded by [`Boot::longest`]. A boot leaves one dump of its failure, of the panic if there is one.

mod agent;
mod end;
mod event;
mod gather;
mod marks;
mod record;
mod stage;
#[cfg(test)]
mod tests;

pub use event::{Action, Event, Evidence, Mark, Purpose, QemuEnd, Qmp, ShutdownCause};
pub use marks::Marks;
pub use record::{EVENTS_FORMAT, Record, Said, read as read_records};
pub use stage::Stage;

use crate::finding::{Class, Weight};
use crate::job::BootJob;
use crate::outcome::BootOutcome;
use gather::{Gather, GatherLimits};
use stage::Limits;
use std::time::Duration;

/// More remarks than this say nothing new.
const MAX_REMARKS: usize = 200;

/// What is known of a boot besides its outcome. Times are since QEMU was started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// When the agent said hello.
    pub agent_up: Option<Duration>,
    /// When the first scenario began.
    pub first_operation: Option<Duration>,
    /// How long scenarios really ran, by the guest's own count.
    pub exposure: Duration,
    /// `uname -r` of the guest.
    pub release: Option<String>,
    /// What was noticed and done, for people.
    pub remarks: Vec<String>,
    /// Lines of the agent's port that were no messages.
    pub garbage: u64,
}

/// One boot.
#[derive(Debug, Clone)]
pub struct Boot {
    limits: Limits,
    until_hit: bool,
    now: Duration,
    started: Duration,
    stage: Stage,
    entered: Duration,
    /// Last sign of what the present stage waits to fall quiet.
    active: Duration,
    /// The end it will have, unless a stronger one comes.
    concluded: Option<BootOutcome>,
    outcome: Option<BootOutcome>,
    agent_heard: Option<Duration>,
    pings: u64,
    /// When the agent was asked whether it is there, if it has not answered.
    asked: Option<Duration>,
    said_bye: bool,
    banners: u32,
    paused: bool,
    /// What was found before the agent was up.
    early_hit: Option<Class>,
    stuck: u32,
    /// The agent has told of all threads that hang, and waits for the end.
    all_told: bool,
    /// Exposure of the scenario that runs, by its last progress.
    running: Duration,
    gathering_limits: GatherLimits,
    gather: Gather,
    facts: Facts,
    actions: Vec<Action>,
}

impl Boot {
    /// A boot that has not begun.
    pub fn new(job: &BootJob) -> Self {
        Self {
            limits: Limits::new(job),
            until_hit: job.until_hit,
            now: Duration::ZERO,
            started: Duration::ZERO,
            stage: Stage::Off,
            entered: Duration::ZERO,
            active: Duration::ZERO,
            concluded: None,
            outcome: None,
            agent_heard: None,
            pings: 0,
            asked: None,
            said_bye: false,
            banners: 0,
            paused: false,
            early_hit: None,
            stuck: 0,
            all_told: false,
            running: Duration::ZERO,
            gathering_limits: GatherLimits::new(job),
            gather: Gather::default(),
            facts: Facts::default(),
            actions: Vec::new(),
        }
    }

    /// Takes what happened at `now` (which never goes back) and says what to do.
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<Action> {
        self.now = self.now.max(now);
        if self.stage != Stage::Gone {
            self.take(event);
            while self.next_deadline().is_some_and(|due| due <= self.now) {
                self.time_up();
            }
        }
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.gathering() {
            return self.gather_deadline();
        }
        [self.stage_deadline(), self.silence_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Where it is.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// How it ended; none while it goes on.
    pub fn outcome(&self) -> Option<&BootOutcome> {
        self.outcome.as_ref()
    }

    /// What is known of it so far.
    pub fn facts(&self) -> Facts {
        let mut facts = self.facts.clone();
        facts.exposure += self.running;
        facts
    }

    /// The time that a boot of this job never exceeds, from starting QEMU to its end.
    pub fn longest(job: &BootJob) -> Duration {
        let limits = Limits::new(job);
        limits.longest() + GatherLimits::new(job).longest(limits.count())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Spawned => {
                self.started = self.now;
                self.enter(Stage::Firmware);
            }
            Event::ConsoleBytes { n } => self.printed(n),
            Event::Mark(Mark::Panic) => self.crashed(BootOutcome::Panicked),
            Event::Mark(Mark::Banner) => self.banner(),
            Event::Mark(Mark::LastWords) => self.last_words(),
            Event::Report { weight, class } => self.reported(weight, class),
            Event::Agent(said) => self.heard(said),
            Event::AgentGarbage => self.garbage(),
            Event::Qmp(event) => self.machine(event),
            Event::Gathered { evidence, trouble } => self.gathered(&evidence, trouble),
            Event::Exited(end) => self.exited(&end),
            Event::Tick => {}
            Event::StopOrderly => self.stop_orderly(),
            Event::StopNow => {
                self.conclude(BootOutcome::Interrupted);
                self.enter(Stage::Killed);
            }
            Event::StoreFailed { reason } => {
                self.conclude(BootOutcome::RigFailed { reason });
                self.enter(Stage::Quit);
            }
        }
    }

    // What the machine prints and tells.

    fn printed(&mut self, n: u64) {
        if n > 0 {
            self.enter(Stage::Kernel);
            if self.stage == Stage::Settle {
                self.active = self.now;
            }
            self.answer_grows();
        }
    }

    fn banner(&mut self) {
        self.banners = self.banners.saturating_add(1);
        if self.banners == 2 {
            self.remark("a second kernel began in the same boot");
            self.crashed(BootOutcome::Reset);
        }
    }

    fn reported(&mut self, weight: Weight, class: Class) {
        if self.stage == Stage::Hit {
            self.active = self.now;
        }
        if weight == Weight::Finding && self.until_hit && self.stage.order() < Stage::Hit.order() {
            self.conclude(BootOutcome::StoppedAtHit);
            // A kernel that is still coming up cannot be asked yet, and its dump would lack the vmcoreinfo that makes it
            // readable.
            if self.stage.order() <= Stage::Kernel.order() && self.gathering_limits.dump {
                self.early_hit.get_or_insert(class);
                return;
            }
            self.enter(Stage::Hit);
        }
        self.dump_report(weight, class);
    }

    fn machine(&mut self, event: Qmp) {
        match event {
            Qmp::Panicked => {
                self.paused = true;
                self.crashed(BootOutcome::Panicked);
            }
            Qmp::Stopped => {}
            Qmp::Reset { guest: false } => {}
            Qmp::Reset { guest: true } => self.crashed(BootOutcome::Reset),
            Qmp::Shutdown(cause) => self.shut_down(cause),
        }
    }

    fn shut_down(&mut self, cause: ShutdownCause) {
        let asked = self.stage.order() >= Stage::Quit.order();
        match cause {
            // From there on it was told to, or had nothing left to do.
            ShutdownCause::PowerOff if self.stage.order() >= Stage::Hit.order() => {
                self.conclude(BootOutcome::Completed);
            }
            ShutdownCause::PowerOff => self.conclude(BootOutcome::EarlyPowerOff),
            ShutdownCause::Reset => self.conclude(BootOutcome::Reset),
            ShutdownCause::Panic => self.conclude(BootOutcome::Panicked),
            ShutdownCause::Quit if asked => {}
            ShutdownCause::Quit | ShutdownCause::Signal | ShutdownCause::Other => {
                let reason = format!("something outside the lab ended QEMU ({cause:?})");
                self.conclude(BootOutcome::QemuDied { reason });
            }
        }
        // It leaves by itself; only the limit of that stage is wanted, not its action.
        self.go(Stage::Quit);
    }

    fn remark(&mut self, words: impl Into<String>) {
        if self.facts.remarks.len() < MAX_REMARKS {
            let words = words.into();
            self.facts.remarks.push(words.clone());
            self.actions.push(Action::Remark(words));
        }
    }
}
