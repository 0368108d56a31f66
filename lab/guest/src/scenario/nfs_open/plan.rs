// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a round, and what a meddler does next: values, planned from the seed alone.

use super::doors::{FRESH, SERVER, STRICT, USUAL};
use crate::ops::padded::Padded;
use crate::rng::Rng;
use crate::scenario::step::{Mix, Step, operations};

operations! {
    /// The operations of this scenario. Those without a weight belong to the rounds.
    pub(crate) enum Op {
        Open "open" 20 "Opens a contested name for reading.",
        List "list" 8 "Opens a contested name as a directory.",
        Create "create" 16 "Opens a contested name with O_CREAT.",
        Stat "stat" 10 "Stats a contested name.",
        Unlink "unlink" 14 "Unlinks a contested name.",
        Rename "rename" 6 "Renames a contested name to another.",
        Mkdir "mkdir" 5 "Makes a directory of a contested name.",
        Rmdir "rmdir" 6 "Removes a directory of a contested name.",
        Readdir "readdir" 4 "Reads a directory and looks for the stable and the absent name.",
        Keep "keep" 4 "Opens, stats and reads the stable name.",
        Absent "absent" 4 "Opens the name that never exists.",
        FreshOpen "fresh-open" 0 "Opens the fresh name of a round, which is not there.",
        FreshList "fresh-list" 0 "Opens the fresh name of a round, which is not there, as a directory.",
        FreshStat "fresh-stat" 0 "Stats the fresh name of a round, which is not there.",
        RaceOpen "race-open" 0 "Opens the fresh name of a round while it is made.",
        RaceList "race-list" 0 "Opens it as a directory while it is made.",
        Make "make" 0 "Makes the fresh name of a round.",
        MadeOpen "made-open" 0 "Opens the fresh name of a round, which is there now.",
        MadeList "made-list" 0 "Opens the fresh name of a round, which is a directory now.",
        MadeStat "made-stat" 0 "Stats the fresh name of a round, which is there now.",
        Remove "remove" 0 "Removes the fresh name of a round.",
        GoneStat "gone-stat" 0 "Looks for the fresh name of a round, which is gone again.",
    }
}

/// Keeps the random stream of rounds apart from those of the workers.
const LANE: u64 = 1 << 63;

/// Rounds of a block.
const BLOCK: u32 = 24;
/// The first ones of each, in which nothing is made. They are the shortest.
const UNCHANGING: u32 = 16;

/// What becomes of a round's fresh name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It stays absent.
    Absent,
    /// It becomes a file.
    File,
    /// It becomes a directory.
    Directory,
}

/// A round: everybody looks for one fresh name; then it may be made, looked for again, and removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    /// Its number, and its name's.
    pub(crate) number: u32,
    /// Directory, of those that only rounds change.
    pub(crate) dir: u32,
    /// What becomes of the name.
    pub(crate) kind: Kind,
    /// It is made while everybody looks, not after.
    pub(crate) racing: bool,
    /// Through which door it is made and removed.
    pub(crate) maker: u32,
    seed: u64,
}

impl Round {
    /// The round of that number.
    pub(crate) fn new(seed: u64, number: u32, dirs: u32) -> Self {
        let mut rng = Rng::new(seed, LANE | u64::from(number));
        // A change that a mount learns of ends the trust in its negative dentries: so most rounds change nothing, in a
        // directory where nothing ever changes.
        // Where the name is made while openers wait for the first of them, they share a negative dentry of a name
        // that is there.
        let (kind, racing) = match rng.below(10) {
            _ if number % BLOCK < UNCHANGING => (Kind::Absent, false),
            0..4 => (Kind::Directory, true),
            4..6 => (Kind::File, true),
            6..8 => (Kind::File, false),
            _ => (Kind::Directory, false),
        };
        let maker = match rng.below(6) {
            0..3 => SERVER,
            _ if racing => SERVER,
            3 => USUAL,
            4 => FRESH,
            _ => STRICT,
        };
        Self {
            number,
            dir: match kind {
                Kind::Absent => 0,
                _ => rng.below(dirs.max(2) - 1) + u32::from(dirs > 1),
            },
            kind,
            racing,
            maker,
            seed: rng.next(),
        }
    }

