// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger's lines: what is remembered of each build and each boot.

use crate::finding::{Class, Weight};
use crate::outcome::{Blame, BootOutcome};
use crate::stats::Exposure;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Format of the lines of `runs.jsonl`.
pub const LEDGER_FORMAT: u32 = 1;

/// One line of `runs.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Line {
    /// A kernel was asked for.
    Build(BuildRecord),
    /// A kernel was booted.
    Run(RunRecord),
}

impl Line {
    /// Folder of the build or boot, which names it within its set.
    pub fn id(&self) -> &str {
        match self {
            Line::Build(build) => &build.id,
            Line::Run(run) => &run.id,
        }
    }

    /// Both tell the same end of the same build or boot.
    pub fn tells_same(&self, other: &Line) -> bool {
        match (self, other) {
            (Line::Build(a), Line::Build(b)) => (&a.id, &a.outcome) == (&b.id, &b.outcome),
            (Line::Run(a), Line::Run(b)) => (&a.id, &a.outcome) == (&b.id, &b.outcome),
            (Line::Build(_), Line::Run(_)) | (Line::Run(_), Line::Build(_)) => false,
        }
    }
}

/// What is remembered of a build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// [`LEDGER_FORMAT`].
    pub format: u32,
    /// Folder below `builds/`.
    pub id: String,
    /// Profile.
    pub profile: String,
    /// Patch of the series it ends with; 0: the base.
    pub patch: u32,
    /// Commit built.
    pub commit: String,
    /// Key of the kernel in the cache.
    pub key: String,
    /// Built, or why not, in a few words.
    pub outcome: String,
    /// A kernel came out.
    pub built: bool,
    /// Found ready.
    pub reused: bool,
    /// Wall seconds.
    pub seconds: f64,
}

/// What is remembered of a boot: enough to judge without opening its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`LEDGER_FORMAT`].
    pub format: u32,
    /// Folder below `runs/`.
    pub id: String,
    /// Profile.
    pub profile: String,
    /// Patch of the series its kernel ends with; 0: the base.
    pub patch: u32,
    /// Key of the kernel in the cache.
    pub key: String,
    /// Seed of its scenarios.
    pub seed: u64,
    /// How it ended.
    pub outcome: BootOutcome,
    /// Seconds that the guest's kernel ran.
    pub uptime: f64,
    /// What the scenarios did, in order.
    pub scenarios: Vec<ScenarioRecord>,
    /// Findings and suspicions.
    pub sightings: Vec<Sighting>,
    /// Wall seconds.
    pub seconds: f64,
    /// Set and run it was remembered from, if this is a control of another day.
    pub remembered: Option<String>,
}

/// One scenario of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioRecord {
    /// Name and filesystem: `lookup-storm/xfs`.
    pub name: String,
    /// Kernel time of its first operation, seconds; `None` if it never began.
    pub began: Option<f64>,
    /// Seconds it really ran.
    pub seconds: f64,
    /// Operations.
    pub ops: u64,
    /// `done`, `stopped`, `skipped: why`…
    pub ended: String,
}

/// One signature seen in a run (its first time).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Identity.
    pub signature: String,
    /// Class.
    pub class: Class,
    /// For people.
    pub title: String,
    /// The function that matters.
    pub function: Option<String>,
    /// Suspicion or finding.
    pub weight: Weight,
    /// Kernel time, seconds; the run's uptime where the console gave none.
    pub time: f64,
    /// Scenario (index) that ran then.
    pub scenario: Option<u32>,
    /// Came after another report: lockdep off, kernel tainted.
    pub after_first: bool,
}

impl RunRecord {
    /// May this run be counted: did the kernel, not the rig, decide how it ended?
    pub fn counts(&self) -> bool {
        self.outcome.blame() != Blame::Rig
            || self.sightings.iter().any(|s| s.weight == Weight::Finding)
    }

    /// The findings (not suspicions) of this run.
    pub fn findings(&self) -> impl Iterator<Item = &Sighting> {
        self.sightings
            .iter()
            .filter(|s| s.weight == Weight::Finding)
    }

    fn sighting(&self, signature: &str) -> Option<&Sighting> {
        self.findings().find(|s| s.signature == signature)
    }

    /// Seconds of the given scenarios that ran before kernel time `until`.
    fn scenario_seconds(&self, which: &BTreeSet<u32>, until: f64) -> f64 {
        which
            .iter()
            .filter_map(|index| self.scenarios.get(*index as usize))
            .filter_map(|s| s.began.map(|began| (until - began).clamp(0.0, s.seconds)))
            .sum()
    }
}

/// Where a signature shows: whenever the kernel runs, or only while some scenarios do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// It was seen outside any scenario: all uptime counts.
    Uptime,
    /// It was only seen while these scenarios (indices) ran: only their seconds count.
    Scenarios(BTreeSet<u32>),
}

/// The ground of a signature over all runs that saw it.
pub fn ground<'a>(signature: &str, runs: impl IntoIterator<Item = &'a RunRecord>) -> Ground {
    let mut which = BTreeSet::new();
    for sighting in runs.into_iter().filter_map(|run| run.sighting(signature)) {
        match sighting.scenario {
            Some(index) => which.insert(index),
            None => return Ground::Uptime,
        };
    }
    Ground::Scenarios(which)
}

/// Hits and seconds of a signature over runs; runs that the rig spoilt are left out.
pub fn exposure<'a>(
    signature: &str,
    ground: &Ground,
    runs: impl IntoIterator<Item = &'a RunRecord>,
) -> Exposure {
    let mut sum = Exposure::default();
    for run in runs.into_iter().filter(|run| run.counts()) {
        let sighting = run.sighting(signature);
        let until = sighting.map_or(run.uptime, |s| s.time.min(run.uptime));
        let seconds = match ground {
            Ground::Uptime => until,
            Ground::Scenarios(which) => run.scenario_seconds(which, until),
        };
        sum = sum.plus(Exposure {
            hits: u32::from(sighting.is_some()),
            seconds,
            runs: 1,
        });
    }
    sum
}
