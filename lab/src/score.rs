// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the score: each seeded bug and the clean kernel, built, booted and judged.
//!
//! All kernels are built before the first boot: a build beside a boot takes its CPUs, and the times to a hit would
//! tell of the build. What is finished stands in the score's folder, so one that was stopped goes on from there.

use crate::error::{Doing, Error, Result};
use crate::exec::Executor;
use crate::exit::Exit;
use crate::pipeline::{doors, said, seed_of};
use crate::store::{Host, file};
use crate::tree::{self, Tree};
use crate::ui::{Ui, harmless};
use crate::{evidence, intake, listen, profiles};
use lab_core::job::{BootJob, BuildJob, BuildOutcome, BuildReport};
use lab_core::outcome::BootOutcome;
use lab_core::profile::{Load, Profile};
use lab_core::score::{Attempt, Bug, Clean, Row, SCORE_FORMAT, Score, attempt, clean, read_bug};
use lab_core::verdict::{RunName, RunRecord};
use lab_wire::Known;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is asked of a score; kept as `plan.json`, so that the same can be gone on with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCORE_FORMAT`].
    pub format: u32,
    /// When it was begun, RFC 3339, UTC.
    pub begun: String,
    /// Folder of the bugs.
    pub bugs: PathBuf,
    /// Bugs and the profile each is run under.
    pub rows: Vec<(String, String)>,
    /// Profiles of the clean kernel, and boots of each.
    pub clean: Vec<String>,
    /// Boots of the clean kernel under each profile.
    pub clean_boots: u32,
    /// Seconds of each scenario in a clean boot.
    pub clean_seconds: u32,
    /// Scenarios of a clean boot, as `NAME` or `NAME/FS`; empty: every one.
    pub clean_scenarios: Vec<String>,
    /// Seconds of workload of a bug's boot at most.
    pub seconds: u32,
    /// Boots of each bug.
    pub repeat: u32,
    /// Scenario to compare with.
    pub against: Option<String>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Revision that the bugs are for.
    pub base: Option<String>,
    /// Builds without a sandbox.
    pub no_sandbox: bool,
}

impl Plan {
    /// The profiles that it names. What else can be wrong with it is found here, too, before an hour is spent on kernels.
    ///
    /// # Errors
    /// Names a profile or a scenario that there is not.
    pub fn check(&self) -> Result<BTreeMap<&str, Profile>> {
        if let Some(name) = &self.against {
            known(name)?;
        }
        let mut profiles = BTreeMap::new();
        let named = self.rows.iter().map(|(_, profile)| profile);
        for name in named.chain(&self.clean).collect::<BTreeSet<_>>() {
            let profile = profiles::load(name)?;
            self.clean_profile(&profile)?;
            profiles.insert(name.as_str(), profile);
        }
        Ok(profiles)
    }

    /// A profile with the workload of a clean boot.
    fn clean_profile(&self, profile: &Profile) -> Result<Profile> {
        let every = profile.with_workload(Load::every(self.clean_seconds));
        let chosen = every.only(&self.clean_scenarios);
        chosen.map_err(|why| Error::usage(why).hint(LISTED))
    }
}

/// The bugs below a folder, by name. A folder without `bug.yaml` is none.
///
/// # Errors
/// When the folder cannot be read or a description is wrong.
pub fn bugs(folder: &Path) -> Result<BTreeMap<String, Bug>> {
    let reading = || format!("read the seeded bugs in {}", folder.display());
    let mut bugs = BTreeMap::new();
    let entries = std::fs::read_dir(folder).doing(reading);
    let entries = entries.map_err(|e| {
        e.hint("--bugs DIR says where they are; the lab's source has them in patches/seeded")
    })?;
    for entry in entries {
        let entry = entry.doing(reading)?;
        let path = entry.path().join("bug.yaml");
        if !path.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == CLEAN {
            let words = format!("{} cannot be the name of a bug", path.display());
            return Err(Error::usage(words).hint("it is what the kernel without any is called"));
        }
        let text = std::fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        let bug = read_bug(&name, &path.display().to_string(), &text)
            .map_err(|error| Error::usage(error.to_string()))?;
        bugs.insert(name, bug);
    }
    Ok(bugs)
}

/// A score on its way.
pub struct Scoring<'a> {
    /// What is asked.
    pub plan: &'a Plan,
    /// Where it leaves everything.
    pub folder: &'a Path,
    /// Starts jobs.
    pub exec: &'a Executor,
    /// Where people read.
    pub ui: &'a Ui,
    /// The lab's cache.
    pub cache: &'a Path,
    /// The kernel tree.
    pub tree: &'a Tree,
    /// The machine.
    pub host: &'a Host,
}

/// What the kernel without any bug is called, in folders and labels.
const CLEAN: &str = "clean";
/// What to try where a scenario is not known.
const LISTED: &str = "`lab scenarios` lists them";

/// A kernel of the score, or why there is none.
type Kernel = std::result::Result<BuildReport, String>;

impl Scoring<'_> {
    /// Builds, boots and judges everything of the plan.
    ///
    /// # Errors
    /// When the lab was stopped, a bug's series does not apply, or the folder cannot be written.
    pub async fn run(&self) -> Result<Score> {
        let bugs = bugs(&self.plan.bugs)?;
        let profiles = self.plan.check()?;
        let base = self.base()?;
        let mut kernels: BTreeMap<(&str, &str), Kernel> = BTreeMap::new();
        for name in &self.plan.clean {
            let kernel = self.build(CLEAN, &profiles[name.as_str()], &base).await?;
            kernels.insert((CLEAN, name), kernel);
        }
        for (bug, profile) in &self.plan.rows {
            let commit = self.apply(bug)?;
            let kernel = self
                .build(bug, &profiles[profile.as_str()], &commit)
                .await?;
            kernels.insert((bug, profile), kernel);
        }
        let mut score = self.empty();
        for name in &self.plan.clean {
            let kernel = &kernels[&(CLEAN, name.as_str())];
            let counted = self.clean(&profiles[name.as_str()], kernel).await?;
            score.clean.push(counted);
        }
        for (name, profile) in &self.plan.rows {
            let bug = bugs.get(name).ok_or_else(|| self.no_bug(name))?;
            let kernel = &kernels[&(name.as_str(), profile.as_str())];
            let row = self.row(bug, &profiles[profile.as_str()], kernel).await?;
            score.rows.push(row);
        }
        file::write_json(&self.folder.join("score.json"), &score)?;
        Ok(score)
    }

    fn empty(&self) -> Score {
        Score {
            format: SCORE_FORMAT,
            begun: self.plan.begun.clone(),
            kernel: self.tree.version().to_owned(),
            machine: format!("{} CPUs, {:?}", self.host.cpus, self.host.accel),
            seconds: self.plan.seconds,
            repeat: self.plan.repeat,
            against: self.plan.against.clone(),
            rows: Vec::new(),
            clean: Vec::new(),
        }
    }

    fn no_bug(&self, name: &str) -> Error {
        Error::usage(format!("no bug {name} in {}", self.plan.bugs.display()))
    }

    fn base(&self) -> Result<String> {
        let rev = self.plan.base.as_deref().unwrap_or("HEAD");
        Ok(self.tree.resolve(rev)?.to_string())
    }

    /// The commit of a bug's series on the base.
    fn apply(&self, bug: &str) -> Result<String> {
        let folder = self.plan.bugs.join(bug);
        let options = intake::Options {
            version: None,
            tree: None,
        };
        let series = intake::read_series(&folder.display().to_string(), &options)?;
        let base = self.tree.resolve(&self.base()?)?;
        let applied = tree::apply(self.tree, base, &series, tree::Options::default())?;
        let last = applied.patches.last();
        last.map(|patch| patch.commit.clone())
            .ok_or_else(|| Error::usage(format!("{} holds no patch", folder.display())))
    }

    async fn build(&self, name: &str, profile: &Profile, commit: &str) -> Result<Kernel> {
        let label = format!("{name}, {}", profile.name);
        let job = BuildJob {
            tree: self.tree.git_dir().to_owned(),
            commit: commit.to_owned(),
            label: label.clone(),
            profile: profile.name.clone(),
            config: profile.config_request(),
            touched: Vec::new(),
            cache: self.cache.to_owned(),
            cores: self.exec.cores(),
            no_sandbox: self.plan.no_sandbox,
            limit_seconds: profile.build_seconds,
        };
        let out = self.folder.join(format!("builds/{}-{name}", profile.name));
        let report = doors::build(self.exec, &out, &job, &format!("build {label}")).await?;
        match report.outcome {
            BuildOutcome::Built => Ok(Ok(report)),
            BuildOutcome::Interrupted => Err(Error::interrupted()),
            ref outcome => Ok(Err(said(outcome))),
        }
    }

    async fn clean(&self, profile: &Profile, kernel: &Kernel) -> Result<Clean> {
        let mut counted = clean(&profile.name, &[]);
        let kernel = match kernel {
            Ok(kernel) => kernel,
            Err(why) => {
                counted.trouble.push(format!("no kernel: {why}"));
                return Ok(counted);
            }
        };
        let profile = self.plan.clean_profile(profile)?;
        let (mut records, mut spoilt) = (Vec::new(), Vec::new());
        for number in 1..=self.plan.clean_boots {
            let record = match self.boot(CLEAN, &profile, kernel, number, false).await? {
                Ok(record) => record,
                Err(why) => {
                    spoilt.push(why);
                    continue;
                }
            };
            for finding in record.findings() {
                self.ui.say(&format!("  {}", harmless(&finding.title)));
            }
            records.push(record);
        }
        counted = clean(&profile.name, &records);
        counted.trouble.extend(spoilt);
        Ok(counted)
    }

    async fn row(&self, bug: &Bug, profile: &Profile, kernel: &Kernel) -> Result<Row> {
        let mut row = Row {
            bug: bug.name.clone(),
            title: bug.title.clone(),
            profile: profile.name.clone(),
            scenario: bug.scenario.clone(),
            silent: bug.silent,
            no_kernel: kernel.as_ref().err().cloned(),
            attempts: Vec::new(),
            against: Vec::new(),
        };
        let Ok(kernel) = kernel else { return Ok(row) };
        row.attempts = self.attempts(bug, profile, kernel, &bug.scenario).await?;
        if let Some(other) = &self.plan.against {
            row.against = self.attempts(bug, profile, kernel, other).await?;
        }
        Ok(row)
    }

    async fn attempts(
        &self,
        bug: &Bug,
        profile: &Profile,
        kernel: &BuildReport,
        scenario: &str,
    ) -> Result<Vec<Attempt>> {
        let loads = loads(bug, scenario, self.plan.seconds)?;
        if loads.is_empty() {
            self.ui.say(&format!(
                "  {scenario} runs on none of the filesystems of {}: not compared",
                bug.name
            ));
            return Ok(Vec::new());
        }
        let profile = profile.with_workload(loads);
        let name = match scenario == bug.scenario {
            true => bug.name.clone(),
            false => format!("{}-{scenario}", bug.name),
        };
        let mut attempts = Vec::new();
        for number in 1..=self.plan.repeat {
            let one = match self.boot(&name, &profile, kernel, number, true).await? {
                Ok(record) => attempt(bug, &record),
                Err(why) => Attempt::spoilt(why),
            };
            let seen = one.title.as_deref().unwrap_or("nothing");
            self.ui
                .say(&format!("  after {:.1} s: {}", one.seconds, harmless(seen)));
            attempts.push(one);
        }
        Ok(attempts)
    }

    /// One boot; where the rig could not make it, why.
    async fn boot(
        &self,
        name: &str,
        profile: &Profile,
        kernel: &BuildReport,
        number: u32,
        until_hit: bool,
    ) -> Result<std::result::Result<RunRecord, String>> {
        let folder = kernel.kernel.clone();
        let folder = folder.ok_or_else(|| Error::internal("a kernel that was not built"))?;
        let id = format!("{}-{name}-{number:02}", profile.name);
        let seed = seed_of(self.plan.seed, &profile.name, number);
        let job = BootJob {
            kernel: folder,
            cache: self.cache.to_owned(),
            label: format!("{name}, {}", profile.name),
            machine: profile.machine(self.host.accel),
            append: profile.kernel_args.clone(),
            guest: doors::guest_job(profile, profile.scenarios(seed, None)),
            limits: profile.limits(),
            until_hit,
            evidence: profile.evidence.clone(),
            gdb: None,
        };
        let out = self.folder.join("runs").join(&id);
        let label = format!("boot {name}, {} #{number}", profile.name);
        match doors::boot(self.exec, &out, &job, &label).await {
            Ok(()) => {}
            Err(error) if error.exit() == Exit::CannotTell => return Ok(Err(error.to_string())),
            Err(error) => return Err(error),
        }
        let name = RunName {
            id,
            profile: profile.name.clone(),
            patch: 0,
            key: kernel.key.clone(),
        };
        let record = listen::record(&out, name, &job)?;
        let others = evidence::runs_in(&self.folder.join("runs"))?;
        evidence::keep_first(&out, others, job.evidence.dump)?;
        // A boot that was stopped says nothing, and there shall be no score that counts it.
        match record.outcome {
            BootOutcome::Interrupted => Err(Error::interrupted()),
            _ => Ok(Ok(record)),
        }
    }
}

fn known(scenario: &str) -> Result<&'static Known> {
    lab_wire::known(scenario)
        .ok_or_else(|| Error::usage(format!("no scenario {scenario}")).hint(LISTED))
}

/// The workload of a bug's boot: its scenario on each of its filesystems, the seconds shared among them.
fn loads(bug: &Bug, scenario: &str, seconds: u32) -> Result<Vec<Load>> {
    let known = known(scenario)?;
    let on: Vec<&String> = bug
        .fs
        .iter()
        .filter(|fs| known.filesystems.contains(&fs.as_str()))
        .collect();
    let seconds = (seconds / on.len().max(1) as u32).max(1);
    let load = |fs: &&String| Load {
        seconds,
        ..Load::usual(known, fs)
    };
    Ok(on.iter().map(load).collect())
}
