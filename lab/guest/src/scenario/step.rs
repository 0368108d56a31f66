// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a thread does next, as a value: planned from the seed alone, so that one seed gives the
//! same operations again.

use crate::rng::Rng;
use std::collections::BTreeMap;

/// One kind of operation of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpInfo {
    /// Name in mixes, measurements and histories.
    pub(crate) name: &'static str,
    /// How often it is picked; 0: only where the scenario's own order asks for it, or a mix names it.
    pub(crate) weight: u32,
}

/// Declares the operations of a scenario as an enum whose numbers are the places in its table.
///
/// ```ignore
/// operations! {
///     /// What this scenario does.
///     pub(crate) enum Op {
///         Open "open" 200 "Opens a contested name for reading.",
///     }
/// }
/// ```
macro_rules! operations {
    ($(#[$doc:meta])* $vis:vis enum $Op:ident {
        $($variant:ident $name:literal $weight:literal $about:literal),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        $vis enum $Op {
            $(#[doc = $about] $variant,)*
        }

        impl $Op {
            /// All, in the order of their numbers.
            $vis const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// Their table.
            $vis const INFO: &'static [$crate::scenario::step::OpInfo] = &[
                $($crate::scenario::step::OpInfo { name: $name, weight: $weight }),*
            ];

            /// The operation of that number; the first one for a number out of the table.
            $vis fn of(number: u8) -> Self {
                Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::ALL[0])
            }

            /// Its name.
            $vis fn name(self) -> &'static str {
                Self::INFO[self as usize].name
            }
        }
    };
}
pub(crate) use operations;

/// One step of a thread: an operation and what it is done to, in the scenario's own meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Step {
    /// Place in the scenario's table of operations.
    pub(crate) op: u8,
    /// What to: numbers of directories, names, threads.
    pub(crate) args: [u32; 4],
}

impl Step {
    /// A step of that operation.
    pub(crate) fn new(op: u8, args: [u32; 4]) -> Self {
        Self { op, args }
    }

    /// Three words that hold it, for a thread's slot.
    pub(crate) fn pack(&self) -> [u64; 3] {
        let [a, b, c, d] = self.args.map(u64::from);
        [u64::from(self.op), a | b << 32, c | d << 32]
    }

    /// The step in three words; `None` if no step was ever begun.
    pub(crate) fn unpack([op, first, second]: [u64; 3]) -> Option<Self> {
        let op = u8::try_from(op).ok()?;
        let args = [
            first as u32,
            (first >> 32) as u32,
            second as u32,
            (second >> 32) as u32,
        ];
        Some(Self { op, args })
    }
}

/// Weights of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mix {
    sums: Vec<(u32, u8)>,
}

impl Mix {
    /// The mix that a scenario's parameters ask for, or its table's own if they ask for none.
    ///
    /// # Errors
    /// Names an unknown operation, and refuses a mix of nothing.
    pub(crate) fn new(asked: &BTreeMap<String, u32>, ops: &[OpInfo]) -> Result<Self, String> {
        let mut sum = 0u32;
        let mut sums = Vec::new();
        for (name, weight) in Self::weights(asked, ops)? {
            sum = sum
                .checked_add(weight)
                .ok_or("the weights of the mix overflow")?;
            let place = ops.iter().position(|op| op.name == name).unwrap_or(0);
            sums.push((sum, place as u8));
        }
        if sums.is_empty() {
            return Err("every weight of the mix is 0".into());
        }
        Ok(Self { sums })
    }

    /// The names that a mix asks for, or those of the table if it asks for none, each with a weight above 0.
    ///
    /// # Errors
    /// Names an unknown operation.
    pub(crate) fn weights(
        asked: &BTreeMap<String, u32>,
        ops: &[OpInfo],
    ) -> Result<Vec<(&'static str, u32)>, String> {
        let mut weights: Vec<(&'static str, u32)> = Vec::new();
        for (name, weight) in asked {
            let op = ops.iter().find(|op| op.name == name).ok_or_else(|| {
                let known: Vec<_> = ops.iter().map(|op| op.name).collect();
                format!(
                    "mix names an unknown operation «{name}»; known: {}",
                    known.join(" ")
                )
            })?;
            weights.push((op.name, *weight));
        }
        if asked.is_empty() {
            weights = ops.iter().map(|op| (op.name, op.weight)).collect();
        }
        weights.retain(|(_, weight)| *weight > 0);
        Ok(weights)
    }

    /// A mix of given weights, of which one at least is not 0.
    pub(crate) fn of(weights: impl Iterator<Item = (u8, u32)>) -> Self {
        let sums = weights.scan(0u32, |sum, (op, weight)| {
            *sum = sum.saturating_add(weight);
            Some((*sum, op))
        });
        Self {
            sums: sums.collect(),
        }
    }

    /// A random operation of this mix.
    pub(crate) fn pick(&self, rng: &mut Rng) -> u8 {
        let last = self.sums.last().map_or(0, |(sum, _)| *sum);
        let at = rng.below(last);
        let found = self.sums.iter().find(|(sum, _)| at < *sum);
        found.map_or(0, |(_, op)| *op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    operations! {
        /// For these tests.
        enum Own {
            Open "open" 3 "Opens.",
            Rename "rename" 1 "Renames.",
            Drop "drop" 0 "Drops.",
        }
    }

    #[test]
    fn weights_are_kept() {
        let mix = Mix::new(&BTreeMap::new(), Own::INFO).unwrap();
        let mut rng = Rng::new(5, 2);
        let picks: Vec<Own> = (0..500).map(|_| Own::of(mix.pick(&mut rng))).collect();
        let opens = picks.iter().filter(|op| **op == Own::Open).count();
        assert!((340..410).contains(&opens), "{opens}");
        assert!(picks.iter().all(|op| *op != Own::Drop));
        assert_eq!(Own::Drop.name(), "drop");
        assert_eq!(Own::of(200), Own::Open);
    }

    #[test]
    fn bad_mixes_are_refused_with_the_reason() {
        let asked =
            |name: &str, weight| Mix::new(&BTreeMap::from([(name.to_owned(), weight)]), Own::INFO);
        assert!(asked("opne", 1).unwrap_err().contains("«opne»"));
        assert!(asked("open", 0).unwrap_err().contains("every weight"));
        assert!(asked("drop", 9).is_ok());
    }

    #[test]
    fn a_step_survives_packing() {
        let mut rng = Rng::new(9, 9);
        for _ in 0..500 {
            let args = std::array::from_fn(|_| rng.next() as u32);
            let step = Step::new(rng.next() as u8, args);
            assert_eq!(Step::unpack(step.pack()), Some(step));
        }
    }

    #[test]
    fn a_slot_never_entered_holds_no_step() {
        assert_eq!(Step::unpack([u64::MAX, 0, 0]), None);
    }
}
