// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which patch of a series brings a finding: a value machine over exposures.
//!
//! Model. Exactly one patch `c` of `1..=n` is the culprit. Before it the signature never shows; from it
//! on it shows as a Poisson process of one unknown rate λ. With hits `h_i` in `t_i` seconds at patch `i`,
//! the likelihood of `c` is 0 if any patch before it has a hit, else λ^H · exp(−λ·T_c), with H all hits
//! and T_c the seconds run at patches `c..=n`. Under Jeffreys' prior λ^(−1/2) the rate integrates out:
//! P(c | evidence) ∝ T_c^−(H + ½). No sampling is needed, and seconds, not tries, are what counts.

use crate::stats::Exposure;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Run the workload on this patch (from 1), once more.
    Evaluate {
        /// Its number.
        patch: u32,
    },
    /// This patch is it, with this probability.
    Done {
        /// Its number.
        patch: u32,
        /// Posterior probability.
        probability: f64,
    },
    /// Every candidate that could still decide does not build; these are left, most probable first.
    Stuck,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Bisect {
    /// Evidence by patch; index 0 is the base.
    seen: Vec<Exposure>,
    broken: Vec<bool>,
    confidence: f64,
}

impl Bisect {
    /// A search over patches `1..=patches`, that ends at posterior `confidence` (0.95).
    /// The tip's hits and the base's quiet are given by [`Bisect::record`] like any other evidence.
    pub fn new(patches: u32, confidence: f64) -> Self {
        let slots = patches as usize + 1;
        Self {
            seen: vec![Exposure::default(); slots],
            broken: vec![false; slots],
            confidence,
        }
    }

    /// Adds what a run at `patch` (0: the base) showed.
    pub fn record(&mut self, patch: u32, evidence: Exposure) {
        if let Some(seen) = self.seen.get_mut(patch as usize) {
            *seen = seen.plus(evidence);
        }
    }

    /// This patch does not build or boot: it can never be evaluated.
    pub fn broken(&mut self, patch: u32) {
        if let Some(broken) = self.broken.get_mut(patch as usize) {
            *broken = true;
        }
    }

    /// Posterior of each patch, index 0 for patch 1. All zero if there is no hit at all.
    pub fn posterior(&self) -> Vec<f64> {
        let hits: u32 = self.seen.iter().map(|e| e.hits).sum();
        let Some(first_hit) = self
            .seen
            .iter()
            .position(|e| e.hits > 0)
            .filter(|first| *first > 0)
        else {
            return vec![0.0; self.seen.len() - 1];
        };
        let power = f64::from(hits) + 0.5;
        let ln: Vec<f64> = (1..self.seen.len())
            .map(|c| {
                if c > first_hit {
                    f64::NEG_INFINITY
                } else {
                    -power * self.seconds_from(c).ln()
                }
            })
            .collect();
        let top = ln.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = ln.iter().map(|l| (l - top).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / sum).collect()
    }

    /// Seconds run at patch `c` and all after it; never quite 0, so that its logarithm is a number.
    fn seconds_from(&self, c: usize) -> f64 {
        self.seen
            .iter()
            .skip(c)
            .map(|e| e.seconds)
            .sum::<f64>()
            .max(1e-3)
    }

