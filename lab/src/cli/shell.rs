// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab shell`.

use crate::error::{Doing, Error, Result};
use crate::exec::Executor;
use crate::exit::Exit;
use crate::host::machine;
use crate::intake;
use crate::pipeline::{doors, said};
use crate::profiles;
use crate::replay;
use crate::settings::Settings;
use crate::shell::{self, Ended, Machine};
use crate::stop::Stop;
use crate::store;
use crate::tree::{self, Tree};
use crate::ui::Ui;
use crate::vm::Qemu;
use lab_core::job::{BootJob, BuildJob};
use lab_core::profile::Profile;
use std::path::PathBuf;

/// Look around in a guest: an interactive shell in the kernel of a run, or of a profile.
///
/// With a profile the base is built, or the tip of SERIES, unless it is in the cache. The shell is a small one of the
/// lab's own (`help` lists its commands): files, mounts, file handles, watches, threads with their stacks, the bundled
/// scenarios. Nothing that is written stays.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A profile, or a run: SET/RUN, its folder, or its name in the newest set that has it.
    what: String,
    /// With a profile: the series whose tip is looked at, as `lab run` takes it.
    series: Option<String>,
    /// Kernel tree [default: as for `lab run`].
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Commit that the series is for [default: as for `lab run`].
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Store what the kernel prints, as it is.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Cores for a build [default: all].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Run make without a sandbox: the series' Makefiles and scripts then run as you.
    #[arg(long)]
    no_sandbox: bool,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

pub(super) async fn run(args: Args, ui: &Ui, stop: Stop) -> Result<Exit> {
    shell::needs_terminal()?;
    let settings = Settings::load()?;
    let known = profiles::library(profiles::FOLDER.as_ref())?;
    let named = known.names().contains(&args.what.as_str()) || args.series.is_some();
    let job = match named {
        true => {
            let profile = profiles::load(&args.what)?;
            of_profile(&args, &profile, &settings, ui, &stop).await?
        }
        false => of_run(&args, &settings)?,
    };
    let qemu = Qemu::find().await?;
    let machine = Machine { qemu: &qemu, job };
    match shell::run(machine, args.log.as_deref(), ui, stop).await? {
        Ended::Guest => ui.say("the guest is off"),
        Ended::Left => ui.say("left; the guest is gone"),
        Ended::Died(why) => return Err(Error::rig(format!("QEMU died: {why}"))),
    }
    Ok(Exit::Good)
}

/// A run's kernel and machine.
fn of_run(args: &Args, settings: &Settings) -> Result<BootJob> {
    let results = settings.results_folder(args.results.as_deref())?;
    let run = store::find_run(&results, &args.what)
        .map_err(|error| error.doing("find a profile or a run of this name"))?;
    let mut job = replay::boot_of(&run)?;
    job.gdb = None;
    if !job.kernel.join("bzImage").is_file() {
        let words = format!(
            "the kernel of {} is no longer at {}",
            run.id,
            job.kernel.display()
        );
        return Err(Error::rig(words).hint("`lab replay` builds it again where its set says how"));
    }
    Ok(job)
}

/// The kernel of a profile's base or of a series' tip, built or found, on the profile's machine.
async fn of_profile(
    args: &Args,
    profile: &Profile,
    settings: &Settings,
    ui: &Ui,
    stop: &Stop,
) -> Result<BootJob> {
    let cache = settings.cache_folder()?;
    let choice = settings.tree_choice(args.tree.as_deref())?;
    let tree = tree::obtain(&choice, ui, stop).await?;
    let (commit, what) = commit(args, &tree)?;
    let label = format!("{what}, {}", profile.name);
    let cores = args.jobs.or(settings.cores).unwrap_or_else(machine::cpus);
    let exec = Executor::new(
        ui.clone(),
        stop.clone(),
        cores,
        machine::memory_budget_mib(),
    );
    let build = BuildJob {
        tree: tree.git_dir().to_owned(),
        commit,
        label: label.clone(),
        profile: profile.name.clone(),
        config: profile.config_request(),
        touched: Vec::new(),
        cache: cache.clone(),
        cores,
        no_sandbox: args.no_sandbox,
        limit_seconds: profile.build_seconds,
    };
    let out = tempfile::tempdir().doing(|| "make a folder for the build's report")?;
    let report = doors::build(&exec, out.path(), &build, &format!("build {label}")).await?;
    let Some(kernel) = report.kernel else {
        return Err(Error::rig(format!("no kernel: {}", said(&report.outcome))));
    };
    let host = machine::survey(&cache, stop.clone()).await?;
    Ok(BootJob {
        kernel,
        cache,
        label,
        machine: profile.machine(host.accel),
        append: profile.kernel_args.clone(),
        guest: doors::guest_job(profile, Vec::new()),
        limits: profile.limits(),
        until_hit: false,
        evidence: Default::default(),
        gdb: None,
    })
}

/// What to build, and how it is called.
fn commit(args: &Args, tree: &Tree) -> Result<(String, String)> {
    let Some(argument) = &args.series else {
        let base = args.base.as_deref().unwrap_or("HEAD");
        return Ok((tree.resolve(base)?.to_string(), "base".to_owned()));
    };
    let options = intake::Options {
        version: None,
        tree: Some(tree.git_dir().to_owned()),
    };
    let series = intake::read_series(argument, &options)?;
    let base = match args.base.as_deref() {
        Some(rev) => tree.resolve(rev)?,
        None => tree.default_base(&series)?,
    };
    let applied = tree::apply(tree, base, &series, tree::Options::default())?;
    let last = applied.patches.last();
    let last = last.ok_or_else(|| Error::usage("the series has no patch"))?;
    Ok((
        last.commit.clone(),
        format!("{} v{}", series.name, series.version),
    ))
}
