// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doors of forge and engine room, as whoever walks through them needs them: a finished build or boot is taken
//! from the shelf instead of being made again.

use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::store::file;
use lab_core::job::{
    BootJob, BuildJob, BuildOutcome, BuildReport, JOB_FORMAT, Job, Recording, Work,
};
use lab_core::outcome::BootOutcome;
use lab_core::profile::Profile;
use lab_wire::{GuestJob, PROTOCOL, Scenario};
use std::path::Path;

/// A guest's threads get this part of the drain limit before they count as stuck: the agent may take four times that
/// to say so, and must be done before the machine is taken down.
const DRAIN_PARTS: u32 = 5;

/// What a guest is to do under a profile.
pub fn guest_job(profile: &Profile, scenarios: Vec<Scenario>) -> GuestJob {
    GuestJob {
        protocol: PROTOCOL,
        scenarios,
        sysctl: profile.sysctl.clone(),
        drain_seconds: profile.limits().drain.div_ceil(DRAIN_PARTS),
        hold: profile.evidence.audit,
    }
}

/// Builds into the folder `out`, or takes what an earlier attempt left there.
///
/// # Errors
/// When the job cannot be run at all. A kernel that does not build is no error: it stands in the report.
pub async fn build(
    exec: &Executor,
    out: &Path,
    job: &BuildJob,
    label: &str,
) -> Result<BuildReport> {
    let path = out.join("build.json");
    if let Some(report) = file::read_json::<BuildReport>(&path)?.filter(is_final) {
        return Ok(report);
    }
    run(exec, out, Work::Build(job.clone()), label).await?;
    file::read_json(&path)?.ok_or_else(|| Error::rig(format!("{label} left no build.json")))
}

/// Boots into the folder `out`, or leaves what an earlier attempt left there.
///
/// # Errors
/// When the job cannot be run at all.
pub async fn boot(exec: &Executor, out: &Path, job: &BootJob, label: &str) -> Result<()> {
    let recording: Option<Recording> = file::read_json(&out.join("recording.json"))?;
    if recording.is_some_and(|r| by_the_kernel(&r.outcome)) {
        return Ok(());
    }
    run(exec, out, Work::Boot(job.clone()), label).await
}

async fn run(exec: &Executor, out: &Path, work: Work, label: &str) -> Result<()> {
    let job = Job {
        format: JOB_FORMAT,
        out: out.to_owned(),
        work,
    };
    exec.run(&job, label).await
}

/// A boot that need not be made again: it ended by the kernel's doing.
fn by_the_kernel(outcome: &BootOutcome) -> bool {
    !matches!(
        outcome,
        BootOutcome::Interrupted | BootOutcome::RigFailed { .. } | BootOutcome::QemuDied { .. }
    )
}

/// A build that need not be tried again: its end was not the rig's or the user's doing, and the kernel
/// that it made is still there.
fn is_final(report: &BuildReport) -> bool {
    match &report.outcome {
        BuildOutcome::Built => report
            .kernel
            .as_ref()
            .is_some_and(|k| k.join("bzImage").is_file()),
        BuildOutcome::Broken { .. } | BuildOutcome::ConfigLost { .. } => true,
        BuildOutcome::RigFailed { .. } | BuildOutcome::TimedOut | BuildOutcome::Interrupted => {
            false
        }
    }
}
