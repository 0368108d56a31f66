// SPDX-License-Identifier: MIT OR Apache-2.0
//! Very many negative dentries: made by lookups of absent names, reaped by dropped caches and by memory pressure,
//! looked up and created over meanwhile. Now and then all meet, and the kernel's own count of its dentries is held
//! against what was done.

mod audit;

use super::caches::Caches;
use super::fault::{Fault, due, gone, may};
use super::press::Press;
use super::rounds::Rounds;
use super::step::{Step, operations};
use super::storm::arena::{Arena, KEEP};
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::init::boot_ms;
use crate::ops::{self, label::Label};
use crate::proc;
use audit::Audit;
use lab_wire::Scenario;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

operations! {
    /// What the threads do.
    pub(crate) enum Op {
        Fill "fill" 300 "Looks up names in a row, of which hardly any is there.",
        Look "look" 200 "Looks up names here and there.",
        Over "over" 100 "Makes a file of a name that was just found absent, and removes it.",
        Keep "keep" 40 "Stats the stable name.",
        Drop "drop" 3 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
        Press "press" 1 "Takes memory until the kernel reclaims, and gives it back.",
        Audit "audit" 0 "In a quiet moment: holds the kernel's count against what is done.",
    }
}

/// Names looked up in one step.
const BATCH: u32 = 32;
/// Milliseconds of work between two audits.
const BETWEEN: u64 = 3_000;
/// What a negative dentry takes, with a name of its own now and then: bytes.
const DENTRY: u64 = 300;

/// What the workers share.
struct Negative {
    arena: Arena,
    /// Names in each directory; a worker makes only those whose number is its own modulo their count.
    names: u32,
    threads: u32,
    caches: Option<Caches>,
    press: Option<Press>,
    rounds: Rounds,
    due: AtomicU64,
    audit: Audit,
}

/// Makes the directories.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let arena = Arena::make(&place.base, asked.dirs, place.remote).map_err(Refusal::Failed)?;
    let (caches, press) = (Caches::open(), Press::open());
    let fits = proc::available_kib().map_or(u64::MAX, |kib| kib * 1024 / 4 / DENTRY);
    let names = u64::from(asked.names).min(fits) as u32 / asked.dirs;
    Ok(Box::new(Negative {
        // Beside others no moment is quiet.
        audit: Audit::begin(caches.as_ref().filter(|_| place.alone)),
        arena,
        names: names.max(asked.threads),
        threads: asked.threads,
        caches,
        press,
        rounds: Rounds::new(asked.threads),
        due: AtomicU64::new(boot_ms() + BETWEEN / 3),
    }))
}

impl Negative {
    fn act(&self, step: &Step, stop: &AtomicBool) -> Result<(), Fault> {
        let [dir, own, number, count] = step.args;
        let dir = self.arena.dir(dir);
        match Op::of(step.op) {
            Op::Fill => (0..count).try_for_each(|i| self.look(dir.fd(), own, number + i)),
            Op::Look => (0..count).try_for_each(|i| {
                let number = number.wrapping_add(i.wrapping_mul(7_919));
                self.look(dir.fd(), own, number)
            }),
            Op::Over => self.over(dir.fd(), own, number),
            Op::Keep => match ops::stat(dir.fd(), KEEP).map_err(due("stable name lost", "stat"))? {
                meta if meta == dir.keep => Ok(()),
                meta => Err(Fault::wrong(
                    "stable name is another file",
                    format!("{meta:?}"),
                )),
            },
            Op::Drop => self.caches.as_ref().map_or(Ok(()), Caches::drop_dentries),
            Op::Press => self
                .press
                .as_ref()
                .map_or(Ok(()), |press| press.press(stop)),
            Op::Audit => self.audit.hold(dir.fd(), self.caches.as_ref()),
        }
    }

    /// Looks up a name: one that only this worker makes is not there, for it makes none meanwhile.
    fn look(&self, dir: BorrowedFd<'_>, own: u32, number: u32) -> Result<(), Fault> {
        let number = number % self.names;
        let name = Label::new("n", number.into());
        if number % self.threads == own {
            return gone(dir, name.as_c(), "removed name still there");
        }
        match ops::stat(dir, name.as_c()).map_err(may("stat", &[libc::ENOENT])) {
            Err(Fault::Wrong(oracle, seen)) => Err(Fault::Wrong(oracle, seen)),
            _ => Ok(()),
        }
    }

