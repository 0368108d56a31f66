// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stored set read again: its findings, its ledger and its verdict are derived anew from the raw record of each boot,
//! as a lab with better ears would have heard it. Nothing is built or booted, and what says the same stays untouched.
//!
//! Findings are written first, then the ledger, then the verdict, each whole or not at all: a kill in between leaves a
//! set that the next attempt finishes.

use crate::error::{Doing, Error, Result};
use crate::listen::{self, Findings};
use crate::pipeline::{self, Judgement};
use crate::store::{Set, file};
use crate::symbols;
use crate::ui::harmless;
use lab_core::finding::Finding;
use lab_core::job::{BootJob, Job, Recording, Work};
use lab_core::verdict::{Line, RunName, RunRecord, Verdict};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// How one boot's findings differ from what was stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The boot.
    pub run: String,
    /// Titles of findings that are none any more.
    pub gone: Vec<String>,
    /// Titles of findings that were not heard before.
    pub new: Vec<String>,
    /// Titles before and now of findings that are told otherwise.
    pub renamed: Vec<(String, String)>,
    /// Titles of findings that only differ in the rest: weight, place, whether they are torn.
    pub other: Vec<String>,
    /// What could not be done for this boot, for people.
    pub remarks: Vec<String>,
}

impl Change {
    fn is_nothing(&self) -> bool {
        let lists = [&self.gone, &self.new, &self.other, &self.remarks];
        self.renamed.is_empty() && lists.iter().all(|list| list.is_empty())
    }
}

/// What reading a set again came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Triaged {
    /// The set.
    pub set: String,
    /// Boots that were read.
    pub runs: usize,
    /// Those that are told otherwise now.
    pub changes: Vec<Change>,
    /// The ledger was written anew.
    pub ledger_changed: bool,
    /// The verdict before.
    pub before: Option<Verdict>,
    /// The verdict now; none for a set that has none yet.
    pub verdict: Option<Verdict>,
    /// Boots that were never made and that naming the first bad patch would now ask for.
    pub wanted: Vec<String>,
}

/// Reads a set again. It must be open for writing ([`Set::resume`]).
///
/// # Errors
/// When a record cannot be read or a result not be written; when the set does not say what its verdict counts (findings
/// and ledger are then told anew all the same).
pub fn triage(set: &Set) -> Result<Triaged> {
    let (lines, _) = set.ledger()?;
    let mut changes = Vec::new();
    let mut runs: BTreeMap<String, RunRecord> = BTreeMap::new();
    for line in lines {
        if let Line::Run(told) = line {
            let (record, change) = again(set, told)?;
            changes.extend(Some(change).filter(|c| !c.is_nothing()));
            runs.insert(record.id.clone(), record);
        }
    }
    let ledger_changed = rewrite_ledger(&set.folder().join("runs.jsonl"), &runs)?;
    let before = set.verdict()?;
    let judged = match &before {
        Some(before) => Some(pipeline::judge_again(set, before, &runs)?),
        None => None,
    };
    if let Some(judged) = &judged {
        write_if_new(&set.folder().join("verdict.json"), &judged.verdict)?;
    }
    let (verdict, wanted) = match judged {
        Some(Judgement { verdict, wanted }) => (Some(verdict), wanted),
        None => (None, Vec::new()),
    };
    Ok(Triaged {
        set: set.manifest().set.clone(),
        runs: runs.len(),
        changes,
        ledger_changed,
        before,
        verdict,
        wanted,
    })
}

/// Derives one boot again; without its raw record, what the ledger tells of it stays.
fn again(set: &Set, told: RunRecord) -> Result<(RunRecord, Change)> {
    let folder = set.run_folder(&told.id);
    let mut change = Change {
        run: told.id.clone(),
        ..Change::default()
    };
    let (Some(recording), Some(job)) = (
        file::read_json::<Recording>(&folder.join("recording.json"))?,
        boot_job(&folder)?,
    ) else {
        let gone = "its raw record is gone; the ledger's line stays as it is";
        change.remarks.push(gone.to_owned());
        return Ok((told, change));
    };
    let path = folder.join("findings.json");
    // A damaged file is derived again like a missing one.
    let before = file::read_json::<Findings>(&path).ok().flatten();
    let now = listen::derive(&folder, &job, &recording)?;
    write_if_new(&path, &now)?;
    let known = before.map_or(Vec::new(), |f| f.findings);
    compare(&mut change, &known, &now.findings);
    if let Err(error) = symbols::decode_run(Some(set.manifest()), told.patch, &folder, &job) {
        change.remarks.push(format!("not decoded: {error}"));
    }
    let name = RunName {
        id: told.id,
        profile: told.profile,
        patch: told.patch,
        key: told.key,
    };
    Ok((listen::record(&folder, name, &job)?, change))
}

fn boot_job(folder: &Path) -> Result<Option<BootJob>> {
    let job: Option<Job> = file::read_json(&folder.join("job.json"))?;
    Ok(match job.map(|job| job.work) {
        Some(Work::Boot(boot)) => Some(boot),
        _ => None,
    })
}

