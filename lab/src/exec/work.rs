// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `lab job FILE` does: one build or one boot, from its file alone, into its folder.

use super::Progress;
use crate::error::{Doing, Error, Result};
use crate::stop::Stop;
use crate::store::file;
use crate::{build, listen, vm};
use lab_core::job::{BootJob, BuildJob, JOB_FORMAT, Job, Work};
use std::path::Path;

/// Runs the job and leaves `build.json`, or `recording.json` and `findings.json`, in its folder.
///
/// # Errors
/// When the file cannot be read, is of a newer format, or its folder cannot be written. How the build or
/// boot itself ended is no error: it stands in the report.
pub async fn work(path: &Path, stop: Stop, progress: &(dyn Fn(Progress) + Sync)) -> Result<()> {
    let job: Job = file::read_json(path)?
        .ok_or_else(|| Error::usage(format!("there is no job file {}", path.display())))?;
    if job.format > JOB_FORMAT {
        return Err(Error::usage(format!(
            "{} has format {}, this lab knows {JOB_FORMAT}",
            path.display(),
            job.format
        ))
        .hint("run it with the lab that wrote it"));
    }
    std::fs::create_dir_all(&job.out).doing(|| format!("make {}", job.out.display()))?;
    match &job.work {
        Work::Build(build) => run_build(build, &job.out, stop, progress).await,
        Work::Boot(boot) => run_boot(boot, &job.out, stop, progress).await,
    }
}

async fn run_build(
    job: &BuildJob,
    out: &Path,
    stop: Stop,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let report = build::run(
        job,
        out,
        |now| {
            progress(Progress {
                done: u64::from(now.done),
                expected: u64::from(now.expected),
                words: now.words(),
            })
        },
        stop,
    )
    .await?;
    file::write_json(&out.join("build.json"), &report)
}

async fn run_boot(
    job: &BootJob,
    out: &Path,
    stop: Stop,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    let recording = vm::run(job, out, stop, |now| {
        progress(Progress {
            done: now.done,
            expected: now.expected,
            words: now.words(),
        });
    })
    .await?;
    let findings = listen::derive(out, job, &recording)?;
    file::write_json(&out.join("findings.json"), &findings)?;
    // Last of all: a folder with a recording is a finished run.
    file::write_json(&out.join("recording.json"), &recording)
}