    fn over(&self, dir: BorrowedFd<'_>, own: u32, number: u32) -> Result<(), Fault> {
        const LOST: &str = "name made over a negative dentry lost";
        let number = number % (self.names / self.threads).max(1) * self.threads + own;
        let name = Label::new("n", (number % self.names.max(self.threads)).into());
        if number >= self.names {
            return Ok(());
        }
        gone(dir, name.as_c(), "removed name still there")?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let file =
            ops::open(dir, name.as_c(), flags).map_err(due("own name not free", "create"))?;
        let found = ops::stat(dir, name.as_c()).map_err(due(LOST, "stat"));
        drop(file);
        ops::unlink(dir, name.as_c(), 0).map_err(due(LOST, "unlink"))?;
        gone(dir, name.as_c(), "removed name still there")?;
        found.map(drop)
    }

    /// All meet, the first one looks while the others wait; whether to go on.
    fn meet(&self, worker: &mut Worker<'_>) -> bool {
        let stop = &worker.shared.stop;
        if self.rounds.meet(stop).is_none() {
            return false;
        }
        if worker.number == 0 {
            let dir = self.rounds.count() % self.arena.dirs.len() as u32;
            let step = Step::new(Op::Audit as u8, [dir, 0, 0, 0]);
            worker.step(step, || self.act(&step, stop));
            self.due.store(boot_ms() + BETWEEN, Ordering::Release);
        }
        self.rounds.meet(stop).is_some()
    }
}

impl Stage for Negative {
    fn work(&self, worker: &mut Worker<'_>) {
        let (dirs, shared) = (self.arena.dirs.len() as u32, worker.shared);
        while !worker.stopped() {
            if boot_ms() >= self.due.load(Ordering::Acquire) && !self.meet(worker) {
                return;
            }
            let mut op = worker.pick();
            if op == Op::Press as u8 && worker.number > 0 {
                op = Op::Look as u8;
            }
            let count = match Op::of(op) {
                Op::Fill | Op::Look => BATCH,
                _ => 1,
            };
            let (dir, number) = (worker.rng.below(dirs), worker.rng.below(self.names));
            let step = Step::new(op, [dir, worker.number, number, count]);
            worker.steps(step, count, || self.act(&step, &shared.stop));
        }
    }

    fn show(&self, step: &Step) -> String {
        let [dir, _, number, count] = step.args;
        let op = Op::of(step.op);
        match op {
            Op::Fill | Op::Look => format!("{} d{dir}/n{number} and {count} more", op.name()),
            Op::Over => format!("{} d{dir}/n{number}", op.name()),
            Op::Keep => format!("{} d{dir}", op.name()),
            Op::Drop | Op::Press | Op::Audit => op.name().to_owned(),
        }
    }

    fn numbers(&self) -> Vec<Number> {
        let pressed = self.press.as_ref().map_or(0, Press::times);
        let mut numbers = self.audit.numbers();
        numbers.push(Number::count("pressed", pressed as f64));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_over_negatives_are_there_at_once_and_strangers_are_seen() {
        let temp = std::env::temp_dir().join(format!("lab-negative-{}", std::process::id()));
        std::fs::create_dir(&temp).unwrap();
        let negative = Negative {
            arena: Arena::make(&temp, 1, false).unwrap(),
            names: 64,
            threads: 2,
            caches: None,
            press: None,
            rounds: Rounds::new(2),
            due: AtomicU64::new(0),
            audit: Audit::begin(None),
        };
        let stop = AtomicBool::new(false);
        let act = |op: Op| negative.act(&Step::new(op as u8, [0, 0, 6, BATCH]), &stop);
        for op in Op::ALL {
            assert_eq!(act(*op), Ok(()), "{op:?}");
        }
        for number in 0..64 {
            let name = Label::new("n", number).as_c().to_str().unwrap().to_owned();
            std::fs::write(temp.join("d0").join(name), "").unwrap();
        }
        std::fs::remove_file(temp.join("d0/keep")).unwrap();
        for op in [Op::Fill, Op::Look, Op::Over, Op::Keep] {
            assert!(matches!(act(op), Err(Fault::Wrong(..))), "{op:?}");
        }
        std::fs::remove_dir_all(&temp).unwrap();
    }
}
