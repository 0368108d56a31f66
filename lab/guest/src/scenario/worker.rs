// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker thread: what it shares, what it remembers, how it tells.
//!
//! A worker may hang in the kernel at any system call. So it holds no lock while in one, and what
//! others read of it is atomic or behind a lock of its own.

use super::act;
use super::arena::Arena;
use super::rounds::{self, Rounds};
use super::step::{self, Mix, Step};
use crate::ops::errno_name;
use crate::rng::Rng;
use crate::stats::Stats;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Operations remembered for a history.
const HISTORY: usize = 24;
/// Violations that one worker tells in full; more are counted.
const TOLD: u64 = 8;

/// What all workers of a scenario share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where they work.
    pub(crate) arena: Arena,
    /// Seed of every choice.
    pub(crate) seed: u64,
    /// How many contested names there are.
    pub(crate) names: u32,
    /// Pause between two steps.
    pub(crate) pause: Duration,
    /// What the storm does.
    pub(crate) mix: Mix,
    /// What the second step of a round does.
    pub(crate) round_mix: Mix,
    /// The barrier of the team.
    pub(crate) rounds: Rounds,
    /// Set when all shall end.
    pub(crate) stop: AtomicBool,
    /// One for each worker.
    pub(crate) slots: Vec<Slot>,
}

/// What others may see of a worker.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Task id; 0 before it runs.
    pub(crate) tid: AtomicI32,
    /// Steps done.
    pub(crate) ops: AtomicU64,
    /// It has ended.
    pub(crate) done: AtomicBool,
    at: [AtomicU64; 2],
    /// Its counts.
    pub(crate) stats: Mutex<Stats>,
    /// Violations it saw, taken away by the coordinator.
    pub(crate) wrongs: Mutex<Vec<Violation>>,
}

/// A violated oracle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which.
    pub(crate) oracle: &'static str,
    /// What was seen.
    pub(crate) detail: String,
    /// The worker's last steps, oldest first.
    pub(crate) history: Vec<String>,
}

impl Slot {
    /// Of a worker that has not run yet.
    pub(crate) fn new() -> Self {
        Self {
            tid: AtomicI32::new(0),
            ops: AtomicU64::new(0),
            done: AtomicBool::new(false),
            at: [AtomicU64::new(u64::MAX), AtomicU64::new(0)],
            stats: Mutex::new(Stats::new()),
            wrongs: Mutex::new(Vec::new()),
        }
    }

    /// The step it is in, or was in last.
    pub(crate) fn step(&self) -> Option<Step> {
        let [first, second] = [&self.at[0], &self.at[1]].map(|word| word.load(Ordering::Relaxed));
        Step::unpack(first, second)
    }

    fn enter(&self, step: &Step) {
        let (first, second) = step.pack();
        self.at[0].store(first, Ordering::Relaxed);
        self.at[1].store(second, Ordering::Relaxed);
    }
}

/// How a step went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call that is the step answered this.
    Errno(i32),
    /// An oracle was violated: its name, and what was seen.
    Wrong(&'static str, String),
}

impl From<i32> for Fault {
    fn from(errno: i32) -> Self {
        Self::Errno(errno)
    }
}

/// A worker, on its own stack.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    /// What it shares.
    pub(crate) shared: &'a Shared,
    /// Its number.
    pub(crate) number: u32,
    slot: &'a Slot,
    rng: Rng,
    history: VecDeque<(Step, i32)>,
}

impl<'a> Worker<'a> {
    /// The worker of that number.
    pub(crate) fn new(shared: &'a Shared, number: u32) -> Self {
        let slot = &shared.slots[number as usize];
        // SAFETY: gettid has no arguments and cannot fail.
        slot.tid.store(unsafe { libc::gettid() }, Ordering::Relaxed);
        Self {
            shared,
            number,
            slot,
            rng: Rng::new(shared.seed, number.into()),
            history: VecDeque::with_capacity(HISTORY),
        }
    }

    /// Works until told to stop.
    pub(crate) fn work(&mut self) {
        if self.number < self.shared.rounds.team() {
            self.rounds();
        } else {
            self.storm();
        }
    }

    /// Whether it was told to stop.
    pub(super) fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Works alone until told to stop, whatever its number.
    pub(super) fn storm(&mut self) {
        let shared = self.shared;
        let dirs = shared.arena.dirs.len() as u32;
        while !self.stopped() {
            let step = step::plan(&mut self.rng, &shared.mix, dirs, shared.names);
            self.step(step);
        }
    }

    fn rounds(&mut self) {
        let shared = self.shared;
        let dirs = shared.arena.dirs.len() as u32;
        while let Some(round) = shared.rounds.meet(&shared.stop) {
            let (seed, mix) = (shared.seed, &shared.round_mix);
            for step in rounds::plan(seed, round, self.number, dirs, shared.names, mix) {
                self.step(step);
            }
            if self.number == 0 && round > 0 {
                act::forget(&shared.arena, seed, round - 1);
            }
        }
    }

    /// Does one step, with its time and its oracles.
    fn step(&mut self, step: Step) {
        self.slot.enter(&step);
        let begun = Instant::now();
        let outcome = act::act(&self.shared.arena, self.number, &step);
        let took = begun.elapsed();
        self.record(step, outcome, took);
        if !self.shared.pause.is_zero() {
            std::thread::sleep(self.shared.pause);
        }
    }

    fn record(&mut self, step: Step, outcome: Result<(), Fault>, took: Duration) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let errno = match &outcome {
            Ok(()) => 0,
            Err(Fault::Errno(errno)) => *errno,
            Err(Fault::Wrong(..)) => -1,
        };
        self.history.push_back((step, errno));
        let mut stats = self
            .slot
            .stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        stats.add(step.op, took.as_nanos() as u64);
        self.slot.ops.fetch_add(1, Ordering::Relaxed);
        let Some((oracle, detail)) = act::judge(&step, outcome, self.shared.arena.remote) else {
            stats.starved += u64::from(act::starved(errno));
            return;
        };
        stats.wrong += 1;
        let first = stats.wrong <= TOLD;
        drop(stats);
        if first {
            let history = self.history.iter().map(told).collect();
            let violation = Violation {
                oracle,
                detail,
                history,
            };
            self.slot
                .wrongs
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(violation);
        }
    }
}

fn told((step, errno): &(Step, i32)) -> String {
    match errno {
        0 => format!("{step} = ok"),
        -1 => format!("{step} = wrong"),
        errno => format!("{step} = {}", errno_name(*errno)),
    }
}
