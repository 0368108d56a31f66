// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step of the storm: an operation on contested names of a few directories.

use crate::ops::Name;
use crate::rng::Rng;
use crate::scenario::step::{Mix, Step, operations};
use std::fmt;

operations! {
    /// The operations of the storm.
    pub(crate) enum Op {
        Open "open" 200 "Opens a contested name for reading.",
        List "list" 40 "Opens a contested name as a directory.",
        Create "create" 120 "Opens a contested name with O_CREAT.",
        Stat "stat" 200 "Stats a contested name.",
        Unlink "unlink" 120 "Unlinks a contested name.",
        Rename "rename" 100 "Renames a contested name to another.",
        Link "link" 50 "Links a contested name to another.",
        Readdir "readdir" 30 "Reads a whole directory and looks for the stable and the absent name.",
        Mkdir "mkdir" 40 "Makes a directory of a contested name.",
        Rmdir "rmdir" 40 "Removes a directory of a contested name.",
        Keep "keep" 20 "Opens, stats and reads the stable name, which nobody touches.",
        Absent "absent" 20 "Opens the name that never exists.",
        Own "own" 20 "Makes, renames and removes a name that only this thread uses.",
        Ghost "ghost" 20 "Unlinks an open file of its own, then stats and reads it.",
        Over "over" 10 "Renames over an open file of its own, then reads both.",
        TooLong "too-long" 5 "Opens and makes a name longer than any may be, which fails half-way through the lookup.",
        Prepare "prepare" 0 "Makes the name of a coming round.",
        Forget "forget" 0 "Unlinks the fresh name of the round before while it is open; it must be gone then.",
        Drop "drop" 1 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
    }
}

/// Marks the last argument of a step as the fresh name of a round.
const FRESH: u32 = 1 << 31;

/// One step of the storm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    /// What.
    pub(crate) op: Op,
    /// Directory of the first name.
    pub(crate) dir: u32,
    /// Directory of the second name.
    pub(crate) dir2: u32,
    /// First name.
    pub(crate) name: u32,
    /// Second name.
    pub(crate) name2: u32,
    /// The last name is the fresh one of this round, not a contested one.
    pub(crate) fresh: Option<u32>,
}

impl Move {
    /// The name that the operation is about; the source, where it has two.
    pub(crate) fn first(&self) -> Name {
        match (self.fresh, self.op) {
            (Some(round), op) if !op.has_two() => Name::new("f", round.into()),
            _ => Name::new("n", self.name.into()),
        }
    }

    /// The target of a rename or link.
    pub(crate) fn second(&self) -> Name {
        match self.fresh {
            Some(round) => Name::new("f", round.into()),
            None => Name::new("n", self.name2.into()),
        }
    }
}

impl From<Move> for Step {
    fn from(it: Move) -> Self {
        let last = it.fresh.map_or(it.name2, |round| round | FRESH);
        Self::new(it.op as u8, [it.dir, it.dir2, it.name, last])
    }
}

impl From<&Step> for Move {
    fn from(step: &Step) -> Self {
        let [dir, dir2, name, last] = step.args;
        let fresh = (last & FRESH != 0).then_some(last & !FRESH);
        Self {
            op: Op::of(step.op),
            dir,
            dir2,
            name,
            name2: if fresh.is_some() { 0 } else { last },
            fresh,
        }
    }
}

impl Op {
    fn has_two(self) -> bool {
        matches!(self, Self::Rename | Self::Link)
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, dir, dir2, .. } = self;
        match op {
            Op::Rename | Op::Link => {
                let (a, b) = (self.first(), self.second());
                write!(f, "{} d{dir}/{a} d{dir2}/{b}", op.name())
            }
            Op::Readdir | Op::Keep | Op::Absent | Op::Own | Op::Ghost | Op::Over | Op::TooLong => {
                write!(f, "{} d{dir}", op.name())
            }
            Op::Drop => f.write_str(op.name()),
            _ => write!(f, "{} d{dir}/{}", op.name(), self.first()),
        }
    }
}

/// The next step of a thread's storm over `dirs` directories and `names` names.
pub(crate) fn plan(rng: &mut Rng, mix: &Mix, dirs: u32, names: u32) -> Move {
    Move {
        op: Op::of(mix.pick(rng)),
        dir: rng.below(dirs),
        dir2: rng.below(dirs),
        name: rng.below(names),
        name2: rng.below(names),
        fresh: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn moves(seed: u64, lane: u64) -> Vec<Move> {
        let mix = Mix::new(&BTreeMap::new(), Op::INFO).unwrap();
        let mut rng = Rng::new(seed, lane);
        (0..500).map(|_| plan(&mut rng, &mix, 3, 8)).collect()
    }

    #[test]
    fn equal_seeds_give_equal_operations() {
        assert_eq!(moves(5, 2), moves(5, 2));
        assert_ne!(moves(5, 2), moves(6, 2));
        assert_ne!(moves(5, 2), moves(5, 3));
    }

    #[test]
    fn a_move_survives_being_a_step_and_reads_well() {
        let back = |it: Move| Move::from(&Step::from(it));
        for it in moves(9, 9) {
            assert_eq!(back(it), it);
            let fresh = Move {
                fresh: Some(70_000),
                name2: 0,
                ..it
            };
            assert_eq!(back(fresh), fresh);
        }
        let it = Move {
            op: Op::Rename,
            dir: 0,
            dir2: 1,
            name: 3,
            name2: 4,
            fresh: None,
        };
        assert_eq!(it.to_string(), "rename d0/n3 d1/n4");
        let fresh = Move {
            op: Op::Open,
            fresh: Some(12),
            ..it
        };
        assert_eq!(fresh.to_string(), "open d0/f12");
        assert_eq!(
            Move {
                op: Op::Link,
                ..fresh
            }
            .to_string(),
            "link d0/n3 d1/f12"
        );
    }
}
