// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that takes many dentries away at once, against lookups of the same: dropped caches, memory pressure,
//! trees removed, filesystems unmounted, and folders removed that something is mounted on.

mod mounts;
mod tree;

use super::caches::Caches;
use super::fault::Fault;
use super::press::Press;
use super::step::{Step, operations};
use super::storm::arena::Arena;
use super::worker::Worker;
use super::{Number, Place, Stage};
use crate::fs::mount::Refusal;
use crate::ops::{self, Name};
use lab_wire::Scenario;
use mounts::Mounts;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicBool;

operations! {
    /// What the threads do.
    pub(crate) enum Op {
        Walk "walk" 300 "Looks up names, of which some are there, in somebody's tree.",
        Hollow "hollow" 90 "Makes a folder, looks up absent names in it, and removes it.",
        Tree "tree" 8 "Makes a tree and removes it piece by piece.",
        Shift "shift" 40 "Renames a folder of its own to and fro.",
        Drop "drop" 14 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
        Press "press" 1 "Takes memory until the kernel reclaims, and gives it back.",
        Mount "mount" 4 "Mounts a tmpfs, makes a tree in it, and unmounts it.",
        Loose "loose" 4 "Mounts a tmpfs where another namespace may remove the folder below it.",
        Snatch "snatch" 40 "Removes such folders from another mount namespace.",
    }
}

/// Names of a tree at most: a step is to take seconds at worst.
const MOST_NAMES: u32 = 512;

/// The folders and the rights that the workers share.
struct Shrink {
    arena: Arena,
    threads: u32,
    names: u32,
    mounts: Mounts,
    caches: Option<Caches>,
    press: Option<Press>,
}

/// Makes the folders.
///
/// # Errors
/// When one cannot be made.
pub(crate) fn set_up(place: &Place, asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    let arena = Arena::make(&place.base, asked.dirs, place.remote).map_err(Refusal::Failed)?;
    Ok(Box::new(Shrink {
        arena,
        threads: asked.threads,
        names: asked.names.min(MOST_NAMES),
        mounts: Mounts::new(&place.base, asked.threads).map_err(Refusal::Failed)?,
        caches: Caches::open(),
        press: Press::open(),
    }))
}

impl Shrink {
    fn act(&self, step: &Step, stop: &AtomicBool) -> Result<(), Fault> {
        let [dir, own, other, salt] = step.args;
        let at = self.arena.dir(dir).fd();
        match Op::of(step.op) {
            Op::Walk if salt % 4 == 0 => self.mounts.walk(other, self.names, salt),
            Op::Walk => tree::walk(at, Name::new("t", other.into()), self.names, salt),
            Op::Hollow => tree::hollow(at, Name::new("h", own.into()), salt),
            Op::Tree => tree::make_and_remove(at, Name::new("t", own.into()), self.names, stop),
            Op::Shift => shift(at, own),
            Op::Drop => self.caches.as_ref().map_or(Ok(()), Caches::drop_dentries),
            Op::Press => self
                .press
                .as_ref()
                .map_or(Ok(()), |press| press.press(stop)),
            Op::Mount => self.mounts.strict(own, self.names, stop),
            Op::Loose => self.mounts.loose(own, self.names, stop),
            Op::Snatch => self.mounts.snatch(other),
        }
    }
}

/// Each rename of a folder makes every walk over a tree of dentries start again.
fn shift(dir: BorrowedFd<'_>, own: u32) -> Result<(), Fault> {
    use super::fault::due;
    const LOST: &str = "own folder lost";
    let names = [Name::new("x", own.into()), Name::new("y", own.into())];
    let [here, there] = [names[0].as_c(), names[1].as_c()];
    ops::mkdir(dir, here).map_err(due("own name not free", "mkdir"))?;
    for _ in 0..4 {
        ops::rename((dir, here), (dir, there)).map_err(due(LOST, "rename"))?;
        ops::rename((dir, there), (dir, here)).map_err(due(LOST, "rename"))?;
    }
    ops::unlink(dir, here, libc::AT_REMOVEDIR).map_err(due(LOST, "rmdir"))
}

impl Stage for Shrink {
    fn work(&self, worker: &mut Worker<'_>) {
        // The last worker is the stranger, who sees the mounts of a namespace of its own. With few there is none.
        let stranger = self.threads > 3 && worker.number + 1 == self.threads && mounts::leave();
        let dirs = self.arena.dirs.len() as u32;
        while !worker.stopped() {
            let mut op = Op::of(worker.pick());
            // What another worker is there to do becomes a walk.
            if match op {
                Op::Snatch => !stranger,
                Op::Mount | Op::Loose => stranger,
                Op::Press => worker.number > 0,
                _ => false,
            } {
                op = Op::Walk;
            }
            if stranger && worker.rng.below(2) == 0 {
                op = Op::Snatch;
            }
            let (dir, other) = (worker.rng.below(dirs), worker.rng.below(self.threads));
            let args = [dir, worker.number, other, worker.rng.next() as u32];
            let step = Step::new(op as u8, args);
            let stop = &worker.shared.stop;
            worker.step(step, || self.act(&step, stop));
        }
    }

    fn show(&self, step: &Step) -> String {
        let [dir, own, other, salt] = step.args;
        let op = Op::of(step.op);
        let name = op.name();
        match op {
            Op::Walk if salt % 4 == 0 => format!("{name} m{other}"),
            Op::Walk => format!("{name} d{dir}/t{other}"),
            Op::Hollow => format!("{name} d{dir}/h{own}"),
            Op::Tree => format!("{name} d{dir}/t{own}"),
            Op::Shift => format!("{name} d{dir}/x{own}"),
            Op::Mount => format!("{name} m{own}"),
            Op::Loose => format!("{name} l{own}"),
            Op::Snatch => format!("{name} l{other}"),
            Op::Drop | Op::Press => name.to_owned(),
        }
    }

    /// Leaves absent names behind, so that the last unmount has some to take away.
    fn settle(&self) -> Vec<(&'static str, String)> {
        let wrong = |fault| match fault {
            Fault::Wrong(oracle, seen) => Some((oracle, seen)),
            Fault::Answer(_) => None,
        };
        let left = |dir: BorrowedFd<'_>| (0..64).try_for_each(|n| tree::absent(dir, n)).err();
        let dirs = self.arena.dirs.iter();
        dirs.filter_map(|dir| left(dir.fd()).and_then(wrong))
            .collect()
    }

    fn numbers(&self) -> Vec<Number> {
        let pressed = self.press.as_ref().map_or(0, Press::times);
        let mut numbers = self.mounts.numbers();
        numbers.push(Number::count("pressed", pressed as f64));
        numbers
    }

    fn clear(self: Box<Self>) -> Result<(), String> {
        self.mounts.clear()
    }
}

/// The descriptor as the calls want it.
fn fd(file: &std::os::fd::OwnedFd) -> BorrowedFd<'_> {
    file.as_fd()
}

#[cfg(test)]
mod tests;
