// SPDX-License-Identifier: MIT OR Apache-2.0
//! A worker thread: what it shares, what it remembers, how it tells.
//!
//! A worker may hang in the kernel at any system call. So it holds no lock while in one, and what
//! others read of it is atomic or behind a lock of its own.

use super::fault::{Fault, starved};
use super::step::{Mix, Step};
use super::{Entry, Stage};
use crate::init::boot_ms;
use crate::ops::errno_name;
use crate::rng::Rng;
use crate::stats::Stats;
use lab_wire::Scenario;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Operations remembered for a history.
const HISTORY: usize = 24;
/// Violations that one worker tells in full; more are counted.
const TOLD: u64 = 8;
/// An operation is slow from here on, if it also took [`SLOW_TIMES`] its kind's median.
const SLOW: Duration = Duration::from_secs(1);
/// See [`SLOW`].
const SLOW_TIMES: f64 = 300.0;

/// What all workers of a part of a scenario share.
pub(crate) struct Shared {
    /// The scenario's row of the table.
    pub(crate) entry: &'static Entry,
    /// Its own state.
    pub(crate) stage: Box<dyn Stage>,
    /// Its parameters.
    pub(crate) asked: Scenario,
    /// What is picked how often.
    pub(crate) mix: Mix,
    /// Set when all shall end.
    pub(crate) stop: Arc<AtomicBool>,
    /// One for each worker.
    pub(crate) slots: Vec<Slot>,
}

/// What others may see of a worker.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Task id; 0 before it runs.
    pub(crate) tid: AtomicI32,
    /// Operations done.
    pub(crate) ops: AtomicU64,
    /// It has ended.
    pub(crate) done: AtomicBool,
    at: [AtomicU64; 3],
    /// When its step began, nanoseconds of the monotonic clock; 0 between steps.
    began: AtomicU64,
    /// Its counts.
    stats: Mutex<Stats>,
    /// What it saw, taken away by the coordinator.
    told: Mutex<Told>,
}

/// What a worker has to tell.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Violated oracles.
    pub(crate) wrongs: Vec<Violation>,
    /// Operations that took far longer than their kind usually does.
    pub(crate) slows: Vec<Slow>,
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

/// An operation that was slow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Slow {
    /// Place of its kind in the table.
    pub(crate) op: u8,
    /// As the scenario shows it.
    pub(crate) step: String,
    /// How long.
    pub(crate) took: Duration,
    /// Median of its kind, microseconds.
    pub(crate) median_us: f64,
}

impl Slot {
    /// Of a worker that has not run yet.
    pub(crate) fn new(ops: usize) -> Self {
        Self {
            tid: AtomicI32::new(0),
            ops: AtomicU64::new(0),
            done: AtomicBool::new(false),
            at: [u64::MAX, 0, 0].map(AtomicU64::new),
            began: AtomicU64::new(0),
            stats: Mutex::new(Stats::new(ops)),
            told: Mutex::default(),
        }
    }

    /// The step it is in, or was in last.
    pub(crate) fn step(&self) -> Option<Step> {
        let words = std::array::from_fn(|i| self.at[i].load(Ordering::Relaxed));
        Step::unpack(words)
    }

    /// Milliseconds since boot when the step that it is in began; `None` between steps.
    pub(crate) fn in_step_since(&self) -> Option<u64> {
        let began = self.began.load(Ordering::Relaxed);
        let ago_ms = clock_ns().saturating_sub(began) / 1_000_000;
        (began > 0).then(|| boot_ms().saturating_sub(ago_ms))
    }

    /// Its counts so far.
    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it had to tell since the last time.
    pub(crate) fn take_told(&self) -> Told {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, step: &Step, began: u64) {
        for (word, value) in self.at.iter().zip(step.pack()) {
            word.store(value, Ordering::Relaxed);
        }
        self.began.store(began, Ordering::Relaxed);
    }
}

/// A worker, on its own stack.
pub(crate) struct Worker<'a> {
    /// What it shares.
    pub(crate) shared: &'a Shared,
    /// Its number.
    pub(crate) number: u32,
    /// Its own random numbers: one seed gives one stream for each worker.
    pub(crate) rng: Rng,
    slot: &'a Slot,
    history: [(Step, i32); HISTORY],
    /// Steps done, which is also where the next one goes in the history.
    steps: usize,
}

