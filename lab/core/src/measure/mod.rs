// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast a series is against its base: rates of each operation boot by boot, and whole distributions of latencies.
//!
//! Boots of both kernels are interleaved, so that what the host does meanwhile falls on both alike; a boot is one
//! sample. The change is the ratio of the medians, its interval by bootstrap (B. Efron, Annals of Statistics 7,
//! 1979), and whether there is any by the rank test of H. B. Mann and D. R. Whitney (Annals of Mathematical
//! Statistics 18, 1947).

mod change;
mod text;

pub use change::{Change, change};
pub use text::text;

use lab_wire::{Ended, Event, FromGuest, GuestJob};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format of `measures.json`.
pub const MEASURES_FORMAT: u32 = 1;

/// `measures.json`: what was measured of a series and its base under one profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    /// [`MEASURES_FORMAT`].
    pub format: u32,
    /// Profile.
    pub profile: String,
    /// Numbers, one sample a boot.
    pub samples: Vec<Samples>,
    /// Latencies, all boots of a side together.
    pub latencies: Vec<Latencies>,
}

/// One number of a scenario, boot by boot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Scenario and filesystem: `lookup-storm/tmpfs`.
    pub scenario: String,
    /// What, e.g. `ops-per-second`.
    pub name: String,
    /// Unit.
    pub unit: String,
    /// The base's boots, in their order.
    pub base: Vec<f64>,
    /// The series' boots.
    pub series: Vec<f64>,
}

/// Latencies of one operation: upper bounds of buckets (nanoseconds, rising) and counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Scenario and filesystem.
    pub scenario: String,
    /// Operation.
    pub op: String,
    /// Of the base.
    pub base: BTreeMap<u64, u64>,
    /// Of the series.
    pub series: BTreeMap<u64, u64>,
}

/// A boot that was measured: what it was to do, and what its agent told.
#[derive(Debug, Clone, Copy)]
pub struct Boot<'a> {
    /// The work.
    pub job: &'a GuestJob,
    /// The agent's words.
    pub events: &'a [FromGuest],
}

/// A side's samples on their way: by scenario and name.
type Gathered = BTreeMap<(String, String), (String, [Vec<f64>; 2])>;
/// A side's latencies on their way.
type Histograms = BTreeMap<(String, String), [BTreeMap<u64, u64>; 2]>;

/// Gathers what the boots of both sides measured. Scenarios that did not run their time are left out.
pub fn gather(profile: &str, base: &[Boot<'_>], series: &[Boot<'_>]) -> Measures {
    let (mut numbers, mut histograms) = (Gathered::new(), Histograms::new());
    for (side, boots) in [base, series].into_iter().enumerate() {
        for boot in boots {
            add(boot, side, &mut numbers, &mut histograms);
        }
    }
    let samples = numbers
        .into_iter()
        .map(|((scenario, name), (unit, [base, series]))| Samples {
            scenario,
            name,
            unit,
            base,
            series,
        });
    let latencies = histograms
        .into_iter()
        .map(|((scenario, op), [base, series])| Latencies {
            scenario,
            op,
            base,
            series,
        });
    Measures {
        format: MEASURES_FORMAT,
        profile: profile.to_owned(),
        samples: samples.collect(),
        latencies: latencies.collect(),
    }
}

fn add(boot: &Boot<'_>, side: usize, numbers: &mut Gathered, histograms: &mut Histograms) {
    for told in boot.events {
        match &told.event {
            Event::Measure {
                index,
                name,
                value,
                unit,
            } => {
                let Some(scenario) = whole(boot, *index) else {
                    continue;
                };
                let entry = numbers.entry((scenario, name.clone())).or_default();
                entry.0.clone_from(unit);
                entry.1[side].push(*value);
            }
            Event::Latencies { index, op, buckets } => {
                let Some(scenario) = whole(boot, *index) else {
                    continue;
                };
                let sides = histograms.entry((scenario, op.clone())).or_default();
                for (upper, count) in buckets {
                    *sides[side].entry(*upper).or_default() += count;
                }
            }
            _ => {}
        }
    }
}

/// Name of a scenario of the boot, if it ran its whole time.
fn whole(boot: &Boot<'_>, index: u32) -> Option<String> {
    let done = |told: &FromGuest| matches!(&told.event, Event::End { index: ended, how: Ended::Done, .. } if *ended == index);
    let scenario = boot.job.scenarios.get(index as usize)?;
    let name = format!("{}/{}", scenario.name, scenario.fs);
    boot.events.iter().any(done).then_some(name)
}

/// The latency that `part` (0 to 1) of all stay within, nanoseconds (a bucket's upper bound); `None` of nothing.
pub fn percentile(buckets: &BTreeMap<u64, u64>, part: f64) -> Option<u64> {
    let total: u64 = buckets.values().sum();
    let rank = ((total as f64 * part).ceil() as u64).clamp(1, total.max(1));
    let mut seen = 0;
    let within = buckets.iter().find(|(_, count)| {
        seen += *count;
        seen >= rank
    })?;
    Some(*within.0)
}

#[cfg(test)]
mod tests;
