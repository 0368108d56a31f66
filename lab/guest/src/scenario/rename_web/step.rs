// SPDX-License-Identifier: MIT OR Apache-2.0
//! A step of the web: what is renamed where.

use crate::ops::Name;
use crate::ops::route::Route;
use crate::rng::Rng;
use crate::scenario::step::{Mix, Step, operations};

operations! {
    /// The operations of the web.
    pub(crate) enum Op {
        Move "move" 120 "Moves a directory into another one, which may be below it.",
        Trade "trade" 60 "Exchanges two directories, of which one may be below the other.",
        Pass "pass" 120 "Moves a file of its own to another directory or name and looks for it.",
        Pair "pair" 80 "Exchanges two files of its own and looks at both.",
        Refuse "refuse" 40 "Renames with NOREPLACE onto a name that is there, then onto one that is not.",
        Replace "replace" 80 "Renames a new file over a name that others look at.",
        Look "look" 160 "Looks at names of another worker that are always there.",
        Keep "keep" 100 "Looks at what always is in a directory, wherever that is.",
        Up "up" 40 "Goes up from a directory.",
        Rmdir "rmdir" 40 "Removes a directory that is not empty.",
        Over "over" 20 "Renames an empty directory over one that is not empty.",
        Drop "drop" 2 "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
        Fresh "fresh" 0 "In a round: renames onto a name just being looked up, or looks it up.",
        Fetch "fetch" 0 "In a round: takes the fresh name back and judges who got it.",
        Duel "duel" 0 "In a round: moves a directory into another one that is moved into it.",
        Clash "clash" 0 "In a round: renames between a directory and the one in it, or removes that.",
        Part "part" 0 "In a round: parts the two directories and judges which move was done.",
    }
}

/// What makes a name too long to be kept within a dentry.
pub(crate) const LONG: &str = "-with-a-name-too-long-for-the-dentry-itself";

/// A name by its letter and number, in its short or its long form.
pub(crate) fn name(letter: &str, number: u32, long: bool) -> Route {
    let short = Name::new(letter, number.into());
    let name = Route::new(short.as_c().to_str().unwrap_or_default());
    if long { name.and(LONG) } else { name }
}

/// The name of a movable directory: every other one is long.
pub(crate) fn movable(number: u32) -> Route {
    name("m", number, number % 2 == 1)
}

/// The next step of a worker at random.
pub(crate) fn plan(rng: &mut Rng, mix: &Mix, movables: u32, places: u32) -> Step {
    let op = mix.pick(rng);
    let (one, other) = (rng.below(movables), rng.below(movables));
    Step::new(op, [one, other, rng.below(places), rng.below(1 << 16)])
}

/// How a step reads.
pub(crate) fn show(step: &Step) -> String {
    let [one, other, place, extra] = step.args;
    let op = Op::of(step.op).name();
    match Op::of(step.op) {
        Op::Move => format!("{op} m{one} to place {place}"),
        Op::Trade => format!("{op} m{one} m{other}"),
        Op::Keep | Op::Up | Op::Rmdir | Op::Over => format!("{op} m{one}"),
        Op::Fresh | Op::Fetch | Op::Duel | Op::Clash | Op::Part => format!("{op} round {one}"),
        Op::Drop => op.to_owned(),
        _ => format!("{op} {extra} at place {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_its_steps_again() {
        let mix = Mix::new(&Default::default(), Op::INFO).unwrap();
        let steps = |seed| {
            let mut rng = Rng::new(seed, 1);
            (0..300)
                .map(|_| plan(&mut rng, &mix, 6, 16))
                .collect::<Vec<_>>()
        };
        assert_eq!(steps(4), steps(4));
        assert_ne!(steps(4), steps(5));
        assert!(steps(4).iter().all(|step| step.op < Op::Fresh as u8));
    }

    #[test]
    fn names_are_short_and_long() {
        assert_eq!(movable(2).as_c(), c"m2");
        assert!(movable(3).as_c().count_bytes() > 40);
        assert_eq!(
            show(&Step::new(Op::Trade as u8, [1, 2, 0, 0])),
            "trade m1 m2"
        );
    }
}
