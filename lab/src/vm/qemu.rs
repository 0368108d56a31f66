// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU as a process: found, named by version, started so that it cannot outlive the lab, killed.

use crate::error::{Doing, Error, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::process::{Child, Command};

/// What it is called.
const PROGRAM: &str = "qemu-system-x86_64";
/// What to do without it.
const HINT: &str = "install qemu-system-x86 (Debian, Ubuntu: apt-get install qemu-system-x86 seabios; \
Fedora: qemu-system-x86-core; Arch: qemu-system-x86), or name it in LAB_QEMU";

/// An installed QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// First line of its `--version`.
    pub version: String,
}

impl Qemu {
    /// The one in `LAB_QEMU`, else in the path.
    ///
    /// # Errors
    /// When it cannot be run; the hint names the package.
    pub async fn find() -> Result<Self> {
        let program = std::env::var_os("LAB_QEMU").unwrap_or_else(|| PROGRAM.into());
        Self::at(Path::new(&program)).await
    }

    /// This one.
    ///
    /// # Errors
    /// When it cannot be run; the hint names the package.
    pub async fn at(program: &Path) -> Result<Self> {
        let output = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Error::from(error).hint(HINT))
            .doing(|| format!("start {}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(Self {
            program: program.to_owned(),
            version: text.lines().next().unwrap_or("unknown").to_owned(),
        })
    }

    /// Starts it with descriptors to inherit (kept by number). It is a process group of its own, so that a Ctrl-C at
    /// the terminal does not reach it, and dies with the thread that started it.
    pub(crate) fn start(
        &self,
        argv: &[String],
        inherit: &[RawFd],
        stderr: OwnedFd,
    ) -> Result<Process> {
        let mut command = Command::new(&self.program);
        command
            .args(argv)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(stderr))
            .process_group(0)
            .kill_on_drop(true);
        let inherit = inherit.to_vec();
        let parent = std::process::id();
        // SAFETY: between fork and exec only prctl, getppid and fcntl are called, which are async-signal-safe, and
        // nothing is allocated: the numbers were copied before.
        unsafe {
            command.pre_exec(move || {
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // The lab may have died before the line above took effect.
                if libc::getppid().cast_unsigned() != parent {
                    return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
                }
                for fd in &inherit {
                    if libc::fcntl(*fd, libc::F_SETFD, 0) != 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let child = command
            .spawn()
            .map_err(|error| Error::from(error).hint(HINT))
            .doing(|| format!("start {}", self.program.display()))?;
        Ok(Process(child))
    }
}

/// A QEMU that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Waits for its end. May be cancelled.
    pub(crate) async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        self.0.wait().await
    }

    /// Kills it and all it may have started.
    pub(crate) fn kill(&mut self) {
        let group = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = group {
            // It may be gone already, which is as good.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

/// Numbers of descriptors.
pub(super) fn numbers(fds: &[OwnedFd]) -> Vec<RawFd> {
    fds.iter().map(AsRawFd::as_raw_fd).collect()
}