/// Says what became of each finding. One that begins at the same byte, or that the agent told at the same time, is the
/// same under another name.
fn compare(change: &mut Change, before: &[Finding], now: &[Finding]) {
    let (mut gone, mut new) = (Vec::new(), Vec::new());
    let mut left: Vec<&Finding> = now.iter().collect();
    for old in before {
        if let Some(at) = left.iter().position(|f| *f == old) {
            left.remove(at);
        } else {
            gone.push(old);
        }
    }
    for finding in left {
        let place = |f: &Finding| (f.start, f.end > 0, f.time.map(f64::to_bits));
        let same = |old: &&Finding| {
            (finding.end > 0 && old.end > 0 && finding.start == old.start)
                || place(old) == place(finding)
        };
        match gone.iter().position(same) {
            Some(at) => {
                let old = gone.remove(at);
                if old.title != finding.title {
                    let titles = (old.title.clone(), finding.title.clone());
                    change.renamed.push(titles);
                } else {
                    change.other.push(finding.title.clone());
                }
            }
            None => new.push(finding),
        }
    }
    change.gone = gone.iter().map(|f| f.title.clone()).collect();
    change.new = new.iter().map(|f| f.title.clone()).collect();
}

/// Writes a value unless the file says the same to the byte.
fn write_if_new<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::internal(e.to_string()))?;
    bytes.push(b'\n');
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    file::write(path, &bytes)
}

/// Puts the boots as they are told now into the ledger, at their places: builds keep their lines to the byte, torn lines
/// and those that a later one replaces go. True if it was written.
fn rewrite_ledger(path: &Path, runs: &BTreeMap<String, RunRecord>) -> Result<bool> {
    let before = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e).doing(|| format!("read {}", path.display())),
    };
    let mut seen = BTreeSet::new();
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for raw in before.split(|byte| *byte == b'\n').rev() {
        let Ok(line) = serde_json::from_slice::<Line>(raw) else {
            continue;
        };
        if !seen.insert(line.id().to_owned()) {
            continue;
        }
        kept.push(match line {
            Line::Run(told) => {
                let told = runs.get(&told.id).cloned().unwrap_or(told);
                serde_json::to_vec(&Line::Run(told)).map_err(|e| Error::internal(e.to_string()))?
            }
            Line::Build(_) => raw.to_vec(),
        });
    }
    let mut after = Vec::with_capacity(before.len());
    for line in kept.iter().rev() {
        after.extend_from_slice(line);
        after.push(b'\n');
    }
    if after == before {
        return Ok(false);
    }
    file::write(path, &after)?;
    Ok(true)
}

/// What changed, for people; the verdict is told elsewhere.
pub fn text(triaged: &Triaged) -> String {
    let mut text = format!("{}: {} boots read again", triaged.set, triaged.runs);
    text += match (triaged.changes.len(), triaged.ledger_changed) {
        (0, false) => ", nothing changed\n",
        (0, true) => ", the ledger brought up to date\n",
        (_, _) => "\n",
    };
    for change in &triaged.changes {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}", change.run);
        let told = |text: &mut String, word: &str, title: &str| {
            let _ = writeln!(text, "    {word:8} {}", harmless(title));
        };
        change.gone.iter().for_each(|t| told(&mut text, "gone", t));
        change.new.iter().for_each(|t| told(&mut text, "new", t));
        for (old, new) in &change.renamed {
            told(&mut text, "renamed", old);
            told(&mut text, "to", new);
        }
        change
            .other
            .iter()
            .for_each(|t| told(&mut text, "changed", t));
        change
            .remarks
            .iter()
            .for_each(|t| told(&mut text, "note", t));
    }
    if !triaged.wanted.is_empty() {
        let _ = writeln!(
            text,
            "the first bad patch would be surer with boots that were not made ({}): lab run --resume {}",
            triaged.wanted.join(", "),
            triaged.set
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_core::console;

    fn heard(text: &str) -> Vec<Finding> {
        console::read(text.as_bytes())
    }

    #[test]
    fn findings_are_matched_by_place_and_told_apart() {
        let both = "[    1.0] Kernel panic - not syncing: one\n[    2.0] Linux version 6.12\n\
            [   20.0] Kernel panic - not syncing: two\n";
        let now = heard(both);
        assert!(now.len() >= 2, "{now:?}");
        let mut before = now.clone();
        before[0].title = "an old name".to_owned();
        before[0].signature = "an old name".to_owned();
        let dropped = before.pop().unwrap();
        let mut gone = dropped.clone();
        gone.start += 100_000;
        gone.end += 100_000;
        gone.time = Some(99.0);
        gone.title = "never was".to_owned();
        before.push(gone);
        let mut change = Change::default();
        compare(&mut change, &before, &now);
        assert_eq!(
            change.renamed,
            [("an old name".to_owned(), now[0].title.clone())]
        );
        assert_eq!(change.gone, ["never was"]);
        assert_eq!(change.new, [dropped.title]);
        let mut nothing = Change::default();
        compare(&mut nothing, &now, &now);
        assert!(nothing.is_nothing());
    }
}
