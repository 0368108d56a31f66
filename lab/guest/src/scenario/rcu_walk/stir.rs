// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to components while they are walked.

use super::lane::{Lane, Mount};
use super::model::{EMPTY, FILE, LINK, NOTHING};
use super::step::{A, B, C, F, G, H, Op, P, S, Way, first};
use super::{Walk, lane_at};
use crate::ops::{self, Answer, route::Route, tree};
use crate::scenario::fault::{Fault, due, may};
use crate::scenario::step::Step;
use libc::{EBUSY, EEXIST, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering::SeqCst;

/// A name that nobody else changes is not what it was made.
const TOWER: &str = "a renamed directory is not under its new name";

impl Walk {
    /// One change. Where another one goes on in an exact lane, nothing is done.
    pub(crate) fn stir(&self, op: Op, step: &Step) -> Result<(), Fault> {
        let [number, ..] = step.args;
        let lane = lane_at(&self.lanes, number);
        match op {
            Op::Swap => self.swap(lane, step),
            Op::Heads => self.heads(lane, step),
            Op::Shuttle => self.shuttle(lane, step),
            Op::Flip => self.flip(lane, step),
            Op::Chmod => self.chmod(lane, step),
            Op::Climb => lane.tower.rename().map_err(due(TOWER, "rename")),
            Op::Bind => self.mount(lane, step, &lane.mounts[0]),
            Op::Cover => self.mount(lane, step, &lane.mounts[1]),
            _ => self
                .caches
                .as_ref()
                .map_or(Ok(()), |caches| caches.drop_dentries()),
        }
    }

    /// Exchanges what two ways name on one level: two names of one directory, or of two.
    fn swap(&self, lane: &Lane, step: &Step) -> Result<(), Fault> {
        let [number, head, turns, extra] = step.args;
        let (level, near) = ((extra % 3) as usize, extra / 3 % 2 == 0);
        let one = Way::new(head % 3, turns);
        let other = if near {
            let mut turned = one;
            turned.turns[level] ^= 1;
            turned
        } else {
            Way::new((head + extra / 6) % 3, turns >> 3)
        };
        let (from, to) = (one.fork(number, level), other.fork(number, level));
        let base = self.base.as_fd();
        let nodes = [&one, &other].map(|way| (way, level));
        let answer = lane.model.change(
            || tree::exchange((base, from.as_c()), (base, to.as_c())),
            |model| {
                let cells = nodes.map(|(way, level)| {
                    // These heads always lead to a node.
                    (model.node(way, level).unwrap_or_default(), way.turns[level])
                });
                model.swap(cells);
            },
        );
        judged("exchange", &[], answer)
    }

    fn heads(&self, lane: &Lane, step: &Step) -> Result<(), Fault> {
        let [number, _, turns, _] = step.args;
        let (one, other) = if turns % 2 == 0 { (A, B) } else { (C, S) };
        let (from, to) = (first(number, one), first(number, other));
        let base = self.base.as_fd();
        let answer = lane.model.change(
            || tree::exchange((base, from.as_c()), (base, to.as_c())),
            |model| model.swap_heads(one, other),
        );
        judged("exchange", &[], answer)
    }

    fn shuttle(&self, lane: &Lane, step: &Step) -> Result<(), Fault> {
        let [number, _, turns, _] = step.args;
        let way = if lane.model.is_exact() {
            lane.model.heads[G].load(SeqCst) == NOTHING
        } else {
            turns % 2 == 0
        };
        let (one, other) = if way { (H, G) } else { (G, H) };
        let (from, to) = (first(number, one), first(number, other));
        let base = self.base.as_fd();
        let answer = lane.model.change(
            || ops::rename((base, from.as_c()), (base, to.as_c())),
            |model| model.swap_heads(one, other),
        );
        judged("rename", &[ENOENT], answer)
    }

    /// Makes something of the name if nothing is there, and removes what is.
    fn flip(&self, lane: &Lane, step: &Step) -> Result<(), Fault> {
        let [number, _, turns, extra] = step.args;
        let (at, base) = (first(number, F), self.base.as_fd());
        let make = extra / 6 % 2 == 0;
        let there = lane.model.heads[F].load(SeqCst);
        let exact = lane.model.is_exact();
        let becomes = match turns % 4 {
            _ if exact && there != NOTHING || !exact && !make => NOTHING,
            0 => FILE,
            1 => LINK,
            _ => EMPTY,
        };
        let is_dir = if exact {
            there == EMPTY
        } else {
            extra % 2 == 0
        };
        let answer = lane.model.change(
            || match becomes {
                FILE => {
                    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
                    ops::open(base, at.as_c(), flags).map(drop)
                }
                EMPTY => ops::mkdir(base, at.as_c()),
                LINK => tree::symlink(c"a", base, at.as_c()),
                _ if is_dir => ops::unlink(base, at.as_c(), libc::AT_REMOVEDIR),
                _ => ops::unlink(base, at.as_c(), 0),
            },
            |model| model.heads[F].store(becomes, SeqCst),
        );
        judged(
            "flip",
            &[EEXIST, ENOENT, EISDIR, ENOTDIR, ENOTEMPTY],
            answer,
        )
    }

    fn chmod(&self, lane: &Lane, step: &Step) -> Result<(), Fault> {
        let [number, _, turns, _] = step.args;
        let (at, base, lock) = (first(number, P), self.base.as_fd(), turns % 2 == 0);
        let mode = if lock { 0o700 } else { 0o755 };
        let answer = lane.model.change(
            || tree::chmod(base, at.as_c(), mode),
            |model| model.locked.store(lock, SeqCst),
        );
        judged("chmod", &[], answer)
    }

    /// Mounts, or unmounts what is mounted. Only a guest's mounts are ours to change.
    fn mount(&self, lane: &Lane, step: &Step, mount: &Mount) -> Result<(), Fault> {
        let [number, _, turns, _] = step.args;
        if self.caches.is_none() || mount.busy.swap(true, SeqCst) {
            return Ok(());
        }
        let at = self.whole(first(number, mount.head));
        let on = mount.on.load(SeqCst);
        let answer = if on {
            let flags = if turns % 8 == 0 { libc::MNT_DETACH } else { 0 };
            lane.model.change(
                || tree::unmount(at.as_c(), flags),
                |model| model.heads[mount.head].store(mount.own, SeqCst),
            )
        } else {
            let from = self.whole(first(number, A));
            let bind = mount.head == super::step::M;
            lane.model.change(
                || match bind {
                    true => tree::bind(from.as_c(), at.as_c()),
                    false => tree::cover(at.as_c()),
                },
                |model| {
                    let now = if bind { model.head(A) } else { EMPTY };
                    model.heads[mount.head].store(now, SeqCst);
                },
            )
        };
        if answer == Some(Ok(())) {
            mount.on.store(!on, SeqCst);
        }
        mount.busy.store(false, SeqCst);
        judged("mount or umount", &[EBUSY], answer)
    }

    /// The path of something in the scenario's folder, from the root.
    pub(crate) fn whole(&self, below: Route) -> Route {
        Route::new(&self.at).then(below.as_c().to_str().unwrap_or_default())
    }
}

/// A change that another one kept away is none.
fn judged(
    call: &'static str,
    expected: &'static [i32],
    answer: Option<Answer<()>>,
) -> Result<(), Fault> {
    answer.unwrap_or(Ok(())).map_err(may(call, expected))
}
