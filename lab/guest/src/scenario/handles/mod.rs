// SPDX-License-Identifier: MIT OR Apache-2.0
//! File handles opened after caches were dropped, with renames and unlinks, locally and through nfsd.
//!
//! Most threads are a team. In a round the caches are dropped, and at one chain of directories after the other all
//! are let loose at once: they open directories of it by handle and by path, so that reconnecting a directory meets
//! lookups of the very names that it needs. An NFS client that holds directories makes the server do the same.

mod act;
mod own;
mod plan;
mod tree;

use super::caches::Caches;
use super::fault::Fault;
use super::rounds::Rounds;
use super::step::Step;
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops;
use act::Air;
use lab_wire::Scenario;
pub(crate) use plan::Op;
use plan::{Act, Round};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use tree::Tree;

/// State of the scenario.
pub(crate) struct Handles {
    tree: Tree,
    /// The leaves of each chain as a client of the server holds them; empty on a local filesystem.
    held: Vec<Vec<OwnedFd>>,
    caches: Option<Caches>,
    depth: u32,
    begin: Rounds,
    turn: Rounds,
}

/// Makes the chains, on the server's side of a network filesystem.
///
/// # Errors
/// When they cannot be made, or the kernel has no handles.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let ground = place.server.as_deref().unwrap_or(&place.base);
    let team = team(asked.threads);
    let tree = Tree::make(ground, asked.names, asked.dirs, team).map_err(|why| {
        why.map_or_else(
            || Refusal::Absent("this kernel has no file handles here".into()),
            Refusal::Failed,
        )
    })?;
    let held = if place.remote {
        hold(place, &tree).map_err(Refusal::Failed)?
    } else {
        Vec::new()
    };
    Ok(Box::new(Handles::new(tree, held, asked.dirs, team)))
}

/// How many threads are the team: all but two, where that leaves some.
fn team(threads: u32) -> u32 {
    if threads < 6 { threads } else { threads - 2 }
}

/// Opens every leaf through the client.
fn hold(place: &Place, tree: &Tree) -> Result<Vec<Vec<OwnedFd>>, String> {
    let open = |known: &tree::Known| {
        let path = place.base.join(known.path.to_string_lossy().as_ref());
        let shown = path.display().to_string();
        let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
        ops::open_dir(&path).map_err(|errno| format!("open {shown}: {}", ops::errno_name(errno)))
    };
    let leaves = |chain: &tree::Chain| chain.leaves.iter().map(open).collect();
    tree.chains.iter().map(leaves).collect()
}

impl Handles {
    fn new(tree: Tree, held: Vec<Vec<OwnedFd>>, depth: u32, team: u32) -> Self {
        Self {
            tree,
            held,
            caches: Caches::open(),
            depth,
            begin: Rounds::new(team),
            turn: Rounds::new(team),
        }
    }

    fn team(&self, worker: &mut Worker<'_>) {
        let (stop, asked) = (&worker.shared.stop, &worker.shared.asked);
        let chains = self.tree.chains.len() as u32;
        let (me, remote) = ((worker.number, self.begin.team()), !self.held.is_empty());
        while let Some(number) = self.begin.meet(stop) {
            let round = Round::new(asked.seed, number, chains);
            if worker.number == 0 {
                worker.step(Step::new(Op::Chill as u8, [0; 4]), || self.forget());
            }
            for turn in 0..chains {
                if self.turn.meet(stop).is_none() {
                    return;
                }
                let chain = (round.first + turn) % chains;
                let Act { op, level } = round.act(turn, me, self.depth, remote);
                let air = if round.moving {
                    Air::Moving
                } else {
                    Air::Still
                };
                let step = Step::new(op as u8, [chain, level, worker.number, 0]);
                worker.step(step, || self.act(&step, air));
            }
        }
    }

