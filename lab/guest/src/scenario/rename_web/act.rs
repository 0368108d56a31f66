// SPDX-License-Identifier: MIT OR Apache-2.0
//! Doing a step of the web, and judging it.

use super::Weave;
use super::step::{Op, movable, name};
use super::web::{self, KEEP, SUB, pair};
use crate::ops::{self, tree};
use crate::scenario::fault::{Fault, due, gone, may};
use crate::scenario::step::Step;
use libc::{EEXIST, EINVAL, ENOENT, ENOTEMPTY, RENAME_NOREPLACE};
use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::Relaxed;

/// A name that is always there, in a directory that moves, is not.
const KEPT: &str = "a stable name was lost while directories moved";
/// A worker's own file is not where it was moved to.
const LOST: &str = "a renamed file is not where it was moved to";
/// The old name is still there.
const STILL: &str = "a renamed file is still under its old name";
/// An exchange did something else.
const EXCHANGE: &str = "an exchange did not exchange";
/// A rename that may not replace did it, or did nothing.
const REFUSED: &str = "a rename that may not replace went wrong";
/// A name that was only ever replaced was not there.
const REPLACED: &str = "a name was not there while it was replaced";
/// A directory that is not empty went away.
const FULL: &str = "a directory that was not empty was removed";
/// `..` leads nowhere.
const UP: &str = "the directory above is none of the web";

/// An inode under a name is the wanted one.
pub(super) fn is(
    dir: BorrowedFd<'_>,
    name: &CStr,
    wanted: &[u64],
    oracle: &'static str,
) -> Result<(), Fault> {
    let found = ops::stat(dir, name).map_err(due(oracle, "stat"))?.ino;
    if wanted.contains(&found) {
        return Ok(());
    }
    Err(Fault::Wrong(
        oracle,
        format!("inode {found}, not {wanted:?}"),
    ))
}

impl Weave {
    /// One random step of a worker.
    pub(super) fn act(&self, worker: u32, step: &Step) -> Result<(), Fault> {
        let [one, other, place, extra] = step.args;
        match Op::of(step.op) {
            Op::Move => self.move_dir(one, place),
            Op::Trade => self.trade(one, other),
            Op::Pass => self.pass(worker, one, place, extra),
            Op::Pair => self.pair(worker),
            Op::Refuse => self.refuse(worker, place),
            Op::Replace => self.replace(worker, extra),
            Op::Look => self.look(extra),
            Op::Keep => self.keep(one),
            Op::Up => self.up(one),
            Op::Rmdir => self.rmdir(one),
            Op::Over => self.over(worker, one),
            _ => self
                .caches
                .as_ref()
                .map_or(Ok(()), |caches| caches.drop_dentries()),
        }
    }

    fn move_dir(&self, one: u32, place: u32) -> Result<(), Fault> {
        let (name, to) = (movable(one), self.web.place(place).fd());
        ops::rename((self.web.around(one), name.as_c()), (to, name.as_c()))
            .map_err(may("rename", &[ENOENT, EINVAL]))?;
        self.web.seen[one as usize].store(place, Relaxed);
        Ok(())
    }

    fn trade(&self, one: u32, other: u32) -> Result<(), Fault> {
        let names = [movable(one), movable(other)];
        let from = (self.web.around(one), names[0].as_c());
        let to = (self.web.around(other), names[1].as_c());
        tree::exchange(from, to).map_err(may("exchange", &[ENOENT, EINVAL]))
    }

    /// Moves the worker's own file to a place; every second time from a directory to the one in it or back.
    fn pass(&self, worker: u32, one: u32, place: u32, extra: u32) -> Result<(), Fault> {
        let own = &self.web.own[worker as usize];
        let at = own.at.load(Relaxed);
        let (from, was_long) = (at / 2, at % 2 == 1);
        let first = self.web.roots + one;
        let to = match extra % 4 {
            0 | 1 if from == first => first + self.web.movables(),
            0 | 1 => first,
            _ => place,
        };
        let long = extra % 8 > 3;
        let names = [name("t", worker, was_long), name("t", worker, long)];
        let dirs = [self.web.place(from).fd(), self.web.place(to).fd()];
        ops::rename((dirs[0], names[0].as_c()), (dirs[1], names[1].as_c()))
            .map_err(due(LOST, "rename"))?;
        own.at.store(to * 2 + u32::from(long), Relaxed);
        if (from, was_long) != (to, long) {
            gone(dirs[0], names[0].as_c(), STILL)?;
        }
        is(dirs[1], names[1].as_c(), &[own.token], LOST)
    }

    fn pair(&self, worker: u32) -> Result<(), Fault> {
        let own = &self.web.own[worker as usize];
        let [(d0, n0), (d1, n1)] = pair(worker);
        let (from, to) = (self.web.root(d0).fd(), self.web.root(d1).fd());
        tree::exchange((from, n0.as_c()), (to, n1.as_c())).map_err(due(EXCHANGE, "exchange"))?;
        let turns = own.turns.fetch_add(1, Relaxed) + 1;
        let turned = (turns % 2) as usize;
        is(from, n0.as_c(), &[own.pair[turned]], EXCHANGE)?;
        is(to, n1.as_c(), &[own.pair[1 - turned]], EXCHANGE)
    }

