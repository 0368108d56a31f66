// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step of the walk: which way through a lane, and what is done at its end or to a component of it.

use crate::ops::Name;
use crate::ops::route::Route;
use crate::rng::Rng;
use crate::scenario::step::{Mix, Step, operations};

operations! {
    /// The operations of the walk: walkers first, then those that stir what is walked.
    pub(crate) enum Op {
        Stat "stat" 250 "Stats the file at the end of a path.",
        Open "open" 80 "Opens the file at the end of a path.",
        Path "path" 100 "Opens the file at the end of a path with O_PATH.",
        Missing "missing" 200 "Stats a name that never exists at the end of a path.",
        Tip "tip" 150 "Stats or opens a first component itself, links not followed.",
        Linger "linger" 120 "Stats a name that never exists after many steps that stay where they are.",
        Up "up" 60 "Stats by a path that goes up and down again on its way.",
        Touch "touch" 20 "Opens the file at the end of a path with O_CREAT.",
        Where "where" 20 "Asks for the path of a held directory while what is above it changes places.",
        Tower "tower" 30 "Asks for the path of a held directory while all above it get new names in turn.",
        Swap "swap" 80 "Exchanges two components on the same level.",
        Heads "heads" 30 "Exchanges first components: two directories, or a directory and a symlink.",
        Shuttle "shuttle" 80 "Renames a first component to its other name and back.",
        Flip "flip" 100 "Removes a component or makes it a file, a directory or a symlink.",
        Chmod "chmod" 30 "Locks a component away from ordinary users, or opens it again.",
        Bind "bind" 6 "Binds another tree over a component, or takes it off.",
        Cover "cover" 2 "Mounts an empty tmpfs over a component, or takes it off.",
        Climb "climb" 40 "Renames one of several directories in each other.",
        Drop "drop" 1 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
    }
}

impl Op {
    /// Whether it only looks; a thread without rights does nothing else.
    pub(crate) fn looks(self) -> bool {
        (self as u8) <= Self::Up as u8
    }
}

/// First components of a lane, by the numbers below.
pub(crate) const HEADS: [&str; 10] = [
    "a",
    "b",
    "c-with-a-name-too-long-for-the-dentry-itself",
    "s",
    "m",
    "p",
    "e",
    "g",
    "h-with-a-name-too-long-for-the-dentry-itself",
    "f",
];
/// Directories that change places.
pub(crate) const A: usize = 0;
/// See [`A`].
pub(crate) const B: usize = 1;
/// A directory that changes places with a symlink to [`A`].
pub(crate) const C: usize = 2;
/// See [`C`].
pub(crate) const S: usize = 3;
/// Where another tree is bound now and then.
pub(crate) const M: usize = 4;
/// What is locked away now and then.
pub(crate) const P: usize = 5;
/// Where an empty filesystem is mounted now and then.
pub(crate) const E: usize = 6;
/// A directory that is under one of two names.
pub(crate) const G: usize = 7;
/// See [`G`].
pub(crate) const H: usize = 8;
/// What is now this and now that.
pub(crate) const F: usize = 9;

/// The two directories of a node: one name within the dentry, one outside.
pub(crate) const TWINS: [&str; 2] = ["l", "r-with-a-name-too-long-for-the-dentry-itself"];
/// The two files of a last directory.
pub(crate) const FILES: [&str; 2] = ["x", "y-with-a-name-too-long-for-the-dentry-itself"];
/// The only directory of a directory.
pub(crate) const ONLY: &str = "k";

/// Steps that stay where they are: time for others to change just that.
const STAY: usize = 24;

/// A way through a lane: the first component, and which of two at each fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Place in [`HEADS`].
    pub(crate) head: usize,
    /// Turns at the two forks, and which file.
    pub(crate) turns: [usize; 3],
}

impl Way {
    /// From three bits, the lowest being the first turn.
    pub(crate) fn new(head: u32, bits: u32) -> Self {
        Self {
            head: head as usize % HEADS.len(),
            turns: [0, 1, 2].map(|at| (bits >> at & 1) as usize),
        }
    }

