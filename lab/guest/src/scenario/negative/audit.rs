// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's count of its dentries against a model: `/proc/sys/fs/dentry-state`, in moments in which nobody works.

use crate::ops::{self, Name};
use crate::scenario::Number;
use crate::scenario::caches::Caches;
use crate::scenario::fault::{Fault, gone};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Names looked up for the model.
const FRESH: u64 = 4_096;
/// What others in the guest may do meanwhile.
const SLACK: i64 = 1_024;
/// Attempts before a count is wrong: the kernel may still be freeing, or reclaiming.
const ATTEMPTS: u32 = 8;
/// Between them.
const PAUSE: Duration = Duration::from_millis(100);

/// Counts as the kernel gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    all: i64,
    unused: i64,
    negative: i64,
}

/// What was counted when the scenario began, and since.
#[derive(Debug)]
pub(super) struct Audit {
    file: Option<File>,
    begin: Option<Counts>,
    fresh: AtomicU64,
    most: AtomicU64,
    done: AtomicU64,
}

impl Audit {
    /// Counts what there is without anything of ours.
    pub(super) fn begin(caches: Option<&Caches>) -> Self {
        let mut audit = Self {
            file: File::open("/proc/sys/fs/dentry-state").ok(),
            begin: None,
            fresh: AtomicU64::new(0),
            most: AtomicU64::new(0),
            done: AtomicU64::new(0),
        };
        // Without the right to drop caches there is no quiet state to compare with.
        if let Some(caches) = caches {
            for _ in 0..3 {
                // A refusal is told by the workers.
                let _ = caches.drop_dentries();
            }
            audit.begin = audit.counts();
        }
        audit
    }

    /// Holds the counts against the model; the whole guest is quiet.
    pub(super) fn hold(&self, dir: BorrowedFd<'_>, caches: Option<&Caches>) -> Result<(), Fault> {
        let (Some(begin), Some(caches), Some(now)) = (self.begin, caches, self.counts()) else {
            return Ok(());
        };
        self.most.fetch_max(now.negative as u64, Ordering::Relaxed);
        self.try_all(|| self.counts().map_or(Ok(()), Counts::plausible))?;
        self.try_all(|| {
            caches.drop_dentries()?;
            self.counts().map_or(Ok(()), |counts| counts.dropped(begin))
        })?;
        self.try_all(|| self.risen(dir))?;
        self.done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Lookups of so many absent names make so many negative dentries.
    fn risen(&self, dir: BorrowedFd<'_>) -> Result<(), Fault> {
        let Some(before) = self.counts() else {
            return Ok(());
        };
        for _ in 0..FRESH {
            let number = self.fresh.fetch_add(1, Ordering::Relaxed);
            let name = Name::new("q", number);
            gone(dir, name.as_c(), "a name that was never made is there")?;
        }
        self.counts().map_or(Ok(()), |after| after.risen(before))
    }

    /// Wrong only if it is wrong each time.
    fn try_all(&self, mut check: impl FnMut() -> Result<(), Fault>) -> Result<(), Fault> {
        let mut outcome = check();
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Err(Fault::Wrong(..))) {
                break;
            }
            std::thread::sleep(PAUSE);
            outcome = check();
        }
        outcome
    }

    fn counts(&self) -> Option<Counts> {
        let mut bytes = [0; 128];
        let got = ops::read_at_0(self.file.as_ref()?.as_fd(), &mut bytes).ok()?;
        Counts::parse(std::str::from_utf8(&bytes[..got]).ok()?)
    }

    /// Its own measurements.
    pub(super) fn numbers(&self) -> Vec<Number> {
        let count = |name, of: &AtomicU64| Number::count(name, of.load(Ordering::Relaxed) as f64);
        vec![
            count("audits", &self.done),
            count("negative.most", &self.most),
        ]
    }
}

impl Counts {
    /// Of a text as in Documentation/admin-guide/sysctl/fs.rst; `None` where a kernel counts no negative dentries.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<i64> = text
            .split_ascii_whitespace()
            .map_while(|n| n.parse().ok())
            .collect();
        let [all, unused, _, _, negative, _] = fields[..] else {
            return None;
        };
        Some(Self {
            all,
            unused,
            negative,
        })
    }

    fn plausible(self) -> Result<(), Fault> {
        let Self {
            all,
            unused,
            negative,
        } = self;
        if all >= 0
            && (0..=all + SLACK).contains(&unused)
            && (0..=unused + SLACK).contains(&negative)
        {
            return Ok(());
        }
        Err(Fault::wrong(
            "dentry counts contradict each other",
            format!("{self:?}"),
        ))
    }

    /// After a drop, hardly more is left than was there at the beginning.
    fn dropped(self, begin: Self) -> Result<(), Fault> {
        if self.negative <= begin.negative + SLACK {
            return Ok(());
        }
        let seen = format!("{self:?} after dropping, {begin:?} at the beginning");
        Err(Fault::wrong(
            "negative dentries counted that were dropped",
            seen,
        ))
    }

    /// Both counts rise alike. Where neither does, the kernel reclaimed meanwhile.
    fn risen(self, before: Self) -> Result<(), Fault> {
        let (all, negative) = (self.all - before.all, self.negative - before.negative);
        if all < FRESH as i64 / 2 || (all - negative).abs() <= SLACK {
            return Ok(());
        }
        let seen = format!("{before:?}, then {self:?} after {FRESH} lookups of absent names");
        Err(Fault::wrong("negative dentries are miscounted", seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_held_against_each_other() {
        let counts = |all, unused, negative| Counts {
            all,
            unused,
            negative,
        };
        let wrong = |outcome| matches!(outcome, Err(Fault::Wrong(..)));
        assert_eq!(
            Counts::parse("9000\t7000\t45\t0\t5000\t0\n"),
            Some(counts(9_000, 7_000, 5_000))
        );
        assert_eq!(Counts::parse("9000 7000 45 0"), None);
        assert!(!wrong(counts(9_000, 7_000, 5_000).plausible()));
        assert!(wrong(counts(9_000, 7_000, 8_500).plausible()));
        assert!(wrong(counts(9_000, 7_000, -1).plausible()));
        let begin = counts(3_000, 1_000, 200);
        assert!(!wrong(counts(3_500, 1_500, 700).dropped(begin)));
        assert!(wrong(counts(3_500, 1_500, 90_000).dropped(begin)));
        assert!(!wrong(counts(7_100, 5_100, 4_300).risen(begin)));
        assert!(wrong(counts(7_100, 5_100, 300).risen(begin)));
        assert!(!wrong(counts(3_100, 1_100, 300).risen(begin)));
    }
}
