// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `lab job FILE` does: one build or one boot, from its file alone, into its folder.

use super::Progress;
use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use crate::store::file;
use crate::{autopsy, build, evidence, gc, listen, vm};
use lab_core::job::{BootJob, BuildJob, JOB_FORMAT, Job, Work};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// How often a job looks whether its folder is free.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

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
    let _alone = alone(&job.out, stop.clone()).await?;
    match &job.work {
        Work::Build(build) => run_build(build, &job.out, stop, progress).await,
        Work::Boot(boot) => run_boot(boot, &job.out, stop, progress).await,
    }
}

/// Waits for another job in this folder. After a kill of the lab, its jobs stop in order, which takes a moment; one
/// that is started again meanwhile must not write among what they still leave.
async fn alone(out: &Path, mut stop: Stop) -> Result<Flock<File>> {
    let path = out.join(".lock");
    let mut file = File::create(&path).doing(|| format!("make {}", path.display()))?;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, Errno::EWOULDBLOCK)) => file,
            Err((_, errno)) => {
                return Err(std::io::Error::from(errno))
                    .doing(|| format!("lock {}", path.display()));
            }
        };
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = stop.reached(Level::Orderly) => return Err(Error::interrupted()),
        }
    }
}

async fn run_build(
    job: &BuildJob,
    out: &Path,
    stop: Stop,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    // The forge leaves its own report, whatever ends it.
    build::run(
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
    .await
    .map(drop)
}

async fn run_boot(
    job: &BootJob,
    out: &Path,
    stop: Stop,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<()> {
    // As long as it runs, nobody frees its kernel.
    let _held = gc::hold_kernel(&job.kernel);
    let mut recording = vm::run(job, out, stop.clone(), |now| {
        progress(Progress {
            done: now.done,
            expected: now.expected,
            words: now.words(),
        });
    })
    .await?;
    let remarks = autopsy::examine(job, out, &recording, stop).await?;
    recording.remarks.extend(remarks);
    if !evidence::dumps_in(out).is_empty()
        && let Err(error) = evidence::pin_kernel(&job.kernel, out)
    {
        recording.remarks.push(format!(
            "the kernel is not marked as needed by the dump: {error}"
        ));
    }
    let findings = listen::derive(out, job, &recording)?;
    file::write_json(&out.join("findings.json"), &findings)?;
    // Last of all: a folder with a recording is a finished run.
    file::write_json(&out.join("recording.json"), &recording)
}
