// SPDX-License-Identifier: MIT OR Apache-2.0
//! A score as people read it: at the terminal and as Markdown for the documentation.

use super::{Clean, Ratio, Row, Score, Summary};
use std::fmt::Write;

/// Columns of the table.
const HEAD: [&str; 10] = [
    "bug",
    "profile",
    "scenario",
    "found",
    "median s",
    "class",
    "function",
    "signatures",
    "first finding",
    "sooner",
];

/// The score for a terminal.
pub fn text(score: &Score) -> String {
    let mut rows: Vec<Vec<String>> = vec![HEAD.iter().map(|h| (*h).to_owned()).collect()];
    rows.extend(score.rows.iter().map(cells));
    if score.against.is_none() {
        rows.iter_mut().for_each(|row| row.truncate(HEAD.len() - 1));
    }
    let mut out = String::new();
    if rows.len() > 1 {
        for row in &rows {
            out.push_str(&aligned(row, &widths(&rows)));
        }
        out.push('\n');
    }
    out.push_str(&closing(score));
    out
}

/// The score for the documentation.
pub fn markdown(score: &Score) -> String {
    let columns = HEAD.len() - usize::from(score.against.is_none());
    let line = |cells: &[String]| format!("| {} |\n", cells[..columns].join(" | "));
    let mut out = format!(
        "Kernel {}, {}, {} boots of up to {} s of workload for each bug. {}.\n\n",
        score.kernel, score.machine, score.repeat, score.seconds, score.begun
    );
    out.push_str(&line(&HEAD.map(str::to_owned)));
    out.push_str(&format!("|{}\n", " --- |".repeat(columns)));
    for row in &score.rows {
        let cells: Vec<String> = cells(row).iter().map(|c| c.replace('|', "\\|")).collect();
        out.push_str(&line(&cells));
    }
    out.push('\n');
    for words in closing(score).lines().filter(|line| !line.is_empty()) {
        out.push_str(&format!("- {}\n", words.trim()));
    }
    out
}

fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    (0..HEAD.len()).map(width).collect()
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths);
    let line: Vec<String> = cells
        .map(|(cell, width)| format!("{cell:width$}"))
        .collect();
    format!("{}\n", line.join("  ").trim_end())
}

fn cells(row: &Row) -> Vec<String> {
    let all = row.counted().count();
    let of = |n: usize| format!("{n}/{all}");
    let first = row.counted().find(|a| a.found);
    let found = match &row.no_kernel {
        Some(_) => "no kernel".to_owned(),
        None => of(row.hits()),
    };
    let told = first.and_then(|a| a.title.clone()).unwrap_or_default();
    vec![
        row.bug.clone(),
        row.profile.clone(),
        first
            .and_then(|a| a.scenario.clone())
            .unwrap_or_else(|| row.scenario.clone()),
        found,
        seconds(row.median()),
        of(row.counted().filter(|a| a.class_right).count()),
        of(row.counted().filter(|a| a.function_right).count()),
        match row.signatures().len() {
            0 => "-".to_owned(),
            kinds => kinds.to_string(),
        },
        told,
        ratio(row.times_sooner()),
    ]
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |s| format!("{s:.1}"))
}

fn ratio(value: Option<Ratio>) -> String {
    value.map_or_else(
        || "-".into(),
        |r| format!("{}{:.1}", if r.at_least { "≥ " } else { "" }, r.times),
    )
}

fn closing(score: &Score) -> String {
    let summary = score.summary();
    let mut out = String::new();
    if summary.bugs > 0 {
        out.push_str(&found(&summary));
    }
    if let (Some(name), Some(times)) = (&score.against, summary.times_sooner) {
        let _infallible = writeln!(
            out,
            "against {name}: {} times sooner (median)",
            ratio(Some(times))
        );
    }
    score
        .rows
        .iter()
        .for_each(|row| out.push_str(&signatures(row)));
    for row in score.rows.iter().filter(|row| row.no_kernel.is_some()) {
        let why = row.no_kernel.as_deref().unwrap_or_default();
        let _infallible = writeln!(out, "{} under {}: {why}", row.bug, row.profile);
    }
    for row in &score.rows {
        for spoilt in row.attempts.iter().filter_map(|a| a.spoilt.as_ref()) {
            let _infallible = writeln!(
                out,
                "{} under {}: not counted: {spoilt}",
                row.bug, row.profile
            );
        }
    }
    score
        .clean
        .iter()
        .for_each(|clean| out.push_str(&told(clean)));
    out
}

/// What a bug was called, where its boots do not agree.
fn signatures(row: &Row) -> String {
    let kinds = row.signatures();
    if kinds.len() < 2 {
        return String::new();
    }
    let mut out = format!(
        "{} under {}: {} signatures\n",
        row.bug,
        row.profile,
        kinds.len()
    );
    for (signature, boots) in kinds {
        let _infallible = writeln!(out, "  {boots} × {signature}");
    }
    out
}

fn found(summary: &Summary) -> String {
    let Summary { found, bugs, .. } = summary;
    let (one, named) = summary.one_signature;
    let percent = |part: f64| format!("{:.0}%", part * 100.0);
    format!(
        "found {found} of {bugs} ({}); first hit after {} s (median), {} s (90th percentile); class right {}, function right {}; one signature for {one} of {named} bugs\n",
        percent(*found as f64 / *bugs as f64),
        seconds(summary.median),
        seconds(summary.p90),
        percent(summary.class_right),
        percent(summary.function_right),
    )
}

fn told(clean: &Clean) -> String {
    let mut out = format!(
        "clean, {}: {} boots, {} scenarios, {:.0} s of workload: {} findings\n",
        clean.profile,
        clean.boots,
        clean.scenarios,
        clean.seconds,
        clean.findings.len()
    );
    for (run, title) in &clean.findings {
        let _infallible = writeln!(out, "  {run}: {title}");
    }
    for trouble in &clean.trouble {
        let _infallible = writeln!(out, "  {trouble}");
    }
    out
}
