// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bursts: for a while all walk one way of one lane, and some change just that.
//!
//! A race needs two at one component at one time. Threads that choose at random among many are seldom there.

use super::step::{A, E, F, G, M, Op, P, plan};
use crate::rng::Rng;
use crate::scenario::step::{Mix, Step};

/// Steps of each worker in a burst.
pub(crate) const STEPS: u32 = 48;
/// One in so many workers changes what the others walk.
const STIRRERS: u32 = 3;
/// One in so many steps is any step.
const ANY: u32 = 6;
/// Keeps the random stream of bursts apart from those of the workers.
const LANE: u64 = 1 << 63;

/// What a burst is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Burst {
    stir: Op,
    args: [u32; 4],
}

impl Burst {
    /// The burst of a round.
    pub(crate) fn new(seed: u64, round: u32, mix: &Mix, lanes: u32, names: u32) -> Self {
        let mut rng = Rng::new(seed, LANE | u64::from(round));
        let Step { args, .. } = plan(&mut rng, mix, lanes, names);
        let stir = picked(mix, &mut rng, |op| op as u8 >= Op::Swap as u8);
        let [lane, head, turns, extra] = args;
        let head = match stir {
            Op::Shuttle => G as u32 + head % 2,
            Op::Flip => F as u32,
            Op::Chmod => P as u32,
            Op::Bind => M as u32,
            Op::Cover => E as u32,
            // A head that leads to a node, or the link to one.
            _ => A as u32 + head % 4,
        };
        Self {
            stir,
            args: [lane, head, turns, extra],
        }
    }

    /// The next step of a worker in it.
    pub(crate) fn step(&self, rng: &mut Rng, round: u32, worker: u32, mix: &Mix) -> Step {
        let [lane, head, turns, extra] = self.args;
        if (worker + round).is_multiple_of(STIRRERS) {
            // The one way is changed, at any of its levels and in any manner.
            let (turns, extra) = match self.stir {
                Op::Swap => (turns, rng.below(3) + extra / 3 * 3),
                _ => (rng.below(64), rng.below(64)),
            };
            return Step::new(self.stir as u8, [lane, head, turns, extra]);
        }
        let op = match self.stir {
            Op::Climb => Op::Tower,
            _ => picked(mix, rng, Op::looks),
        };
        // Few missing names, so that they too are met by several.
        Step::new(op as u8, [lane, head, turns, extra & !3 | rng.below(4)])
    }
}

/// A step of a worker in a round: of the burst mostly.
pub(crate) fn next(
    burst: &Burst,
    rng: &mut Rng,
    (round, worker): (u32, u32),
    mix: &Mix,
    (lanes, names): (u32, u32),
) -> Step {
    if rng.below(ANY) == 0 {
        plan(rng, mix, lanes, names)
    } else {
        burst.step(rng, round, worker, mix)
    }
}

/// An operation of that kind, as often as the mix has it; any where it has none.
fn picked(mix: &Mix, rng: &mut Rng, is: impl Fn(Op) -> bool) -> Op {
    let mut op = Op::of(mix.pick(rng));
    for _ in 0..64 {
        if is(op) {
            break;
        }
        op = Op::of(mix.pick(rng));
    }
    op
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_comes_again_with_its_seed_and_stays_on_one_way() {
        let mix = Mix::new(&Default::default(), Op::INFO).unwrap();
        let burst = |seed, round| Burst::new(seed, round, &mix, 4, 4);
        assert_eq!(burst(3, 7), burst(3, 7));
        for round in 0..100 {
            let it = burst(3, round);
            let mut rng = Rng::new(1, 1);
            for worker in 0..6 {
                let step = it.step(&mut rng, round, worker, &mix);
                assert_eq!(step.args[..2], it.args[..2]);
                let stirs = (worker + round) % STIRRERS == 0;
                assert_eq!(stirs, Op::of(step.op) == it.stir, "{step:?}");
            }
        }
    }
}
