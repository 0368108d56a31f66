// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab run`.

use crate::error::{Doing, Error, Result};
use crate::exec::Executor;
use crate::exit::Exit;
use crate::host::{machine, setup};
use crate::intake;
use crate::pipeline::Corridor;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::store::{MANIFEST_FORMAT, Manifest, PatchLine, ProfileLine, RunOptions, Set, file};
use crate::tree::{self, Tree};
use crate::ui::{Ui, harmless};
use crate::{profiles, report};
use lab_core::apply::Applied;
use lab_core::profile::Profile;
use lab_core::series::{self, Series};
use lab_core::verdict::{Overall, Verdict};
use std::path::{Path, PathBuf};

/// Apply a series, build it, boot it, exercise it, and say what it breaks.
///
/// SERIES is an mbox (also .gz), a folder of format-patch files, a quilt series, one patch file, a git
/// range REV..REV of the kernel tree, or `-` for standard input. The base is run as control (and
/// remembered). When the series shows a finding that the base does not, its patches are walked and the
/// first one that shows it is named.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The series.
    #[arg(required_unless_present = "resume")]
    series: Option<String>,
    /// Go on with a set that was stopped or killed; all else is taken from it.
    #[arg(long, value_name = "SET", conflicts_with = "series")]
    resume: Option<String>,
    /// Profiles, separated by commas [default: the settings', else rt].
    #[arg(long, short, value_delimiter = ',')]
    profile: Vec<String>,
    /// Kernel tree: any clone, worktree or bare repository [default: LAB_TREE, the settings', the lab's own].
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Commit that the series is for [default: its base-commit if the tree has it, else HEAD].
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// Version to take where the input holds several [default: the newest].
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Boots of the whole series, at least.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Boots of each kernel at most, while a finding is undecided.
    #[arg(long, default_value_t = 6, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    most_runs: u32,
    /// Seconds of each scenario, instead of the profile's.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// How sure a regression and its first bad patch must be.
    #[arg(long, default_value_t = 0.95, value_parser = parse_confidence)]
    confidence: f64,
    /// Seed of all random choices [default: from the clock; it is kept in the manifest].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Build every patch, not only those that the verdict needs.
    #[arg(long)]
    each: bool,
    /// Compare speeds too: that many pairs of whole boots of base and series, interleaved.
    #[arg(long, value_name = "N", default_value_t = 0, default_missing_value = "5", num_args = 0..=1, value_parser = clap::value_parser!(u32).range(..1000))]
    measure: u32,
    /// Scenarios to run, separated by commas, each on its usual filesystems, or on one as NAME/FS [default: the
    /// profile's].
    #[arg(long, value_name = "NAME[/FS]", value_delimiter = ',')]
    scenario: Vec<String>,
    /// Cores that builds and boots may use [default: all].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Run make without a sandbox: the series' Makefiles and scripts then run as you.
    #[arg(long)]
    no_sandbox: bool,
    /// First install what this host is missing (see `lab setup`).
    #[arg(long)]
    setup: bool,
    /// With --setup: do not ask.
    #[arg(long, requires = "setup")]
    yes: bool,
    /// Print the verdict as JSON.
    #[arg(long)]
    json: bool,
}

fn parse_confidence(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.5 && value < 1.0 => Ok(value),
        _ => Err("a probability between 0.5 and 1, such as 0.95".into()),
    }
}

pub(super) async fn run(args: Args, ui: &Ui, stop: Stop) -> Result<Exit> {
    let settings = Settings::load()?;
    let results = settings.results_folder(args.results.as_deref())?;
    let cache = settings.cache_folder()?;
    std::fs::create_dir_all(&cache).doing(|| format!("make {}", cache.display()))?;
    let (set, profiles) = match &args.resume {
        Some(name) => resume(&results, name)?,
        None => begin(&args, &settings, &results, &cache, ui, &stop).await?,
    };
    let cores = set.manifest().options.cores;
    let memory = machine::memory_budget_mib();
    let exec = Executor::new(ui.clone(), stop.clone(), cores, memory);
    let verdict = Corridor::new(&set, &exec, ui, &cache, stop)?
        .run(&profiles)
        .await
        .map_err(|e| {
            if e.exit() == Exit::Interrupted {
                e.hint(format!(
                    "go on with: lab run --resume {}",
                    set.folder().display()
                ))
            } else {
                e
            }
        })?;
    let text = if args.json {
        report::json(&verdict)?
    } else {
        format!(
            "\n{}\nall of it: lab show {}\n",
            report::verdict(&set, &verdict)?,
            set.manifest().set
        )
    };
    ui.out(&text);
    Ok(exit(&verdict))
}

/// The exit code that a verdict stands for.
pub(super) fn exit(verdict: &Verdict) -> Exit {
    match verdict.overall {
        Overall::Regression => Exit::Regression,
        Overall::NoRegression => Exit::Good,
        Overall::CannotTell => Exit::CannotTell,
    }
}

