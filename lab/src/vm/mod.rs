// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine room: boots a kernel in QEMU and records what happens.
//!
//! Takes a [`BootJob`], leaves `console.log` and `events.jsonl` in a folder, after a failure also `registers.txt`, `state.txt`
//! and `vmcore.zst`, for an audit `audit-NN.zst`, and hands on a [`Recording`]. What to do when is decided by [`lab_core::boot::Boot`]; nothing here decides.

mod argv;
mod channel;
mod console;
mod driver;
mod dump;
mod events;
mod gather;
mod probe;
mod progress;
mod qemu;
mod qmp;
#[cfg(test)]
pub(crate) mod tests;

pub use probe::{Probe, probe};
pub use progress::{News, VmProgress};
pub use qemu::Qemu;

pub(crate) use argv::{Ends, command_line};
pub(crate) use channel::in_memory;
pub(crate) use probe::sector as probe_sector;
pub(crate) use qemu::Process;

/// QEMU's machine type: part of what makes two boots the same experiment.
pub const MACHINE: &str = argv::MACHINE;

use crate::error::{Doing, Error, Result};
use crate::image;
use crate::stop::{Level, Stop};
use argv::Inherited;
use channel::Channel;
use driver::{Channels, Driven, Driver};
use gather::Taken;
use lab_core::job::{BootJob, JOB_FORMAT, Recording};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Boots a job and records into the folder `out` until it is over or stopped.
///
/// # Errors
/// Only if the boot could not begin: no QEMU, no kernel, no disk image, a folder that cannot be written. All that goes
/// wrong later is an outcome.
pub async fn run(
    job: &BootJob,
    out: &Path,
    stop: Stop,
    mut progress: impl FnMut(VmProgress) + Send,
) -> Result<Recording> {
    let qemu = Qemu::find().await?;
    let initramfs = image::initramfs(&job.guest)?;
    let disks: Vec<PathBuf> = (job.machine.disks.iter())
        .map(|disk| image::disk(&job.cache, disk))
        .collect::<Result<_>>()?;
    let vm = Vm {
        qemu: &qemu,
        job,
        initramfs: &initramfs,
        disks: &disks,
    };
    vm.run(out, stop, &mut progress).await
}

/// One boot, with all that it needs.
pub struct Vm<'a> {
    /// The QEMU to use.
    pub qemu: &'a Qemu,
    /// What to boot.
    pub job: &'a BootJob,
    /// The guest.
    pub initramfs: &'a [u8],
    /// Images of its disks, which are not written to.
    pub disks: &'a [PathBuf],
}

impl Vm<'_> {
    /// Boots it, and records into the folder `out` until it is over or stopped.
    ///
    /// # Errors
    /// Only if the boot could not begin: no QEMU, no kernel, a folder that cannot be written. All that goes wrong later is
    /// an outcome.
    pub async fn run(
        self,
        out: &Path,
        stop: Stop,
        progress: &mut (dyn FnMut(VmProgress) + Send),
    ) -> Result<Recording> {
        if stop.level() > Level::Run {
            return Err(Error::interrupted());
        }
        std::fs::create_dir_all(out).doing(|| format!("make the folder {}", out.display()))?;
        gather::clear(out).doing(|| format!("clear the folder {}", out.display()))?;
        check_kernel(self.job)?;
        let (channels, mut inherit) = channels()?;
        let (stderr, inherited) = inherit.hold(self.initramfs)?;
        let (pipe, end) = dump::channel().doing(|| "make a pipe for dumps")?;
        let taken = Taken::new(pipe, end.as_raw_fd(), self.job.evidence.dump_mib);
        inherit.0.push(end);
        let argv = argv::argv(self.job, self.disks, &inherited);
        let clock = Instant::now();
        let process = (self.qemu).start(&argv, &qemu::numbers(&inherit.0), stderr)?;
        drop(inherit);
        let started = (process, channels, taken, clock);
        let driver = Driver::new(self.job, out, started, stop, progress)?;
        let driven = driver.drive().await;
        Ok(recording(self.job, self.qemu, argv, driven))
    }
}

fn check_kernel(job: &BootJob) -> Result<()> {
    let kernel = job.kernel.join("bzImage");
    std::fs::File::open(&kernel)
        .map(drop)
        .doing(|| format!("read the kernel {}", kernel.display()))
        .map_err(|error| error.hint("build it again: the cache may have been cleaned meanwhile"))
}

/// QEMU's ends of everything, until it has them.
struct Inherit(Vec<OwnedFd>);

fn channels() -> Result<(Channels, Inherit)> {
    let (console, console_end) = Channel::pair()?;
    let (agent, agent_end) = Channel::pair()?;
    let (qmp, qmp_end) = Channel::pair()?;
    let (stderr, stderr_end) = Channel::pair()?;
    let channels = Channels {
        console,
        agent,
        qmp,
        stderr,
    };
    let ends = vec![console_end, agent_end, qmp_end, stderr_end];
    Ok((channels, Inherit(ends)))
}

impl Inherit {
    /// Adds the initramfs; gives QEMU's standard error and the numbers of the rest.
    fn hold(&mut self, initramfs: &[u8]) -> Result<(OwnedFd, Inherited)> {
        let stderr =
            (self.0.pop()).ok_or_else(|| Error::internal("no channel for QEMU's stderr"))?;
        let channels = qemu::numbers(&self.0);
        let [console, agent, qmp] = channels[..] else {
            return Err(Error::internal(
                "QEMU has three channels besides its stderr",
            ));
        };
        let initramfs = channel::in_memory("initramfs", initramfs)?;
        let inherited = Inherited {
            console,
            agent,
            qmp,
            initramfs: initramfs.as_raw_fd(),
        };
        self.0.push(initramfs.into());
        Ok((stderr, inherited))
    }
}

fn recording(job: &BootJob, qemu: &Qemu, argv: Vec<String>, driven: Driven) -> Recording {
    let facts = driven.boot.facts();
    let program = qemu.program.display().to_string();
    let no_outcome = || lab_core::outcome::BootOutcome::RigFailed {
        reason: "the boot was left without an outcome".into(),
    };
    Recording {
        format: JOB_FORMAT,
        outcome: driven.boot.outcome().cloned().unwrap_or_else(no_outcome),
        seconds: driven.seconds,
        agent_up: facts.agent_up.map(|at| at.as_secs_f64()),
        first_operation: facts.first_operation.map(|at| at.as_secs_f64()),
        exposure: facts.exposure.as_secs_f64(),
        accel: job.machine.accel,
        argv: std::iter::once(program).chain(argv).collect(),
        qemu: qemu.version.clone(),
        release: facts.release,
        console_bytes: driven.console_bytes,
        console_cut: driven.console_cut,
        remarks: facts.remarks,
        dumps: driven.dumps,
    }
}
