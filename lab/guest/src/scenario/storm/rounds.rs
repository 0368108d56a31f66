// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rounds of the storm's team: all at once on one fresh name.

use super::step::{Move, Op};
use crate::rng::Rng;
use crate::scenario::step::Mix;
use std::ops::Range;

/// Keeps the random stream of rounds apart from that of the storms.
const LANE: u64 = 1 << 63;

/// Rounds of a block: the first ones on names that nobody ever made, the others on names that exist and are cold.
const BLOCK: u32 = 96;
/// See [`BLOCK`].
const FRESH: u32 = 32;

/// Whether the name of a round exists before it.
pub(crate) fn is_cold(round: u32) -> bool {
    round % BLOCK >= FRESH
}

/// The rounds whose names are to be made before this one.
pub(crate) fn prepared_by(round: u32) -> Range<u32> {
    match round % BLOCK {
        FRESH => round..round - FRESH + BLOCK,
        _ => 0..0,
    }
}

/// The directory of a round's name.
pub(crate) fn dir_of(seed: u64, round: u32, dirs: u32) -> u32 {
    Rng::new(seed, LANE | u64::from(round)).below(dirs)
}

/// The step that takes a past round's name away, or makes the name of a coming one.
pub(crate) fn alone(op: Op, seed: u64, round: u32, dirs: u32) -> Move {
    let dir = dir_of(seed, round, dirs);
    Move {
        op,
        dir,
        dir2: dir,
        name: 0,
        name2: 0,
        fresh: Some(round),
    }
}

/// What one of the team does in a round: first a lookup of the fresh name, then something of the mix.
/// In half of the rounds nobody creates, so that all lookups find nothing; where the name exists already, all of them
/// find it for the first time since the caches were dropped.
pub(crate) fn plan(
    seed: u64,
    round: u32,
    thread: u32,
    dirs: u32,
    names: u32,
    mix: &Mix,
) -> [Move; 2] {
    let mut of_round = Rng::new(seed, LANE | u64::from(round));
    let dir = of_round.below(dirs);
    let reading = of_round.below(2) == 0 || is_cold(round);
    let mut rng = Rng::new(of_round.next(), u64::from(thread));
    let first = match rng.below(8) {
        0..3 => Op::Open,
        3..5 => Op::Stat,
        5 => Op::List,
        _ if reading => Op::Open,
        _ => Op::Create,
    };
    let second = if reading {
        Op::Stat
    } else {
        Op::of(mix.pick(&mut rng))
    };
    [first, second].map(|op| Move {
        op,
        dir: if matches!(op, Op::Rename | Op::Link) {
            rng.below(dirs)
        } else {
            dir
        },
        dir2: dir,
        name: rng.below(names),
        name2: 0,
        fresh: Some(round),
    })
}

/// What the second step of a round may be.
const SECOND: &[(Op, u32)] = &[
    (Op::Unlink, 4),
    (Op::Rename, 3),
    (Op::Link, 2),
    (Op::Mkdir, 2),
    (Op::Rmdir, 2),
    (Op::Create, 2),
    (Op::Open, 1),
    (Op::Readdir, 1),
];

/// The mix of second steps.
pub(crate) fn second() -> Mix {
    Mix::of(SECOND.iter().map(|(op, weight)| (*op as u8, *weight)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_planned_from_the_seed_and_on_one_name() {
        let mix = second();
        for round in 0..200 {
            let team: Vec<_> = (0..6).map(|t| plan(3, round, t, 4, 8, &mix)).collect();
            assert_eq!(
                team,
                (0..6)
                    .map(|t| plan(3, round, t, 4, 8, &mix))
                    .collect::<Vec<_>>()
            );
            assert!(team.iter().flatten().all(|it| it.fresh == Some(round)));
            assert!(team.iter().flatten().all(|it| it.dir2 == team[0][0].dir));
        }
        assert_ne!(plan(3, 1, 0, 4, 8, &mix), plan(4, 1, 0, 4, 8, &mix));
    }

    #[test]
    fn names_of_cold_rounds_are_made_before_them_and_once() {
        let made: Vec<u32> = (0..400).flat_map(prepared_by).collect();
        let cold: Vec<u32> = (0..made.last().unwrap() + 1)
            .filter(|r| is_cold(*r))
            .collect();
        assert_eq!(made, cold);
        for round in 0..400 {
            assert!(prepared_by(round).all(|coming| coming >= round));
        }
    }
}
