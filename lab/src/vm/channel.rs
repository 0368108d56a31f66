// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's ends of what QEMU inherits: pairs of sockets, the initramfs in memory.

use crate::error::{Doing, Result};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Bytes read at once; the most that is held for one channel.
const CHUNK: usize = 64 * 1024;
/// A reader that takes nothing for so long is not waited for.
const SEND_LIMIT: Duration = Duration::from_millis(100);

/// One end of a socket whose other end QEMU has.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    buffer: Vec<u8>,
    open: bool,
}

impl Channel {
    /// A channel, and the end that QEMU inherits.
    pub(super) fn pair() -> Result<(Self, OwnedFd)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let channel = Self {
            stream: UnixStream::from_std(ours)?,
            buffer: vec![0; CHUNK],
            open: true,
        };
        Ok((channel, theirs.into()))
    }

    /// Waits for bytes; none mean that the other end is gone. After that it waits for ever. May be cancelled.
    pub(super) async fn read(&mut self) -> usize {
        if !self.open {
            std::future::pending::<()>().await;
        }
        let n = self.stream.read(&mut self.buffer).await.unwrap_or(0);
        self.open = n > 0;
        n
    }

    /// What can be read without waiting; as [`Self::read`]. Asks the socket itself, not what the runtime last knew of it.
    pub(super) fn read_now(&mut self) -> Option<usize> {
        if !self.open {
            return None;
        }
        let n = nix::unistd::read(self.stream.as_fd(), &mut self.buffer).ok()?;
        self.open = n > 0;
        Some(n)
    }

    /// The bytes that [`Self::read`] announced, to be given back with [`Self::give_back`].
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Takes the buffer back for the next read.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffer = buffer;
    }

    /// The other end still has it.
    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    /// Sends, or gives up soon; false if it was not taken.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = tokio::time::timeout(SEND_LIMIT, self.stream.write_all(bytes)).await;
        matches!(sent, Ok(Ok(())))
    }
}

/// A file in memory that is gone with its last descriptor.
pub(crate) fn in_memory(name: &str, bytes: &[u8]) -> Result<File> {
    let fd = memfd_create(name, MFdFlags::MFD_CLOEXEC)
        .map_err(std::io::Error::from)
        .doing(|| format!("make a file in memory for {name}"))?;
    let mut file = File::from(fd);
    file.write_all(bytes)
        .doing(|| format!("keep {name} in memory"))?;
    Ok(file)
}
