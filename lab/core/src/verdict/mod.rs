// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the ledger to a verdict: what the series brings, what the base has too, and how sure that is.

mod assemble;
mod audit;
mod plan;
mod record;
mod warnings;
pub use assemble::{RunName, beyond_console, run_record};
pub use audit::audit_findings;
pub use plan::{Need, need};
pub use record::*;
pub use warnings::{NewWarning, new_warnings};

use crate::finding::{Class, Weight};
use crate::stats::{self, Exposure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format of `verdict.json`.
pub const VERDICT_FORMAT: u32 = 1;

/// What is said of one signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "call")]
pub enum Call {
    /// The series shows it, the base does not, and that is no chance.
    Regression,
    /// Both show it, the series significantly more often.
    Worse,
    /// The base shows it too.
    AlsoInBase,
    /// Only the base shows it: not reproduced with the series.
    NotReproduced,
    /// The series shows it, but the base was not watched long enough.
    Undecided {
        /// Quiet seconds of the base that would decide it.
        more_seconds: f64,
    },
}

/// One signature, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Identity.
    pub signature: String,
    /// Class.
    pub class: Class,
    /// For people.
    pub title: String,
    /// The function that matters.
    pub function: Option<String>,
    /// What is said of it.
    #[serde(flatten)]
    pub call: Call,
    /// Hits and seconds with the whole series.
    pub series: Exposure,
    /// Hits and seconds of the base.
    pub base: Exposure,
    /// Probability of this division of hits if both kernels were equal.
    pub p: f64,
    /// A run to look at.
    pub run: String,
    /// The first patch that shows it, if it was looked for.
    pub first_bad: Option<FirstBad>,
}

/// Which patch brought a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FirstBad {
    /// Number of the patch; of the most probable one where several are left.
    pub patch: u32,
    /// Its subject.
    pub subject: String,
    /// Posterior probability.
    pub probability: f64,
    /// Evidence by patch, 0 the base.
    pub seen: Vec<Exposure>,
    /// A run of that patch which shows it.
    pub run: Option<String>,
}

/// Judges every finding of the tip and of the base. `confidence` is what a regression needs (0.95).
pub fn judge(tip: &[&RunRecord], base: &[&RunRecord], confidence: f64) -> Vec<Judged> {
    let mut firsts: BTreeMap<&str, (&Sighting, &RunRecord)> = BTreeMap::new();
    for run in tip.iter().chain(base) {
        for sighting in run.findings() {
            firsts.entry(&sighting.signature).or_insert((sighting, run));
        }
    }
    let mut judged: Vec<Judged> = firsts
        .into_values()
        .map(|(sighting, run)| judge_one(sighting, run, tip, base, confidence))
        .collect();
    judged.sort_by(|a, b| rank(&a.call).cmp(&rank(&b.call)).then(a.p.total_cmp(&b.p)));
    judged
}

fn judge_one(
    sighting: &Sighting,
    run: &RunRecord,
    tip: &[&RunRecord],
    base: &[&RunRecord],
    confidence: f64,
) -> Judged {
    let signature = &sighting.signature;
    let ground = ground(signature, tip.iter().chain(base).copied());
    let series = exposure(signature, &ground, tip.iter().copied());
    let control = exposure(signature, &ground, base.iter().copied());
    let p = stats::p_more_often(series, control);
    Judged {
        signature: signature.clone(),
        class: sighting.class,
        title: sighting.title.clone(),
        function: sighting.function.clone(),
        call: call(series, control, p, 1.0 - confidence),
        series,
        base: control,
        p,
        run: run.id.clone(),
        first_bad: None,
    }
}

fn call(series: Exposure, base: Exposure, p: f64, alpha: f64) -> Call {
    match (series.hits, base.hits) {
        (0, _) => Call::NotReproduced,
        (_, 0) if p <= alpha => Call::Regression,
        (_, 0) => Call::Undecided {
            more_seconds: (stats::quiet_needed(series, alpha) - base.seconds).max(0.0),
        },
        // A rate that is known on both sides must differ clearly before it is called news.
        (_, _) if p <= alpha / 5.0 => Call::Worse,
        (_, _) => Call::AlsoInBase,
    }
}

fn rank(call: &Call) -> u8 {
    match call {
        Call::Regression => 0,
        Call::Worse => 1,
        Call::Undecided { .. } => 2,
        Call::AlsoInBase => 3,
        Call::NotReproduced => 4,
    }
}

/// One profile's part of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileVerdict {
    /// Profile.
    pub profile: String,
    /// Every signature, worst first.
    pub findings: Vec<Judged>,
    /// Suspicions: seen, not counted (`title`, run).
    pub suspicions: Vec<(String, String)>,
    /// Seconds of workload that the whole series ran.
    pub series_seconds: f64,
    /// Seconds of workload that the base ran.
    pub base_seconds: f64,
    /// What kept the lab from telling: a patch that does not build, rig trouble.
    pub trouble: Vec<Trouble>,
    /// Compiler warnings in files of the series that the base's build does not have.
    #[serde(default)]
    pub warnings: Vec<NewWarning>,
}

/// Why a profile could not be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "trouble")]
pub enum Trouble {
    /// The series does not build from this patch on.
    DoesNotBuild {
        /// Its number; 0: the base.
        patch: u32,
        /// Its subject.
        subject: String,
        /// The compiler's words.
        error: String,
    },
    /// The lab or the host failed.
    Rig {
        /// How.
        reason: String,
    },
    /// A scenario was not run.
    NotRun {
        /// Which and why.
        reason: String,
    },
}

/// The verdict of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// [`VERDICT_FORMAT`].
    pub format: u32,
    /// Name of the set.
    pub set: String,
    /// Series and version: `dcache-wakeup v1`.
    pub series: String,
    /// In a word.
    pub overall: Overall,
    /// Each profile.
    pub profiles: Vec<ProfileVerdict>,
}

/// The verdict in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overall {
    /// The series brings a finding (or makes one much more frequent).
    Regression,
    /// Nothing that the base does not have.
    NoRegression,
    /// Not enough was seen to say either.
    CannotTell,
}

/// The word for several profiles.
pub fn overall(profiles: &[ProfileVerdict]) -> Overall {
    let calls = || profiles.iter().flat_map(|p| &p.findings).map(|f| &f.call);
    if calls().any(|c| matches!(c, Call::Regression | Call::Worse)) {
        return Overall::Regression;
    }
    let blind = profiles.is_empty()
        || profiles.iter().any(|p| {
            p.series_seconds <= 0.0
                || p.trouble
                    .iter()
                    .any(|t| !matches!(t, Trouble::NotRun { .. }))
        });
    if blind || calls().any(|c| matches!(c, Call::Undecided { .. })) {
        return Overall::CannotTell;
    }
    Overall::NoRegression
}

/// Suspicions of some runs, each once, with a run to look at.
pub fn suspicions(runs: &[&RunRecord]) -> Vec<(String, String)> {
    let mut seen = BTreeMap::new();
    for run in runs {
        for s in run
            .sightings
            .iter()
            .filter(|s| s.weight == Weight::Suspicion)
        {
            seen.entry(s.title.clone())
                .or_insert_with(|| run.id.clone());
        }
    }
    seen.into_iter().collect()
}

#[cfg(test)]
mod tests;