    fn refuse(&self, worker: u32, place: u32) -> Result<(), Fault> {
        let own = &self.web.own[worker as usize];
        let [(d0, n0), (d1, n1)] = pair(worker);
        let (from, to) = (self.web.root(d0).fd(), self.web.root(d1).fd());
        match tree::rename_with((from, n0.as_c()), (to, n1.as_c()), RENAME_NOREPLACE) {
            Err(EEXIST) => {}
            Err(errno) => return Err(due(REFUSED, "rename onto a file")(errno)),
            Ok(()) => return Err(Fault::wrong(REFUSED, "a file was replaced")),
        }
        let turned = (own.turns.load(Relaxed) % 2) as usize;
        is(from, n0.as_c(), &[own.pair[turned]], REFUSED)?;
        is(to, n1.as_c(), &[own.pair[1 - turned]], REFUSED)?;
        let (new, moved) = (
            name("q", worker, false),
            name("r", worker, place.is_multiple_of(2)),
        );
        let to = self.web.place(place).fd();
        let ino = web::create(from, new.as_c()).map_err(due(REFUSED, "create"))?;
        let renamed = tree::rename_with((from, new.as_c()), (to, moved.as_c()), RENAME_NOREPLACE);
        if let Err(errno) = renamed {
            let _ = ops::unlink(from, new.as_c(), 0);
            return Err(due(REFUSED, "rename onto nothing")(errno));
        }
        gone(from, new.as_c(), STILL)?;
        let there = is(to, moved.as_c(), &[ino], REFUSED);
        ops::unlink(to, moved.as_c(), 0).map_err(due(LOST, "unlink"))?;
        there
    }

    fn replace(&self, worker: u32, extra: u32) -> Result<(), Fault> {
        let new = name("x", worker, extra.is_multiple_of(2));
        let stable = name("v", worker, false);
        let (from, to) = (self.web.root(extra).fd(), self.web.root(worker).fd());
        let ino = web::create(from, new.as_c()).map_err(due(LOST, "create"))?;
        if let Err(errno) = ops::rename((from, new.as_c()), (to, stable.as_c())) {
            let _ = ops::unlink(from, new.as_c(), 0);
            return Err(due(LOST, "rename over a file")(errno));
        }
        gone(from, new.as_c(), STILL)?;
        is(to, stable.as_c(), &[ino], LOST)
    }

    fn look(&self, extra: u32) -> Result<(), Fault> {
        let worker = extra / 4 % self.web.own.len() as u32;
        let own = &self.web.own[worker as usize];
        let [(d0, n0), (d1, n1)] = pair(worker);
        match extra % 4 {
            0 => is(self.web.root(d0).fd(), n0.as_c(), &own.pair, EXCHANGE),
            1 => is(self.web.root(d1).fd(), n1.as_c(), &own.pair, EXCHANGE),
            _ => {
                let stable = name("v", worker, false);
                let found = ops::open(self.web.root(worker).fd(), stable.as_c(), libc::O_RDONLY);
                found.map(drop).map_err(due(REPLACED, "open"))
            }
        }
    }

    fn keep(&self, one: u32) -> Result<(), Fault> {
        let (dir, sub) = (self.web.moving(one), self.web.sub(one));
        is(dir.fd(), KEEP, &[dir.keep], KEPT)?;
        is(dir.fd(), c"sub/keep", &[sub.keep], KEPT)?;
        is(sub.fd(), c"../keep", &[dir.keep], KEPT)
    }

    fn up(&self, one: u32) -> Result<(), Fault> {
        let above = ops::stat(self.web.moving(one).fd(), c"..").map_err(due(UP, "stat"))?;
        if self.web.dirs.iter().any(|dir| dir.ino == above.ino) {
            return Ok(());
        }
        Err(Fault::Wrong(UP, format!("inode {}", above.ino)))
    }

    fn rmdir(&self, one: u32) -> Result<(), Fault> {
        let answers = [
            ops::unlink(self.web.moving(one).fd(), SUB, libc::AT_REMOVEDIR),
            ops::unlink(
                self.web.around(one),
                movable(one).as_c(),
                libc::AT_REMOVEDIR,
            ),
        ];
        for answer in answers {
            match answer {
                Ok(()) => return Err(Fault::wrong(FULL, "rmdir succeeded")),
                Err(errno) => {
                    let Fault::Answer(_) = may("rmdir", &[ENOTEMPTY, ENOENT])(errno) else {
                        return Err(may("rmdir", &[])(errno));
                    };
                }
            }
        }
        Ok(())
    }

    fn over(&self, worker: u32, one: u32) -> Result<(), Fault> {
        let (from, new) = (self.web.root(worker).fd(), name("o", worker, false));
        ops::mkdir(from, new.as_c()).map_err(due(LOST, "mkdir"))?;
        let over = ops::rename((from, new.as_c()), (self.web.moving(one).fd(), SUB));
        if over.is_ok() {
            return Err(Fault::wrong(FULL, "rename over it succeeded"));
        }
        ops::unlink(from, new.as_c(), libc::AT_REMOVEDIR).map_err(due(LOST, "rmdir"))?;
        over.map_err(may("rename", &[ENOTEMPTY, EEXIST]))
    }
}
