// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forge: a commit and a configuration in, a kernel out, made once.
//!
//! ```text
//! key known? ──yes──> report            (milliseconds; no make)
//!    │ no
//! take a work folder, heal it ─> checkout by difference ─> configure if Kconfig changed ─> make ─> shelf
//! ```
//! Killed at any point, the next build finds out from the folder's state what to distrust, and mends only that.

mod checkout;
mod configure;
mod files;
mod key;
mod make;
mod progress;
mod sandbox;
mod shelf;
mod slot;

pub use progress::{BuildProgress, Phase};
pub(crate) use sandbox::empty_box;
pub use sandbox::works as sandbox_works;

use crate::error::{Doing, Error, Result};
use crate::exit::Exit;
use crate::process::End;
use crate::stop::{Level, Stop};
use crate::store::file;
use configure::Configured;
use files::read_output;
use key::Toolchain;
use lab_core::job::{BuildJob, BuildOutcome, BuildReport, Diagnostic, JOB_FORMAT};
use lab_core::kbuild::build_id;
use lab_core::kbuild::log::Failure;
use make::{Made, Maker};
use progress::Meter;
use sandbox::Place;
use shelf::{Shelf, warnings_in};
use slot::Slot;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Makes a kernel, or finds it made. `out` receives `build.json`, and `build.log` and `config` where there are any.
///
/// Trouble of the host is an outcome, as broken code is. A limit or a stop leaves nothing of make running.
///
/// # Errors
/// The job itself cannot be done: no such repository or commit, or `out` cannot be written.
pub async fn run(
    job: &BuildJob,
    out: &Path,
    progress: impl Fn(BuildProgress) + Sync,
    stop: Stop,
) -> Result<BuildReport> {
    let started = Instant::now();
    fs::create_dir_all(out).doing(|| format!("make {}", out.display()))?;
    let tree = tree_of(job)?;
    let mut report = blank(String::new());
    let forge = forge(job, tree, &mut report, &progress, &stop);
    if let Err(error) = forge.await {
        report.outcome = match error.exit() {
            Exit::CannotTell => BuildOutcome::RigFailed {
                reason: reason(&error),
            },
            Exit::Interrupted => BuildOutcome::Interrupted,
            _ => return Err(error),
        };
    }
    report.warnings = warnings_in(&report.warnings, &job.touched);
    report.seconds = started.elapsed().as_secs_f64();
    if let Ok(shelf) = Shelf::new(&job.cache) {
        hand_over(&shelf.place(&report.key), out)?;
    }
    let bytes =
        serde_json::to_vec_pretty(&report).map_err(|error| Error::internal(error.to_string()))?;
    file::write(&out.join("build.json"), &bytes)?;
    Ok(report)
}

/// The key that a job's kernel has or will have, without building it.
///
/// # Errors
/// No such commit, or a tool is missing.
pub async fn key(job: &BuildJob, stop: &Stop) -> Result<String> {
    let tools = Toolchain::probe(stop).await?;
    Ok(key::kernel(
        tree_of(job)?,
        &job.config,
        &tools,
        !job.no_sandbox,
    ))
}

fn reason(error: &Error) -> String {
    match error.hint_text() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}

fn tree_of(job: &BuildJob) -> Result<git2::Oid> {
    let find = || -> Result<git2::Oid> {
        let repo = git2::Repository::open(&job.tree)?;
        let commit = repo.find_commit(git2::Oid::from_str(&job.commit)?)?;
        Ok(commit.tree_id())
    };
    find()
        .doing(|| format!("find commit {} in {}", job.commit, job.tree.display()))
        .map_err(|error| Error::usage(error.to_string()))
}

