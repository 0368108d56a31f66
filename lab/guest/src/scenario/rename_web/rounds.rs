// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rounds of the web's team: renames onto a name that all look up for the first time, and pairs of directories
//! moved into each other at once.

use super::Weave;
use super::act::is;
use super::step::{Op, name};
use super::web::{Dir, FILE, SUB};
use crate::ops::{self, tree};
use crate::scenario::fault::{Fault, due, gone, may, starved};
use crate::scenario::step::Step;
use crate::scenario::worker::Worker;
use libc::{EEXIST, EINVAL, ENOENT, ENOTEMPTY, RENAME_NOREPLACE};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::SeqCst};

/// Two renames that may not replace made the same name, or none did.
const ONE: &str = "a fresh name was not taken by exactly one rename";
/// Each of two directories is below the other now.
const LOOP: &str = "two directories were moved into each other";
/// A directory is not where the answer of the rename says.
const PARTED: &str = "a directory is not where it was moved to";

/// What the rounds are for, in turn.
const PHASES: [Op; 5] = [Op::Fresh, Op::Fetch, Op::Duel, Op::Part, Op::Clash];
/// Times that two clash in a round.
const CLASHES: usize = 12;
/// Most removals tried meanwhile.
const REMOVALS: usize = 20_000;
/// A file is not where it was passed to.
const PASSED: &str = "a file passed to the directory below is not there";

/// One in so many of the team renames onto the fresh name; the others look it up.
const DARTS: u32 = 2;
/// No answer yet.
const OPEN: i32 = -1;

/// What the team remembers between two rounds.
#[derive(Debug)]
pub(super) struct Scores {
    /// Renames onto the fresh name that succeeded, and that found it taken.
    taken: AtomicU32,
    refused: AtomicU32,
    /// Each worker's answer to its last rename: 0 or errno.
    answers: Vec<AtomicI32>,
    /// What a worker could not put back for want of space or memory: it only looks from then on.
    lame: Vec<AtomicBool>,
    /// The round in which the first of each pair was last done with passing.
    clashed: Vec<AtomicU32>,
}

impl Scores {
    /// For that many workers.
    pub(super) fn new(workers: u32) -> Self {
        Self {
            taken: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            answers: (0..workers).map(|_| AtomicI32::new(OPEN)).collect(),
            lame: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            clashed: (0..workers.div_ceil(2))
                .map(|_| AtomicU32::new(0))
                .collect(),
        }
    }

    fn note(&self, worker: u32, answer: ops::Answer<()>) {
        self.answers[worker as usize].store(answer.err().unwrap_or(0), SeqCst);
    }

    fn is_lame(&self, worker: u32) -> bool {
        self.lame[worker as usize].load(SeqCst)
    }

    /// Whether what had to be put back was, or the worker is lame now.
    fn put_back(&self, worker: u32, done: Result<(), Fault>) -> Result<(), Fault> {
        if matches!(done, Err(Fault::Answer(_))) {
            self.lame[worker as usize].store(true, SeqCst);
        }
        done
    }

    fn answer(&self, worker: u32) -> i32 {
        self.answers[worker as usize].swap(OPEN, SeqCst)
    }
}

impl Weave {
    /// What one of the team does in a round.
    pub(super) fn round(&self, worker: &mut Worker<'_>, round: u32) {
        let number = worker.number;
        let op = PHASES[round as usize % PHASES.len()];
        let step = Step::new(op as u8, [round, number, 0, 0]);
        let stop = &worker.shared.stop;
        worker.step(step, || match op {
            Op::Fresh => self.fresh(number, round),
            Op::Fetch => self.fetch(number, round - 1),
            Op::Duel => self.duel(number, round),
            Op::Clash => self.clash(number, round, stop),
            _ => self.part(number, round - 1),
        });
    }

    fn fresh(&self, worker: u32, round: u32) -> Result<(), Fault> {
        let (dir, fresh) = (
            self.web.root(turn(round)).fd(),
            name("z", round, turn(round).is_multiple_of(2)),
        );
        if !worker.is_multiple_of(DARTS) || self.scores.is_lame(worker) {
            let found = match worker % 4 {
                1 => ops::stat(dir, fresh.as_c()).map(drop),
                _ => ops::open(dir, fresh.as_c(), libc::O_RDONLY).map(drop),
            };
            return found.map_err(may("lookup", &[ENOENT]));
        }
        let (from, dart) = (self.web.root(worker).fd(), name("n", worker, false));
        let answer = tree::rename_with((from, dart.as_c()), (dir, fresh.as_c()), RENAME_NOREPLACE);
        self.scores.note(worker, answer);
        match answer {
            Ok(()) => self.scores.taken.fetch_add(1, SeqCst),
            Err(EEXIST) => self.scores.refused.fetch_add(1, SeqCst),
            Err(_) => 0,
        };
        answer.map_err(may("rename", &[EEXIST]))
    }

    fn fetch(&self, worker: u32, round: u32) -> Result<(), Fault> {
        if worker == 0 {
            let taken = self.scores.taken.swap(0, SeqCst);
            let refused = self.scores.refused.swap(0, SeqCst);
            if taken > 1 || taken == 0 && refused > 0 {
                let seen = format!("{taken} took it, {refused} found it taken");
                return Err(Fault::Wrong(ONE, seen));
            }
        }
        if !worker.is_multiple_of(DARTS) || self.scores.is_lame(worker) {
            return Ok(());
        }
        let answer = self.scores.answer(worker);
        let fetched = self.fetch_dart(worker, round, answer == 0);
        self.scores.put_back(worker, fetched)
    }

