// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot once more, alone: the same kernel, machine, arguments and seed, and whether its findings come again.
//!
//! A replay is a run like any other, in a folder of its own: `SET/replays/RUN-NN`, or `RUN-replay-NN` beside a run that
//! belongs to no set.

mod attempt;
mod kernel;
mod report;

pub use report::{Again, Attempt, Summary, Wanted};

use crate::error::{Doing, Error, Result};
use crate::exec::Executor;
use crate::exit::Exit;
use crate::listen;
use crate::stop::{Level, Stop};
use crate::store::{RunAt, file};
use crate::ui::{Ui, harmless};
use lab_core::finding::Weight;
use lab_core::job::{BootJob, JOB_FORMAT, Job, Recording, Work};
use lab_core::outcome::BootOutcome;
use lab_core::verdict::{RunName, exposure, ground};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// How to replay.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Wait for a debugger at this port of the loop-back.
    pub gdb: Option<u16>,
    /// Go on until a wanted finding shows.
    pub until_hit: bool,
    /// Boots at most; without it one, or no end with `until_hit`.
    pub times: Option<u32>,
    /// Seconds of each scenario instead of the run's own.
    pub seconds: Option<u32>,
}

/// Replays of one run.
pub struct Replayer<'a> {
    /// The run.
    pub run: &'a RunAt,
    /// What starts the boots.
    pub exec: &'a Executor,
    /// Where progress is told.
    pub ui: &'a Ui,
    /// When to stop.
    pub stop: Stop,
}

/// The boot job of a run.
///
/// # Errors
/// When its folder holds no boot, or one of a newer lab.
pub fn boot_of(run: &RunAt) -> Result<BootJob> {
    let path = run.folder.join("job.json");
    let job: Option<Job> = file::read_json(&path)?;
    match job {
        Some(job) if job.format > JOB_FORMAT => Err(Error::usage(format!(
            "{} has format {}, this lab knows {JOB_FORMAT}",
            path.display(),
            job.format
        ))
        .hint("use the lab that wrote it, or a newer one")),
        Some(Job {
            work: Work::Boot(mut boot),
            ..
        }) => {
            // The job of an older lab is run by the agent of this one; what it asks for is the same.
            boot.guest.protocol = lab_wire::PROTOCOL;
            Ok(boot)
        }
        _ => Err(Error::usage(format!("{} is no boot", run.folder.display()))),
    }
}

/// The findings of a run, one of each signature; none where it was never finished.
///
/// # Errors
/// When its records cannot be read.
pub fn wanted(run: &RunAt, job: &BootJob) -> Result<Vec<Wanted>> {
    let recording: Option<Recording> = file::read_json(&run.folder.join("recording.json"))?;
    let Some(recording) = recording else {
        return Ok(Vec::new());
    };
    let mut known = BTreeSet::new();
    let findings = listen::findings(&run.folder, job, &recording)?.findings;
    Ok(findings
        .into_iter()
        .filter(|f| f.weight == Weight::Finding && known.insert(f.signature.clone()))
        .map(|f| Wanted {
            signature: f.signature,
            title: f.title,
        })
        .collect())
}

