// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what was gathered of a profile to its part of the verdict, also long after: what a verdict counts is kept in the
//! set, so that it can be judged again without booting anything.

use super::search::{Next, Search};
use crate::error::{Error, Result};
use crate::store::{Manifest, Set, file};
use lab_core::job::{BuildOutcome, BuildReport};
use lab_core::outcome::BootOutcome;
use lab_core::verdict::{
    Call, Judged, NewWarning, ProfileVerdict, RunRecord, Trouble, VERDICT_FORMAT, Verdict, judge,
    overall, suspicions,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Format of `counted-PROFILE.json`.
const COUNTED_FORMAT: u32 = 1;

/// What was gathered of one profile.
#[derive(Debug, Clone, Default)]
pub(super) struct Evidence {
    /// Boots of the base, remembered ones among them.
    pub(super) base: Vec<RunRecord>,
    /// Boots of the whole series.
    pub(super) tip: Vec<RunRecord>,
    /// What kept the lab from telling, beyond what the boots themselves say.
    pub(super) trouble: Vec<Trouble>,
}

impl Evidence {
    /// Every finding, judged; no patch is named yet.
    pub(super) fn judged(&self, confidence: f64) -> Vec<Judged> {
        judge(&refs(&self.tip), &refs(&self.base), confidence)
    }

    /// The profile's part of the verdict.
    pub(super) fn verdict(
        self,
        profile: &str,
        findings: Vec<Judged>,
        warnings: Vec<NewWarning>,
    ) -> ProfileVerdict {
        let (tip, base) = (refs(&self.tip), refs(&self.base));
        let mut trouble = self.trouble.clone();
        trouble.extend(rig_trouble(&tip));
        trouble.extend(rig_trouble(&base));
        trouble.extend(not_run(&tip));
        ProfileVerdict {
            profile: profile.to_owned(),
            findings,
            suspicions: suspicions(&tip),
            series_seconds: workload_seconds(&tip),
            base_seconds: workload_seconds(&base),
            trouble,
            warnings,
        }
    }
}

/// The verdict of a set over its profiles.
pub(super) fn verdict(manifest: &Manifest, profiles: Vec<ProfileVerdict>) -> Verdict {
    Verdict {
        format: VERDICT_FORMAT,
        set: manifest.set.clone(),
        series: format!("{} v{}", manifest.series, manifest.version),
        overall: overall(&profiles),
        profiles,
    }
}

pub(super) fn refs(runs: &[RunRecord]) -> Vec<&RunRecord> {
    runs.iter().collect()
}

fn workload_seconds(runs: &[&RunRecord]) -> f64 {
    runs.iter()
        .flat_map(|run| &run.scenarios)
        .map(|s| s.seconds)
        .sum()
}

/// Runs that the rig spoilt make the verdict a poorer one; they are said, not swept up.
fn rig_trouble(runs: &[&RunRecord]) -> Vec<Trouble> {
    runs.iter()
        .filter(|run| !run.counts())
        .map(|run| Trouble::Rig {
            reason: format!("run {}: {}", run.id, run.outcome),
        })
        .collect()
}

/// Scenarios that were skipped or failed, but for those that a run ended by its first finding did not come to.
fn not_run(runs: &[&RunRecord]) -> Vec<Trouble> {
    let mut said: Vec<String> = runs
        .iter()
        .filter(|run| run.outcome != BootOutcome::StoppedAtHit)
        .flat_map(|run| &run.scenarios)
        .filter(|s| s.ended.starts_with("skipped") || s.ended.starts_with("failed"))
        .map(|s| format!("{}: {}", s.name, s.ended))
        .collect();
    said.sort();
    said.dedup();
    said.into_iter()
        .map(|reason| Trouble::NotRun { reason })
        .collect()
}

/// What a profile's part of the verdict counts: `counted-PROFILE.json`. Boots of the set stand there by name, those
/// remembered from other sets as they were.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Format, 1.
    format: u32,
    /// Boots of the base in this set.
    base: Vec<String>,
    /// Boots of the base that were remembered, which came first.
    remembered: Vec<RunRecord>,
    /// Boots of the whole series.
    series: Vec<String>,
    /// What kept the lab from telling, beyond what the boots say.
    trouble: Vec<Trouble>,
}

