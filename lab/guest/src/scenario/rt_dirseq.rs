// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pairs of FIFO threads, each pair on one CPU: the lower looks up fresh names in a directory, the higher wakes
//! all the time and does the same.
//!
//! Code that spins until another task has left a short section (the write side of i_dir_seq, a sequence count)
//! waits for ever if that task was preempted within it by the one that spins. No line of the kernel tells of it:
//! both are runnable. So a step that lasts for seconds ends the work, and the agent names who does not stop.

use super::fault::{Fault, due};
use super::step::{Step, operations};
use super::storm::arena::{Arena, KEEP};
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::label::Label;
use crate::ops::{self, errno_name, sched};
use lab_wire::Scenario;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

operations! {
    /// What the threads of a pair do, in short batches.
    pub(crate) enum Op {
        Fresh "fresh" 150 "Looks up names that nobody has used.",
        Same "same" 6 "Looks up an absent name that all the others look up as well.",
        Make "make" 2 "Makes a file of its own and removes it.",
        Rename "rename" 1 "Makes a file of its own, renames it, and removes it.",
        Keep "keep" 4 "Stats the stable name.",
    }
}

/// Priority of the lower thread of a pair: above the threads that free what RCU gives back.
const LOWER: i32 = 3;
/// Priority of the higher one: below the threads that speak with the lab.
const HIGHER: i32 = 6;
/// Priority of the coordinator meanwhile.
const COORDINATOR: i32 = 9;
/// Calls of the lower thread in one step.
const BATCH: u32 = 8;
/// Steps of the lower thread until it lets the ordinary threads of its CPU have their turn.
const TURN: u32 = 16;
/// How long that is.
const REST: Duration = Duration::from_millis(2);
/// A pair is done with a step in microseconds; who has not ended one after this is not likely to.
const PATIENCE: Duration = Duration::from_secs(4);

/// What a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Lower {
        cpu: usize,
    },
    Higher {
        cpu: usize,
    },
    /// An ordinary thread, so that other CPUs look up in the same directories.
    Other,
}

/// Who runs where: a pair on each CPU but the first, which is left to the agent; the rest are ordinary threads.
fn role(number: u32, threads: u32, cpus: usize) -> Role {
    let pairs = (threads / 2).min((cpus.max(2) - 1) as u32);
    let pair = number / 2;
    if pair >= pairs {
        return Role::Other;
    }
    let cpu = if cpus < 2 { 0 } else { 1 + pair as usize };
    match number % 2 {
        0 => Role::Lower { cpu },
        _ => Role::Higher { cpu },
    }
}

/// The directories, and who works in them.
#[derive(Debug)]
struct Pairs {
    arena: Arena,
    threads: u32,
    cpus: usize,
    /// Calls of the lower threads, and of the higher ones.
    calls: [AtomicU64; 2],
}

/// Makes the directories.
///
/// # Errors
/// When one cannot be made, or the kernel gives no thread a real-time priority.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    // This thread only prepares; it is made an ordinary one again at once.
    if let Err(errno) = sched::fifo(HIGHER).and_then(|()| sched::fifo(0)) {
        let why = errno_name(errno);
        return Err(Refusal::Absent(format!("no SCHED_FIFO here: {why}")));
    }
    let arena = Arena::make(&place.base, asked.dirs, place.remote).map_err(Refusal::Failed)?;
    // Counted before this thread is kept on one of them.
    let cpus = sched::cpus();
    raise_coordinator(true);
    Ok(Box::new(Pairs {
        arena,
        threads: asked.threads,
        cpus,
        calls: Default::default(),
    }))
}

/// Gives the coordinator, and so every thread that it starts from now on, its turn before any pair, away from
/// their CPUs; or makes it an ordinary thread again. An ordinary one may lose a pair's CPU while it holds a lock of
/// the kernel, and under PREEMPT_RT its timers may be of that CPU, where a thread less urgent than the pair runs
/// them: if the pair never ends, nobody would be left to tell of it.
fn raise_coordinator(up: bool) {
    for thread in [sched::COORDINATOR, 0] {
        let (place, priority) = if up {
            (sched::pin_thread(thread, 0), COORDINATOR)
        } else {
            (sched::unpin_thread(thread), 0)
        };
        // Where the kernel refuses, it stays as it is.
        let _ = place.and(sched::fifo_thread(thread, priority));
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        raise_coordinator(false);
    }
}

impl Pairs {
    fn lower(&self, worker: &mut Worker<'_>) {
        let mut at = 0;
        while !worker.stopped() {
            for _ in 0..TURN {
                self.one(worker, &mut at, BATCH);
                self.calls[0].fetch_add(BATCH.into(), Relaxed);
            }
            std::thread::sleep(REST);
        }
    }

    fn higher(&self, worker: &mut Worker<'_>) {
        let mut at = 0;
        while !worker.stopped() {
            // The time varies, or it would always meet the lower thread at the same place.
            let us = 30 + worker.rng.below(50);
            std::thread::sleep(Duration::from_micros(us.into()));
            self.one(worker, &mut at, 1);
            self.calls[1].fetch_add(1, Relaxed);
        }
    }

