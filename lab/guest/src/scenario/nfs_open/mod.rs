// SPDX-License-Identifier: MIT OR Apache-2.0
//! NFS: opens of absent names, `ls`, create and unlink of the same names, from several mounts of one export and
//! from the server's side.
//!
//! Most threads are a team: all at once they look for one fresh name that nobody ever made, so that openers share a
//! negative dentry. Sometimes the name is then made, looked for through every door, and removed. The others meddle
//! with contested names in other directories.

mod act;
pub(crate) mod doors;
mod plan;
mod settle;

use super::rounds::Rounds;
use super::step::Step;
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops;
use crate::scenario::fault::{Fault, content, due, may};
pub(crate) use act::{CONTESTED, CREATE, keep};
use act::{Owed, owed};
use doors::{Doors, STRICT};
use lab_wire::Scenario;
use libc::{AT_REMOVEDIR, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR};
pub(crate) use plan::Op;
use plan::{Kind, Round, name_of};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// State of the scenario.
#[derive(Debug)]
pub(crate) struct Opens {
    doors: Doors,
    quiet: u32,
    busy: u32,
    begin: Rounds,
    looked: Rounds,
    made: Rounds,
    found: Rounds,
    gone: Rounds,
    /// The fresh name of this round was really made.
    is_made: AtomicBool,
}

/// Makes the directories and the mounts.
///
/// # Errors
/// When that fails.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let busy = asked.dirs.div_ceil(2);
    let doors = Doors::make(place, asked.dirs + busy)?;
    Ok(Box::new(Opens::new(doors, asked.dirs, busy, asked.threads)))
}

impl Opens {
    fn new(doors: Doors, quiet: u32, busy: u32, threads: u32) -> Self {
        // One in five meddles, if a team is left then.
        let team = if threads < 4 {
            threads
        } else {
            threads - threads.div_ceil(5)
        };
        let rounds = || Rounds::new(team);
        Self {
            doors,
            quiet,
            busy,
            begin: rounds(),
            looked: rounds(),
            made: rounds(),
            found: rounds(),
            gone: rounds(),
            is_made: AtomicBool::new(false),
        }
    }

    fn meddle(&self, worker: &mut Worker<'_>) {
        let names = worker.shared.asked.names;
        while !worker.stopped() {
            let mix = &worker.shared.mix;
            let step = plan::meddle(&mut worker.rng, mix, self.quiet, self.busy, names);
            worker.step(step, || act::meddle(&self.doors, &step));
        }
    }

    fn team(&self, worker: &mut Worker<'_>) {
        let (stop, seed) = (&worker.shared.stop, worker.shared.asked.seed);
        while let Some(number) = self.begin.meet(stop) {
            let round = Round::new(seed, number, self.quiet);
            if round.racing && worker.number == 0 {
                // As long as the first of the others asks the server, so does this; then the name is made.
                self.step(worker, &round, Op::RaceList);
                self.step(worker, &round, Op::Make);
            } else {
                self.step(worker, &round, round.first(worker.number));
            }
            if round.kind != Kind::Absent && self.live(worker, &round).is_none() {
                return;
            }
        }
    }

    /// The life of a round's name that is made; `None` when told to stop.
    fn live(&self, worker: &mut Worker<'_>, round: &Round) -> Option<()> {
        let stop = &worker.shared.stop;
        let leads = worker.number == 0;
        self.looked.meet(stop)?;
        if leads && !round.racing {
            self.step(worker, round, Op::Make);
        }
        self.made.meet(stop)?;
        if self.is_made.load(Ordering::Relaxed) {
            self.step(worker, round, round.second(worker.number));
        }
        self.found.meet(stop)?;
        if leads {
            self.step(worker, round, Op::Remove);
        }
        self.gone.meet(stop)?;
        if !self.is_made.load(Ordering::Relaxed) && worker.number.is_multiple_of(3) {
            self.step(worker, round, Op::GoneStat);
        }
        Some(())
    }

    fn step(&self, worker: &mut Worker<'_>, round: &Round, op: Op) {
        let member = worker.number;
        let door = match op {
            Op::Make | Op::Remove => round.maker,
            _ if round.racing && member == 0 => STRICT,
            _ => round.door(member),
        };
        let step = Step::new(op as u8, [door, round.dir, round.number, member]);
        worker.step(step, || self.act(round, op, door, member));
    }

    fn act(&self, round: &Round, op: Op, door: u32, member: u32) -> Result<(), Fault> {
        let dir = self.doors.dir(door, round.dir);
        let name = round.name();
        match op {
            Op::FreshOpen => act::absent(dir, name.as_c(), O_RDONLY),
            Op::FreshList => act::absent(dir, name.as_c(), O_RDONLY | O_DIRECTORY),
            Op::FreshStat => act::not_there(dir, name.as_c()),
            Op::RaceOpen => race(dir, name.as_c(), O_RDONLY),
            Op::RaceList => race(dir, name.as_c(), O_RDONLY | O_DIRECTORY),
            Op::Make => self.make(round, member),
            Op::Remove => self.remove(round, member),
            Op::GoneStat => self.is_gone(round, door, member),
            _ => self.is_there(round, op, door, member),
        }
    }

