// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gallery's door: sets and runs from the shelf as text.

use crate::autopsy;
use crate::error::{Error, Result};
use crate::listen::{self, Findings};
use crate::pipeline;
use crate::store::{Set, file};
use crate::symbols::{self, Detail};
use crate::ui::{duration, harmless};
use lab_core::job::{Job, Recording, Work};
use lab_core::measure;
use lab_core::report::{Proof, verdict_text};
use lab_core::text::harmless_json;
use lab_core::verdict::{Call, Line, Verdict};
use serde::Serialize;
use std::path::Path;

/// Console lines shown of each regression.
const PROOF_LINES: usize = 32;
/// Console lines shown of each finding of one run.
const RUN_LINES: usize = 40;

/// The verdict of a set with its proofs.
///
/// # Errors
/// When a console that it points to cannot be read.
pub fn verdict(set: &Set, verdict: &Verdict) -> Result<String> {
    let mut proofs = Vec::new();
    for finding in verdict.profiles.iter().flat_map(|p| &p.findings) {
        if !matches!(
            finding.call,
            Call::Regression | Call::Worse | Call::Undecided { .. }
        ) {
            continue;
        }
        let first = finding.first_bad.as_ref().and_then(|bad| bad.run.as_ref());
        let run = first.unwrap_or(&finding.run);
        proofs.extend(proof(set, run, &finding.signature)?);
    }
    let mut text = verdict_text(verdict, &set.manifest().kernel, &proofs);
    for measures in pipeline::measures(set)? {
        text += &format!("\n{}", measure::text(&measures));
    }
    Ok(text)
}

/// The findings of a run; `None` where it was not made here or never ended.
fn findings(folder: &Path) -> Result<Option<Findings>> {
    let recording: Option<Recording> = file::read_json(&folder.join("recording.json"))?;
    let job: Option<Job> = file::read_json(&folder.join("job.json"))?;
    match (recording, job.map(|job| job.work)) {
        (Some(recording), Some(Work::Boot(boot))) => {
            listen::findings(folder, &boot, &recording).map(Some)
        }
        _ => Ok(None),
    }
}

/// A value as JSON that may be shown on a terminal, whatever mails and kernels put into it.
///
/// # Errors
/// When it cannot be encoded.
pub fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string_pretty(value)
        .map(|text| harmless_json(&text))
        .map_err(|e| Error::internal(e.to_string()))
}

fn proof(set: &Set, run: &str, signature: &str) -> Result<Option<Proof>> {
    let folder = set.run_folder(run);
    let Some(findings) = findings(&folder)? else {
        return Ok(None);
    };
    let Some(finding) = findings.findings.iter().find(|f| f.signature == signature) else {
        return Ok(None);
    };
    let lines = symbols::excerpt(&folder, finding, PROOF_LINES, Detail::Touched)?;
    let console = folder.join("console.log").display().to_string();
    Ok(Some(Proof {
        signature: signature.to_owned(),
        console,
        lines,
    }))
}

/// A set: the verdict if there is one, and its ledger.
///
/// # Errors
/// When the set cannot be read.
pub fn set_text(set: &Set) -> Result<String> {
    let manifest = set.manifest();
    let mut text = format!(
        "{}: {} v{} «{}», begun {}\n\n",
        manifest.set,
        manifest.series,
        manifest.version,
        harmless(&manifest.subject),
        manifest.begun
    );
    for patch in &manifest.patches {
        text += &format!("  {:3} {}\n", patch.number, harmless(&patch.subject));
    }
    text.push('\n');
    let (lines, torn) = set.ledger()?;
    lines.iter().for_each(|line| text += &ledger_line(line));
    if torn > 0 {
        text += &format!("  ({torn} torn lines of the ledger skipped)\n");
    }
    text.push('\n');
    match set.verdict()? {
        Some(found) => text += &verdict(set, &found)?,
        None => {
            text += &format!(
                "no verdict yet: `lab run --resume {}` goes on\n",
                manifest.set
            )
        }
    }
    Ok(text)
}

fn ledger_line(line: &Line) -> String {
    match line {
        Line::Build(b) => {
            let reused = if b.reused { " (found ready)" } else { "" };
            format!(
                "  build {:22} {:>12}  {}{reused}\n",
                b.id,
                duration(b.seconds),
                harmless(&b.outcome)
            )
        }
        Line::Run(r) => {
            let titles: Vec<String> = r.findings().map(|s| harmless(&s.title)).collect();
            let found = if titles.is_empty() {
                "no finding".to_owned()
            } else {
                titles.join("; ")
            };
            format!("  boot  {:22} {:>12}  {found}\n", r.id, duration(r.seconds))
        }
    }
}

/// One run: how it ended, what its scenarios did, its findings with their console lines.
///
/// # Errors
/// When there is no such run, or it cannot be read.
pub fn run_text(set: &Set, run: &str, json: bool) -> Result<String> {
    let folder = set.run_folder(run);
    let path = folder.join("recording.json");
    let recording: Recording = file::read_json(&path)?.ok_or_else(|| {
        Error::usage(format!("{} has no finished run {run}", set.manifest().set))
            .hint(format!("`lab show {}` lists them", set.manifest().set))
    })?;
    let findings = findings(&folder)?.map(|f| f.findings).unwrap_or_default();
    if json {
        let both = serde_json::json!({"recording": recording, "findings": findings});
        return self::json(&both);
    }
    let job: Option<Job> = file::read_json(&folder.join("job.json"))?;
    let mut text = run_head(run, &recording, job.as_ref());
    let (lines, _) = set.ledger()?;
    for line in &lines {
        if let Line::Run(record) = line
            && record.id == run
        {
            for s in &record.scenarios {
                text += &format!(
                    "  {:24} {:>8.1} s  {:>10} operations  {}\n",
                    s.name, s.seconds, s.ops, s.ended
                );
            }
        }
    }
    for remark in &recording.remarks {
        text += &format!("  {}\n", harmless(remark));
    }
    for line in autopsy::lines(&folder) {
        text += &format!("  dump: {line}\n");
    }
    for finding in &findings {
        text += &format!("\n{:?}: {}\n", finding.weight, harmless(&finding.title));
        for line in symbols::excerpt(&folder, finding, RUN_LINES, Detail::All)? {
            text += &format!("  | {line}\n");
        }
    }
    text += &format!("\neverything is in {}\n", folder.display());
    Ok(text)
}

fn run_head(run: &str, recording: &Recording, job: Option<&Job>) -> String {
    let label = match job.map(|j| &j.work) {
        Some(lab_core::job::Work::Boot(boot)) => boot.label.clone(),
        _ => String::new(),
    };
    format!(
        "{run}: {label}: {} after {} ({:?}), kernel {}, agent up after {}\n",
        recording.outcome,
        duration(recording.seconds),
        recording.accel,
        harmless(recording.release.as_deref().unwrap_or("unknown")),
        recording
            .agent_up
            .map_or("never".into(), |s| format!("{s:.1} s"))
    )
}