impl Replayer<'_> {
    /// Boots it as often as asked, and says what came of it.
    ///
    /// # Errors
    /// When there is no such kernel any more and it cannot be built again, or a boot cannot be started. A stop is no
    /// error once a boot was finished.
    pub async fn run(&self, options: Options) -> Result<Summary> {
        let mut boot = boot_of(self.run)?;
        let wanted = wanted(self.run, &boot)?;
        if options.until_hit && wanted.is_empty() {
            return Err(Error::usage(format!(
                "the run {} has no finding to wait for",
                self.run.id
            ))
            .hint("leave out --until-hit; what a replay finds is told anyway"));
        }
        boot.kernel = kernel::there(self.run, &boot.kernel, self.exec, self.ui).await?;
        if let Some(port) = options.gdb {
            self.tell_debugger(port, &boot.kernel)?;
        }
        self.tell_company(&boot);
        let mut summary = Summary {
            run: self.run.id.clone(),
            wanted,
            attempts: Vec::new(),
            stopped: false,
        };
        let most = match (options.times, options.until_hit) {
            (Some(times), _) => times,
            (None, true) => u32::MAX,
            (None, false) => 1,
        };
        for number in 1..=most {
            let job = attempt::job(&boot, options, number, &summary);
            match self.attempt(job, number, &summary.wanted).await {
                Ok(attempt) => {
                    self.ui.say(&format!("  {}", report::line(&attempt)));
                    summary.attempts.push(attempt);
                }
                Err(error) if error.exit() == Exit::Interrupted && number > 1 => {}
                Err(error) => return Err(error),
            }
            summary.stopped = self.stop.level() > Level::Run;
            if summary.stopped || options.until_hit && summary.came_again() {
                break;
            }
        }
        Ok(summary)
    }

    async fn attempt(&self, job: BootJob, number: u32, wanted: &[Wanted]) -> Result<Attempt> {
        let out = self.folder()?;
        let label = format!("replay {} #{number}", self.run.id);
        let work = Job {
            format: JOB_FORMAT,
            out: out.clone(),
            work: Work::Boot(job.clone()),
        };
        self.exec.run(&work, &label).await?;
        let id = out.file_name().unwrap_or_default();
        let key = job.kernel.file_name().unwrap_or_default();
        let name = RunName {
            id: id.to_string_lossy().into_owned(),
            profile: String::new(),
            patch: 0,
            key: key.to_string_lossy().into_owned(),
        };
        let record = listen::record(&out, name, &job)?;
        let seconds = |signature: &str| {
            let ground = ground(signature, [&record]);
            exposure(signature, &ground, [&record]).seconds
        };
        let (mut again, mut others) = (Vec::new(), Vec::new());
        for sighting in record.findings() {
            match wanted.iter().any(|w| w.signature == sighting.signature) {
                true => again.push(Again {
                    signature: sighting.signature.clone(),
                    after_seconds: seconds(&sighting.signature),
                }),
                false => others.push(sighting.title.clone()),
            }
        }
        Ok(Attempt {
            number,
            seed: job.guest.scenarios.first().map_or(0, |s| s.seed),
            outcome: record.outcome.clone(),
            seconds: record.seconds,
            exposure: record.scenarios.iter().map(|s| s.seconds).sum(),
            counts: record.counts(),
            stopped_at_hit: record.outcome == BootOutcome::StoppedAtHit,
            again,
            others,
            folder: out,
        })
    }

    /// A folder that no replay had before, made.
    fn folder(&self) -> Result<PathBuf> {
        let parent = match &self.run.set {
            Some(set) => set.folder().join("replays"),
            None => self.run.folder.parent().unwrap_or(Path::new("/")).into(),
        };
        let stem = match &self.run.set {
            Some(_) => self.run.id.clone(),
            None => format!("{}-replay", self.run.id),
        };
        fs::create_dir_all(&parent).doing(|| format!("make {}", parent.display()))?;
        let mut number = 1;
        loop {
            let folder = parent.join(format!("{stem}-{number:02}"));
            match fs::create_dir(&folder) {
                Ok(()) => return Ok(folder),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(e).doing(|| format!("make {}", folder.display())),
            }
        }
    }

    /// Says what to type, before the guest waits for it.
    fn tell_debugger(&self, port: u16, kernel: &Path) -> Result<()> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .doing(|| format!("listen on 127.0.0.1:{port} for a debugger"))
            .map_err(|error| error.hint("name a free port: --gdb=PORT"))?;
        let vmlinux = kernel.join("vmlinux");
        self.ui
            .say("the guest waits for a debugger before its first instruction:");
        self.ui.say(&format!("  {}", gdb_line(&vmlinux, port)));
        if !vmlinux.is_file() {
            let words = format!("there is no {}: gdb will know no names", vmlinux.display());
            self.ui.say(&format!("  {words}"));
        }
        self.ui.say(
            "  until the kernel runs use `hbreak FUNCTION`; `continue` begins; no time limit holds",
        );
        Ok(())
    }

    /// Times of a boot beside others tell less.
    fn tell_company(&self, boot: &BootJob) {
        for place in crate::gc::busy_slots(&boot.cache) {
            let words = format!("not alone: a kernel is being built in {}", place.display());
            self.ui.say(&harmless(&words));
        }
    }
}

/// What to type to debug a kernel that waits at this port.
pub fn gdb_line(vmlinux: &Path, port: u16) -> String {
    let path = crate::capsule::quoted(&vmlinux.display().to_string());
    format!("gdb {path} -ex 'target remote 127.0.0.1:{port}'")
}