    fn make(&self, round: &Round, member: u32) -> Result<(), Fault> {
        const REFUSED: &str = "fresh name cannot be made";
        let (dir, name) = (self.doors.dir(round.maker, round.dir), round.name());
        let before = act::changed(&self.doors, round.dir);
        self.is_made.store(false, Ordering::Relaxed);
        if round.kind == Kind::Directory {
            ops::mkdir(dir, name.as_c()).map_err(due(REFUSED, "mkdir"))?;
        } else {
            let flags = O_RDWR | O_CREAT | O_EXCL;
            let file = ops::open(dir, name.as_c(), flags).map_err(due(REFUSED, "create"))?;
            let written = ops::write_at_0(file.as_fd(), name_tag(round));
            if let Err(errno) = written {
                // It has no content to be looked at, so it is no name of this round.
                let _ = ops::unlink(dir, name.as_c(), 0);
                return Err(due(REFUSED, "write")(errno));
            }
        }
        act::change_visibly(&self.doors, round.dir, member, before);
        self.is_made.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn remove(&self, round: &Round, member: u32) -> Result<(), Fault> {
        if !self.is_made.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (dir, name) = (self.doors.dir(round.maker, round.dir), round.name());
        let before = act::changed(&self.doors, round.dir);
        let flags = match round.kind {
            Kind::Directory => AT_REMOVEDIR,
            _ => 0,
        };
        ops::unlink(dir, name.as_c(), flags).map_err(due("made name lost", "unlink"))?;
        act::change_visibly(&self.doors, round.dir, member, before);
        self.is_made.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn is_there(&self, round: &Round, op: Op, door: u32, member: u32) -> Result<(), Fault> {
        let (dir, name) = (self.doors.dir(door, round.dir), round.name());
        let owed = owed(round.kind == Kind::File, round.maker, door);
        let oracle = match owed {
            Owed::AtOnce if door == round.maker => "name made by this client not found",
            _ => "name made elsewhere not found",
        };
        act::seen(&self.doors, (round.dir, member), owed, oracle, || {
            let flags = match op {
                Op::MadeStat => return ops::stat(dir, name.as_c()).map(|_| true),
                Op::MadeList => O_RDONLY | O_DIRECTORY,
                _ => O_RDONLY,
            };
            ops::open(dir, name.as_c(), flags).map(|_| true)
        })?;
        if op != Op::MadeOpen || round.kind != Kind::File || owed == Owed::Sometime {
            return Ok(());
        }
        const STALE: &str = "what was written before the open is not read";
        let file = ops::open(dir, name.as_c(), O_RDONLY).map_err(due("made name lost", "open"))?;
        content(file.as_fd(), name_tag(round), STALE)
    }

    fn is_gone(&self, round: &Round, door: u32, member: u32) -> Result<(), Fault> {
        let (dir, name) = (self.doors.dir(door, round.dir), round.name());
        let owed = owed(round.kind == Kind::File, round.maker, door);
        let oracle = "removed name still there";
        act::seen(
            &self.doors,
            (round.dir, member),
            owed,
            oracle,
            || match ops::stat(dir, name.as_c()) {
                Err(libc::ENOENT) => Ok(true),
                other => other.map(|_| false),
            },
        )
    }
}

/// Opens a name while it is made.
fn race(dir: BorrowedFd<'_>, name: &CStr, flags: i32) -> Result<(), Fault> {
    let answer = ops::open(dir, name, flags).map(drop);
    answer.map_err(may("open of a name being made", CONTESTED))
}

/// What is written into a round's file.
fn name_tag(round: &Round) -> &'static [u8] {
    if round.number.is_multiple_of(2) {
        b"even\n"
    } else {
        b"odd round\n"
    }
}

impl Stage for Opens {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number < self.begin.team() {
            self.team(worker);
        } else {
            self.meddle(worker);
        }
    }

    fn show(&self, step: &Step) -> String {
        let op = Op::of(step.op);
        let [door, dir, name, other] = step.args;
        let door = self.doors.name(door);
        match op {
            Op::Readdir | Op::Keep | Op::Absent => format!("{} {door}:d{dir}", op.name()),
            Op::Rename => format!("rename {door}:d{dir}/n{name} n{other}"),
            op if (op as u8) < Op::FreshOpen as u8 => {
                format!("{} {door}:d{dir}/n{name}", op.name())
            }
            _ => format!("{} {door}:d{dir}/{}", op.name(), name_of(name)),
        }
    }

    fn settle(&self) -> Vec<(&'static str, String)> {
        settle::all(&self.doors, self.quiet, self.busy)
    }

    fn numbers(&self) -> Vec<Number> {
        vec![Number::count("rounds", self.begin.count().into())]
    }

    fn clear(self: Box<Self>) -> Result<(), String> {
        self.doors.close()
    }
}

#[cfg(test)]
mod tests;
