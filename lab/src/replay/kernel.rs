// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel of a run that is gone from the cache, built again as its set built it.

use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::pipeline::{doors, said};
use crate::store::{RunAt, Set, file};
use crate::ui::Ui;
use lab_core::job::{BuildJob, BuildReport, Job, Work};
use std::fs;
use std::path::{Path, PathBuf};

/// The run's kernel: where it was, or built again.
pub(super) async fn there(run: &RunAt, kernel: &Path, exec: &Executor, ui: &Ui) -> Result<PathBuf> {
    if kernel.join("bzImage").is_file() {
        return Ok(kernel.to_owned());
    }
    let gone = || {
        Error::rig(format!(
            "the kernel of {} is no longer at {}",
            run.id,
            kernel.display()
        ))
    };
    let Some(set) = &run.set else {
        return Err(gone().hint("the run belongs to no set that says how to build it again"));
    };
    let Some((id, job)) = built_as(set, kernel) else {
        return Err(gone().hint("its set no longer says how it was built; run the series again"));
    };
    ui.say(&format!(
        "the kernel is gone from the cache; it is built again: {}",
        job.label
    ));
    let out = set.folder().join("replays").join(format!("build-{id}"));
    let label = format!("build {}", job.label);
    let report = doors::build(exec, &out, &job, &label).await?;
    let Some(new) = report.kernel else {
        return Err(gone().hint(format!(
            "it does not build again: {}",
            said(&report.outcome)
        )));
    };
    if new.file_name() != kernel.file_name() {
        ui.say("it is not the same kernel: the compiler or the sandbox has changed since");
    }
    Ok(new)
}

/// The build of a set that left this kernel: its name and its job.
fn built_as(set: &Set, kernel: &Path) -> Option<(String, BuildJob)> {
    let key = kernel.file_name()?.to_str()?;
    let builds = fs::read_dir(set.folder().join("builds")).ok()?;
    builds.flatten().find_map(|build| {
        let read = |name: &str| build.path().join(name);
        // A build whose records are damaged is not the one to take.
        let report: BuildReport = file::read_json(&read("build.json")).ok()??;
        let job: Job = file::read_json(&read("job.json")).ok()??;
        match job.work {
            Work::Build(job) if report.key == key => {
                Some((build.file_name().into_string().ok()?, job))
            }
            _ => None,
        }
    })
}
