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
        if let Err(reason) = enough_memory(self.asked.threads, proc::available_kib()) {
            return failed(reason);
        }
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

    /// Gives the first `started` threads time to stop and names those that do not. While others
    /// still stop, one that has not may only be waiting its turn, so it gets longer.
    fn drain(&self, shared: &Shared, started: usize) -> u32 {
        let slots = &shared.slots[..started];
        let running = || {
            slots
                .iter()
                .filter(|slot| !slot.done.load(Ordering::Acquire))
                .count()
        };
        let begun = Instant::now();
        let (mut last, mut moved) = (running(), begun);
        while last > 0 && moved.elapsed() < self.drain && begun.elapsed() < self.drain * 4 {
            std::thread::sleep(Duration::from_millis(2));
            let now = running();
            if now != last {
                (last, moved) = (now, Instant::now());
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;
    use lab_wire::{FromGuest, decode};
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    /// A scenario whose second worker never stops.
    const DEAF: Entry = Entry {
        work: |worker| {
            if worker.number == 1 {
                std::thread::sleep(Duration::from_secs(3600));
            }
            worker.work();
        },
        ..SCENARIOS[0]
    };

    fn asked() -> Scenario {
        Scenario {
            name: "lookup-storm".into(),
            fs: "tmpfs".into(),
            threads: 3,
            names: 4,
            dirs: 1,
            seconds: 1,
            seed: 5,
            pause_us: 10,
            mix: [("keep".to_owned(), 1)].into(),
        }
    }

    /// Runs a scenario in a folder of this host; `meddle` gets the folder before it starts.
    fn run(
        case: &str,
        entry: &'static Entry,
        stop: bool,
        meddle: fn(PathBuf),
    ) -> (Done, Vec<Event>) {
        let base = std::env::temp_dir().join(format!("lab-run-{case}-{}", std::process::id()));
        let (guest, host) = UnixStream::pair().unwrap();
        let port = Port::start(File::from(OwnedFd::from(guest))).unwrap();
        let drain = Duration::from_millis(300);
        let asked = asked();
        let run = Run {
            index: 4,
            asked: &asked,
            drain,
            port: &port,
        };
        let arena = Arena::make(&base, 1, false).unwrap();
        meddle(base.join("d0"));
        if stop {
            port.stop.set();
        }
        let shared = Arc::new(share(&asked, entry, arena).unwrap());
        let done = run.work(entry, shared, Ready::folder(base.clone()));
        port.tell(Event::Bye);
        let lines = BufReader::new(host).lines().map(|line| line.unwrap());
        let events = lines.map(|line| decode::<FromGuest>(line.as_bytes()).unwrap().event);
        let events = events.take_while(|event| *event != Event::Bye).collect();
        std::fs::remove_dir_all(&base).unwrap();
        (done, events)
    }

    #[test]
    fn a_thread_that_does_not_stop_is_named_with_what_it_does() {
        let (done, events) = run("deaf", &DEAF, false, |_| ());
        assert_eq!(done.how, Ended::Stuck { threads: 1 });
        assert!(done.poisoned);
        let stuck: Vec<_> = events
            .iter()
            .filter(|e| matches!(e, Event::Stuck { .. }))
            .collect();
        let [
            Event::Stuck {
                index: 4,
                comm,
                state: 'S',
                op,
                ..
            },
        ] = stuck.as_slice()
        else {
            panic!("{stuck:?}");
        };
        assert_eq!((comm.as_str(), op.as_str()), ("w1", "start"));
    }

    #[test]
    fn a_clean_run_measures_and_tells_nothing_else() {
        let (done, events) = run("clean", &SCENARIOS[0], false, |_| ());
        assert_eq!((&done.how, done.poisoned), (&Ended::Done, false));
        assert!(done.ops > 0 && done.ran_ms >= 1000, "{done:?}");
        assert!(matches!(&events[0], Event::Begin { index: 4, .. }));
        let rate = events.iter().find_map(|event| match event {
            Event::Measure { name, value, .. } if name == "keep.per-second" => Some(*value),
            _ => None,
        });
        assert!(rate.unwrap() > 0.0);
        let quiet = |e: &Event| {
            matches!(
                e,
                Event::Begin { .. } | Event::Progress { .. } | Event::Measure { .. }
            )
        };
        assert!(events.iter().all(quiet), "{events:?}");
    }

    #[test]
    fn threads_that_would_not_fit_are_refused() {
        assert_eq!(enough_memory(4096, Some(1 << 20)), Ok(()));
        assert_eq!(enough_memory(4096, None), Ok(()));
        let refused = enough_memory(600, Some(100_000)).unwrap_err();
        assert_eq!(
            refused,
            "no memory for 600 threads: 100000 KiB are free, enough for 520"
        );
    }

    #[test]
    fn stop_ends_it_before_its_time() {
        let (done, _) = run("stop", &SCENARIOS[0], true, |_| ());
        assert_eq!(done.how, Ended::Stopped);
        assert!(done.ran_ms < 900, "{done:?}");
    }

    #[test]
    fn a_violated_oracle_is_told_with_its_history() {
        let (done, events) = run("wrong", &SCENARIOS[0], false, |dir| {
            std::fs::write(dir.join("keep"), "tampered").unwrap();
        });
        assert_eq!(done.how, Ended::Done);
        let wrongs: Vec<_> = events
            .iter()
            .filter(|e| matches!(e, Event::Wrong { .. }))
            .collect();
        assert!(
            (1..=24).contains(&wrongs.len()),
            "three workers tell eight each, not {}",
            wrongs.len()
        );
        let Event::Wrong {
            oracle, history, ..
        } = wrongs[0]
        else {
            unreachable!()
        };
        assert_eq!(oracle, "stable content changed");
        assert_eq!(history[0], "keep d0 = wrong");
    }
}
