// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a thread does next, as a value: planned from the seed alone, so that one seed gives the
//! same operations again.

use crate::ops::Name;
use crate::rng::Rng;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! operations {
    ($($variant:ident $name:literal $about:literal),* $(,)?) => {
        /// The operations of the workload; their names are the keys of a mix.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Op {
            $(#[doc = $about] $variant,)*
        }

        impl Op {
            /// All, in the order of their numbers.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in mixes, measurements and histories.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

operations! {
    Open "open" "Opens a contested name for reading.",
    List "list" "Opens a contested name as a directory.",
    Create "create" "Opens a contested name with O_CREAT.",
    Stat "stat" "Stats a contested name.",
    Unlink "unlink" "Unlinks a contested name.",
    Rename "rename" "Renames a contested name to another.",
    Link "link" "Links a contested name to another.",
    Readdir "readdir" "Reads a whole directory and looks for the stable and the absent name.",
    Mkdir "mkdir" "Makes a directory of a contested name.",
    Rmdir "rmdir" "Removes a directory of a contested name.",
    Keep "keep" "Opens, stats and reads the stable name, which nobody touches.",
    Absent "absent" "Opens the name that never exists.",
    Own "own" "Makes, renames and removes a name that only this thread uses.",
    Ghost "ghost" "Unlinks an open file of its own, then stats and reads it.",
    Over "over" "Renames over an open file of its own, then reads both.",
    Drop "drop" "Drops dentries and inodes by /proc/sys/vm/drop_caches.",
}

/// One step of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
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

impl Step {
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

    /// Two words that hold it, for a thread's slot.
    pub(crate) fn pack(&self) -> (u64, u64) {
        let fresh = u64::from(self.fresh.is_some());
        let first =
            self.op as u64 | fresh << 15 | u64::from(self.dir) << 16 | u64::from(self.dir2) << 40;
        let name = self
            .fresh
            .unwrap_or(0)
            .max(if self.fresh.is_some() { 0 } else { self.name2 });
        (first, u64::from(self.name) | u64::from(name) << 32)
    }

    /// The step in two words; `None` if no step was ever begun.
    pub(crate) fn unpack(first: u64, second: u64) -> Option<Self> {
        let op = *Op::ALL.get((first & 0x7fff) as usize)?;
        let (name, other) = (second as u32, (second >> 32) as u32);
        let fresh = first & 1 << 15 != 0;
        Some(Self {
            op,
            dir: (first >> 16) as u32 & 0xff_ffff,
            dir2: (first >> 40) as u32,
            name,
            name2: if fresh { 0 } else { other },
            fresh: fresh.then_some(other),
        })
    }
}

impl Op {
    fn has_two(self) -> bool {
        matches!(self, Self::Rename | Self::Link)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, dir, dir2, .. } = self;
        match op {
            Op::Rename | Op::Link => {
                let (a, b) = (self.first(), self.second());
                write!(f, "{} d{dir}/{a} d{dir2}/{b}", op.name())
            }
            Op::Readdir | Op::Keep | Op::Absent | Op::Own | Op::Ghost | Op::Over => {
                write!(f, "{} d{dir}", op.name())
            }
            Op::Drop => f.write_str(op.name()),
            _ => write!(f, "{} d{dir}/{}", op.name(), self.first()),
        }
    }
}

/// Weights of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mix {
    sums: Vec<(u32, Op)>,
}

impl Mix {
    /// The mix that a scenario's parameters ask for, or its own if they ask for none.
    ///
    /// # Errors
    /// Names an unknown operation, and refuses a mix of nothing.
    pub(crate) fn new(asked: &BTreeMap<String, u32>, own: &[(Op, u32)]) -> Result<Self, String> {
        let mut weights = Vec::new();
        for (name, weight) in asked {
            let op = Op::ALL.iter().find(|op| op.name() == name);
            let op = op.ok_or_else(|| {
                let known: Vec<_> = Op::ALL.iter().map(|op| op.name()).collect();
                format!(
                    "mix names an unknown operation «{name}»; known: {}",
                    known.join(" ")
                )
            })?;
            weights.push((*op, *weight));
        }
        let weights = if asked.is_empty() { own } else { &weights };
        let mut sum = 0u32;
        let mut sums = Vec::new();
        for (op, weight) in weights.iter().filter(|(_, weight)| *weight > 0) {
            sum = sum
                .checked_add(*weight)
                .ok_or("the weights of the mix overflow")?;
            sums.push((sum, *op));
        }
        if sums.is_empty() {
            return Err("every weight of the mix is 0".into());
        }
        Ok(Self { sums })
    }

    /// A random operation of this mix.
    pub(crate) fn pick(&self, rng: &mut Rng) -> Op {
        let (last, fallback) = self.sums[self.sums.len() - 1];
        let at = rng.below(last);
        let found = self.sums.iter().find(|(sum, _)| at < *sum);
        found.map_or(fallback, |(_, op)| *op)
    }
}

/// The next step of a thread's storm over `dirs` directories and `names` names.
pub(crate) fn plan(rng: &mut Rng, mix: &Mix, dirs: u32, names: u32) -> Step {
    Step {
        op: mix.pick(rng),
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

    const OWN: &[(Op, u32)] = &[(Op::Open, 3), (Op::Rename, 1), (Op::Drop, 0)];

    fn steps(seed: u64, lane: u64) -> Vec<Step> {
        let mix = Mix::new(&BTreeMap::new(), OWN).unwrap();
        let mut rng = Rng::new(seed, lane);
        (0..500).map(|_| plan(&mut rng, &mix, 3, 8)).collect()
    }

    #[test]
    fn equal_seeds_give_equal_operations() {
        assert_eq!(steps(5, 2), steps(5, 2));
        assert_ne!(steps(5, 2), steps(6, 2));
        assert_ne!(steps(5, 2), steps(5, 3));
    }

    #[test]
    fn weights_are_kept() {
        let opens = steps(5, 2)
            .iter()
            .filter(|step| step.op == Op::Open)
            .count();
        assert!((340..410).contains(&opens), "{opens}");
        assert!(steps(5, 2).iter().all(|step| step.op != Op::Drop));
    }

    #[test]
    fn bad_mixes_are_refused_with_the_reason() {
        let asked =
            |name: &str, weight| Mix::new(&BTreeMap::from([(name.to_owned(), weight)]), OWN);
        assert!(asked("opne", 1).unwrap_err().contains("«opne»"));
        assert!(asked("open", 0).unwrap_err().contains("every weight"));
        assert!(asked("stat", 9).is_ok());
    }

    #[test]
    fn a_step_survives_packing_and_reads_well() {
        for step in steps(9, 9) {
            let (a, b) = step.pack();
            assert_eq!(Step::unpack(a, b), Some(step));
            let fresh = Step {
                fresh: Some(70_000),
                name2: 0,
                ..step
            };
            let (a, b) = fresh.pack();
            assert_eq!(Step::unpack(a, b), Some(fresh));
        }
        assert_eq!(Step::unpack(0x7fff, 0), None);
        let step = Step {
            op: Op::Rename,
            dir: 0,
            dir2: 1,
            name: 3,
            name2: 4,
            fresh: None,
        };
        assert_eq!(step.to_string(), "rename d0/n3 d1/n4");
        let fresh = Step {
            op: Op::Open,
            fresh: Some(12),
            ..step
        };
        assert_eq!(fresh.to_string(), "open d0/f12");
        assert_eq!(
            Step {
                op: Op::Link,
                ..fresh
            }
            .to_string(),
            "link d0/n3 d1/f12"
        );
    }
}
