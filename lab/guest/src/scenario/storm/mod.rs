// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storm: threads fight over few names, one half of them in barrier rounds on fresh names, the other
//! half at random.

pub(crate) mod act;
pub(crate) mod arena;
mod rounds;
pub(crate) mod step;

use super::rounds::Rounds;
use super::step::{Mix, Step};
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use arena::Arena;
use lab_wire::Scenario;
use step::{Move, Op};

/// State of a storm.
#[derive(Debug)]
pub(crate) struct Storm {
    /// Where it blows.
    pub(crate) arena: Arena,
    rounds: Rounds,
    second: Mix,
}

/// Makes the directories.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let arena = Arena::make(&place.base, asked.dirs, place.remote).map_err(Refusal::Failed)?;
    Ok(Box::new(Storm::new(arena, asked.threads)))
}

impl Storm {
    /// A storm of that many threads over an arena.
    pub(crate) fn new(arena: Arena, threads: u32) -> Self {
        // With few threads there are none to spare for a team.
        let team = if threads < 4 { 0 } else { threads / 2 };
        Self {
            arena,
            rounds: Rounds::new(team),
            second: rounds::second(),
        }
    }

    /// Works at random until told to stop.
    pub(crate) fn alone(&self, worker: &mut Worker<'_>) {
        let (dirs, names) = (self.arena.dirs.len() as u32, worker.shared.asked.names);
        while !worker.stopped() {
            let it = step::plan(&mut worker.rng, &worker.shared.mix, dirs, names);
            self.act(worker, it);
        }
    }

    fn act(&self, worker: &mut Worker<'_>, it: Move) {
        let number = worker.number;
        worker.step(it.into(), || act::act(&self.arena, number, &it));
    }

    fn team(&self, worker: &mut Worker<'_>) {
        let shared = worker.shared;
        let (seed, names) = (shared.asked.seed, shared.asked.names);
        let dirs = self.arena.dirs.len() as u32;
        while let Some(round) = self.rounds.meet(&shared.stop) {
            for it in rounds::plan(seed, round, worker.number, dirs, names, &self.second) {
                self.act(worker, it);
            }
            if worker.number == 0 {
                self.tidy(worker, round);
            }
        }
    }

    /// Between two rounds one of the team takes the last name away and makes those of the coming cold rounds.
    fn tidy(&self, worker: &mut Worker<'_>, round: u32) {
        let seed = worker.shared.asked.seed;
        let dirs = self.arena.dirs.len() as u32;
        if round > 0 {
            self.act(worker, rounds::alone(Op::Forget, seed, round - 1, dirs));
        }
        let coming = rounds::prepared_by(round + 1);
        if coming.is_empty() {
            return;
        }
        for round in coming {
            self.act(worker, rounds::alone(Op::Prepare, seed, round, dirs));
        }
        self.act(worker, rounds::alone(Op::Drop, seed, round, dirs));
    }
}

impl Stage for Storm {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number < self.rounds.team() {
            self.team(worker);
        } else {
            self.alone(worker);
        }
    }

    fn show(&self, step: &Step) -> String {
        Move::from(step).to_string()
    }

    fn numbers(&self) -> Vec<Number> {
        vec![Number::count("rounds", self.rounds.count().into())]
    }
}

#[cfg(test)]
mod tests;
