// SPDX-License-Identifier: MIT OR Apache-2.0
//! Autopsies asked for later: made again where the dump was kept, else read from the shelf.

use super::work::Tools;
use super::{AUDIT_JSON, AUTOPSY_JSON};
use crate::error::{Error, Result};
use crate::stop::Stop;
use crate::store::{RunAt, file};
use lab_core::autopsy::{AUDITS_FORMAT, AUTOPSY_FORMAT, Audits, Autopsy, summary};
use lab_core::job::{BootJob, DumpPolicy, DumpRecord, Job, Recording, Work};
use lab_core::text::harmless;
use std::path::Path;

/// An autopsy, and how it was come by.
#[derive(Debug)]
pub struct Again {
    /// What the dump shows.
    pub autopsy: Autopsy,
    /// Remarks for people: why it was not made again, what was missing.
    pub remarks: Vec<String>,
}

/// The job and the recording of a finished boot.
///
/// # Errors
/// It is no boot, or it did not end.
pub fn load(run: &RunAt) -> Result<(BootJob, Recording)> {
    let job: Option<Job> = file::read_json(&run.folder.join("job.json"))?;
    let Some(Work::Boot(boot)) = job.map(|job| job.work) else {
        return Err(Error::usage(format!("{} is no boot", run.id)));
    };
    let recording = file::read_json(&run.folder.join("recording.json"))?;
    let unfinished = || Error::rig(format!("the boot {} has not ended", run.id));
    Ok((boot, recording.ok_or_else(unfinished)?))
}

/// The autopsy of a boot: from its dump if that was kept, else the one that was made then.
///
/// # Errors
/// There is neither.
pub async fn again(run: &RunAt, stop: Stop) -> Result<Again> {
    let (job, recording) = load(run)?;
    let kept = |dump: &&DumpRecord| run.folder.join(&dump.file).is_file();
    let failure = recording.dumps.iter().find(|dump| dump.scenario.is_none());
    let audits = recording
        .dumps
        .iter()
        .filter(|dump| dump.scenario.is_some());
    let dump = (failure.filter(kept)).or_else(|| match failure {
        // An audit's dump is no substitute for a failure's.
        Some(_) => None,
        None => audits.clone().find(kept),
    });
    let why = match (dump, failure) {
        (Some(dump), _) => match Tools::find(&job.cache, stop).await {
            Ok(tools) => match super::autopsy(&tools, &job, &run.folder, dump).await {
                Ok((autopsy, remarks)) => return Ok(Again { autopsy, remarks }),
                Err(error) => super::remark("it was not made again", &error),
            },
            Err(error) => super::remark("it was not made again", &error),
        },
        (None, Some(_)) => {
            "the dump was not kept; this autopsy was made when it was there".to_owned()
        }
        (None, None) => "this boot left no dump".to_owned(),
    };
    match stored(&run.folder)? {
        Some(autopsy) => Ok(Again {
            autopsy,
            remarks: vec![why],
        }),
        None => {
            Err(Error::rig(format!("there is no autopsy of {}: {why}", run.id)).hint(advice(&job)))
        }
    }
}

fn advice(job: &BootJob) -> &'static str {
    match job.evidence.dump {
        DumpPolicy::None => "its profile takes no dumps: set `dump: first` or `dump: all`",
        DumpPolicy::First => {
            "dumps are taken of failures, and kept of the first of each kind; `dump: all` keeps all"
        }
        DumpPolicy::All => {
            "dumps are taken of failures alone; `lab show SET RUN` tells how it ended"
        }
    }
}

/// The autopsy on the shelf: of the failure, else of the first audit that found something.
///
/// # Errors
/// It is damaged or of a newer format.
pub fn stored(folder: &Path) -> Result<Option<Autopsy>> {
    let path = folder.join(AUTOPSY_JSON);
    if let Some(autopsy) = file::read_json::<Autopsy>(&path)? {
        known(&path, autopsy.format, AUTOPSY_FORMAT)?;
        return Ok(Some(autopsy));
    }
    let audits = audits(folder)?.into_iter().flat_map(|audits| audits.audits);
    let mut broken = audits.filter(|audit| !audit.audit.violations.is_empty());
    Ok(broken.next().map(|audit| audit.as_autopsy()))
}

/// The audits on the shelf.
///
/// # Errors
/// They are damaged or of a newer format.
pub(crate) fn audits(folder: &Path) -> Result<Option<Audits>> {
    let path = folder.join(AUDIT_JSON);
    let audits: Option<Audits> = file::read_json(&path)?;
    if let Some(audits) = &audits {
        known(&path, audits.format, AUDITS_FORMAT)?;
    }
    Ok(audits)
}

fn known(path: &Path, format: u32, ours: u32) -> Result<()> {
    if format <= ours {
        return Ok(());
    }
    let words = format!(
        "{} has format {format}, this lab knows {ours}",
        path.display()
    );
    Err(Error::usage(words).hint("use the lab that wrote it, or a newer one"))
}

/// What the dumps of a boot show, in a few lines for `lab show`; what cannot be read is such a line.
pub fn lines(folder: &Path) -> Vec<String> {
    let mut told = Vec::new();
    match file::read_json::<Autopsy>(&folder.join(AUTOPSY_JSON)) {
        Ok(Some(autopsy)) => told.extend(summary(&autopsy)),
        Ok(None) => {}
        Err(error) => told.push(harmless(&error.to_string())),
    }
    match audits(folder) {
        Ok(audits) => {
            for audit in audits.iter().flat_map(|audits| &audits.audits) {
                let scenario = audit.scenario;
                let broken = audit.audit.violations.iter();
                told.extend(broken.map(|violation| {
                    let (rule, times) = (harmless(&violation.rule), violation.times);
                    format!("audit after scenario {scenario}: {rule}, {times}×")
                }));
            }
        }
        Err(error) => told.push(harmless(&error.to_string())),
    }
    told
}
