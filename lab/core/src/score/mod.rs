// SPDX-License-Identifier: MIT OR Apache-2.0
//! The score: how many known bugs the lab finds, how soon, and how often it cries wolf.
//!
//! A seeded bug is a series that brings one bug back, with a description of what should find it ([`Bug`]). Each
//! is booted a number of times; an [`Attempt`] says what one boot showed, a [`Score`] is all of them together.

mod bug;
mod table;

pub use bug::{Bug, read as read_bug};
pub use table::{markdown, text};

use crate::finding::Class;
use crate::stats::{self, Exposure};
use crate::verdict::RunRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format of `score.json`.
pub const SCORE_FORMAT: u32 = 1;

/// What one boot of a buggy kernel showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Folder of the boot below `runs/`.
    pub run: String,
    /// A finding came.
    pub found: bool,
    /// Seconds of workload until the first finding; of the whole boot where there was none.
    pub seconds: f64,
    /// Class of the first finding.
    pub class: Option<Class>,
    /// Its title.
    pub title: Option<String>,
    /// Its identity; unknown in scores made before it was kept.
    #[serde(default)]
    pub signature: Option<String>,
    /// Scenario that ran then: `rcu-walk/tmpfs`.
    pub scenario: Option<String>,
    /// A finding of a class that was wanted came.
    pub class_right: bool,
    /// A finding of a class that was wanted named a function that was wanted.
    pub function_right: bool,
    /// The rig spoilt the boot: it counts for nothing.
    pub spoilt: Option<String>,
}

impl Attempt {
    /// A boot that the rig could not make.
    pub fn spoilt(why: String) -> Self {
        Self {
            run: String::new(),
            found: false,
            seconds: 0.0,
            class: None,
            title: None,
            signature: None,
            scenario: None,
            class_right: false,
            function_right: false,
            spoilt: Some(why),
        }
    }
}

/// Judges one boot of a bug's kernel.
pub fn attempt(bug: &Bug, record: &RunRecord) -> Attempt {
    let first = record.findings().min_by(|a, b| a.time.total_cmp(&b.time));
    let until = first.map_or(f64::INFINITY, |f| f.time);
    let wanted = |class: Class| bug.class.contains(&class);
    let right = |f: &crate::verdict::Sighting| {
        wanted(f.class)
            && (bug.function.is_empty()
                // An oracle sees an answer, an audit a state: neither sees a function.
                || matches!(f.class, Class::WrongResult | Class::DcacheAudit)
                || f.function
                    .as_ref()
                    .is_some_and(|f| bug.function.contains(f)))
    };
    let scenario = first.and_then(|f| f.scenario);
    Attempt {
        run: record.id.clone(),
        found: first.is_some(),
        seconds: workload_until(record, until),
        class: first.map(|f| f.class),
        title: first.map(|f| f.title.clone()),
        signature: first.map(|f| f.signature.clone()),
        scenario: scenario
            .and_then(|index| record.scenarios.get(index as usize))
            .map(|s| s.name.clone()),
        class_right: record.findings().any(|f| wanted(f.class)),
        function_right: record.findings().any(right),
        spoilt: (!record.counts()).then(|| record.outcome.to_string()),
    }
}

/// Seconds of workload before a moment of kernel time.
fn workload_until(record: &RunRecord, until: f64) -> f64 {
    let part = |s: &crate::verdict::ScenarioRecord| {
        s.began.map(|began| (until - began).clamp(0.0, s.seconds))
    };
    record.scenarios.iter().filter_map(part).sum()
}

/// All boots of one bug under one profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Folder of the bug.
    pub bug: String,
    /// One sentence.
    pub title: String,
    /// Profile.
    pub profile: String,
    /// Scenario that is expected to find it.
    pub scenario: String,
    /// No console line is expected.
    pub silent: bool,
    /// Why there is no kernel; then nothing was booted.
    pub no_kernel: Option<String>,
    /// The boots.
    pub attempts: Vec<Attempt>,
    /// The same kernel under another scenario that is compared with.
    pub against: Vec<Attempt>,
}

impl Row {
    /// Boots that count.
    pub fn counted(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|a| a.spoilt.is_none())
    }

    /// Found in at least half of the boots that count.
    pub fn is_found(&self) -> bool {
        let (found, all) = (self.hits(), self.counted().count());
        found > 0 && 2 * found >= all
    }

    /// Boots that found it.
    pub fn hits(&self) -> usize {
        self.counted().filter(|a| a.found).count()
    }

    /// The signatures of the first findings, each with the boots that showed it, the commonest first. One bug should
    /// have one.
    pub fn signatures(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for signature in self.counted().filter_map(|a| a.signature.as_deref()) {
            *counts.entry(signature).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, boots)| std::cmp::Reverse(*boots));
        counts
    }

    /// Median seconds to the first hit over all boots that count; a boot without a hit counts as longer than any.
    /// `None` where it lies among those.
    pub fn median(&self) -> Option<f64> {
        quantile(self.counted(), 0.5)
    }

    /// How many times sooner than the scenario compared with: the ratio of the rates, hits over seconds; the lower
    /// bound of it where the other had no hit at all.
    pub fn times_sooner(&self) -> Option<Ratio> {
        let (own, other) = (exposure(self.counted()), exposure(counting(&self.against)));
        if own.hits == 0 || other.runs == 0 {
            return None;
        }
        let rate = |e: Exposure| f64::from(e.hits.max(1)) / e.seconds.max(0.1);
        Some(Ratio {
            times: rate(own) / rate(other),
            at_least: other.hits == 0,
        })
    }
}

/// A ratio of two speeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// How many times.
    pub times: f64,
    /// The slower one never came to its end: it is this or more.
    pub at_least: bool,
}

