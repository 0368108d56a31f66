// SPDX-License-Identifier: MIT OR Apache-2.0
//! Long relative paths, walked while their components are exchanged, replaced, mounted over and locked away.
//!
//! The trees are made so that every path through their stable part leads to a file whichever way its components were
//! exchanged: such a path is never ENOENT. In every other lane changes are counted too, so that a walk which raced
//! with none is judged exactly; in the rest the changes race with each other.

mod burst;
mod lane;
mod model;
pub(crate) mod step;
mod stir;
mod tower;
mod walk;

use super::caches::Caches;
use super::rounds::Rounds;
use super::step::Step;
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::{self, errno_name, tree};
use burst::Burst;
use lab_wire::Scenario;
use lane::Lane;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use step::{Op, first};

/// One in so many workers is an ordinary user.
const ORDINARY: u32 = 4;

/// What the walkers share.
#[derive(Debug)]
struct Walk {
    base: OwnedFd,
    at: String,
    lanes: Vec<Lane>,
    /// `/proc/self/fd`, where held directories tell their paths.
    fds: OwnedFd,
    caches: Option<Caches>,
    rounds: Rounds,
}

/// Makes the lanes: as many as there are directories asked for.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let failed =
        |what: String| move |errno| Refusal::Failed(format!("{what}: {}", errno_name(errno)));
    let path = CString::new(place.base.as_os_str().as_encoded_bytes())
        .map_err(|error| Refusal::Failed(error.to_string()))?;
    let base = ops::open_dir(&path).map_err(failed(format!("open {}", place.base.display())))?;
    let fds = ops::open_dir(c"/proc/self/fd").map_err(failed("open /proc/self/fd".into()))?;
    let lanes: Result<Vec<_>, _> = (0..asked.dirs)
        .map(|number| Lane::make(base.as_fd(), number, number % 2 == 0))
        .collect();
    Ok(Box::new(Walk {
        lanes: lanes?,
        base,
        at: place.base.display().to_string(),
        fds,
        caches: Caches::open(),
        rounds: Rounds::new(asked.threads),
    }))
}

fn lane_at(lanes: &[Lane], number: u32) -> &Lane {
    &lanes[number as usize % lanes.len()]
}

impl Walk {
    fn act(&self, step: &Step, ordinary: bool) -> Result<(), super::fault::Fault> {
        match Op::of(step.op) {
            Op::Where => self.locate(step),
            Op::Tower => self.look_up(step),
            op if op.looks() || op == Op::Touch => self.walk(op, step, ordinary),
            op => self.stir(op, step),
        }
    }

    /// Whether this worker is an ordinary user from now on. Only a guest's threads are ours to change.
    fn ordinary(&self, number: u32) -> bool {
        number % ORDINARY == ORDINARY - 1 && self.caches.is_some() && tree::drop_root().is_ok()
    }
}

impl Stage for Walk {
    fn work(&self, worker: &mut Worker<'_>) {
        let ordinary = self.ordinary(worker.number);
        let shared = worker.shared;
        let (seed, number) = (shared.asked.seed, worker.number);
        let (mix, sizes) = (&shared.mix, (self.lanes.len() as u32, shared.asked.names));
        let mut left = 0;
        let mut at = (0, Burst::new(seed, 0, mix, sizes.0, sizes.1));
        while !worker.stopped() {
            if left == 0 {
                let Some(round) = self.rounds.meet(&shared.stop) else {
                    return;
                };
                at = (round, Burst::new(seed, round, mix, sizes.0, sizes.1));
                left = burst::STEPS;
            }
            left -= 1;
            let mut step = burst::next(&at.1, &mut worker.rng, (at.0, number), mix, sizes);
            if ordinary && !Op::of(step.op).looks() {
                // An ordinary user may change nothing here; but it looks at what is locked.
                step.op = Op::Stat as u8;
                step.args[1] = step::P as u32;
            }
            worker.step(step, || self.act(&step, ordinary));
        }
    }

    fn show(&self, step: &Step) -> String {
        step::show(step)
    }

    fn numbers(&self) -> Vec<Number> {
        vec![Number::count("rounds", self.rounds.count().into())]
    }

    fn clear(self: Box<Self>) -> Result<(), String> {
        for (number, lane) in (0..).zip(&self.lanes) {
            for mount in lane.mounts.iter().filter(|mount| mount.on.load(SeqCst)) {
                let at = self.whole(first(number, mount.head));
                patiently(|| tree::unmount(at.as_c(), 0))
                    .map_err(|errno| format!("cannot unmount {at}: {}", errno_name(errno)))?;
            }
        }
        Ok(())
    }
}

/// Tries again for some seconds: the kernel puts some references later than it answers.
fn patiently(mut attempt: impl FnMut() -> ops::Answer<()>) -> ops::Answer<()> {
    let mut answer = attempt();
    for _ in 0..200 {
        if answer != Err(libc::EBUSY) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        answer = attempt();
    }
    answer
}

#[cfg(test)]
mod tests;
