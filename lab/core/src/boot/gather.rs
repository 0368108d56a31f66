// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gathering: one piece of evidence after the other, each with a limit, and what follows when all is in.
//!
//! While evidence is gathered the boot's other clocks stand still: a guest whose memory is being dumped cannot answer, and
//! what that takes is not its fault.

use super::{Action, Boot, Evidence, Purpose, Stage};
use crate::finding::{Class, Weight};
use crate::outcome::BootOutcome;
use lab_wire::ToGuest;
use std::collections::VecDeque;
use std::time::Duration;

/// For QEMU to print registers.
const REGISTERS: Duration = Duration::from_secs(5);
/// For the agent to tell of /proc. It gives up on what hangs before that.
const STATE: Duration = Duration::from_secs(6);
/// For the answers to all keys of one gathering together.
pub(super) const KEYS: Duration = Duration::from_secs(30);
/// For a resumed guest to print the rest of its panic and reboot.
const RESUME: Duration = Duration::from_secs(6);
/// A dump may take this, and more for each MiB of memory: a disk that writes a few MiB a second is enough, for most of
/// a guest's memory is nothing.
const DUMP: Duration = Duration::from_secs(10);
/// See [`DUMP`].
const DUMP_MIB: Duration = Duration::from_millis(50);
/// An answer to a key is over after this quiet…
const KEY_QUIET: Duration = Duration::from_millis(700);
/// …and a kernel that has not begun to answer after this will not: a translated guest on a busy host is slow to begin.
const KEY_DEAF: Duration = Duration::from_secs(2);
/// A panic's report is over after its last words and this quiet.
const REST_QUIET: Duration = Duration::from_millis(300);
/// Keys, the most telling first, for there is one limit for all: stacks of running tasks, of blocked ones, held locks,
/// stacks of all.
const KEY_ORDER: [char; 4] = ['l', 'w', 'd', 't'];

/// What is being gathered, and what is to be.
#[derive(Debug, Clone, Default)]
pub(super) struct Gather {
    queue: VecDeque<Evidence>,
    asked: Option<Asked>,
    /// When the first of it was asked for.
    began: Duration,
    /// When the answers to keys must be over.
    keys_until: Option<Duration>,
    /// A dump of the failure was asked for.
    dumped: bool,
    /// The scenario at whose end the last audit was, and whether its guest still waits for the word to go on.
    audited: Option<(u32, bool)>,
    /// The work ends when all is in.
    leaving: bool,
}

#[derive(Debug, Clone)]
struct Asked {
    evidence: Evidence,
    since: Duration,
    /// A key was taken, or a panic's last words were printed; since then, or since the last byte, it is quiet.
    quiet_since: Option<Duration>,
    /// Bytes came after that.
    printed: bool,
}

/// What may be asked for, and how long it may take.
#[derive(Debug, Clone)]
pub(super) struct GatherLimits {
    /// Failures are dumped.
    pub(super) dump: bool,
    /// Scenarios' ends are audited.
    pub(super) audit: bool,
    /// For one dump.
    pub(super) dump_time: Duration,
}

impl GatherLimits {
    pub(super) fn new(job: &crate::job::BootJob) -> Self {
        Self {
            dump: job.evidence.dump != crate::job::DumpPolicy::None,
            audit: job.evidence.audit,
            dump_time: DUMP + DUMP_MIB * job.machine.memory_mib,
        }
    }

    fn of(&self, evidence: &Evidence) -> Duration {
        match evidence {
            Evidence::Registers => REGISTERS,
            Evidence::State => STATE,
            Evidence::SysRq(_) => KEYS,
            Evidence::Dump(_) => self.dump_time,
            Evidence::Resume => RESUME,
        }
    }

    /// What all gathering of one boot may take: once for a report, once for a hit, once for the end, and each audit.
    pub(super) fn longest(&self, scenarios: u32) -> Duration {
        let dumps = 3 + u32::from(self.audit) * scenarios;
        3 * (REGISTERS + STATE + KEYS + RESUME) + self.dump_time * dumps
    }
}

impl Boot {
    /// Something is being gathered.
    pub(super) fn gathering(&self) -> bool {
        self.gather.asked.is_some()
    }

    /// Asks for all of this, one after the other; true if there is something to wait for.
    fn gather(&mut self, wanted: Vec<Evidence>) -> bool {
        self.gather.queue.extend(wanted);
        if !self.gathering() {
            self.gather.began = self.now;
            self.gather.keys_until = None;
            self.ask_next();
        }
        self.gathering()
    }

