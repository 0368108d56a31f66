// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drives one scenario: mount, work, stop, look at who did not, measure, unmount.
//!
//! Everything that may hang in the kernel runs in a thread of its own with a limit, so that the
//! coordinator always comes to its end and says what happened.

use crate::fs::{self, Ready, mount::Refusal};
use crate::ops;
use crate::port::Port;
use crate::proc;
use crate::scenario::{
    Entry,
    arena::Arena,
    share,
    worker::{Shared, Worker},
};
use crate::stats::Stats;
use lab_wire::{Ended, Event, Scenario};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest that mounting or unmounting may take before it counts as stuck.
const SETUP: Duration = Duration::from_secs(60);
/// Violations told in one scenario.
const TOLD: usize = 32;

/// One scenario of the job, on its way.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// Its number in the job.
    pub(crate) index: u32,
    /// Its parameters.
    pub(crate) asked: &'a Scenario,
    /// How long threads may take to stop.
    pub(crate) drain: Duration,
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

impl Run<'_> {
    /// Does it all.
    pub(crate) fn go(&self) -> Done {
        let failed = |reason| Done::early(Ended::Failed { reason }, false);
        let entry = match Entry::find(self.asked) {
            Ok(entry) => entry,
            Err(reason) => return failed(reason),
        };
        let (kind, index, dirs) = (self.asked.fs.clone(), self.index, self.asked.dirs);
        let prepared = self.bounded(format!("mount {kind}"), move || set_up(&kind, index, dirs));
        let (ready, arena) = match prepared {
            Ok(Ok(prepared)) => prepared,
            Ok(Err(Refusal::Absent(reason))) => {
                return Done::early(Ended::Skipped { reason }, false);
            }
            Ok(Err(Refusal::Failed(reason))) => return failed(reason),
            Err(reason) => return Done::early(Ended::Failed { reason }, true),
        };
        match share(self.asked, entry, arena) {
            Ok(shared) => self.work(entry, Arc::new(shared), ready),
            Err(reason) => failed(reason),
        }
    }

    fn work(&self, entry: &'static Entry, shared: Arc<Shared>, ready: Ready) -> Done {
        let (name, fs) = (self.asked.name.clone(), self.asked.fs.clone());
        self.port.tell(Event::Begin {
            index: self.index,
            name,
            fs,
        });
        let begun = Instant::now();
        let (threads, started) = self.start(entry, &shared);
        let mut how = match started {
            Ok(()) => self.watch(&shared, begun),
            Err(reason) => Ended::Failed { reason },
        };
        shared.stop.store(true, Ordering::Relaxed);
        let ran_ms = begun.elapsed().as_millis() as u64;
        let stuck = self.drain(&shared, threads.len());
        self.tell_wrongs(&shared);
        self.measure(&shared, ran_ms);
        let ops = total(&shared);
        let mut poisoned = stuck > 0;
        if poisoned {
            how = Ended::Stuck { threads: stuck };
        } else {
            drop((threads, shared));
            poisoned = self.tear_down(ready);
        }
        Done {
            how,
            ops,
            ran_ms,
            poisoned,
        }
    }

    fn start(
        &self,
        entry: &'static Entry,
        shared: &Arc<Shared>,
    ) -> (Vec<JoinHandle<()>>, Result<(), String>) {
        let mut threads = Vec::new();
        for number in 0..self.asked.threads {
            let own = Arc::clone(shared);
            let thread = std::thread::Builder::new()
                .name(format!("w{number}"))
                .stack_size(64 << 10);
            let started = thread.spawn(move || {
                (entry.work)(&mut Worker::new(&own, number));
                own.slots[number as usize]
                    .done
                    .store(true, Ordering::Release);
            });
            match started {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    let reason = format!("thread {number} of {}: {error}", self.asked.threads);
                    return (threads, Err(reason));
                }
            }
        }
        (threads, Ok(()))
    }

    /// Reports each second until the time is over or the lab says stop. Ends early when no thread
    /// has finished an operation for as long as threads may take to stop.
    fn watch(&self, shared: &Shared, begun: Instant) -> Ended {
        let time = Duration::from_secs(self.asked.seconds.into());
        let (mut last, mut moved) = (0, begun);
        loop {
            let left = time.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ended::Done;
            }
            if self.port.stop.wait(left.min(Duration::from_secs(1))) {
                return Ended::Stopped;
            }
            let (ops, ran_ms) = (total(shared), begun.elapsed().as_millis() as u64);
            self.port.tell(Event::Progress {
                index: self.index,
                ops,
                ran_ms,
            });
            self.tell_wrongs(shared);
            if ops != last {
                (last, moved) = (ops, Instant::now());
            } else if moved.elapsed() > self.drain.max(Duration::from_secs(5)) {
                self.port.note(format!(
                    "scenario {}: no operation ended for {:?}",
                    self.index,
                    moved.elapsed()
                ));
                return Ended::Done;
            }
        }
    }

    /// Gives the first `started` threads time to stop and names those that do not.
    fn drain(&self, shared: &Shared, started: usize) -> u32 {
        let end = Instant::now() + self.drain;
        let slots = &shared.slots[..started];
        while Instant::now() < end && slots.iter().any(|slot| !slot.done.load(Ordering::Acquire)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut stuck = 0;
        for slot in slots
            .iter()
            .filter(|slot| !slot.done.load(Ordering::Acquire))
        {
            stuck += 1;
            let op = slot
                .step()
                .map_or_else(|| "start".into(), |step| step.to_string());
            self.tell_stuck(slot.tid.load(Ordering::Relaxed), op);
        }
        stuck
    }

    fn tell_stuck(&self, tid: i32, op: String) {
        let proc::Task {
            comm,
            state,
            wchan,
            stack,
        } = proc::look(tid);
        let index = self.index;
        self.port.tell(Event::Stuck {
            index,
            tid,
            comm,
            state,
            op,
            wchan,
            stack,
        });
    }

    fn tell_wrongs(&self, shared: &Shared) {
        let taken = shared.slots.iter().flat_map(|slot| {
            std::mem::take(&mut *slot.wrongs.lock().unwrap_or_else(PoisonError::into_inner))
        });
        for wrong in taken.take(TOLD) {
            let (index, oracle, detail, history) =
                (self.index, wrong.oracle.into(), wrong.detail, wrong.history);
            self.port.tell(Event::Wrong {
                index,
                oracle,
                detail,
                history,
            });
        }
    }

    fn measure(&self, shared: &Shared, ran_ms: u64) {
        let mut sum = Stats::new();
        for slot in &shared.slots {
            sum.merge(&slot.stats.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let seconds = ran_ms.max(1) as f64 / 1e3;
        self.number("ops-per-second", total(shared) as f64 / seconds, "1/s");
        self.number("rounds", f64::from(shared.rounds.count()), "count");
        self.number("starved", sum.starved as f64, "count");
        self.number("wrong", sum.wrong as f64, "count");
        for (op, histogram) in sum.each() {
            let name = op.name();
            self.number(
                &format!("{name}.per-second"),
                histogram.total() as f64 / seconds,
                "1/s",
            );
            for (suffix, part) in [("p50", 0.5), ("p99", 0.99)] {
                let value = histogram.percentile_us(part).unwrap_or_default();
                self.number(&format!("{name}.{suffix}"), value, "us");
            }
            self.number(&format!("{name}.max"), histogram.max_us(), "us");
        }
    }

    fn number(&self, name: &str, value: f64, unit: &str) {
        let (index, name, unit) = (self.index, name.to_owned(), unit.to_owned());
        self.port.tell(Event::Measure {
            index,
            name,
            value,
            unit,
        });
    }

    /// Unmounts; whether that hung.
    fn tear_down(&self, ready: Ready) -> bool {
        let what = format!("umount {}", ready.at.display());
        match self.bounded(what, move || ready.remove()) {
            Ok(Ok(())) => false,
            Ok(Err(why)) => {
                self.port.note(format!("scenario {}: {why}", self.index));
                false
            }
            Err(_) => true,
        }
    }

    /// Runs what may hang in a thread of its own; tells its stack if it does.
    fn bounded<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
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
        self.tell_stuck(tid.try_recv().unwrap_or_default(), what.clone());
        Err(format!("{what} did not end within {} s", SETUP.as_secs()))
    }
}

fn total(shared: &Shared) -> u64 {
    shared
        .slots
        .iter()
        .map(|slot| slot.ops.load(Ordering::Relaxed))
        .sum()
}

fn set_up(kind: &str, index: u32, dirs: u32) -> Result<(Ready, Arena), Refusal> {
    let ready = fs::prepare(kind)?;
    let base = ready.at.join(format!("scenario-{index}"));
    let mut arena = match Arena::make(&base, dirs, ready.remote) {
        Ok(arena) => arena,
        Err(reason) => {
            // The first reason is the one to tell.
            let _ = ready.remove();
            return Err(Refusal::Failed(reason));
        }
    };
    if let Ok(file) = std::fs::File::options()
        .write(true)
        .open("/proc/sys/vm/drop_caches")
    {
        // 4 silences the kernel's line about each time the caches are dropped.
        let _ = ops::write_at_0(file.as_fd(), b"4");
        arena.drop_caches = Some(file.into());
    }
    Ok((ready, arena))
}