fn blank(compiler: String) -> BuildReport {
    BuildReport {
        format: JOB_FORMAT,
        outcome: BuildOutcome::Interrupted,
        key: String::new(),
        kernel: None,
        reused: false,
        seconds: 0.0,
        make_seconds: 0.0,
        objects: 0,
        release: None,
        build_id: None,
        compiler,
        lost_options: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Log and configuration of what is on the shelf, beside the report.
fn hand_over(place: &Path, out: &Path) -> Result<()> {
    for name in ["config", "build.log"] {
        let (from, to) = (place.join(name), out.join(name));
        if place.join("known.json").is_file() && from.is_file() {
            fs::copy(&from, &to).doing(|| format!("write {}", to.display()))?;
        }
    }
    Ok(())
}

async fn forge(
    job: &BuildJob,
    tree: git2::Oid,
    report: &mut BuildReport,
    progress: &(dyn Fn(BuildProgress) + Sync),
    stop: &Stop,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(job.limit_seconds);
    let tools = Toolchain::probe(stop).await?;
    report.compiler.clone_from(&tools.compiler);
    report.key = key::kernel(tree, &job.config, &tools, !job.no_sandbox);
    let shelf = Shelf::new(&job.cache)?;
    if reuse(&shelf, report) {
        return Ok(());
    }
    let mut meter = Meter::new(progress);
    meter.phase(Phase::Waiting);
    let name = slot_name(
        &job.profile,
        &key::slot(&job.config, &tools, !job.no_sandbox),
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = cores / (job.cores.max(1) as usize);
    let Some(slot) = within(deadline, Slot::take(&job.cache, &name, most, stop)).await? else {
        report.outcome = BuildOutcome::TimedOut;
        return Ok(());
    };
    // Whoever had the folder before may have made this very kernel.
    if reuse(&shelf, report) {
        return Ok(());
    }
    let work = Work {
        job,
        shelf,
        deadline,
        stop,
    };
    work.build(slot, tree, report, &mut meter).await
}

/// The result, or nothing when the deadline came first.
async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    match tokio::time::timeout_at(deadline.into(), work).await {
        Ok(done) => done.map(Some),
        Err(_) => Ok(None),
    }
}

/// Takes over what is known of the key.
fn reuse(shelf: &Shelf, report: &mut BuildReport) -> bool {
    let Some(known) = shelf.find(&report.key) else {
        return false;
    };
    shelf.taken(&report.key);
    let built = known.report.outcome == BuildOutcome::Built;
    // What an older lab shelved was not asked for its build id.
    let missing = built && known.report.build_id.is_none();
    *report = BuildReport {
        reused: true,
        kernel: built.then(|| shelf.place(&report.key)),
        make_seconds: 0.0,
        objects: 0,
        ..known.report
    };
    if missing {
        report.build_id = shelf.build_id(&report.key);
    }
    true
}

/// A folder name out of a profile's name, which may be anything.
fn slot_name(profile: &str, config: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let profile: String = profile.chars().map(plain).take(64).collect();
    format!("{profile}-{config}")
}

/// A build that has to be made.
struct Work<'a> {
    job: &'a BuildJob,
    shelf: Shelf,
    deadline: Instant,
    stop: &'a Stop,
}

impl Work<'_> {
    async fn build(
        &self,
        mut slot: Slot,
        tree: git2::Oid,
        report: &mut BuildReport,
        meter: &mut Meter<'_>,
    ) -> Result<()> {
        meter.phase(Phase::Checkout);
        self.check_out(&mut slot, tree).await?;
        let ccache = self.job.cache.join("ccache");
        fs::create_dir_all(&ccache)?;
        let _ = fs::remove_file(&slot.log);
        slot.begin_make()?;
        let (src, out, log) = (slot.src.clone(), slot.out.clone(), slot.log.clone());
        let mut maker = Maker {
            place: Place {
                src: &src,
                out: &out,
                ccache: &ccache,
                sandboxed: !self.job.no_sandbox,
            },
            log: &log,
            cores: self.job.cores,
            deadline: self.deadline,
            stop: self.stop.clone(),
            make_seconds: 0.0,
        };
        let outcome = self.make(&mut maker, &mut slot, report, meter).await?;
        report.make_seconds = maker.make_seconds;
        report.outcome = outcome;
        self.keep(&mut slot, report, meter)
    }

    async fn check_out(&self, slot: &mut Slot, tree: git2::Oid) -> Result<()> {
        let held = slot
            .state
            .tree
            .as_deref()
            .and_then(|id| git2::Oid::from_str(id).ok());
        if held == Some(tree) {
            return Ok(());
        }
        slot.state.tree = None;
        slot.save()?;
        let (repository, src, stop) = (self.job.tree.clone(), slot.src.clone(), self.stop.clone());
        let update = move || {
            let by_difference = checkout::update(&repository, &src, held, tree, &stop);
            match by_difference {
                // The held tree may be gone from the repository; what is on disk then decides.
                Err(error) if held.is_some() && error.exit() == Exit::CannotTell => {
                    checkout::update(&repository, &src, None, tree, &stop)
                }
                done => done,
            }
        };
        let joined = tokio::task::spawn_blocking(update).await;
        let changes = joined
            .map_err(|error| Error::internal(error.to_string()))?
            .doing(|| format!("check out {}", self.job.label))?;
        slot.state.configured &= !changes.kconfig;
        slot.state.tree = Some(tree.to_string());
        slot.save()
    }

    async fn make(
        &self,
        maker: &mut Maker<'_>,
        slot: &mut Slot,
        report: &mut BuildReport,
        meter: &mut Meter<'_>,
    ) -> Result<BuildOutcome> {
        if !slot.state.configured {
            match configure::configure(maker, &self.job.config, meter).await? {
                Configured::Good { lost } => slot.state.lost = lost,
                Configured::Lost(options) => return Ok(BuildOutcome::ConfigLost { options }),
                Configured::Failed(made) => return Ok(self.failed(made)),
            }
            slot.state.configured = true;
        }
        report.lost_options.clone_from(&slot.state.lost);
        meter.expect(slot.state.whole, slot.state.part);
        let made = maker.make(&["bzImage", "vmlinux"], meter).await?;
        report.objects = made.summary.objects;
        for (target, warnings) in &made.summary.warnings {
            match warnings.is_empty() {
                true => slot.state.warnings.remove(target),
                false => slot.state.warnings.insert(target.clone(), warnings.clone()),
            };
        }
        report.warnings = slot.state.warnings.values().flatten().cloned().collect();
        if !made.finished.end.success() {
            return Ok(self.failed(made));
        }
        match slot.state.whole {
            None => slot.state.whole = Some(report.objects),
            Some(_) => slot.state.part = Some(report.objects),
        }
        report.release = release(&slot.out)?;
        Ok(BuildOutcome::Built)
    }

    /// Stores what is final, and notes that make ended by itself.
    fn keep(&self, slot: &mut Slot, report: &mut BuildReport, meter: &mut Meter<'_>) -> Result<()> {
        let ended = !matches!(
            report.outcome,
            BuildOutcome::TimedOut | BuildOutcome::Interrupted
        );
        let rig = matches!(report.outcome, BuildOutcome::RigFailed { .. });
        if ended && !rig {
            slot.state.making = false;
            slot.save()?;
        }
        if matches!(
            report.outcome,
            BuildOutcome::Built | BuildOutcome::Broken { .. }
        ) {
            meter.phase(Phase::Storing);
            report.build_id = self.build_id(&slot.out)?;
            self.shelf.put(&slot.out, &slot.log, report.clone())?;
        }
        if report.outcome == BuildOutcome::Built {
            report.kernel = Some(self.shelf.place(&report.key));
        }
        Ok(())
    }

    /// That of the kernel just linked; none where nothing was.
    fn build_id(&self, out: &Path) -> Result<Option<String>> {
        let vmlinux = files::regular(out, "vmlinux")?;
        let file = vmlinux.and_then(|_| fs::File::open(out.join("vmlinux")).ok());
        Ok(file.and_then(build_id))
    }

    fn failed(&self, made: Made) -> BuildOutcome {
        match (made.finished.end, made.summary.failure) {
            (End::Stopped, _) => BuildOutcome::Interrupted,
            (End::TimedOut, _) => BuildOutcome::TimedOut,
            _ if self.stop.level() > Level::Run => BuildOutcome::Interrupted,
            (End::Signalled(signal), _) => BuildOutcome::RigFailed {
                reason: format!("make was killed by signal {signal}: is memory short?"),
            },
            (_, Some(Failure::Rig(words))) => BuildOutcome::RigFailed {
                reason: rig_words(&words),
            },
            (_, Some(Failure::Code(error))) => BuildOutcome::Broken { error },
            (End::Exited(status), None) => BuildOutcome::Broken {
                error: Diagnostic {
                    file: None,
                    line: None,
                    message: format!("make ended with status {status} and said no reason"),
                    context: Vec::new(),
                },
            },
        }
    }
}

fn rig_words(words: &str) -> String {
    match words.starts_with("bwrap: ") {
        true => format!(
            "the sandbox does not work here: {words} (`lab doctor` says more; --no-sandbox does without)"
        ),
        false => words.to_owned(),
    }
}

fn release(out: &Path) -> Result<Option<String>> {
    let text = read_output(out, "include/config/kernel.release", 4096)?;
    Ok(text.map(|text| text.trim().chars().filter(|c| !c.is_control()).collect()))
}

#[cfg(test)]
mod tests;