    /// The next thing to try, or the end.
    pub fn next_step(&self) -> Step {
        let posterior = self.posterior();
        let Some((best, probability)) = posterior
            .iter()
            .copied()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, p)| *p > 0.0)
        else {
            return Step::Stuck;
        };
        if probability >= self.confidence {
            return Step::Done {
                patch: best as u32 + 1,
                probability,
            };
        }
        self.most_telling(&posterior)
            .map_or(Step::Stuck, |patch| Step::Evaluate { patch })
    }

    /// The buildable patch whose look splits the posterior most evenly: a hit at `i` says `c <= i`.
    /// The last patch is never asked: it is known to show it.
    fn most_telling(&self, posterior: &[f64]) -> Option<u32> {
        let mut below = 0.0;
        let mut best: Option<(f64, u32)> = None;
        for (index, p) in posterior
            .iter()
            .enumerate()
            .take(posterior.len().saturating_sub(1))
        {
            below += p;
            let patch = index + 1;
            // A patch that has shown it already, or that no candidate separates, tells nothing new.
            if self.broken[patch] || self.seen[patch].hits > 0 || below <= 0.0 {
                continue;
            }
            let balance = (below - 0.5).abs();
            if best.is_none_or(|(b, _)| balance < b) {
                best = Some((balance, patch as u32));
            }
        }
        best.map(|(_, patch)| patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hit(seconds: f64) -> Exposure {
        Exposure {
            hits: 1,
            seconds,
            runs: 1,
        }
    }
    fn quiet(seconds: f64) -> Exposure {
        Exposure {
            hits: 0,
            seconds,
            runs: 1,
        }
    }

    /// Drives a search in a world where the culprit hits after 2 s and all else is quiet for 40 s.
    fn search(patches: u32, culprit: u32, broken: &[u32]) -> (Step, u32) {
        let mut bisect = Bisect::new(patches, 0.95);
        bisect.record(0, quiet(40.0));
        bisect.record(patches, hit(2.0));
        for looks in 0..200 {
            match bisect.next_step() {
                Step::Evaluate { patch } if broken.contains(&patch) => bisect.broken(patch),
                Step::Evaluate { patch } => {
                    bisect.record(
                        patch,
                        if patch >= culprit {
                            hit(2.0)
                        } else {
                            quiet(40.0)
                        },
                    );
                }
                end => return (end, looks),
            }
        }
        panic!("the search does not end");
    }

    #[test]
    fn a_sure_finding_in_four_patches_takes_two_or_three_looks() {
        let (end, looks) = search(4, 3, &[]);
        assert!(
            matches!(end, Step::Done { patch: 3, probability } if probability > 0.95),
            "{end:?}"
        );
        assert!(looks <= 4, "{looks}");
    }

    #[test]
    fn a_single_patch_needs_no_look() {
        assert!(matches!(
            search(1, 1, &[]),
            (Step::Done { patch: 1, .. }, 0)
        ));
    }

    #[test]
    fn neighbours_of_a_broken_patch_cannot_be_told_apart() {
        assert_eq!(search(3, 2, &[2, 1]).0, Step::Stuck);
    }

    #[test]
    fn without_any_hit_there_is_nothing_to_search() {
        assert_eq!(Bisect::new(4, 0.95).next_step(), Step::Stuck);
    }

    proptest! {
        #[test]
        fn names_the_culprit_wherever_it_is(patches in 1u32..40, at in 0.0f64..1.0) {
            let culprit = 1 + (f64::from(patches - 1) * at) as u32;
            let (end, _) = search(patches, culprit, &[]);
            let found = matches!(end, Step::Done { patch, .. } if patch == culprit);
            prop_assert!(found, "{:?} instead of {}", end, culprit);
        }

        #[test]
        fn the_posterior_sums_to_one_and_keeps_out_what_a_hit_excludes(
            seen in prop::collection::vec((0u32..3, 0.0f64..100.0), 2..20)
        ) {
            let mut bisect = Bisect::new(seen.len() as u32, 0.95);
            for (i, (hits, seconds)) in seen.iter().enumerate() {
                bisect.record(i as u32 + 1, Exposure { hits: *hits, seconds: *seconds, runs: 1 });
            }
            let posterior = bisect.posterior();
            let first = seen.iter().position(|s| s.0 > 0);
            let sum: f64 = posterior.iter().sum();
            match first {
                None => prop_assert_eq!(sum, 0.0),
                Some(first) => {
                    prop_assert!((sum - 1.0).abs() < 1e-9);
                    prop_assert!(posterior[first + 1..].iter().all(|p| *p == 0.0));
                }
            }
        }
    }
}
