// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine that a shell runs in: QEMU with two serial ports, and no agent.

use crate::error::{Doing, Result};
use crate::image;
use crate::vm::{Ends, Process, Qemu, command_line, in_memory};
use lab_core::job::BootJob;
use nix::fcntl::Flock;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Kept of what QEMU complains, bytes.
const COMPLAINT: usize = 2048;
/// How long what is typed may wait for a guest that does not read.
const SEND: Duration = Duration::from_secs(2);

/// What to boot.
pub struct Machine<'a> {
    /// The QEMU to use.
    pub qemu: &'a Qemu,
    /// Kernel, machine and arguments. Its scenarios are not run; its settings below /proc/sys are made.
    pub job: BootJob,
}

/// A machine that runs.
pub(super) struct Running {
    /// QEMU; killed when dropped.
    pub(super) process: Process,
    /// The kernel's console.
    pub(super) console: End,
    /// The shell's terminal.
    pub(super) terminal: End,
    stderr: End,
    _kernel: Option<Flock<File>>,
}

impl Machine<'_> {
    /// Starts it, with a terminal of this size.
    pub(super) async fn start(mut self, (rows, columns): (u16, u16)) -> Result<Running> {
        let argument = format!("{}={rows}x{columns}", lab_wire::SHELL_ARGUMENT);
        self.job.append.push(argument);
        self.job.guest.scenarios.clear();
        let job = &self.job;
        let kernel = job.kernel.join("bzImage");
        File::open(&kernel)
            .map(drop)
            .doing(|| format!("read the kernel {}", kernel.display()))?;
        let held = crate::gc::hold_kernel(&job.kernel);
        let initramfs = in_memory("initramfs", &image::initramfs(&job.guest)?)?;
        let (console, console_end) = End::pair()?;
        let (terminal, terminal_end) = End::pair()?;
        let (stderr, stderr_end) = End::pair()?;
        let socket = |end: &OwnedFd| format!("socket,fd={}", end.as_raw_fd());
        let mut disks = Vec::new();
        for disk in &job.machine.disks {
            disks.push(image::disk(&job.cache, disk)?.display().to_string());
        }
        let ends = Ends {
            kernel: kernel.display().to_string(),
            initramfs: format!("/proc/self/fd/{}", initramfs.as_raw_fd()),
            console: socket(&console_end),
            terminal: Some(socket(&terminal_end)),
            monitor: None,
            agent: None,
            disks,
        };
        let mut argv = command_line(job, &ends);
        // A panicked guest would pause for evidence that nobody takes; its report is on the console.
        if let Some(action) = argv.iter_mut().find(|word| *word == "panic=pause") {
            *action = "panic=none".into();
        }
        let inherit = [&console_end, &terminal_end].map(AsRawFd::as_raw_fd);
        let inherit = [inherit[0], inherit[1], initramfs.as_raw_fd()];
        let process = self.qemu.start(&argv, &inherit, stderr_end)?;
        Ok(Running {
            process,
            console,
            terminal,
            stderr,
            _kernel: held,
        })
    }
}

impl Running {
    /// The end of what QEMU said of itself.
    pub(super) async fn said(&mut self) -> String {
        let mut all = Vec::new();
        let read = async {
            while all.len() < COMPLAINT {
                let bytes = self.stderr.read().await;
                all.extend(bytes);
            }
        };
        // The socket has no end that is waited for: QEMU is gone, so what there is, is there.
        let _all = tokio::time::timeout(Duration::from_millis(100), read).await;
        String::from_utf8_lossy(&all).trim().to_owned()
    }
}

/// The lab's end of one of QEMU's channels.
pub(super) struct End {
    stream: UnixStream,
    buffer: Vec<u8>,
    open: bool,
}

impl End {
    fn pair() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = StdStream::pair().doing(|| "make a channel to QEMU")?;
        ours.set_nonblocking(true)?;
        let end = Self {
            stream: UnixStream::from_std(ours)?,
            buffer: vec![0; 16 * 1024],
            open: true,
        };
        Ok((end, theirs.into()))
    }

    /// The next bytes; waits for ever once the other end is gone. May be cancelled.
    pub(super) async fn read(&mut self) -> Vec<u8> {
        while self.open {
            match self.stream.read(&mut self.buffer).await {
                Ok(n @ 1..) => return self.buffer[..n].to_vec(),
                _ => self.open = false,
            }
        }
        std::future::pending().await
    }

    /// Sends what was typed; a guest that does not read loses it.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _lost = tokio::time::timeout(SEND, self.stream.write_all(bytes)).await;
    }
}