    /// The fresh name; every fourth is long.
    pub(crate) fn name(&self) -> Padded {
        name_of(self.number)
    }

    /// The door of a team's member: most share the usual one.
    pub(crate) fn door(&self, member: u32) -> u32 {
        match member % 8 {
            3 if self.kind != Kind::Absent => FRESH,
            6 => STRICT,
            _ => USUAL,
        }
    }

    /// What a member does at first, while the name is absent.
    pub(crate) fn first(&self, member: u32) -> Op {
        let mut rng = Rng::new(self.seed, member.into());
        match rng.below(16) {
            0..14 if self.racing => Op::RaceOpen,
            _ if self.racing => Op::RaceList,
            0..11 => Op::FreshOpen,
            11..15 => Op::FreshList,
            _ => Op::FreshStat,
        }
    }

    /// What a member does once the name is made.
    pub(crate) fn second(&self, member: u32) -> Op {
        let mut rng = Rng::new(!self.seed, member.into());
        match (rng.below(8), self.kind) {
            // Opens ask the server anyway; what a mount believes of a name shows a stat.
            _ if self.door(member) == FRESH => Op::MadeStat,
            (0..6, _) => Op::MadeOpen,
            (6, Kind::Directory) => Op::MadeList,
            _ => Op::MadeStat,
        }
    }
}

/// The fresh name of a round.
pub(crate) fn name_of(round: u32) -> Padded {
    Padded::new(b'f', round, round.is_multiple_of(4))
}

/// A contested name.
pub(crate) fn contested(name: u32) -> Padded {
    Padded::new(b'n', name, name % 4 == 3)
}

/// The next step of a meddler: arguments are door, directory, name and a second name.
pub(crate) fn meddle(rng: &mut Rng, mix: &Mix, quiet: u32, busy: u32, names: u32) -> Step {
    let op = mix.pick(rng);
    // Half on the server's side, where nothing is slow, and where no client learns of it.
    let door = match rng.below(8) {
        0..4 => SERVER,
        4 => FRESH,
        5 => STRICT,
        _ => USUAL,
    };
    let dir = quiet + rng.below(busy);
    Step::new(op, [door, dir, rng.below(names), rng.below(names)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_planned_from_the_seed_and_many_leave_directories_alone() {
        let rounds = |seed| -> Vec<Round> { (0..400).map(|n| Round::new(seed, n, 3)).collect() };
        assert_eq!(rounds(5), rounds(5));
        assert_ne!(rounds(5), rounds(6));
        let absent = rounds(5).iter().filter(|r| r.kind == Kind::Absent).count();
        assert_eq!(absent, 272);
        let absent = rounds(5).into_iter().find(|r| r.kind == Kind::Absent);
        let absent = absent.unwrap();
        let opens = (0..400).filter(|n| absent.first(*n) == Op::FreshOpen);
        assert!((230..320).contains(&opens.count()));
        assert!(
            rounds(5)
                .iter()
                .all(|r| r.dir < 3 && (0..16).all(|m| r.door(m) != SERVER))
        );
    }

    #[test]
    fn meddlers_stay_out_of_the_quiet_directories() {
        let mix = Mix::new(&Default::default(), Op::INFO).unwrap();
        let mut rng = Rng::new(1, 1);
        for _ in 0..300 {
            let step = meddle(&mut rng, &mix, 2, 3, 4);
            assert!((2..5).contains(&step.args[1]) && step.args[0] <= SERVER);
            assert!(step.op < Op::FreshOpen as u8);
        }
    }
}
