// SPDX-License-Identifier: MIT OR Apache-2.0
//! One run of make: its output stored, read and told on.

use super::progress::{Meter, Phase};
use super::sandbox::Place;
use crate::error::{Error, Result};
use crate::process::{Finished, supervise};
use crate::stop::Stop;
use lab_core::kbuild::log::{LogReader, Summary};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

/// Bytes of output kept; what is beyond is counted.
const LOG_MAX: u64 = 64 << 20;

/// How a run of make went.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) finished: Finished,
    pub(super) summary: Summary,
}

/// What all runs of make in one job share.
pub(super) struct Maker<'a> {
    pub(super) place: Place<'a>,
    pub(super) log: &'a Path,
    pub(super) cores: u32,
    pub(super) deadline: Instant,
    pub(super) stop: Stop,
    pub(super) make_seconds: f64,
}

impl Maker<'_> {
    /// Runs make for these targets, adding to the log.
    pub(super) async fn make(&mut self, targets: &[&str], meter: &mut Meter<'_>) -> Result<Made> {
        let mut args = vec![format!("-j{}", self.cores.max(1))];
        if let Some(ccache) = ccache() {
            args.push(format!("CC={ccache} gcc"));
            args.push(format!("HOSTCC={ccache} gcc"));
        }
        args.extend(targets.iter().map(|&target| target.to_owned()));
        let spec = self.place.make(&args);
        let mut log = Log::append(self.log)?;
        log.line(format!("$ {}", spec.argv().join(" ")).as_bytes());
        let src = self.place.src_seen();
        let mut reader = LogReader::new(&[&src, ".."]);
        let left = self.deadline.saturating_duration_since(Instant::now());
        let finished = supervise(spec, left, self.stop.clone(), |line| {
            log.line(line);
            reader.line(&String::from_utf8_lossy(line));
            meter.tell(Phase::Making, reader.objects(), reader.target());
        });
        let finished = finished.await.map_err(|error| match self.place.sandboxed {
            true => error.hint("install bubblewrap, or run make without a sandbox: --no-sandbox"),
            false => error,
        })?;
        self.make_seconds += finished.seconds;
        log.finish()?;
        Ok(Made {
            finished,
            summary: reader.finish(),
        })
    }
}

/// ccache, where the sandbox sees it too.
fn ccache() -> Option<&'static str> {
    let found = ["/usr/bin/ccache", "/usr/local/bin/ccache"];
    found.into_iter().find(|path| Path::new(path).exists())
}

/// A log with a bound. A full disk must not look like broken code, so its errors are kept to the end.
struct Log {
    file: BufWriter<File>,
    bytes: u64,
    dropped: u64,
    trouble: Option<std::io::Error>,
}

impl Log {
    fn append(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            file: BufWriter::new(file),
            bytes,
            dropped: 0,
            trouble: None,
        })
    }
    fn line(&mut self, line: &[u8]) {
        if self.bytes >= LOG_MAX {
            self.dropped += line.len() as u64 + 1;
            return;
        }
        self.bytes += line.len() as u64 + 1;
        let written = self
            .file
            .write_all(line)
            .and_then(|()| self.file.write_all(b"\n"));
        self.trouble = self.trouble.take().or(written.err());
    }
    fn finish(mut self) -> Result<()> {
        if self.dropped > 0 {
            let words = format!("[the lab cut {} bytes here]\n", self.dropped);
            self.file.write_all(words.as_bytes())?;
        }
        match self.trouble.take() {
            Some(error) => Err(Error::from(error).doing("write the build's log")),
            None => Ok(self.file.flush()?),
        }
    }
}
