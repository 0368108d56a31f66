// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab score`.

use crate::error::{Doing, Error, Result};
use crate::exec::Executor;
use crate::exit::Exit;
use crate::host::machine;
use crate::score::{Plan, Scoring, bugs};
use crate::settings::Settings;
use crate::stop::Stop;
use crate::store::file;
use crate::tree;
use crate::ui::Ui;
use lab_core::score::{SCORE_FORMAT, Score, markdown, text};
use std::path::{Path, PathBuf};

/// Measure the lab itself: build, boot and judge known bugs and the clean kernel.
///
/// Each bug is a folder with a series that brings one bug back and a bug.yaml that says what should find it. The
/// table says which were found, how soon and how rightly named, and what the clean kernel was wrongly blamed for.
/// Exit code 0: all were found and nothing was made up; 1 otherwise.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Bugs, separated by commas [default: all].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    bug: Vec<String>,
    /// Profiles, separated by commas: each bug is run under those of them that it names [default: the first that
    /// each bug names].
    #[arg(long, short, value_delimiter = ',')]
    profile: Vec<String>,
    /// Seconds of workload in a bug's boot, at most.
    #[arg(long, default_value_t = 120, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Boots of each bug.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Boots of the clean kernel under each profile, every scenario in each.
    #[arg(long, default_value_t = 1, value_name = "N")]
    clean: u32,
    /// Seconds of each scenario in a clean boot.
    #[arg(long, default_value_t = 5, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    clean_seconds: u32,
    /// Scenarios of the clean boots, separated by commas, as NAME or NAME/FS [default: every one].
    #[arg(long, value_name = "NAME[/FS]", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Boot the clean kernel only.
    #[arg(long, conflicts_with = "bug")]
    clean_only: bool,
    /// Run this scenario on each bug's kernel too, and say how much sooner the bug's own one was (`plain`: plain
    /// threads over few names).
    #[arg(long, value_name = "SCENARIO")]
    against: Option<String>,
    /// Folder of the bugs.
    #[arg(long, default_value = "patches/seeded", value_name = "DIR")]
    bugs: PathBuf,
    /// Go on with a score that was stopped; all else is taken from it.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Kernel tree [default: LAB_TREE, the settings', the lab's own].
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Commit that the bugs are for [default: HEAD].
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Seed of all random choices [default: from the clock; it is kept].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Cores that builds and boots may use [default: all].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Run make without a sandbox.
    #[arg(long)]
    no_sandbox: bool,
    /// Print JSON.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print Markdown, for documentation.
    #[arg(long)]
    markdown: bool,
}

pub(super) async fn run(args: Args, ui: &Ui, stop: Stop) -> Result<Exit> {
    let settings = Settings::load()?;
    let cache = settings.cache_folder()?;
    std::fs::create_dir_all(&cache).doing(|| format!("make {}", cache.display()))?;
    let (folder, plan) = match &args.resume {
        Some(folder) => (folder.clone(), read_plan(folder)?),
        None => begin(&args, &settings.results_folder(args.results.as_deref())?)?,
    };
    ui.say(&format!("results: {}", folder.display()));
    let choice = settings.tree_choice(args.tree.as_deref())?;
    let tree = tree::obtain(&choice, ui, &stop).await?;
    let host = machine::survey(&cache, stop.clone()).await?;
    let cores = args.jobs.or(settings.cores).unwrap_or(host.cpus);
    let exec = Executor::new(ui.clone(), stop, cores, machine::memory_budget_mib());
    let scoring = Scoring {
        plan: &plan,
        folder: &folder,
        exec: &exec,
        ui,
        cache: &cache,
        tree: &tree,
        host: &host,
    };
    let score = scoring.run().await.map_err(|error| {
        if error.exit() == Exit::Interrupted {
            error.hint(format!(
                "go on with: lab score --resume {}",
                folder.display()
            ))
        } else {
            error
        }
    })?;
    ui.out(&told(&args, &score)?);
    Ok(exit(&score))
}

fn told(args: &Args, score: &Score) -> Result<String> {
    if args.json {
        let json = serde_json::json!({"score": score, "summary": score.summary()});
        return serde_json::to_string_pretty(&json).map_err(|e| Error::internal(e.to_string()));
    }
    Ok(match args.markdown {
        true => markdown(score),
        false => text(score),
    })
}

fn exit(score: &Score) -> Exit {
    let summary = score.summary();
    if summary.found < summary.bugs || summary.false_findings > 0 {
        Exit::Regression
    } else {
        Exit::Good
    }
}

fn read_plan(folder: &Path) -> Result<Plan> {
    let path = folder.join("plan.json");
    let plan: Option<Plan> = file::read_json(&path)?;
    let plan = plan
        .ok_or_else(|| Error::usage(format!("{} is no score: no plan.json", folder.display())))?;
    if plan.format > SCORE_FORMAT {
        return Err(Error::usage(format!(
            "{} has format {}, this lab knows {SCORE_FORMAT}",
            path.display(),
            plan.format
        )));
    }
    Ok(plan)
}

/// From the command line to a folder with its plan.
fn begin(args: &Args, results: &Path) -> Result<(PathBuf, Plan)> {
    let now = jiff::Timestamp::now();
    let plan = plan(args, now)?;
    plan.check()?;
    let folder = results.join(format!("score-{}", now.strftime("%Y%m%d-%H%M%S")));
    std::fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
    file::write_json(&folder.join("plan.json"), &plan)?;
    Ok((folder, plan))
}

fn plan(args: &Args, now: jiff::Timestamp) -> Result<Plan> {
    let rows = if args.clean_only {
        Vec::new()
    } else {
        rows(args)?
    };
    let mut clean: Vec<String> = match (args.profile.as_slice(), args.clean_only) {
        ([], true) => ["fast", "lockdep", "rt"].map(str::to_owned).to_vec(),
        ([], false) => rows.iter().map(|(_, profile)| profile.clone()).collect(),
        (asked, _) => asked.to_vec(),
    };
    clean.sort();
    clean.dedup();
    if args.clean == 0 {
        clean.clear();
    }
    Ok(Plan {
        format: SCORE_FORMAT,
        begun: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        bugs: std::path::absolute(&args.bugs)?,
        rows,
        clean,
        clean_boots: args.clean,
        clean_seconds: args.clean_seconds,
        clean_scenarios: args.scenario.clone(),
        seconds: args.seconds,
        repeat: args.repeat,
        against: args.against.clone(),
        seed: args
            .seed
            .unwrap_or_else(|| now.as_nanosecond() as u64 & ((1 << 53) - 1)),
        base: args.base.clone(),
        no_sandbox: args.no_sandbox,
    })
}

/// Which bug runs under which profile, the profile that most kernels are made for first.
fn rows(args: &Args) -> Result<Vec<(String, String)>> {
    let known = bugs(&args.bugs)?;
    let names: Vec<&String> = match args.bug.as_slice() {
        [] => known.keys().collect(),
        asked => asked.iter().collect(),
    };
    let mut rows = Vec::new();
    for name in names {
        let bug = known.get(name).ok_or_else(|| {
            let all: Vec<&str> = known.keys().map(String::as_str).collect();
            Error::usage(format!("no bug {name} in {}", args.bugs.display())).hint(all.join("  "))
        })?;
        match args.profile.as_slice() {
            [] => rows.extend(bug.profiles.first().map(|p| (name.clone(), p.clone()))),
            asked => {
                let of = asked.iter().filter(|p| bug.profiles.contains(p));
                rows.extend(of.map(|p| (name.clone(), p.clone())));
            }
        }
    }
    Ok(rows)
}