    fn alone(&self, worker: &mut Worker<'_>) {
        while !worker.stopped() {
            let op = worker.pick();
            let chain = worker.rng.below(self.tree.chains.len() as u32);
            let level = worker.rng.below(self.depth + 1);
            let step = Step::new(op, [chain, level, worker.number, worker.rng.below(8)]);
            worker.step(step, || self.act(&step, Air::Moving));
        }
    }

    fn act(&self, step: &Step, air: Air) -> Result<(), Fault> {
        let [number, level, member, forgetful] = step.args;
        let (root, chain) = (self.tree.root.as_fd(), self.tree.chain(number));
        let known = chain.dir(level, member);
        let forget = || {
            if forgetful == 0 {
                self.forget()
            } else {
                Ok(())
            }
        };
        match Op::of(step.op) {
            Op::Ghost => own::ghost(root, member),
            Op::Renamed => own::renamed(root, member, false, forget),
            Op::Moved => own::renamed(root, member, true, forget),
            Op::Dead => own::dead(root, member),
            Op::Drop | Op::Chill => self.forget(),
            Op::Handle => act::dir(&self.tree, known, air),
            Op::File => act::file(&self.tree, &chain.file, air),
            Op::Walk | Op::Path => act::path(&self.tree, known, air),
            Op::Move => act::to_and_fro(&self.tree, number),
            Op::RemoteStat => self.remote(number, member, act::remote_stat),
            Op::RemoteOpen => self.remote(number, member, act::remote_open),
            Op::RemoteOwn => self.remote(number, member, |held| act::remote_own(held, member)),
        }
    }

    fn remote(
        &self,
        chain: u32,
        member: u32,
        act: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let leaves = self.held.get(chain as usize % self.held.len().max(1));
        let leaf = leaves.and_then(|leaves| leaves.get(member as usize % leaves.len().max(1)));
        leaf.map_or(Ok(()), |leaf| act(leaf.as_fd()))
    }

    /// Elsewhere than in a guest there is nothing that it may drop.
    fn forget(&self) -> Result<(), Fault> {
        self.caches.as_ref().map_or(Ok(()), Caches::drop_dentries)
    }
}

impl Stage for Handles {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number < self.begin.team() {
            self.team(worker);
        } else {
            self.alone(worker);
        }
    }

    fn show(&self, step: &Step) -> String {
        let [number, level, member, forgetful] = step.args;
        let (op, chain) = (Op::of(step.op), self.tree.chain(number));
        let path = match op {
            Op::Handle | Op::Path | Op::Walk => &chain.dir(level, member).path,
            Op::File => &chain.file.path,
            Op::Move => &chain.dir(1, 0).path,
            Op::RemoteStat | Op::RemoteOpen | Op::RemoteOwn => &chain.dir(u32::MAX, member).path,
            Op::Renamed | Op::Moved if forgetful == 0 => return format!("{} cold", op.name()),
            _ => return op.name().to_owned(),
        };
        format!("{} {}", op.name(), path.to_string_lossy())
    }

    fn settle(&self) -> Vec<(&'static str, String)> {
        let mut wrongs = Vec::new();
        // Twice: what is cold now, and what the first pass has connected.
        let _ = self.forget();
        for chain in self.tree.chains.iter().chain(&self.tree.chains) {
            let dirs = chain.leaves.iter().chain(&chain.levels);
            let checks = dirs.flat_map(|known| {
                [
                    act::dir(&self.tree, known, Air::Still),
                    act::path(&self.tree, known, Air::Still),
                ]
            });
            let file = act::file(&self.tree, &chain.file, Air::Still);
            wrongs.extend(checks.chain([file]).filter_map(|check| match check {
                Err(Fault::Wrong(oracle, seen)) => Some((oracle, seen)),
                _ => None,
            }));
        }
        wrongs
    }

    fn numbers(&self) -> Vec<Number> {
        vec![Number::count("rounds", self.begin.count().into())]
    }
}

#[cfg(test)]
mod tests;
