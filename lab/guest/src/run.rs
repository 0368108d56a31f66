// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drives one scenario: mount, work, stop, look at who did not, measure, unmount.
//!
//! Everything that may hang in the kernel runs in a thread of its own with a limit, so that the
//! coordinator always comes to its end and says what happened.

mod end;
mod tell;

pub(crate) use end::patiently;

use crate::fs::{self, Ready, mount::Refusal};
use crate::init::boot_ms;
use crate::port::Port;
use crate::proc;
use crate::scenario::worker::{Shared, Slot, Worker};
use crate::scenario::{Entry, Place};
use end::Counts;
use lab_wire::{Ended, Event, Scenario};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest that mounting or unmounting may take before it counts as stuck.
const SETUP: Duration = Duration::from_secs(60);
/// Longest wait for the lab to look at the kernel; the clock stands while it takes the memory.
const HOLD: Duration = Duration::from_secs(60);
/// An operation that takes this long is likely to take for ever: the threads are told to stop then, and those
/// that do not are the finding.
const PATIENCE: Duration = Duration::from_secs(10);

/// One scenario of the job, on its way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// Its number in the job.
    pub(crate) index: u32,
    /// Its parameters.
    pub(crate) asked: &'a Scenario,
    /// How long threads may take to stop.
    pub(crate) drain: Duration,
    /// At its end, wait for the lab to look at the kernel.
    pub(crate) hold: bool,
    /// The line to the lab.
    pub(crate) port: &'a Port,
}

/// What a scenario left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// How it ended.
    pub(crate) how: Ended,
    /// Operations of all its threads.
    pub(crate) ops: u64,
    /// Milliseconds of work.
    pub(crate) ran_ms: u64,
    /// Something hangs in the kernel: nothing that runs after it could be believed.
    pub(crate) poisoned: bool,
}

impl Done {
    fn early(how: Ended, poisoned: bool) -> Self {
        Self {
            how,
            ops: 0,
            ran_ms: 0,
            poisoned,
        }
    }
}

/// A scenario that is ready to begin.
struct Prepared {
    parts: Vec<Arc<Shared>>,
    stop: Arc<AtomicBool>,
    ready: Ready,
    before: Counts,
}

impl Run<'_> {
    /// Does it all.
    pub(crate) fn go(&self) -> Done {
        let failed = |reason| Done::early(Ended::Failed { reason }, false);
        let entry = match Entry::find(self.asked) {
            Ok(entry) => entry,
            Err(reason) => return failed(reason),
        };
        if let Err(reason) = enough_memory(self.asked.threads, proc::available_kib()) {
            return failed(reason);
        }
        let (asked, index) = (self.asked.clone(), self.index);
        let what = format!("prepare {} on {}", asked.name, asked.fs);
        match self.bounded(what, move || prepare(entry, &asked, index)) {
            Ok(Ok(prepared)) => self.work(prepared),
            Ok(Err(Refusal::Absent(reason))) => Done::early(Ended::Skipped { reason }, false),
            Ok(Err(Refusal::Failed(reason))) => failed(reason),
            Err(reason) => Done::early(Ended::Failed { reason }, true),
        }
    }

    fn work(&self, prepared: Prepared) -> Done {
        let (name, fs) = (self.asked.name.clone(), self.asked.fs.clone());
        self.port.tell(Event::Begin {
            index: self.index,
            name,
            fs,
        });
        let parts = &prepared.parts;
        let begun = Instant::now();
        let (threads, started) = start(parts);
        let mut how = match started {
            Ok(()) => self.watch(parts, begun),
            Err(reason) => Ended::Failed { reason },
        };
        prepared.stop.store(true, Ordering::Relaxed);
        let ran_ms = begun.elapsed().as_millis() as u64;
        let stuck = self.drain(parts, threads.len());
        self.tell_seen(parts);
        self.measure(parts, ran_ms);
        let ops = total(parts);
        let poisoned = if stuck > 0 {
            how = Ended::Stuck { threads: stuck };
            true
        } else {
            self.hold();
            self.tear_down(prepared, threads)
        };
        Done {
            how,
            ops,
            ran_ms,
            poisoned,
        }
    }

    /// Where the lab wants to look at the kernel while the filesystem is still mounted, lets it. The scenario's time is
    /// over already, so this is no exposure.
    fn hold(&self) {
        if !self.hold || self.port.stop.wait(Duration::ZERO) {
            return;
        }
        self.port.tell(Event::Settled { index: self.index });
        if !self.port.gate.wait(self.index, HOLD) {
            let text = format!("the lab did not say go within {} s", HOLD.as_secs());
            self.port.note(text);
        }
    }

    /// Reports each second until the time is over or the lab says stop. Ends early when a thread has been in one
    /// operation for very long: whether it ever ends is what draining shows.
    fn watch(&self, parts: &[Arc<Shared>], begun: Instant) -> Ended {
        let time = Duration::from_secs(self.asked.seconds.into());
        loop {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ended::Done;
            }
            if self.port.stop.wait(left.min(Duration::from_secs(1))) {
                return Ended::Stopped;
            }
            let (ops, ran_ms) = (total(parts), begun.elapsed().as_millis() as u64);
            self.port.tell(Event::Progress {
                index: self.index,
                ops,
                ran_ms,
            });
            self.tell_seen(parts);
            if let Some((op, patience)) = waiting_too_long(parts, self.drain.max(PATIENCE)) {
                let text = format!("{op} has not ended for {patience:?}: the others are stopped");
                self.port.note(text);
                return Ended::Done;
            }
        }
    }

    /// Gives the first `started` threads time to stop and names those that do not. While others
    /// still stop, one that has not may only be waiting its turn, so it gets longer.
    fn drain(&self, parts: &[Arc<Shared>], started: usize) -> u32 {
        let running = || slots(parts).take(started).filter(|(_, slot)| going(slot));
        let begun = Instant::now();
        let (mut last, mut moved) = (running().count(), begun);
        while last > 0 && moved.elapsed() < self.drain && begun.elapsed() < self.drain * 4 {
            std::thread::sleep(Duration::from_millis(2));
            let now = running().count();
            if now != last {
                (last, moved) = (now, Instant::now());
            }
        }
        let mut stuck = 0;
        for (shared, slot) in running() {
            stuck += 1;
            let step = slot.step();
            let op = step.map_or_else(|| "start".into(), |step| shared.stage.show(&step));
            let since = slot.in_step_since().unwrap_or_default();
            self.tell_stuck(slot.tid.load(Ordering::Relaxed), op, since);
        }
        stuck
    }

    /// Runs what may hang in a thread of its own; tells its stack if it does.
    fn bounded<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let begun = boot_ms();
        let (tell_tid, tid) = mpsc::channel();
        let (give, take) = mpsc::channel();
        let thread = std::thread::Builder::new().name("setup".into());
        let started = thread.spawn(move || {
            // SAFETY: gettid has no arguments and cannot fail.
            let _ = tell_tid.send(unsafe { libc::gettid() });
            let _ = give.send(work());
        });
        started.map_err(|error| format!("no thread to {what}: {error}"))?;
        if let Ok(value) = take.recv_timeout(SETUP) {
            return Ok(value);
        }
        self.tell_stuck(tid.try_recv().unwrap_or_default(), what.clone(), begun);
        Err(format!("{what} did not end within {} s", SETUP.as_secs()))
    }
}