    fn ask_next(&mut self) {
        let Some(evidence) = self.gather.queue.pop_front() else {
            self.gather.asked = None;
            return;
        };
        match &evidence {
            Evidence::SysRq(_) => {
                self.gather.keys_until.get_or_insert(self.now + KEYS);
            }
            Evidence::Dump(Purpose::Failure { .. }) => self.gather.dumped = true,
            _ => {}
        }
        self.gather.asked = Some(Asked {
            evidence: evidence.clone(),
            since: self.now,
            quiet_since: None,
            printed: false,
        });
        if evidence == Evidence::State {
            self.actions.push(Action::SendAgent(ToGuest::State));
        } else {
            self.actions.push(Action::Gather(evidence));
        }
    }

    /// A piece is in, or cannot be had.
    pub(super) fn gathered(&mut self, evidence: &Evidence, trouble: Option<String>) {
        if let Some(trouble) = trouble {
            self.remark(trouble);
        }
        let now = self.now;
        let asked = self.gather.asked.as_mut();
        let Some(asked) = asked.filter(|asked| asked.evidence == *evidence) else {
            return;
        };
        match evidence {
            // The answer comes on the console, and is over when that falls quiet.
            Evidence::SysRq(_) => asked.quiet_since = Some(now),
            // A resumed guest ends by its reboot, or by the limit.
            Evidence::Resume => {}
            Evidence::Registers | Evidence::State | Evidence::Dump(_) => self.go_on(),
        }
    }

    /// A resumed kernel has printed what matters of its panic: nothing is gained by waiting for its reboot.
    pub(super) fn last_words(&mut self) {
        if let Some(asked) = &mut self.gather.asked
            && asked.evidence == Evidence::Resume
        {
            asked.quiet_since = Some(self.now);
        }
    }

    /// The guest printed: an answer to a key is not over yet.
    pub(super) fn answer_grows(&mut self) {
        if let Some(asked) = &mut self.gather.asked
            && asked.quiet_since.is_some()
        {
            asked.quiet_since = Some(self.now);
            asked.printed = true;
        }
    }

    /// When what is being gathered is late, or the answer to a key is over.
    pub(super) fn gather_deadline(&self) -> Option<Duration> {
        let asked = self.gather.asked.as_ref()?;
        let mut due = asked.since + self.gathering_limits.of(&asked.evidence);
        let quiet = match asked.evidence {
            Evidence::SysRq(_) if asked.printed => KEY_QUIET,
            Evidence::SysRq(_) => KEY_DEAF,
            _ => REST_QUIET,
        };
        if let Evidence::SysRq(_) = asked.evidence {
            due = self.gather.keys_until.map_or(due, |until| due.min(until));
        }
        let over = asked.quiet_since.map(|since| since + quiet);
        Some(over.map_or(due, |over| due.min(over)))
    }

    /// Its time is over.
    pub(super) fn gather_over(&mut self) {
        let Some(asked) = self.gather.asked.clone() else {
            return;
        };
        let key = matches!(asked.evidence, Evidence::SysRq(_));
        let all_late = self
            .gather
            .keys_until
            .is_some_and(|until| until <= self.now);
        if key && (all_late || !asked.printed) {
            // No time for more, or a kernel that is deaf to one key is so to all.
            self.gather
                .queue
                .retain(|e| !matches!(e, Evidence::SysRq(_)));
        }
        match &asked.evidence {
            Evidence::SysRq(_) if !asked.printed => {
                self.remark("the kernel does not answer to SysRq keys");
            }
            Evidence::SysRq(_) | Evidence::Resume => {}
            Evidence::State => self.remark("the agent did not tell the state of /proc in time"),
            Evidence::Registers => self.remark("QEMU did not tell the registers in time"),
            Evidence::Dump(_) => {
                let seconds = self.now.saturating_sub(asked.since).as_secs();
                self.remark(format!(
                    "a dump of the guest's memory was given up after {seconds} s"
                ));
                self.actions.push(Action::GiveUp(asked.evidence));
            }
        }
        self.go_on();
    }

    /// Asks for the next piece; after the last, the boot goes on where it was.
    fn go_on(&mut self) {
        self.ask_next();
        if self.gathering() {
            return;
        }
        let stood = |since: Duration| self.now.saturating_sub(since.max(self.gather.began));
        self.entered += stood(self.entered);
        self.active = self.now;
        self.agent_heard = self.agent_heard.map(|_| self.now);
        self.asked = self.asked.map(|_| self.now);
        if let Some((index, waits @ true)) = &mut self.gather.audited {
            *waits = false;
            self.actions
                .push(Action::SendAgent(ToGuest::Go { index: *index }));
        }
        if std::mem::take(&mut self.gather.leaving) && self.stage.order() < Stage::Drain.order() {
            self.leave();
        }
        if self.stage == Stage::Evidence {
            self.enter(Stage::Quit);
        }
    }