    fn fetch_dart(&self, worker: u32, round: u32, thrown: bool) -> Result<(), Fault> {
        let ino = self.web.own[worker as usize].dart;
        let fresh = name("z", round, turn(round).is_multiple_of(2));
        let dir = self.web.root(turn(round)).fd();
        let (from, dart) = (self.web.root(worker).fd(), name("n", worker, false));
        if thrown {
            gone(from, dart.as_c(), ONE)?;
            is(dir, fresh.as_c(), &[ino], ONE)?;
            ops::rename((dir, fresh.as_c()), (from, dart.as_c())).map_err(due(ONE, "rename"))?;
        }
        is(from, dart.as_c(), &[ino], ONE)
    }

    /// Moves this worker's directory of the pair into its partner's, which does the same the other way round.
    fn duel(&self, worker: u32, round: u32) -> Result<(), Fault> {
        let (pair, side) = (worker / 2, (worker % 2) as usize);
        let Some(dirs) = self.web.duels.get(pair as usize) else {
            return Ok(());
        };
        if self.scores.is_lame(pair * 2) {
            return Ok(());
        }
        // Into the directory itself or one deeper: ancestors at unequal depth are locked in an order of their own.
        let deep = (turn(round) + worker) as usize % 3 / 2;
        let mine = duellist(pair, side);
        let (from, into) = (self.web.root(pair).fd(), &dirs[1 - side][deep]);
        let answer = ops::rename((from, mine.as_c()), (into.fd(), mine.as_c()));
        self.scores.note(worker, answer);
        answer.map_err(may("rename", &[EINVAL]))
    }

    /// Passes a file down and up again between a directory and the one in it, while the partner tries to remove that
    /// for as long: both lock the two, and must do it in one order.
    fn clash(&self, worker: u32, round: u32, stop: &AtomicBool) -> Result<(), Fault> {
        let pair = worker as usize / 2;
        let Some([[outer, inner], _]) = self.web.duels.get(pair) else {
            return Ok(());
        };
        let over = &self.scores.clashed[pair];
        if worker.is_multiple_of(2) {
            let times = if self.scores.is_lame(worker) {
                0
            } else {
                CLASHES
            };
            let passed = (0..times).try_for_each(|_| pass(outer, inner));
            over.store(round, SeqCst);
            return self.scores.put_back(worker, passed);
        }
        for _ in 0..REMOVALS {
            if over.load(SeqCst) == round || stop.load(SeqCst) {
                break;
            }
            match ops::unlink(outer.fd(), SUB, libc::AT_REMOVEDIR) {
                Err(ENOTEMPTY) => {}
                Err(errno) => return Err(due(PASSED, "rmdir of the directory below")(errno)),
                Ok(()) => return Err(Fault::wrong(PASSED, "the directory below was removed")),
            }
        }
        Ok(())
    }

    fn part(&self, worker: u32, round: u32) -> Result<(), Fault> {
        let pair = worker / 2;
        let Some(dirs) = self.web.duels.get(pair as usize) else {
            return Ok(());
        };
        if worker % 2 == 1 {
            return Ok(());
        }
        let answers = [worker, worker + 1].map(|worker| self.scores.answer(worker));
        if answers == [0, 0] {
            return Err(Fault::wrong(LOOP, "both renames succeeded"));
        }
        if answers.contains(&OPEN) {
            return Ok(());
        }
        let Some(side) = answers.iter().position(|answer| *answer == 0) else {
            let poor = answers.iter().any(|errno| starved(*errno));
            return if poor {
                Ok(())
            } else {
                Err(Fault::wrong(LOOP, "neither rename succeeded"))
            };
        };
        self.scores
            .put_back(worker, self.go_home(worker, round, side, dirs))
    }

    fn go_home(
        &self,
        worker: u32,
        round: u32,
        side: usize,
        dirs: &[[Dir; 2]; 2],
    ) -> Result<(), Fault> {
        let deep = (turn(round) + worker + side as u32) as usize % 3 / 2;
        let (moved, home) = (duellist(worker / 2, side), self.web.root(worker / 2).fd());
        let into = &dirs[1 - side][deep];
        gone(home, moved.as_c(), PARTED)?;
        is(into.fd(), moved.as_c(), &[dirs[side][0].ino], PARTED)?;
        ops::rename((into.fd(), moved.as_c()), (home, moved.as_c())).map_err(due(PARTED, "rename"))
    }
}

/// How many times all phases were before a round.
fn turn(round: u32) -> u32 {
    round / PHASES.len() as u32
}

fn pass(outer: &Dir, inner: &Dir) -> Result<(), Fault> {
    let (up, down) = ((outer.fd(), FILE), (inner.fd(), FILE));
    ops::rename(up, down).map_err(due(PASSED, "rename down"))?;
    ops::rename(down, up).map_err(due(PASSED, "rename up"))
}

/// The name of a directory of a pair.
fn duellist(pair: u32, side: usize) -> crate::ops::route::Route {
    name(["u", "w"][side], pair, false)
}
