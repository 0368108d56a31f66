// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which patch it was: drives the search over the series' patches.

use super::Corridor;
use super::judge::Evidence;
use crate::error::Result;
use crate::store::Manifest;
use lab_core::bisect::{Bisect, Step};
use lab_core::job::BuildOutcome;
use lab_core::profile::Profile;
use lab_core::stats::Exposure;
use lab_core::verdict::{FirstBad, RunRecord, Trouble, exposure, ground};
use std::collections::BTreeMap;

/// Boots of one patch at most, in one search.
const MOST_BOOTS_A_PATCH: u32 = 6;

/// What a search needs next.
pub(super) enum Next {
    /// The `number`th boot of a patch.
    Boot {
        /// The patch.
        patch: u32,
        /// Which of its boots.
        number: u32,
    },
    /// Nothing: this patch is named, or none can be.
    Named(Option<FirstBad>),
}

/// The search for the patch that brings a signature, as a value: says what it needs, is told how it went.
pub(super) struct Search<'a> {
    manifest: &'a Manifest,
    signature: &'a str,
    runs: BTreeMap<u32, Vec<RunRecord>>,
    broken: Vec<u32>,
}

impl<'a> Search<'a> {
    /// Begins with the boots of both ends.
    pub(super) fn new(manifest: &'a Manifest, evidence: &Evidence, signature: &'a str) -> Self {
        let mut runs: BTreeMap<u32, Vec<RunRecord>> = BTreeMap::new();
        runs.insert(0, evidence.base.clone());
        runs.insert(manifest.patches.len() as u32, evidence.tip.clone());
        Self {
            manifest,
            signature,
            runs,
            broken: Vec::new(),
        }
    }

    /// What it needs next.
    pub(super) fn wants(&mut self) -> Next {
        loop {
            let bisect = self.weigh();
            let Step::Evaluate { patch } = bisect.next_step() else {
                return Next::Named(self.named(&bisect));
            };
            let number = self.runs.get(&patch).map_or(0, Vec::len) as u32 + 1;
            if number <= MOST_BOOTS_A_PATCH {
                return Next::Boot { patch, number };
            }
            self.broken.push(patch);
        }
    }

    /// There is no kernel of this patch, or no more boots of it.
    pub(super) fn broken(&mut self, patch: u32) {
        self.broken.push(patch);
    }

    /// A boot that was asked for was made.
    pub(super) fn ran(&mut self, patch: u32, run: RunRecord) {
        self.runs.entry(patch).or_default().push(run);
    }

    fn tip(&self) -> u32 {
        self.manifest.patches.len() as u32
    }

    fn weigh(&self) -> Bisect {
        let mut bisect = Bisect::new(self.tip(), self.manifest.options.confidence);
        let ground = ground(self.signature, self.runs.values().flatten());
        for (patch, runs) in &self.runs {
            bisect.record(*patch, exposure(self.signature, &ground, runs));
        }
        self.broken.iter().for_each(|patch| bisect.broken(*patch));
        bisect
    }

    fn named(&self, bisect: &Bisect) -> Option<FirstBad> {
        let (signature, runs) = (self.signature, &self.runs);
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
            subject: self.manifest.patches[index].subject.clone(),
            probability,
            seen,
            run,
        })
    }
}

impl Corridor<'_> {
    /// Searches the patch that brings a signature. `None` if no patch can be named.
    pub(super) async fn first_bad(
        &self,
        profile: &Profile,
        evidence: &Evidence,
        signature: &str,
    ) -> Result<Option<FirstBad>> {
        let until_hit = evidence
            .base
            .iter()
            .all(|run| run.findings().next().is_none());
        let mut search = Search::new(self.manifest(), evidence, signature);
        loop {
            let (patch, number) = match search.wants() {
                Next::Named(named) => return Ok(named),
                Next::Boot { patch, number } => (patch, number),
            };
            let built = self.kernel(profile, patch).await?;
            if built.outcome != BuildOutcome::Built {
                search.broken(patch);
                continue;
            }
            let run = self.boot(profile, patch, &built, number, until_hit);
            search.ran(patch, run.await?);
        }
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