    /// What was wanted is not any more: the stage that begins wants something else, or nothing. A dump that QEMU is at, it
    /// does to its end, unless it is to leave.
    pub(super) fn forget_wanted(&mut self) {
        self.gather.queue.clear();
        self.gather.leaving = false;
        let leaves = self.stage.order() >= Stage::Quit.order();
        let goes_on = |asked: &Asked| matches!(asked.evidence, Evidence::Dump(_)) && !leaves;
        if let Some(asked) = self.gather.asked.take_if(|asked| !goes_on(asked))
            && matches!(asked.evidence, Evidence::Dump(_))
        {
            self.actions.push(Action::GiveUp(asked.evidence));
        }
    }

    fn dump(&self, why: impl Into<String>) -> Option<Evidence> {
        let why = why.into();
        (self.gathering_limits.dump).then_some(Evidence::Dump(Purpose::Failure { why }))
    }

    /// What an agent that answers can tell.
    fn told_by_agent(&self) -> Option<Evidence> {
        let agent = self.facts.agent_up.is_some() && !self.said_bye;
        let lost = self.concluded == Some(BootOutcome::AgentLost);
        (agent && !lost).then_some(Evidence::State)
    }

    // When evidence is taken.

    /// A report began. A guest that goes on changes its memory with each operation, so that is taken at once, while
    /// whoever reports may still be at it; unless the report ends in a panic, which stops the guest by itself.
    pub(super) fn dump_report(&mut self, weight: Weight, class: Class) {
        use Class::*;
        let first = Stage::Prepare { index: 0 };
        let running = (first.order()..=Stage::Drain.order()).contains(&self.stage.order());
        let lockup = matches!(class, SoftLockup | HardLockup | RcuStall);
        let hit = self.stage == Stage::Hit && weight == Weight::Finding;
        let dies = matches!(class, Oops | Bug | StackOverflow | Panic | Reboot);
        if running && (lockup || hit && !dies) && !self.gather.dumped {
            let dump = self.dump(format!("{class} reported"));
            if let Some(dump) = dump {
                self.gather.dumped = true;
                let mut wanted = vec![Evidence::Registers, dump];
                wanted.extend(self.told_by_agent());
                self.gather(wanted);
            }
        }
    }

    /// The work is to end, and the guest lives: what it can tell comes first.
    pub(super) fn gather_and_leave(&mut self) {
        let mut wanted = vec![Evidence::Registers];
        if !self.gather.dumped {
            let why = self.concluded.as_ref().map(BootOutcome::to_string);
            wanted.extend(self.dump(why.unwrap_or_default()));
            wanted.extend(self.told_by_agent());
        }
        wanted.extend(KEY_ORDER.map(Evidence::SysRq));
        self.gather.leaving = true;
        self.gather(wanted);
    }

    /// What is worth asking a machine that ends like this.
    pub(super) fn gather_at_end(&mut self) {
        use BootOutcome::*;
        let Some(outcome) = self.concluded.clone() else {
            self.enter(Stage::Quit);
            return;
        };
        let wanted = match outcome {
            Panicked => {
                let mut wanted = vec![Evidence::Registers];
                wanted.extend(self.dump(outcome.to_string()));
                wanted.push(Evidence::Resume);
                wanted
            }
            NoKernel => vec![Evidence::Registers],
            AgentNeverUp
            | AgentLost
            | ThreadsStuck { .. }
            | ScenarioOverran { .. }
            | NeverOff
            | StoppedAtHit => {
                let mut wanted = vec![Evidence::Registers];
                wanted.extend(self.told_by_agent());
                wanted.extend(KEY_ORDER.map(Evidence::SysRq));
                if !self.gather.dumped {
                    wanted.extend(self.dump(outcome.to_string()));
                }
                wanted
            }
            _ => Vec::new(),
        };
        if !self.gather(wanted) {
            self.enter(Stage::Quit);
        }
    }

    /// A scenario's threads have stopped, and its guest waits.
    pub(super) fn settled(&mut self, index: u32) {
        let before = self.gather.audited.is_none_or(|(last, _)| last < index);
        if self.stage == (Stage::Scenario { index }) && self.gathering_limits.audit && before {
            self.gather.audited = Some((index, true));
            self.gather(vec![Evidence::Dump(Purpose::Audit { index })]);
        } else {
            self.actions.push(Action::SendAgent(ToGuest::Go { index }));
        }
    }
}
