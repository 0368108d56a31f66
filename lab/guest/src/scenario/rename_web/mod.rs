// SPDX-License-Identifier: MIT OR Apache-2.0
//! Renames of every kind: within and across directories, of directories into each other, exchanges, and renames that
//! may not replace, onto names just being looked up.
//!
//! Every directory holds something that is always in it, every worker has files that only it moves. So each answer
//! can be judged while everything above it moves; at the end all of it must still be one tree.

mod act;
mod rounds;
mod settle;
pub(crate) mod step;
mod web;

use super::caches::Caches;
use super::rounds::Rounds;
use super::step::Step;
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::{self, errno_name};
use lab_wire::Scenario;
use rounds::Scores;
use std::ffi::CString;
use web::Web;

/// What the workers share.
#[derive(Debug)]
struct Weave {
    web: Web,
    rounds: Rounds,
    scores: Scores,
    caches: Option<Caches>,
    /// A directory's links are 2 and one for each directory in it.
    counts_links: bool,
}

/// Makes the web.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    Ok(Box::new(Weave::make(place, asked)?))
}

impl Weave {
    fn make(place: &Place, asked: &Scenario) -> Result<Self, Refusal> {
        let failed = |errno| Refusal::Failed(format!("making the web: {}", errno_name(errno)));
        let path = CString::new(place.base.as_os_str().as_encoded_bytes())
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        let base = ops::open_dir(&path).map_err(failed)?;
        let movables = asked.names.clamp(2, 64);
        let web = Web::make(base, asked.dirs, movables, asked.threads).map_err(failed)?;
        // With few threads there are none to spare for a team, which is one of pairs.
        let team = if asked.threads < 4 {
            0
        } else {
            asked.threads / 4 * 2
        };
        Ok(Self {
            web,
            rounds: Rounds::new(team),
            scores: Scores::new(asked.threads),
            caches: Caches::open(),
            counts_links: place.fs != "overlay",
        })
    }

    fn alone(&self, worker: &mut Worker<'_>) {
        let shared = worker.shared;
        while !worker.stopped() {
            let (movables, places) = (self.web.movables(), self.web.places());
            let step = step::plan(&mut worker.rng, &shared.mix, movables, places);
            let number = worker.number;
            worker.step(step, || self.act(number, &step));
        }
    }
}

impl Stage for Weave {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number >= self.rounds.team() {
            return self.alone(worker);
        }
        let shared = worker.shared;
        while let Some(round) = self.rounds.meet(&shared.stop) {
            self.round(worker, round);
        }
    }

    fn show(&self, step: &Step) -> String {
        step::show(step)
    }

    fn settle(&self) -> Vec<(&'static str, String)> {
        self.inspect()
    }

    fn numbers(&self) -> Vec<Number> {
        vec![Number::count("rounds", self.rounds.count().into())]
    }
}

#[cfg(test)]
mod tests;