impl Counted {
    pub(super) fn of(evidence: &Evidence) -> Self {
        let ids = |runs: &[RunRecord]| {
            let own = runs.iter().filter(|run| run.remembered.is_none());
            own.map(|run| run.id.clone()).collect()
        };
        let remembered = evidence.base.iter().filter(|run| run.remembered.is_some());
        Self {
            format: COUNTED_FORMAT,
            base: ids(&evidence.base),
            remembered: remembered.cloned().collect(),
            series: ids(&evidence.tip),
            trouble: evidence.trouble.clone(),
        }
    }

    pub(super) fn keep(&self, set: &Set, profile: &str) -> Result<()> {
        file::write_json(&Self::file(set, profile), self)
    }

    fn file(set: &Set, profile: &str) -> PathBuf {
        set.folder().join(format!("counted-{profile}.json"))
    }

    /// What the verdict of a set counts of a profile.
    ///
    /// # Errors
    /// When the set does not say: its verdict was not reached, or by a lab that did not keep this.
    fn read(set: &Set, profile: &str) -> Result<Self> {
        let path = Self::file(set, profile);
        let name = &set.manifest().set;
        let again = format!("`lab run --resume {name}` judges it, and keeps that");
        let counted: Self = file::read_json(&path)?.ok_or_else(|| {
            Error::rig(format!(
                "{name} does not say which boots its verdict counts under {profile}"
            ))
            .hint(again)
        })?;
        if counted.format > COUNTED_FORMAT {
            return Err(Error::usage(format!(
                "{} has format {}, this lab knows {COUNTED_FORMAT}",
                path.display(),
                counted.format
            ))
            .hint("use the lab that wrote it, or a newer one"));
        }
        Ok(counted)
    }

    /// The evidence, with the boots as they are told now.
    fn evidence(self, runs: &BTreeMap<String, RunRecord>) -> Result<Evidence> {
        let named = |ids: Vec<String>| {
            ids.into_iter()
                .map(|id| match runs.get(&id) {
                    Some(run) => Ok(run.clone()),
                    None => Err(Error::rig(format!(
                        "the verdict counts the run {id}, which the ledger does not have"
                    ))),
                })
                .collect::<Result<Vec<_>>>()
        };
        let mut base = self.remembered;
        base.extend(named(self.base)?);
        Ok(Evidence {
            base,
            tip: named(self.series)?,
            trouble: self.trouble,
        })
    }
}

/// A verdict that was made again, and what another boot would add to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Boots that were not made and that its search for the first bad patch asks for.
    pub wanted: Vec<String>,
}

/// Judges a set again from its ledger and what its verdict counts: the same boots, the same search, nothing booted.
/// What builds said (trouble, warnings) stays as it stands in `before`.
///
/// # Errors
/// When the set does not say what its verdict counts, or misses a run that it does.
pub fn judge_again(
    set: &Set,
    before: &Verdict,
    runs: &BTreeMap<String, RunRecord>,
) -> Result<Judgement> {
    let manifest = set.manifest();
    let mut wanted = Vec::new();
    let mut profiles = Vec::new();
    for line in &manifest.profiles {
        let evidence = Counted::read(set, &line.name)?.evidence(runs)?;
        let mut findings = evidence.judged(manifest.options.confidence);
        for finding in findings.iter_mut().filter(|f| f.call == Call::Regression) {
            let mut search = Search::new(manifest, &evidence, &finding.signature);
            finding.first_bad = loop {
                let (patch, number) = match search.wants() {
                    Next::Named(named) => break named,
                    Next::Boot { patch, number } => (patch, number),
                };
                let id = format!("{}-{patch:04}-{number:02}", line.name);
                match runs.get(&id) {
                    Some(run) => search.ran(patch, run.clone()),
                    // A patch without a kernel was passed over then, too.
                    None => {
                        if has_kernel(set, &line.name, patch)? {
                            wanted.push(id);
                        }
                        search.broken(patch);
                    }
                }
            };
        }
        let warnings = before.profiles.iter().find(|p| p.profile == line.name);
        let warnings = warnings.map_or(Vec::new(), |p| p.warnings.clone());
        profiles.push(evidence.verdict(&line.name, findings, warnings));
    }
    Ok(Judgement {
        verdict: verdict(manifest, profiles),
        wanted,
    })
}

/// Whether a patch of a set was not found to be without a kernel.
fn has_kernel(set: &Set, profile: &str, patch: u32) -> Result<bool> {
    let path = set
        .build_folder(&format!("{profile}-{patch:04}"))
        .join("build.json");
    let report = file::read_json::<BuildReport>(&path)?;
    Ok(report.is_none_or(|report| report.outcome == BuildOutcome::Built))
}