fn prepare(entry: &'static Entry, asked: &Scenario, index: u32) -> Result<Prepared, Refusal> {
    let before = Counts::take();
    let mut ready = fs::prepare(&asked.fs)?;
    let stop = Arc::new(AtomicBool::new(false));
    let made = Place::make(
        &asked.fs,
        &ready.at,
        ready.server.as_deref(),
        &format!("scenario-{index}"),
    )
    .and_then(|place| entry.parts(asked, &place, &stop));
    match made {
        Ok(parts) => Ok(Prepared {
            parts,
            stop,
            ready,
            before,
        }),
        Err(refusal) => {
            // The first reason is the one to tell.
            let _ = ready.remove();
            Err(refusal)
        }
    }
}

fn start(parts: &[Arc<Shared>]) -> (Vec<JoinHandle<()>>, Result<(), String>) {
    let mut threads = Vec::new();
    for shared in parts {
        for number in 0..shared.asked.threads {
            let own = Arc::clone(shared);
            let thread = std::thread::Builder::new()
                .name(format!("w{}", threads.len()))
                .stack_size(64 << 10);
            let started = thread.spawn(move || {
                own.stage.work(&mut Worker::new(&own, number));
                let slot = &own.slots[number as usize];
                slot.done.store(true, Ordering::Release);
            });
            match started {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let reason = format!("thread {number} of {}: {error}", shared.asked.threads);
                    return (threads, Err(reason));
                }
            }
        }
    }
    (threads, Ok(()))
}

/// The operation of a thread that has been in it for longer than its scenario, or else `usual`, has patience for.
fn waiting_too_long(parts: &[Arc<Shared>], usual: Duration) -> Option<(String, Duration)> {
    let now = boot_ms();
    slots(parts).find_map(|(shared, slot)| {
        let patience = shared.stage.patience().unwrap_or(usual);
        let since = slot.in_step_since()?;
        if now.saturating_sub(since) <= patience.as_millis() as u64 {
            return None;
        }
        Some((shared.stage.show(&slot.step()?), patience))
    })
}

fn slots(parts: &[Arc<Shared>]) -> impl Iterator<Item = (&Shared, &Slot)> {
    parts.iter().flat_map(|shared| {
        let shared: &Shared = shared;
        shared.slots.iter().map(move |slot| (shared, slot))
    })
}

fn going(slot: &Slot) -> bool {
    !slot.done.load(Ordering::Acquire)
}

/// Whether half of the memory left holds that many workers: their stacks in user space and in the
/// kernel, and their counts. An agent that runs out of memory takes the guest with it.
fn enough_memory(threads: u32, available_kib: Option<u64>) -> Result<(), String> {
    const WORKER_KIB: u64 = 96;
    let Some(available) = available_kib else {
        return Ok(());
    };
    let most = available / 2 / WORKER_KIB;
    if u64::from(threads) <= most {
        return Ok(());
    }
    Err(format!(
        "no memory for {threads} threads: {available} KiB are free, enough for {most}"
    ))
}

fn total(parts: &[Arc<Shared>]) -> u64 {
    slots(parts)
        .map(|(_, slot)| slot.ops.load(Ordering::Relaxed))
        .sum()
}

#[cfg(test)]
mod tests;
