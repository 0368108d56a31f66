// SPDX-License-Identifier: MIT OR Apache-2.0
//! What scenarios are measured against: a naive stress tool, and a bare system call in a loop.

use super::step::{Step, operations};
use super::worker::Worker;
use super::{Entry, Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::{self, Name, errno_name};
use crate::scenario::fault::Fault;
use lab_wire::Scenario;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

operations! {
    /// What plain threads do.
    pub(crate) enum Op {
        Open "open" 1 "Opens a name.",
        Create "create" 1 "Opens a name with O_CREAT.",
        Unlink "unlink" 1 "Unlinks a name.",
        Rename "rename" 1 "Renames a name to another.",
        Stat "stat" 1 "Stats a name.",
    }
}

operations! {
    /// The two ways of one system call.
    pub(crate) enum Way {
        Bare "bare" 1 "Stats one name in a loop with nothing around it.",
        Stepped "stepped" 1 "Stats it as a step of a worker.",
    }
}

/// All yardsticks.
pub(crate) const TRIALS: &[Entry] = &[
    Entry {
        name: "plain",
        ops: Op::INFO,
        set_up: |place, _| Ok(Box::new(Plain(folder(place)?))),
    },
    Entry {
        name: "bare",
        ops: Way::INFO,
        set_up: set_up_bare,
    },
];

fn folder(place: &Place) -> Result<OwnedFd, Refusal> {
    let path = CString::new(place.base.as_os_str().as_encoded_bytes())
        .map_err(|error| Refusal::Failed(error.to_string()))?;
    ops::open_dir(&path).map_err(|errno| {
        Refusal::Failed(format!(
            "open {}: {}",
            place.base.display(),
            errno_name(errno)
        ))
    })
}

/// Threads over few names of one directory: no rounds, no fresh names, no oracle.
#[derive(Debug)]
struct Plain(OwnedFd);

impl Stage for Plain {
    fn work(&self, worker: &mut Worker<'_>) {
        let (shared, dir) = (worker.shared, self.0.as_fd());
        while !worker.stopped() {
            let op = shared.mix.pick(&mut worker.rng);
            let [one, other] = [0, 0].map(|_: u32| worker.rng.below(shared.asked.names));
            let step = Step::new(op, [one, other, 0, 0]);
            worker.step(step, || plainly(dir, &step).map_err(Fault::Answer));
        }
    }

    fn show(&self, step: &Step) -> String {
        let [one, other, ..] = step.args;
        match Op::of(step.op) {
            Op::Rename => format!("rename n{one} n{other}"),
            op => format!("{} n{one}", op.name()),
        }
    }
}

fn plainly(dir: BorrowedFd<'_>, step: &Step) -> ops::Answer<()> {
    let [one, other] = [step.args[0], step.args[1]].map(|number| Name::new("n", number.into()));
    let name = one.as_c();
    match Op::of(step.op) {
        Op::Open => ops::open(dir, name, libc::O_RDONLY).map(drop),
        Op::Create => ops::open(dir, name, libc::O_RDWR | libc::O_CREAT).map(drop),
        Op::Unlink => ops::unlink(dir, name, 0),
        Op::Rename => ops::rename((dir, name), (dir, other.as_c())),
        Op::Stat => ops::stat(dir, name).map(drop),
    }
}

/// Length of a slice: the two ways take turns, so that a machine that is slow for a while is slow for both.
const SLICE: Duration = Duration::from_millis(100);
/// Calls between two looks at the clock.
const BATCH: u32 = 1024;

/// One thread that stats one name.
#[derive(Debug)]
struct Bare {
    dir: OwnedFd,
    /// Calls and nanoseconds of each way.
    sums: [[AtomicU64; 2]; 2],
}

fn set_up_bare(place: &Place, _: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let dir = folder(place)?;
    ops::open(dir.as_fd(), c"name", libc::O_RDWR | libc::O_CREAT)
        .map_err(|errno| Refusal::Failed(format!("making the name: {}", errno_name(errno))))?;
    Ok(Box::new(Bare {
        dir,
        sums: Default::default(),
    }))
}

impl Bare {
    fn call(&self) -> Result<(), Fault> {
        ops::stat(self.dir.as_fd(), c"name")
            .map(drop)
            .map_err(Fault::Answer)
    }

    fn batch(&self, worker: &mut Worker<'_>, way: Way) {
        let step = Step::new(way as u8, [0; 4]);
        match way {
            Way::Bare => worker.steps(step, BATCH, || (0..BATCH).try_for_each(|_| self.call())),
            Way::Stepped => (0..BATCH).for_each(|_| worker.step(step, || self.call())),
        }
    }
}

impl Stage for Bare {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number > 0 {
            return;
        }
        for way in Way::ALL.iter().cycle() {
            let begun = Instant::now();
            let mut calls = 0;
            while begun.elapsed() < SLICE {
                if worker.stopped() {
                    return;
                }
                self.batch(worker, *way);
                calls += u64::from(BATCH);
            }
            let [sum, time] = &self.sums[*way as usize];
            sum.fetch_add(calls, Relaxed);
            time.fetch_add(begun.elapsed().as_nanos() as u64, Relaxed);
        }
    }

    fn show(&self, step: &Step) -> String {
        format!("{} stat name", Way::of(step.op).name())
    }

    fn numbers(&self) -> Vec<Number> {
        let each = Way::ALL.iter().zip(&self.sums);
        let speeds = each.filter_map(|(way, [calls, time])| {
            let seconds = time.load(Relaxed) as f64 / 1e9;
            let speed = calls.load(Relaxed) as f64 / seconds;
            (seconds > 0.0).then(|| Number::per_second(way.name(), speed))
        });
        speeds.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    fn run(case: &'static str, entry: &'static Entry) -> (u64, Vec<Number>) {
        let base = std::env::temp_dir().join(format!("lab-{case}-{}", std::process::id()));
        std::fs::create_dir(&base).unwrap();
        let asked = Scenario {
            name: case.into(),
            fs: "tmpfs".into(),
            threads: 2,
            names: 4,
            dirs: 1,
            seconds: 1,
            seed: 1,
            pause_us: 0,
            mix: Default::default(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let shared = entry
            .share(&asked, &Place::folder(base.clone()), &stop)
            .unwrap();
        std::thread::scope(|scope| {
            for number in 0..2 {
                let shared = &shared;
                scope.spawn(move || shared.stage.work(&mut Worker::new(shared, number)));
            }
            std::thread::sleep(Duration::from_millis(500));
            stop.store(true, Relaxed);
        });
        std::fs::remove_dir_all(&base).unwrap();
        let ops = shared.slots.iter().map(|slot| slot.ops.load(Relaxed)).sum();
        (ops, shared.stage.numbers())
    }

    #[test]
    fn plain_threads_work_and_judge_nothing() {
        let (ops, numbers) = run("plain", &TRIALS[0]);
        assert!(ops > 100, "{ops}");
        assert_eq!(numbers, []);
    }

    #[test]
    fn both_ways_of_a_call_are_measured() {
        let (_, numbers) = run("bare", &TRIALS[1]);
        let names: Vec<_> = numbers.iter().map(|number| number.name.as_str()).collect();
        assert_eq!(names, ["bare", "stepped"]);
        assert!(
            numbers.iter().all(|number| number.value > 1_000.0),
            "{numbers:?}"
        );
    }
}
