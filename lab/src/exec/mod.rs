// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local executor: starts job files as processes of their own, within a budget of cores and memory.
//!
//! A job is run by `lab job FILE`, here as on a cluster, so a job that crashes takes nothing with it and
//! nothing in it can lean on this process. Builds and boots overlap: each kind has the cores to itself,
//! and make runs at a lower priority, because a guest's clock must not starve.

mod work;
pub use work::work;

use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use crate::store::file;
use crate::ui::Ui;
use lab_core::job::{Job, Work};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

/// Memory that QEMU itself and a job's process need over the guest's, MiB.
const QEMU_EXTRA_MIB: u32 = 256;
/// What a running make is counted with, MiB a core: the largest objects of a debug kernel.
const MAKE_MIB_PER_CORE: u32 = 700;
/// What is kept of a job's complaints, bytes.
const COMPLAINT_BYTES: u64 = 16 * 1024;

/// One line of a job's standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units expected; 0 where unknown.
    pub expected: u64,
    /// For people.
    pub words: String,
}

/// Starts jobs within a budget; cheap to clone.
#[derive(Debug, Clone)]
pub struct Executor {
    ui: Ui,
    stop: Stop,
    builds: Arc<Semaphore>,
    boots: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    cores: u32,
    memory_mib: u32,
}

impl Executor {
    /// A budget of `cores` for each kind of job and `memory_mib` for all together.
    pub fn new(ui: Ui, stop: Stop, cores: u32, memory_mib: u32) -> Self {
        Self {
            ui,
            stop,
            builds: Arc::new(Semaphore::new(cores as usize)),
            boots: Arc::new(Semaphore::new(cores as usize)),
            memory: Arc::new(Semaphore::new(memory_mib as usize)),
            cores,
            memory_mib,
        }
    }

    /// Cores of the budget.
    pub fn cores(&self) -> u32 {
        self.cores
    }

    /// Runs a job to its end: writes `job.json` into its folder, waits for its share of the machine,
    /// starts it, shows its progress. What it left is in its folder; an `Err` means that it could not be
    /// run at all.
    pub async fn run(&self, job: &Job, label: &str) -> Result<()> {
        fs::create_dir_all(&job.out).doing(|| format!("make {}", job.out.display()))?;
        let path = job.out.join("job.json");
        file::write_json(&path, job)?;
        let (cores, memory) = self.share(&job.work);
        let kind = match job.work {
            Work::Build(_) => &self.builds,
            Work::Boot(_) => &self.boots,
        };
        let mut stop = self.stop.clone();
        let permits = async {
            let cores = kind.acquire_many(cores).await;
            let memory = self.memory.acquire_many(memory).await;
            (cores, memory)
        };
        let _permits = tokio::select! {
            permits = permits => permits,
            () = stop.reached(Level::Orderly) => return Err(Error::interrupted()),
        };
        self.supervise(&path, label, matches!(job.work, Work::Build(_)))
            .await
    }

    /// What a job takes of the budget, never more than there is: a lone big job still runs.
    fn share(&self, work: &Work) -> (u32, u32) {
        let (cores, memory) = match work {
            Work::Build(build) => (build.cores, build.cores * MAKE_MIB_PER_CORE),
            Work::Boot(boot) => (boot.machine.cpus, boot.machine.memory_mib + QEMU_EXTRA_MIB),
        };
        (cores.clamp(1, self.cores), memory.clamp(1, self.memory_mib))
    }

    async fn supervise(&self, path: &Path, label: &str, nice: bool) -> Result<()> {
        let doing = || format!("run the job {}", path.display());
        let mut child = start(path, nice).doing(doing)?;
        let task = self.ui.task(label);
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let show = async {
            let Some(stdout) = stdout else { return };
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(now) = serde_json::from_str::<Progress>(&line) {
                    task.at(now.done, now.expected, &now.words);
                }
            }
        };
        let complain = async {
            let mut words = Vec::new();
            if let Some(mut stderr) = stderr {
                let _closed = (&mut stderr)
                    .take(COMPLAINT_BYTES)
                    .read_to_end(&mut words)
                    .await;
                let _rest = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            }
            String::from_utf8_lossy(&words).trim().to_owned()
        };
        let (status, (), complaint) =
            tokio::join!(end(&mut child, self.stop.clone()), show, complain);
        let status = status.doing(doing)?;
        task.done(if status.success() { "done" } else { "failed" });
        if status.success() {
            return Ok(());
        }
        if self.stop.level() > Level::Run {
            return Err(Error::interrupted());
        }
        Err(Error::rig(if complaint.is_empty() {
            status.to_string()
        } else {
            complaint
        })
        .doing(doing()))
    }
}

/// Starts `lab job FILE` in a process group of its own: Ctrl-C reaches this process alone, which passes
/// it on in order. Should this process die, the job is told to stop.
fn start(path: &Path, nice: bool) -> std::io::Result<Child> {
    // Not by its path: the binary may have been replaced since this process began, and both must be one.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("job")
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let parent = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid and setpriority.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // The lab may have died before the line above took effect.
            if libc::getppid().cast_unsigned() != parent {
                return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
            }
            if nice {
                libc::setpriority(libc::PRIO_PROCESS, 0, 10);
            }
            Ok(())
        });
    }
    command.spawn()
}

/// Waits for the child and passes stop on: in order first, at once when asked again.
async fn end(child: &mut Child, mut stop: Stop) -> std::io::Result<ExitStatus> {
    for level in [Level::Orderly, Level::Now] {
        tokio::select! {
            status = child.wait() => return status,
            () = stop.reached(level) => tell(child, Signal::SIGTERM),
        }
    }
    child.wait().await
}

fn tell(child: &Child, signal: Signal) {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // The child may have ended by itself in this moment; then there is nobody to tell.
        let _gone = kill(Pid::from_raw(id), signal);
    }
}