/// Boots of the clean kernel under one profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clean {
    /// Profile.
    pub profile: String,
    /// Boots that count.
    pub boots: u32,
    /// Scenarios that ran in them, each on each filesystem.
    pub scenarios: u32,
    /// Seconds of workload.
    pub seconds: f64,
    /// Findings: the run and the title. Each is a false alarm, or a bug of the base.
    pub findings: Vec<(String, String)>,
    /// Boots that the rig spoilt, and scenarios that could not run, each with its reason.
    pub trouble: Vec<String>,
}

/// `score.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// [`SCORE_FORMAT`].
    pub format: u32,
    /// When it was begun, RFC 3339, UTC.
    pub begun: String,
    /// Kernel version of the base.
    pub kernel: String,
    /// Machine, in a line.
    pub machine: String,
    /// Seconds of workload a boot at most.
    pub seconds: u32,
    /// Boots of each bug.
    pub repeat: u32,
    /// Scenario that was compared with, if any.
    pub against: Option<String>,
    /// The bugs.
    pub rows: Vec<Row>,
    /// The clean kernel.
    pub clean: Vec<Clean>,
}

/// The score in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Bugs found.
    pub found: usize,
    /// Bugs; one whose kernel does not build is not found.
    pub bugs: usize,
    /// Share of the boots of found bugs in which the class was right.
    pub class_right: f64,
    /// The same for the function.
    pub function_right: f64,
    /// Bugs whose hits all have one signature, and bugs with a hit whose signature is known.
    pub one_signature: (usize, usize),
    /// Median of the seconds to the first hit, over all boots; `None` where most found nothing.
    pub median: Option<f64>,
    /// Nine boots of ten were sooner.
    pub p90: Option<f64>,
    /// False alarms in clean boots.
    pub false_findings: usize,
    /// Clean boots.
    pub clean_boots: u32,
    /// Median over the bugs of how many times sooner than the scenario compared with.
    pub times_sooner: Option<Ratio>,
}

impl Score {
    /// The score in numbers.
    pub fn summary(&self) -> Summary {
        let rows = &self.rows;
        let all = || rows.iter().flat_map(|row| row.counted());
        let hits = all().filter(|a| a.found).count();
        let share = |right: fn(&Attempt) -> bool| {
            all().filter(|a| a.found && right(a)).count() as f64 / hits.max(1) as f64
        };
        let mut ratios: Vec<Ratio> = rows.iter().filter_map(|r| r.times_sooner()).collect();
        ratios.sort_by(|a, b| a.times.total_cmp(&b.times));
        Summary {
            found: rows.iter().filter(|row| row.is_found()).count(),
            bugs: rows.len(),
            class_right: share(|a| a.class_right),
            function_right: share(|a| a.function_right),
            one_signature: one_signature(rows),
            median: quantile(all(), 0.5),
            p90: quantile(all(), 0.9),
            false_findings: self.clean.iter().map(|c| c.findings.len()).sum(),
            clean_boots: self.clean.iter().map(|c| c.boots).sum(),
            times_sooner: ratios.get(ratios.len() / 2).copied(),
        }
    }
}

fn one_signature(rows: &[Row]) -> (usize, usize) {
    let kinds: Vec<usize> = rows.iter().map(|row| row.signatures().len()).collect();
    let count = |of: fn(&&usize) -> bool| kinds.iter().filter(of).count();
    (count(|kinds| **kinds == 1), count(|kinds| **kinds > 0))
}

fn counting(attempts: &[Attempt]) -> impl Iterator<Item = &Attempt> {
    attempts.iter().filter(|a| a.spoilt.is_none())
}

fn exposure<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Exposure {
    attempts.fold(Exposure::default(), |sum, a| {
        sum.plus(Exposure {
            hits: u32::from(a.found),
            seconds: a.seconds,
            runs: 1,
        })
    })
}

/// The quantile of the times to the first hit, boots without one being the longest; `None` where it lies there.
fn quantile<'a>(attempts: impl Iterator<Item = &'a Attempt>, part: f64) -> Option<f64> {
    let mut times: Vec<f64> = attempts
        .map(|a| if a.found { a.seconds } else { f64::INFINITY })
        .collect();
    times.sort_by(f64::total_cmp);
    stats::nearest_rank(&times, part).filter(|t| t.is_finite())
}

/// Adds up the boots of a clean kernel.
pub fn clean(profile: &str, records: &[RunRecord]) -> Clean {
    let counted: Vec<&RunRecord> = records.iter().filter(|r| r.counts()).collect();
    let began = |r: &&RunRecord| r.scenarios.iter().filter(|s| s.began.is_some()).count() as u32;
    let mut trouble: Vec<String> = records
        .iter()
        .filter(|r| !r.counts())
        .map(|r| format!("{}: {}", r.id, r.outcome))
        .collect();
    let not_run = counted.iter().flat_map(|r| {
        let out = |ended: &str| ended.starts_with("skipped") || ended.starts_with("failed");
        let of = r.scenarios.iter().filter(move |s| out(&s.ended));
        of.map(|s| format!("{}: {}", s.name, s.ended))
    });
    trouble.extend(not_run);
    trouble.sort();
    trouble.dedup();
    Clean {
        profile: profile.to_owned(),
        boots: counted.len() as u32,
        scenarios: counted.iter().map(began).sum(),
        seconds: counted
            .iter()
            .map(|r| workload_until(r, f64::INFINITY))
            .sum(),
        findings: counted
            .iter()
            .flat_map(|r| r.findings().map(|f| (r.id.clone(), f.title.clone())))
            .collect(),
        trouble,
    }
}

#[cfg(test)]
mod tests;
