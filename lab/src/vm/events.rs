// SPDX-License-Identifier: MIT OR Apache-2.0
//! `events.jsonl`: each thing said in a boot, written as it comes.

use lab_core::boot::{EVENTS_FORMAT, Record, Said};
use std::fs::File;
use std::io::{Error, Result, Write};
use std::path::Path;
use std::time::Duration;

/// A guest that says more than this (MiB) is no longer written down: its scenario takes weeks, or it has gone mad.
const LIMIT: u64 = 64 << 20;

/// The file being written.
#[derive(Debug)]
pub(super) struct EventLog {
    file: File,
    written: u64,
}

impl EventLog {
    /// A new file with its first line.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path)?;
        let mut log = Self { file, written: 0 };
        log.write(Duration::ZERO, Said::Format(EVENTS_FORMAT))?;
        Ok(log)
    }

    /// Writes a line. One system call a line, so that a lab that dies leaves whole lines but for the last.
    pub(super) fn write(&mut self, now: Duration, what: Said) -> Result<()> {
        if self.written > LIMIT {
            return Ok(());
        }
        let host_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let record = Record { host_ms, what };
        let mut line = serde_json::to_vec(&record).map_err(Error::other)?;
        line.push(b'\n');
        self.written += line.len() as u64;
        self.file.write_all(&line)
    }

    /// Makes sure that it is on the disk.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.file.sync_all()
    }
}