/// Nanoseconds of the monotonic clock: the one thing that every step reads twice.
fn clock_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
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
            rng: Rng::new(shared.asked.seed, number.into()),
            history: [(Step::default(), 0); HISTORY],
            steps: 0,
        }
    }

    /// Whether it was told to stop.
    pub(crate) fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// A random operation of the mix: its place in the scenario's table.
    pub(crate) fn pick(&mut self) -> u8 {
        self.shared.mix.pick(&mut self.rng)
    }

    /// Does one step, with its time, its record and its oracles.
    pub(crate) fn step(&mut self, step: Step, act: impl FnOnce() -> Result<(), Fault>) {
        self.steps(step, 1, act);
    }

    /// Does `count` operations of one kind as one step: for calls so short that each one's clock would
    /// be a good part of it. The time of each is taken as their mean.
    pub(crate) fn steps(
        &mut self,
        step: Step,
        count: u32,
        act: impl FnOnce() -> Result<(), Fault>,
    ) {
        let began = clock_ns();
        self.slot.enter(&step, began);
        let outcome = act();
        let took = Duration::from_nanos(clock_ns().saturating_sub(began));
        self.slot.began.store(0, Ordering::Relaxed);
        self.record(step, count, outcome, took);
        let pause = self.shared.asked.pause_us;
        if pause > 0 {
            std::thread::sleep(Duration::from_micros(pause.into()));
        }
    }

    fn record(&mut self, step: Step, count: u32, outcome: Result<(), Fault>, took: Duration) {
        let answer = match &outcome {
            Ok(()) => 0,
            Err(Fault::Answer(errno)) => *errno,
            Err(Fault::Wrong(..)) => -1,
        };
        self.history[self.steps % HISTORY] = (step, answer);
        self.steps += 1;
        let count = count.max(1);
        let mut stats = self.slot.stats();
        stats.add(step.op, count, took.as_nanos() as u64 / u64::from(count));
        // Nobody else writes it, so no locked instruction is needed.
        let ops = self.slot.ops.load(Ordering::Relaxed);
        self.slot
            .ops
            .store(ops + u64::from(count), Ordering::Relaxed);
        stats.starved += u64::from(starved(answer));
        let median_us = (took > SLOW).then(|| stats.median_us(step.op)).flatten();
        let first = matches!(outcome, Err(Fault::Wrong(..))) && {
            stats.wrong += 1;
            stats.wrong <= TOLD
        };
        drop(stats);
        if let Some(median_us) = median_us {
            self.slow(step, took / count, median_us);
        }
        if let Err(Fault::Wrong(oracle, detail)) = outcome
            && first
        {
            self.wrong(step, oracle, &detail);
        }
    }

    /// Its last steps, oldest first.
    fn past(&self) -> impl Iterator<Item = &(Step, i32)> {
        let first = self.steps.saturating_sub(HISTORY);
        (first..self.steps).map(|at| &self.history[at % HISTORY])
    }

    fn slow(&self, step: Step, took: Duration, median_us: f64) {
        if took < SLOW || took.as_secs_f64() * 1e6 < SLOW_TIMES * median_us {
            return;
        }
        let mut told = self.slot.told();
        if told.slows.len() < TOLD as usize {
            let shown = self.shared.stage.show(&step);
            told.slows.push(Slow {
                op: step.op,
                step: shown,
                took,
                median_us,
            });
        }
    }

    fn wrong(&self, step: Step, oracle: &'static str, detail: &str) {
        let show = |step: &Step| self.shared.stage.show(step);
        let line = |(step, answer): &(Step, i32)| match answer {
            0 => format!("{} = ok", show(step)),
            -1 => format!("{} = wrong", show(step)),
            errno => format!("{} = {}", show(step), errno_name(*errno)),
        };
        let violation = Violation {
            oracle,
            detail: format!("{}: {detail}", show(&step)),
            history: self.past().map(line).collect(),
        };
        self.slot.told().wrongs.push(violation);
    }
}