    /// The path to the directory of the files, below the lane.
    pub(crate) fn dir(&self, lane: u32) -> Route {
        self.upper(lane).then(TWINS[self.turns[1]]).then(ONLY)
    }

    /// The path to the file.
    pub(crate) fn file(&self, lane: u32) -> Route {
        self.dir(lane).then(FILES[self.turns[2]])
    }

    /// A path to the file that goes up from the last fork and down again.
    pub(crate) fn file_by_up(&self, lane: u32) -> Route {
        let twin = TWINS[self.turns[1]];
        let up = self.upper(lane).then(twin).then("..");
        up.then(".")
            .then(twin)
            .then(ONLY)
            .then(FILES[self.turns[2]])
    }

    /// A path that stays in its first component for long.
    pub(crate) fn linger(&self, lane: u32) -> Route {
        let there = first(lane, self.head);
        (0..STAY).fold(there, |path, _| path.then("."))
    }

    /// The path to what its turn at a level names: 0 and 1 directories, 2 a file.
    pub(crate) fn fork(&self, lane: u32, level: usize) -> Route {
        match level {
            0 => first(lane, self.head).then(ONLY).then(TWINS[self.turns[0]]),
            1 => self.upper(lane).then(TWINS[self.turns[1]]),
            _ => self.file(lane),
        }
    }

    fn upper(&self, lane: u32) -> Route {
        self.fork(lane, 0).then(ONLY)
    }
}

/// The path of a lane's first component.
pub(crate) fn first(lane: u32, head: usize) -> Route {
    let name = Name::new("l", lane.into());
    Route::new(name.as_c().to_str().unwrap_or_default()).then(HEADS[head])
}

/// The next step of a worker over `lanes` lanes: arguments are the lane, the head or another number, the turns
/// of two ways, and a number for what else is to be chosen.
pub(crate) fn plan(rng: &mut Rng, mix: &Mix, lanes: u32, names: u32) -> Step {
    let op = mix.pick(rng);
    let head = rng.below(HEADS.len() as u32);
    let turns = rng.below(64);
    Step::new(op, [rng.below(lanes), head, turns, rng.below(names * 64)])
}

/// How a step reads.
pub(crate) fn show(step: &Step) -> String {
    let [lane, head, turns, extra] = step.args;
    let (op, way) = (Op::of(step.op), Way::new(head, turns));
    let shown = match op {
        Op::Stat | Op::Open | Op::Path | Op::Touch => way.file(lane).to_string(),
        Op::Linger => format!("{}/./…/z{extra}", first(lane, way.head)),
        Op::Missing => format!("{}/z{extra}", way.dir(lane)),
        Op::Tip => first(lane, way.head).to_string(),
        Op::Up => way.file_by_up(lane).to_string(),
        Op::Drop => return op.name().to_owned(),
        Op::Swap => format!("l{lane} {head} {turns:#b} {extra}"),
        _ => format!("l{lane} {turns}"),
    };
    // What makes a name long says nothing.
    let shown = shown.replace("-with-a-name-too-long-for-the-dentry-itself", "~");
    format!("{} {shown}", op.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_paths_of_many_components() {
        let way = Way::new(0, 0b000);
        assert_eq!(way.file(1).as_c(), c"l1/a/k/l/k/l/k/x");
        assert_eq!(way.file_by_up(0).as_c(), c"l0/a/k/l/k/l/.././l/k/x");
        let other = Way::new(8, 0b111);
        assert!(other.file(0).to_string().contains("/r-with"));
        assert_eq!(other.fork(0, 2).to_string(), other.file(0).to_string());
        assert_eq!(
            show(&Step::new(Op::Stat as u8, [1, 0, 0, 5])),
            "stat l1/a/k/l/k/l/k/x"
        );
    }

    #[test]
    fn a_seed_gives_its_steps_again() {
        let mix = Mix::new(&Default::default(), Op::INFO).unwrap();
        let steps = |seed| {
            let mut rng = Rng::new(seed, 1);
            (0..300)
                .map(|_| plan(&mut rng, &mix, 4, 4))
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(4), steps(4));
        assert_ne!(steps(4), steps(5));
        assert!(steps(4).iter().all(|step| step.args[0] < 4));
    }
}
