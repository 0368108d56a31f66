// SPDX-License-Identifier: MIT OR Apache-2.0
//! References: how fast one path is looked up by ever more threads, and what becomes of the last reference.

mod curve;
mod last;

use super::caches::Caches;
use super::step::{Step, operations};
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::route::Route;
use crate::ops::{self, Answer, Name, errno_name, tree};
use crate::scenario::fault::{Fault, due};
use curve::{Curve, Turn};
use lab_wire::Scenario;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

operations! {
    /// The operations on references.
    pub(crate) enum Op {
        Create "create" 120 "Opens a contested name with O_CREAT.",
        Unlink "unlink" 120 "Unlinks a contested name.",
        Stat "stat" 160 "Stats a contested name.",
        Open "open" 80 "Opens a contested name.",
        Missing "missing" 120 "Stats a name that never exists.",
        Hold "hold" 60 "Holds a contested file while its name is removed.",
        Ghost "ghost" 30 "Unlinks a file of its own that it holds.",
        Mkdir "mkdir" 50 "Makes a contested directory.",
        Rmdir "rmdir" 50 "Removes a contested directory.",
        Inside "inside" 60 "Looks into a contested directory.",
        Leave "leave" 20 "Removes the directory that it works in.",
        Drop "drop" 1 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
        Walk "walk" 0 "Looks one long path up, as often as it can.",
    }
}

/// Directories of the long path.
const DEEP: usize = 7;
/// Lookups between two looks at the clock.
const BATCH: u32 = 64;

/// What the workers share.
#[derive(Debug)]
struct References {
    base: OwnedFd,
    path: Route,
    dirs: Vec<OwnedFd>,
    curve: Curve,
    caches: Option<Caches>,
    /// Workers have a working directory of their own each.
    own_cwd: bool,
}

/// Makes the long path and the directories.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let failed = |errno| Refusal::Failed(format!("making the long path: {}", errno_name(errno)));
    let path = CString::new(place.base.as_os_str().as_encoded_bytes())
        .map_err(|error| Refusal::Failed(error.to_string()))?;
    let base = ops::open_dir(&path).map_err(failed)?;
    Ok(Box::new(References::make(base, asked).map_err(failed)?))
}

/// Asks in a thread that ends with the answer.
fn can_have_own_cwd() -> bool {
    std::thread::spawn(|| tree::own_cwd().is_ok())
        .join()
        .unwrap_or(false)
}

fn deep(base: BorrowedFd<'_>) -> Answer<Route> {
    let mut path = Route::new("");
    for _ in 0..DEEP {
        path = path.then("k");
        ops::mkdir(base, path.as_c())?;
    }
    let path = path.then("x");
    ops::open(base, path.as_c(), libc::O_RDWR | libc::O_CREAT)?;
    Ok(path)
}

fn dir(base: BorrowedFd<'_>, number: u32) -> Answer<OwnedFd> {
    let name = Name::new("d", number.into());
    ops::mkdir(base, name.as_c())?;
    ops::open(base, name.as_c(), libc::O_RDONLY | libc::O_DIRECTORY)
}

impl References {
    fn make(base: OwnedFd, asked: &Scenario) -> Answer<Self> {
        let path = deep(base.as_fd())?;
        let dirs: Answer<Vec<_>> = (0..asked.dirs).map(|n| dir(base.as_fd(), n)).collect();
        Ok(Self {
            base,
            path,
            dirs: dirs?,
            curve: Curve::new(asked.threads),
            caches: Caches::open(),
            own_cwd: can_have_own_cwd(),
        })
    }

    fn walk(&self) -> Result<(), Fault> {
        for _ in 0..BATCH {
            ops::stat(self.base.as_fd(), self.path.as_c())
                .map_err(due("a stable path is lost", "stat"))?;
        }
        Ok(())
    }
}

impl Stage for References {
    fn work(&self, worker: &mut Worker<'_>) {
        let asked = &worker.shared.asked;
        let (dirs, names, number) = (asked.dirs, asked.names, worker.number);
        let own_cwd = self.own_cwd && tree::own_cwd().is_ok();
        while !worker.stopped() {
            match self.curve.turn(number) {
                Turn::Wait => std::thread::sleep(Duration::from_millis(4)),
                Turn::Walk(place) => {
                    worker.steps(Step::new(Op::Walk as u8, [0; 4]), BATCH, || self.walk());
                    self.curve.count(place, BATCH);
                }
                Turn::Fight => {
                    let mut op = worker.shared.mix.pick(&mut worker.rng);
                    if !own_cwd && op == Op::Leave as u8 {
                        op = Op::Ghost as u8;
                    }
                    let rng = &mut worker.rng;
                    let args = [rng.below(dirs), rng.below(names), rng.below(64), 0];
                    let step = Step::new(op, args);
                    worker.step(step, || self.fight(number, &step));
                }
            }
        }
    }

    fn show(&self, step: &Step) -> String {
        let (op, [dir, name, ..]) = (Op::of(step.op), step.args);
        match op {
            Op::Walk => format!("{} {} {BATCH} times", op.name(), self.path),
            Op::Mkdir | Op::Rmdir | Op::Inside => format!("{} d{dir}/s{name}", op.name()),
            Op::Create | Op::Unlink | Op::Stat | Op::Open | Op::Hold => {
                format!("{} d{dir}/n{name}", op.name())
            }
            _ => format!("{} d{dir}", op.name()),
        }
    }

    fn numbers(&self) -> Vec<Number> {
        self.curve.numbers()
    }
}

#[cfg(test)]
mod tests;
