// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a round, and what a thread outside of them does next.

use crate::ops::padded::Padded;
use crate::rng::Rng;
use crate::scenario::nfs_open::doors::{FRESH, SERVER, STRICT, USUAL};
use crate::scenario::step::{Mix, Step, operations};

operations! {
    /// The operations of this scenario. Those without a weight belong to the rounds.
    pub(crate) enum Op {
        Hold "hold" 20 "Opens a contested name and keeps it open for a while.",
        Create "create" 16 "Opens a contested name with O_CREAT and keeps it open for a while.",
        Stat "stat" 12 "Stats a contested name.",
        Unlink "unlink" 20 "Unlinks a contested name.",
        Rename "rename" 16 "Renames a contested name over another.",
        Spy "spy" 8 "Stats and opens the names that a client gave to files that it may not unlink yet.",
        Keep "keep" 3 "Opens, stats and reads the stable name.",
        Ghost "ghost" 8 "Unlinks an open file of its own, then reads it.",
        Over "over" 6 "Renames over an open file of its own, then reads both.",
        Again "again" 6 "Unlinks an open file of its own and makes the name anew, then reads both.",
        Make "make" 0 "Makes the file of a round.",
        Grasp "grasp" 0 "Opens the file of a round, to hold it.",
        Strike "strike" 0 "Unlinks the file of a round, or renames another over it.",
        Look "look" 0 "Stats or opens the name of a round.",
        LookOn "look-on" 0 "Stats the name of a round until it is gone.",
        Anew "anew" 0 "Makes the name of a round anew at this very time.",
        Read "read" 0 "Reads the file of a round, which has no name any more.",
        Check "check" 0 "Looks what the name of a round has become.",
        Close "close" 0 "Closes the file of a round.",
        Peek "peek" 0 "Looks up the name that the client gave to the file of a round, while it is closed.",
        Clean "clean" 0 "Removes the name of a round.",
    }
}

const LANE: u64 = 1 << 63;

/// What happens to a round's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is unlinked.
    Unlink,
    /// Another is renamed over it.
    Over,
    /// It is unlinked, and others make the name anew.
    Anew,
    /// It is unlinked on the server's side.
    Under,
}

/// A round: a file is made, held open or not, and loses its name while others look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Round {
    /// Its number, and its name's.
    pub(crate) number: u32,
    /// Its directory.
    pub(crate) dir: u32,
    /// What happens.
    pub(crate) kind: Kind,
    /// It is open meanwhile, so that the client must keep it under another name.
    pub(crate) held: bool,
}

impl Round {
    /// The round of that number.
    pub(crate) fn new(seed: u64, number: u32, dirs: u32) -> Self {
        let mut rng = Rng::new(seed, LANE | u64::from(number));
        Self {
            number,
            dir: rng.below(dirs),
            kind: match rng.below(8) {
                0..3 => Kind::Unlink,
                3..5 => Kind::Over,
                5..7 => Kind::Anew,
                _ => Kind::Under,
            },
            held: rng.below(2) == 0,
        }
    }

    /// Whether a member holds the file open.
    pub(crate) fn holds(&self, member: u32) -> bool {
        self.held && member % 4 != 3
    }

    /// The name; every fourth is long.
    pub(crate) fn name(&self) -> Padded {
        Padded::new(b'u', self.number, self.number.is_multiple_of(4))
    }

    /// The name of the file that is renamed over it.
    pub(crate) fn other(&self) -> Padded {
        Padded::new(b'v', self.number, self.number % 4 == 1)
    }
}

/// A contested name.
pub(crate) fn contested(name: u32) -> Padded {
    Padded::new(b'n', name, name % 4 == 3)
}

/// The next step of a thread outside of rounds: arguments are door, directory, name and a second name.
pub(crate) fn alone(rng: &mut Rng, mix: &Mix, dirs: u32, names: u32) -> Step {
    let op = mix.pick(rng);
    let door = match rng.below(8) {
        0 => SERVER,
        1 => [FRESH, STRICT][rng.below(2) as usize],
        _ => USUAL,
    };
    Step::new(
        op,
        [door, rng.below(dirs), rng.below(names), rng.below(names)],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_comes_again_with_its_seed() {
        let rounds = |seed| -> Vec<Round> { (0..400).map(|n| Round::new(seed, n, 2)).collect() };
        assert_eq!(rounds(5), rounds(5));
        assert_ne!(rounds(5), rounds(6));
        let held = rounds(5).iter().filter(|round| round.held).count();
        assert!((150..250).contains(&held), "{held}");
        for kind in [Kind::Unlink, Kind::Over, Kind::Anew, Kind::Under] {
            assert!(rounds(5).iter().any(|round| round.kind == kind));
        }
        assert!(
            rounds(5)
                .iter()
                .all(|round| (0..8).any(|m| !round.holds(m)))
        );
    }

    #[test]
    fn threads_outside_do_nothing_that_belongs_to_rounds() {
        let mix = Mix::new(&Default::default(), Op::INFO).unwrap();
        let mut rng = Rng::new(2, 2);
        for _ in 0..300 {
            let step = alone(&mut rng, &mix, 2, 4);
            assert!(step.op < Op::Make as u8 && step.args[1] < 2);
        }
    }
}