/// From the command line to a set on the shelf, with the series applied.
async fn begin(
    args: &Args,
    settings: &Settings,
    results: &Path,
    cache: &Path,
    ui: &Ui,
    stop: &Stop,
) -> Result<(Set, Vec<Profile>)> {
    // What can be wrong with the command line is found before minutes are spent.
    let names = wanted_profiles(&args.profile, settings);
    let profiles = names
        .iter()
        .map(|n| profiles::load_with(n, &args.scenario))
        .collect::<Result<Vec<_>>>()?;
    let choice = settings.tree_choice(args.tree.as_deref())?;
    let argument = args.series.as_deref().unwrap_or("-");
    let early = if intake::needs_tree(argument)? {
        None
    } else {
        Some(read(args, argument, None)?)
    };
    if args.setup {
        setup::run(ui, args.yes, tree::wants_source(&choice), cache)?;
    }
    let tree = tree::obtain(&choice, ui, stop).await?;
    let series = match early {
        Some(series) => series,
        None => read(args, argument, Some(tree.git_dir().to_owned()))?,
    };
    tell_series(ui, &series);
    let applied = apply(&tree, &series, args.base.as_deref())?;
    ui.say(&format!(
        "applied {} patches to {} ({})",
        applied.patches.len(),
        tree.version(),
        applied.base
    ));
    let host = machine::survey(cache, stop.clone()).await?;
    ui.say(&format!("machine: {:?}: {}", host.accel, host.accel_reason));
    let manifest = manifest(args, settings, &series, &tree, &applied, &profiles, host);
    let set = Set::create(results, manifest)?;
    file::write_json(&set.folder().join("series.json"), &series)?;
    file::write(
        &set.folder().join("series.mbox"),
        &series::format_patch(&series),
    )?;
    file::write_json(&set.folder().join("apply.json"), &applied)?;
    for profile in &profiles {
        file::write(
            &set.folder().join(format!("{}.yaml", profile.name)),
            profile.to_yaml().as_bytes(),
        )?;
    }
    ui.say(&format!("results: {}", set.folder().display()));
    Ok((set, profiles))
}

fn read(args: &Args, argument: &str, tree: Option<PathBuf>) -> Result<Series> {
    let version = args.version;
    intake::read_series(argument, &intake::Options { version, tree })
}

fn wanted_profiles(asked: &[String], settings: &Settings) -> Vec<String> {
    let mut names: Vec<String> = if !asked.is_empty() {
        asked.to_vec()
    } else if !settings.profiles.is_empty() {
        settings.profiles.clone()
    } else {
        vec!["rt".into()]
    };
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

fn tell_series(ui: &Ui, series: &Series) {
    let count = series.patches.len();
    ui.say(&format!(
        "series: {} v{}, {count} patches: {}",
        series.name,
        series.version,
        harmless(&series.subject)
    ));
    for warning in &series.warnings {
        ui.say(&format!("  {}", harmless(warning)));
    }
}

fn apply(tree: &Tree, series: &Series, base: Option<&str>) -> Result<Applied> {
    let base = match base {
        Some(rev) => tree.resolve(rev)?,
        None => tree.default_base(series)?,
    };
    tree::apply(tree, base, series, tree::Options::default())
}

fn manifest(
    args: &Args,
    settings: &Settings,
    series: &Series,
    tree: &Tree,
    applied: &Applied,
    profiles: &[Profile],
    host: crate::store::Host,
) -> Manifest {
    let now = jiff::Timestamp::now();
    let stamp = now.strftime("%Y%m%d-%H%M%S");
    let patches = series
        .patches
        .iter()
        .zip(&applied.patches)
        .map(|(patch, done)| PatchLine {
            number: patch.number,
            subject: patch.subject.clone(),
            patch_id: patch.patch_id.clone(),
            commit: done.commit.clone(),
            touched: patch
                .files
                .iter()
                .filter_map(|f| f.new_path.clone())
                .collect(),
        });
    Manifest {
        format: MANIFEST_FORMAT,
        set: format!("{}-v{}-{stamp}", series.name, series.version),
        lab: env!("CARGO_PKG_VERSION").into(),
        begun: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        series: series.name.clone(),
        version: series.version,
        subject: series.subject.clone(),
        patches: patches.collect(),
        tree: tree.git_dir().to_owned(),
        base: args.base.clone().unwrap_or_else(|| "default".into()),
        base_commit: applied.base.clone(),
        kernel: tree.version().to_owned(),
        profiles: profiles.iter().map(ProfileLine::of).collect(),
        options: RunOptions {
            runs: args.runs,
            most_runs: args.most_runs,
            confidence: args.confidence,
            seconds: args.seconds,
            seed: args
                .seed
                .unwrap_or_else(|| now.as_nanosecond() as u64 & ((1 << 53) - 1)),
            each: args.each,
            measure: args.measure,
            scenarios: args.scenario.clone(),
            no_sandbox: args.no_sandbox,
            cores: args.jobs.or(settings.cores).unwrap_or(host.cpus),
        },
        argv: std::env::args().collect(),
        host,
    }
}

/// Opens a set to go on with it. Its profiles must still be what they were: half a set under another
/// configuration would compare two experiments.
fn resume(results: &Path, name: &str) -> Result<(Set, Vec<Profile>)> {
    let set = Set::resume(results, name)?;
    let mut profiles = Vec::new();
    for line in &set.manifest().profiles {
        let profile = profiles::load_with(&line.name, &set.manifest().options.scenarios)?;
        if profile.digest() != line.digest {
            return Err(Error::usage(format!(
                "the profile {} has changed since {name} was begun",
                line.name
            ))
            .hint("begin a new set, or put the profile back"));
        }
        profiles.push(profile);
    }
    Ok((set, profiles))
}
