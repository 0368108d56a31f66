// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measurements as people read them.

use super::{Change, Measures, Samples, change, percentile};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Percentiles shown of a latency.
const PARTS: [f64; 3] = [0.5, 0.99, 0.999];

/// The speeds of each scenario with their changes, and the latencies of those operations that ran.
pub fn text(measures: &Measures) -> String {
    let boots = |of: fn(&Samples) -> usize| measures.samples.iter().map(of).max().unwrap_or(0);
    let (base, series) = (boots(|s| s.base.len()), boots(|s| s.series.len()));
    let mut out = format!(
        "{}: measured over {series} boots with the series and {base} of the base, interleaved\n",
        measures.profile
    );
    let rates = measures.samples.iter().filter(|s| s.unit == "1/s");
    for samples in rates {
        if let Some(told) = change(&samples.base, &samples.series) {
            out.push_str(&line(samples, &told));
        }
    }
    out.push_str("  latency in us, base -> series: median, 99%, 99.9%\n");
    for op in &measures.latencies {
        let shown = |side: &BTreeMap<u64, u64>| {
            let us = PARTS.map(|part| percentile(side, part).map_or(0.0, |ns| ns as f64 / 1e3));
            us.map(|us| format!("{us:.1}")).join(" ")
        };
        let name = format!("{} {}", op.scenario, op.op);
        let _infallible = writeln!(
            out,
            "  {name:44} {} -> {}",
            shown(&op.base),
            shown(&op.series)
        );
    }
    out
}

fn line(samples: &Samples, told: &Change) -> String {
    let name = format!("{} {}", samples.scenario, samples.name);
    let Change {
        base,
        series,
        ratio,
        interval: (low, high),
        p,
    } = told;
    let word = if *p < 0.05 { "changed" } else { "" };
    let line = format!(
        "  {name:44} {base:>10.1} -> {series:>10.1}  x{ratio:.3} ({low:.3} to {high:.3}), p {p:.3} {word}"
    );
    format!("{}\n", line.trim_end())
}
