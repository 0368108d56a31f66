// SPDX-License-Identifier: MIT OR Apache-2.0
//! NFS: unlinks of open files, which the client renames out of the way, and renames over them, with lookups of the
//! very names meanwhile.
//!
//! A team makes a file, holds it open or not, and takes its name away while the others look for it; then all close it
//! at once, and the client unlinks what it had renamed, while others look that name up. The rest fights over
//! contested names. In the end nothing that was renamed out of the way may be left on the server.

mod own;
mod plan;
mod team;

use super::fault::{Fault, may};
use super::nfs_open::doors::{Doors, SERVER, USUAL};
use super::nfs_open::{CONTESTED, CREATE, keep};
use super::rounds::Rounds;
use super::step::Step;
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops;
use crate::run::patiently;
use lab_wire::Scenario;
use libc::O_RDONLY;
pub(crate) use plan::Op;
use plan::{Kind, Round, contested};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Files that a thread outside of rounds keeps open.
const KEPT: usize = 4;

/// State of the scenario.
pub(crate) struct Unlinks {
    doors: Doors,
    base: PathBuf,
    dirs: u32,
    /// The barriers of a round, in their order.
    phases: [Rounds; 6],
    /// The file of this round was made.
    is_made: AtomicBool,
    /// The file of this round has lost its name.
    struck: AtomicBool,
    /// The name that the client gave to the file of this round; the lock is held for a copy only.
    silly: Mutex<Option<CString>>,
}

/// Makes the directories and the mounts.
///
/// # Errors
/// When that fails.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let doors = Doors::make(place, asked.dirs)?;
    let unlinks = Unlinks::new(doors, place.base.clone(), asked.dirs, asked.threads);
    Ok(Box::new(unlinks))
}

impl Unlinks {
    fn new(doors: Doors, base: PathBuf, dirs: u32, threads: u32) -> Self {
        let team = if threads < 4 {
            threads
        } else {
            threads - threads / 4
        };
        Self {
            doors,
            base,
            dirs,
            phases: std::array::from_fn(|_| Rounds::new(team)),
            is_made: AtomicBool::new(false),
            struck: AtomicBool::new(false),
            silly: Mutex::new(None),
        }
    }

    fn alone(&self, worker: &mut Worker<'_>) {
        let mut kept: [Option<OwnedFd>; KEPT] = [const { None }; KEPT];
        let names = worker.shared.asked.names;
        while !worker.stopped() {
            let mix = &worker.shared.mix;
            let step = plan::alone(&mut worker.rng, mix, self.dirs, names);
            let place = &mut kept[worker.rng.below(KEPT as u32) as usize];
            let number = worker.number;
            worker.step(step, || self.act(&step, number, place));
        }
    }

    fn act(&self, step: &Step, number: u32, kept: &mut Option<OwnedFd>) -> Result<(), Fault> {
        let [door, dir, name, other] = step.args;
        let (fd, usual) = (self.doors.dir(door, dir), self.doors.dir(USUAL, dir));
        let (first, second) = (contested(name), contested(other));
        let (first, second) = (first.as_c(), second.as_c());
        let answer = match Op::of(step.op) {
            Op::Hold => ops::open(fd, first, O_RDONLY).map(|file| *kept = Some(file)),
            Op::Create => ops::open(fd, first, CREATE).map(|file| *kept = Some(file)),
            Op::Stat => ops::stat(fd, first).map(drop),
            Op::Unlink => ops::unlink(fd, first, 0),
            Op::Rename => {
                let to = self.doors.dir(door, dir + u32::from(other % 2 == 1));
                ops::rename((fd, first), (to, second))
            }
            Op::Spy => {
                return team::silly(fd).map_or(Ok(()), |name| team::peek(fd, &name));
            }
            Op::Ghost => return own::ghost(usual, number),
            Op::Over => return own::over(usual, self.doors.dir(USUAL, dir + 1), number),
            Op::Again => return own::again(usual, number),
            _ => return keep(&self.doors, door, dir),
        };
        answer.map_err(may("a call on a contested name", CONTESTED))
    }

    fn meet(&self, worker: &Worker<'_>, phase: usize) -> Option<u32> {
        self.phases[phase].meet(&worker.shared.stop)
    }

    /// One round; `None` when told to stop.
    fn round(&self, worker: &mut Worker<'_>) -> Option<()> {
        let number = self.meet(worker, 0)?;
        let round = Round::new(worker.shared.asked.seed, number, self.dirs);
        let (leads, member) = (worker.number == 0, worker.number);
        if leads {
            self.step(worker, &round, Op::Make, || {
                self.struck.store(false, Ordering::Relaxed);
                let made = team::make(&self.doors, &round);
                self.is_made.store(made.is_ok(), Ordering::Relaxed);
                made
            });
        }
        self.meet(worker, 1)?;
        if !self.is_made.load(Ordering::Relaxed) {
            return Some(());
        }
        let mut file = None;
        if round.holds(member) {
            self.step(worker, &round, Op::Grasp, || {
                team::grasp(&self.doors, &round).map(|held| file = Some(held))
            });
        } else {
            // The name is to be known to the client, or nobody waits for its removal.
            self.look(worker, &round, false);
        }
        self.meet(worker, 2)?;
        if leads {
            self.step(worker, &round, Op::Strike, || {
                let answer = team::strike(&self.doors, &round);
                self.struck.store(true, Ordering::Relaxed);
                answer
            });
        } else {
            self.meanwhile(worker, &round);
        }
        self.meet(worker, 3)?;
        self.look_back(worker, &round, file.as_ref());
        self.meet(worker, 4)?;
        self.close(worker, &round, file);
        self.meet(worker, 5)?;
        if leads {
            self.step(worker, &round, Op::Clean, || {
                team::clean(&self.doors, &round)
            });
        }
        Some(())
    }

