// SPDX-License-Identifier: MIT OR Apache-2.0
//! The listening room's door: from what a boot left on the shelf to its findings. All of it is derived
//! and can be made again from `console.log`, `events.jsonl`, and what the dumps showed.

use crate::autopsy;
use crate::error::{Doing, Error, Result};
use crate::store::file;
use lab_core::autopsy::Autopsy;
use lab_core::boot::{Said, read_records};
use lab_core::console::{self, Options, Reader};
use lab_core::finding::{FINDINGS_FORMAT, Finding};
use lab_core::job::{BootJob, Job, Recording, Work};
use lab_core::verdict::{RunName, RunRecord, audit_findings, beyond_console, run_record};
use lab_wire::{FromGuest, GuestJob};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// `findings.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// [`FINDINGS_FORMAT`].
    pub format: u32,
    /// In the order of their time.
    pub findings: Vec<Finding>,
}

/// Derives the findings of a boot from its folder.
///
/// # Errors
/// When the console or the events cannot be read.
pub fn derive(out: &Path, job: &BootJob, recording: &Recording) -> Result<Findings> {
    let mut findings = read_console(&out.join("console.log"))?;
    let events = guest_events(out)?;
    let beyond = beyond_console(job, &recording.outcome, &events, &findings);
    findings.extend(beyond);
    // A damaged file is derived as well, and `lab show` tells of it: the console's findings must not be lost with it.
    let audits = autopsy::audits(out).ok().flatten();
    let dump = file::read_json::<Autopsy>(&out.join(autopsy::AUTOPSY_JSON));
    let dump = dump.ok().flatten();
    let broken = audit_findings(audits.as_ref(), dump.as_ref(), &events, &findings);
    findings.extend(broken);
    let latest = f64::INFINITY;
    findings.sort_by(|a, b| {
        a.time
            .unwrap_or(latest)
            .total_cmp(&b.time.unwrap_or(latest))
    });
    Ok(Findings {
        format: FINDINGS_FORMAT,
        findings,
    })
}

/// Reads a console log, streaming.
///
/// # Errors
/// When the file cannot be read; a missing one is a console that never printed.
pub fn read_console(path: &Path) -> Result<Vec<Finding>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).doing(|| format!("read {}", path.display())),
    };
    let mut reader = Reader::new(Options::default());
    let mut findings = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = file
            .read(&mut buffer)
            .doing(|| format!("read {}", path.display()))?;
        if n == 0 {
            break;
        }
        findings.extend(console::complete(reader.push(&buffer[..n])));
    }
    findings.extend(reader.finish());
    Ok(findings)
}

/// What the guest's agent said, in order.
///
/// # Errors
/// When the events cannot be read; a missing file is an agent that never spoke.
pub fn guest_events(out: &Path) -> Result<Vec<FromGuest>> {
    let path = out.join("events.jsonl");
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).doing(|| format!("read {}", path.display())),
    };
    let (records, _damaged) = read_records(&text);
    Ok(records
        .into_iter()
        .filter_map(|record| match record.what {
            Said::Guest(event) => Some(event),
            _ => None,
        })
        .collect())
}

/// What a boot was to do, and what its agent said.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The work.
    pub job: GuestJob,
    /// The agent's words, in order.
    pub events: Vec<FromGuest>,
}

/// What a finished boot was to do and told, from its folder.
///
/// # Errors
/// When the folder holds no boot's job, or its events cannot be read.
pub fn told(out: &Path) -> Result<Told> {
    let job: Option<Job> = file::read_json(&out.join("job.json"))?;
    match job.map(|job| job.work) {
        Some(Work::Boot(boot)) => Ok(Told {
            job: boot.guest,
            events: guest_events(out)?,
        }),
        _ => Err(Error::rig(format!("{} holds no boot", out.display()))),
    }
}

/// The ledger's line of a finished boot, from its folder.
///
/// # Errors
/// When its folder holds no recording, or one that cannot be read.
pub fn record(out: &Path, name: RunName, job: &BootJob) -> Result<RunRecord> {
    let recording: Recording = file::read_json(&out.join("recording.json"))?
        .ok_or_else(|| Error::rig(format!("the run {} left no recording", name.id)))?;
    let findings = findings(out, job, &recording)?;
    let events = guest_events(out)?;
    Ok(run_record(
        name,
        job,
        &recording,
        &events,
        &findings.findings,
    ))
}

/// The findings of a boot: those on the shelf, or derived again where they are missing, damaged, or of another format.
///
/// # Errors
/// When the console or the events cannot be read.
pub fn findings(out: &Path, job: &BootJob, recording: &Recording) -> Result<Findings> {
    match file::read_json::<Findings>(&out.join("findings.json")) {
        Ok(Some(findings)) if findings.format == FINDINGS_FORMAT => Ok(findings),
        _ => derive(out, job, recording),
    }
}

/// Lines of a run's console around a finding, made fit to print.
///
/// # Errors
/// When the console cannot be read.
pub fn excerpt(out: &Path, finding: &Finding, most: usize) -> Result<Vec<String>> {
    let path = out.join("console.log");
    let bytes = std::fs::read(&path).doing(|| format!("read {}", path.display()))?;
    Ok(console::excerpt(&bytes, finding, most))
}