    fn other(&self, worker: &mut Worker<'_>) {
        let mut at = 0;
        // It is the coordinator's child, and as urgent.
        let _ = sched::fifo(0);
        while !worker.stopped() {
            self.one(worker, &mut at, BATCH);
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// A step of `count` calls on names from `at` on.
    fn one(&self, worker: &mut Worker<'_>, at: &mut u32, count: u32) {
        let dir = worker.rng.below(self.arena.dirs.len() as u32);
        let step = Step::new(worker.pick(), [dir, worker.number, *at, count]);
        *at = at.wrapping_add(count);
        worker.steps(step, count, || self.act(&step));
    }

    fn act(&self, step: &Step) -> Result<(), Fault> {
        let [dir, number, at, count] = step.args;
        let (op, dir) = (Op::of(step.op), self.arena.dir(dir));
        // No two workers have a name in common.
        let name = |at: u32| Label::new("f", u64::from(number) << 32 | u64::from(at));
        (0..count).try_for_each(|i| match op {
            Op::Fresh => absent(dir.fd(), name(at.wrapping_add(i))),
            Op::Same => absent(dir.fd(), Label::new("s", (at / 16).into())),
            Op::Make => make(dir.fd(), name(at.wrapping_add(i)), None),
            Op::Rename => {
                let to = Label::new("t", number.into());
                make(dir.fd(), name(at.wrapping_add(i)), Some(to))
            }
            Op::Keep => match ops::stat(dir.fd(), KEEP).map_err(due("stable name lost", "stat"))? {
                meta if meta == dir.keep => Ok(()),
                meta => Err(Fault::wrong(
                    "stable name is another file",
                    format!("{meta:?}"),
                )),
            },
        })
    }
}

fn absent(dir: BorrowedFd<'_>, name: Label) -> Result<(), Fault> {
    super::fault::gone(dir, name.as_c(), "a name that was never made is there")
}

fn make(dir: BorrowedFd<'_>, name: Label, to: Option<Label>) -> Result<(), Fault> {
    const LOST: &str = "own name lost";
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
    ops::open(dir, name.as_c(), flags).map_err(due("own name not free", "create"))?;
    let last = to.unwrap_or(name);
    if to.is_some() {
        ops::rename((dir, name.as_c()), (dir, last.as_c())).map_err(due(LOST, "rename"))?;
    }
    ops::unlink(dir, last.as_c(), 0).map_err(due(LOST, "unlink"))
}

impl Stage for Pairs {
    fn work(&self, worker: &mut Worker<'_>) {
        let (cpu, priority) = match role(worker.number, self.threads, self.cpus) {
            Role::Lower { cpu } => (cpu, LOWER),
            Role::Higher { cpu } => (cpu, HIGHER),
            Role::Other => return self.other(worker),
        };
        // Was tried while preparing; a CPU that went away meanwhile leaves threads that are good for something too.
        let _ = sched::pin(cpu).and_then(|()| sched::fifo(priority));
        if priority == LOWER {
            self.lower(worker);
        } else {
            self.higher(worker);
        }
    }

    /// Without the names: who spins has no stack to be named by, so this text may be what names the finding.
    fn show(&self, step: &Step) -> String {
        let [dir, number, ..] = step.args;
        let role = match role(number, self.threads, self.cpus) {
            Role::Lower { .. } => "lower",
            Role::Higher { .. } => "higher",
            Role::Other => "other",
        };
        format!("{} of the {role} in d{dir}", Op::of(step.op).name())
    }

    fn numbers(&self) -> Vec<Number> {
        let [lower, higher] = &self.calls;
        let count = |name, of: &AtomicU64| Number::count(name, of.load(Relaxed) as f64);
        vec![count("lower.calls", lower), count("higher.calls", higher)]
    }

    fn patience(&self) -> Option<Duration> {
        Some(PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_take_the_cpus_but_the_first() {
        let roles = |threads, cpus| {
            (0..threads)
                .map(|n| role(n, threads, cpus))
                .collect::<Vec<_>>()
        };
        let (lower, higher) = (|cpu| Role::Lower { cpu }, |cpu| Role::Higher { cpu });
        assert_eq!(roles(4, 2), [lower(1), higher(1), Role::Other, Role::Other]);
        assert_eq!(roles(2, 1), [lower(0), higher(0)]);
        assert_eq!(roles(4, 8), [lower(1), higher(1), lower(2), higher(2)]);
        assert_eq!(roles(1, 4), [Role::Other]);
    }

    #[test]
    fn each_operation_holds_on_this_host_and_sees_what_is_wrong() {
        let temp = std::env::temp_dir().join(format!("lab-pairs-{}", std::process::id()));
        std::fs::create_dir(&temp).unwrap();
        let pairs = Pairs {
            arena: Arena::make(&temp, 1, false).unwrap(),
            threads: 4,
            cpus: 2,
            calls: Default::default(),
        };
        let act = |op: Op| pairs.act(&Step::new(op as u8, [0, 0, 5, 4]));
        for op in Op::ALL {
            assert_eq!(act(*op), Ok(()), "{op:?}");
        }
        std::fs::write(temp.join("d0/f6"), "").unwrap();
        std::fs::remove_file(temp.join("d0/keep")).unwrap();
        for op in [Op::Fresh, Op::Make, Op::Rename, Op::Keep] {
            assert!(matches!(act(op), Err(Fault::Wrong(..))), "{op:?}");
        }
        std::fs::remove_dir_all(&temp).unwrap();
    }
}