    fn step(
        &self,
        worker: &mut Worker<'_>,
        round: &Round,
        op: Op,
        act: impl FnOnce() -> Result<(), Fault>,
    ) {
        let args = [USUAL, round.dir, round.number, worker.number];
        worker.step(Step::new(op as u8, args), act);
    }

    fn look(&self, worker: &mut Worker<'_>, round: &Round, open: bool) {
        self.step(worker, round, Op::Look, || {
            team::look(&self.doors, round, open)
        });
    }

    /// What the others do while the name goes.
    fn meanwhile(&self, worker: &mut Worker<'_>, round: &Round) {
        match worker.rng.below(8) {
            0..4 if round.kind == Kind::Anew => {
                self.step(worker, round, Op::Anew, || team::anew(&self.doors, round));
            }
            0 => self.look(worker, round, true),
            _ => {}
        }
        self.step(worker, round, Op::LookOn, || {
            team::look_on(&self.doors, round, &self.struck)
        });
    }

    /// Who holds the file reads it; one of those who do not looks what the name has become and how the file is
    /// called now.
    fn look_back(&self, worker: &mut Worker<'_>, round: &Round, file: Option<&OwnedFd>) {
        if let Some(file) = file {
            self.step(worker, round, Op::Read, || team::read(file.as_fd(), round));
        }
        if worker.number == 0 {
            self.step(worker, round, Op::Check, || team::check(&self.doors, round));
        }
        if worker.number == self.phases[0].team() - 1 {
            let found = team::silly(self.doors.dir(USUAL, round.dir));
            *self.silly.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    /// All close the file at once; the others look its last name up meanwhile.
    fn close(&self, worker: &mut Worker<'_>, round: &Round, file: Option<OwnedFd>) {
        if let Some(file) = file {
            return self.step(worker, round, Op::Close, || {
                drop(file);
                Ok(())
            });
        }
        let silly = self.silly.lock();
        let name = silly.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(name) = name {
            let dir = self.doors.dir(USUAL, round.dir);
            self.step(worker, round, Op::Peek, || team::peek(dir, &name));
        }
    }

    /// What is wrong with a directory in which nobody works any more.
    fn left_in(&self, dir: u32) -> Option<(&'static str, String)> {
        let server = self.doors.dir(SERVER, dir);
        // The client unlinks what it had renamed when it gets to it.
        let left = patiently(|| match team::silly(server) {
            None => Ok(()),
            Some(name) => Err(name.to_string_lossy().into_owned()),
        });
        if let Err(name) = left {
            return Some(("unlinked file left on the server", format!("d{dir}/{name}")));
        }
        let mut names = Vec::new();
        // What cannot be read or removed keeps the directory from being removed, and that is told.
        let _ = ops::read_dir(server, |name| names.push(name.to_owned()));
        for name in names
            .iter()
            .filter(|name| !name.to_bytes().starts_with(b"."))
        {
            let _ = ops::unlink(server, name, 0);
        }
        let path = self.base.join(ops::Name::new("d", dir.into()).to_string());
        let removed = patiently(|| std::fs::remove_dir(&path).map_err(|error| error.to_string()));
        let why = removed.err()?;
        Some((
            "emptied directory cannot be removed",
            format!("d{dir}: {why}"),
        ))
    }
}

impl Stage for Unlinks {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number < self.phases[0].team() {
            while self.round(worker).is_some() {}
        } else {
            self.alone(worker);
        }
    }

    fn show(&self, step: &Step) -> String {
        let op = Op::of(step.op);
        let [door, dir, name, other] = step.args;
        let door = self.doors.name(door);
        match op {
            Op::Rename => {
                let to = dir + u32::from(other % 2 == 1);
                format!("rename {door}:d{dir}/n{name} d{}/n{other}", to % self.dirs)
            }
            Op::Spy | Op::Keep => format!("{} {door}:d{dir}", op.name()),
            Op::Ghost | Op::Over | Op::Again => format!("{} d{dir}", op.name()),
            op if (op as u8) < Op::Make as u8 => format!("{} {door}:d{dir}/n{name}", op.name()),
            _ => format!("{} d{dir}/u{name}", op.name()),
        }
    }

    fn settle(&self) -> Vec<(&'static str, String)> {
        (0..self.dirs).filter_map(|dir| self.left_in(dir)).collect()
    }

    fn numbers(&self) -> Vec<Number> {
        vec![Number::count("rounds", self.phases[0].count().into())]
    }

    fn clear(self: Box<Self>) -> Result<(), String> {
        self.doors.close()
    }
}

#[cfg(test)]
mod tests;
