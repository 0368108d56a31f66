// SPDX-License-Identifier: MIT OR Apache-2.0
//! A download that is checked, bounded, resumed and tried again. What has not its checksum is never given its name.
//!
//! ```text
//! attempt ─► 200/206 ─► body into NAME.part ─► length and checksum right ─► renamed: done
//!    ▲          │              │ cut, stalled                 │ wrong
//!    │          │ 429, 5xx     ▼                              ▼
//!    └── wait ◄─┴──────── kept, resumed              part removed, from the start
//! ```

use super::attempt::{Failure, attempt, client};
use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to download, and how it is known to be right.
#[derive(Debug, Clone)]
pub struct Download {
    /// Where from: http or https.
    pub url: String,
    /// Where to. An existing file of that name with the right checksum is kept.
    pub to: PathBuf,
    /// SHA-256 of the whole file, 64 hex digits.
    pub sha256: String,
    /// Bounds.
    pub limits: Limits,
    /// Go through the proxies that the environment names.
    pub proxies: bool,
}

/// Bounds of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, bytes.
    pub bytes: u64,
    /// Longest silence of the server.
    pub stall: Duration,
    /// Attempts in a row that bring nothing new.
    pub attempts: u32,
    /// Wait after the first failure; doubled each time.
    pub back_off: Duration,
    /// Longest wait, also when the server asks for more.
    pub longest_wait: Duration,
    /// Redirects followed.
    pub redirects: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            stall: Duration::from_secs(30),
            attempts: 6,
            back_off: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            redirects: 5,
        }
    }
}

/// How far a download is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Bytes here, of how many where the server says it.
    Receiving {
        /// Bytes here.
        here: u64,
        /// Size of the file.
        of: Option<u64>,
    },
    /// The attempt failed; the next one comes after a wait.
    Waiting {
        /// Why.
        why: String,
        /// How long.
        wait: Duration,
    },
}

/// Downloads a file. When this returns `Ok`, the file is there, whole, with its checksum, synced.
///
/// # Errors
/// The server refuses it, it never has the right checksum, it is larger than allowed, attempts ran out, or the user said
/// stop. What came so far stays beside the file as `NAME.part` for the next time, unless it was wrong.
pub async fn download(
    wanted: &Download,
    stop: &Stop,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<()> {
    run(wanted, stop, progress)
        .await
        .map_err(|error| error.doing(format!("download {}", wanted.url)))
}

async fn run(
    wanted: &Download,
    stop: &Stop,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<()> {
    if hash_of(&wanted.to).as_deref() == Some(wanted.sha256.as_str()) {
        return Ok(());
    }
    let client = client(wanted)?;
    let part = part_of(&wanted.to);
    let mut failed = 0;
    let mut stopped = stop.clone();
    loop {
        let before = size_of(&part);
        let outcome = tokio::select! {
            outcome = attempt(&client, wanted, &part, progress) => outcome,
            () = stopped.reached(Level::Orderly) => return Err(Error::interrupted()),
        };
        let (why, asked) = match outcome.and_then(|()| finish(wanted, &part)) {
            Ok(()) => return Ok(()),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Again { why, wait }) => (why, wait),
        };
        // An attempt that brought the file on is no failure in a row.
        failed = if size_of(&part) > before {
            1
        } else {
            failed + 1
        };
        if failed >= wanted.limits.attempts {
            return Err(Error::rig(format!("{why} ({failed} attempts)"))
                .hint("try again later; what came so far is kept"));
        }
        let wait = wait(&wanted.limits, failed, asked);
        progress(Progress::Waiting { why, wait });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopped.reached(Level::Orderly) => return Err(Error::interrupted()),
        }
    }
}

/// Doubled with each failure in a row; what the server asks for wins, and both are bounded.
fn wait(limits: &Limits, failed: u32, asked: Option<Duration>) -> Duration {
    let doubled = limits.back_off * 2u32.saturating_pow((failed - 1).min(16));
    asked.unwrap_or(doubled).min(limits.longest_wait)
}

/// Checks what came and gives it its name.
fn finish(wanted: &Download, part: &Path) -> std::result::Result<(), Failure> {
    let doing = || format!("keep {}", wanted.to.display());
    let sum = hash_of(part);
    if sum.as_deref() != Some(wanted.sha256.as_str()) {
        // Of a wrong file no byte is worth keeping.
        std::fs::remove_file(part).doing(doing)?;
        let came = sum.unwrap_or_else(|| "nothing".to_owned());
        return Err(Failure::Again {
            why: format!(
                "what came has the wrong checksum: {came}, not {}",
                wanted.sha256
            ),
            wait: None,
        });
    }
    let file = std::fs::File::open(part).doing(doing)?;
    file.sync_all().doing(doing)?;
    std::fs::rename(part, &wanted.to).doing(doing)?;
    Ok(())
}

fn part_of(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

pub(super) fn size_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}

fn hash_of(path: &Path) -> Option<String> {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    std::io::copy(&mut std::fs::File::open(path).ok()?, &mut hash).ok()?;
    Some(format!("{:x}", hash.finalize()))
}
