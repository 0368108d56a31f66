// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which patch it was: drives the search over the series' patches.

use super::Corridor;
use super::matrix::Evidence;
use crate::error::Result;
use lab_core::bisect::{Bisect, Step};
use lab_core::job::BuildOutcome;
use lab_core::profile::Profile;
use lab_core::stats::Exposure;
use lab_core::verdict::{FirstBad, RunRecord, Trouble, exposure, ground};
use std::collections::BTreeMap;

/// Boots of one patch at most, in one search.
const MOST_BOOTS_A_PATCH: u32 = 6;

impl Corridor<'_> {
    /// Searches the patch that brings a signature. `None` if no patch can be named.
    pub(super) async fn first_bad(
        &self,
        profile: &Profile,
        evidence: &Evidence,
        signature: &str,
    ) -> Result<Option<FirstBad>> {
        let mut runs: BTreeMap<u32, Vec<RunRecord>> = BTreeMap::new();
        runs.insert(0, evidence.base.clone());
        runs.insert(self.tip(), evidence.tip.clone());
        let until_hit = evidence
            .base
            .iter()
            .all(|run| run.findings().next().is_none());
        let mut broken: Vec<u32> = Vec::new();
        loop {
            let bisect = self.weigh(&runs, &broken, signature);
            let patch = match bisect.next_step() {
                Step::Evaluate { patch } => patch,
                Step::Done { .. } | Step::Stuck => {
                    return Ok(self.named(&bisect, &runs, signature));
                }
            };
            let built = self.kernel(profile, patch).await?;
            let so_far = runs.entry(patch).or_default();
            let number = so_far.len() as u32 + 1;
            if built.outcome != BuildOutcome::Built || number > MOST_BOOTS_A_PATCH {
                broken.push(patch);
                continue;
            }
            so_far.push(self.boot(profile, patch, &built, number, until_hit).await?);
        }
    }

    fn weigh(
        &self,
        runs: &BTreeMap<u32, Vec<RunRecord>>,
        broken: &[u32],
        signature: &str,
    ) -> Bisect {
        let mut bisect = Bisect::new(self.tip(), self.manifest().options.confidence);
        let ground = ground(signature, runs.values().flatten());
        for (patch, runs) in runs {
            bisect.record(*patch, exposure(signature, &ground, runs));
        }
        broken.iter().for_each(|patch| bisect.broken(*patch));
        bisect
    }

    fn named(
        &self,
        bisect: &Bisect,
        runs: &BTreeMap<u32, Vec<RunRecord>>,
        signature: &str,
    ) -> Option<FirstBad> {
        let posterior = bisect.posterior();
        let (index, probability) = posterior
            .iter()
            .copied()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, p)| *p > 0.0)?;
        let patch = index as u32 + 1;
        let ground = ground(signature, runs.values().flatten());
        let none = Vec::new();
        let seen: Vec<Exposure> = (0..=self.tip())
            .map(|p| exposure(signature, &ground, runs.get(&p).unwrap_or(&none)))
            .collect();
        let run = runs
            .get(&patch)
            .and_then(|all| {
                all.iter()
                    .find(|r| r.findings().any(|s| s.signature == signature))
            })
            .map(|run| run.id.clone());
        Some(FirstBad {
            patch,
            subject: self.subject(patch).to_owned(),
            probability,
            seen,
            run,
        })
    }

    /// The first patch that does not build, when the whole series does not: by halving, since the base
    /// builds and the tip does not.
    pub(super) async fn first_broken(&self, profile: &Profile) -> Result<Trouble> {
        let (mut good, mut bad) = (0, self.tip());
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            let report = self.kernel(profile, middle).await?;
            match report.outcome {
                BuildOutcome::Built => good = middle,
                BuildOutcome::Broken { .. } => bad = middle,
                _ => return Ok(self.does_not_build(middle, &report)),
            }
        }
        let report = self.kernel(profile, bad).await?;
        Ok(self.does_not_build(bad, &report))
    }
}
