// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a scenario: what must be so when all have stopped, a clean unmount, and what the kernel still
//! keeps afterwards.

use super::{Prepared, Run};
use crate::fs::Ready;
use crate::scenario::caches::Caches;
use crate::scenario::worker::Shared;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest wait for what the kernel does later: last references put by work queues and RCU.
const LATER: Duration = Duration::from_secs(10);
/// Dentries more than before that are nobody's fault: /proc and /sys were looked at meanwhile.
const DENTRIES: u64 = 2_000;

/// What the kernel counts of its dentries: `/proc/sys/fs/dentry-state`, see `Documentation/admin-guide/sysctl/fs.rst`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    dentries: Option<u64>,
}

impl Counts {
    /// The counts now.
    pub(super) fn take() -> Self {
        let text = std::fs::read_to_string("/proc/sys/fs/dentry-state").unwrap_or_default();
        Self {
            dentries: text
                .split_ascii_whitespace()
                .next()
                .and_then(|n| n.parse().ok()),
        }
    }

    /// What is kept that was not there before, if it is too much.
    fn kept_since(self, before: Self) -> Option<String> {
        let (now, then) = (self.dentries?, before.dentries?);
        (now > then + DENTRIES).then(|| format!("{then} dentries before, {now} after"))
    }
}

/// What the end brought to light.
#[derive(Debug, Default)]
struct Seen {
    wrongs: Vec<(&'static str, String)>,
    notes: Vec<String>,
}

impl Run<'_> {
    /// Checks, unmounts and counts; whether any of that hung.
    pub(super) fn tear_down(&self, prepared: Prepared, threads: Vec<JoinHandle<()>>) -> bool {
        let what = format!("unmount {}", prepared.ready.at.display());
        match self.bounded(what, move || end(prepared, threads)) {
            Ok(seen) => {
                for (oracle, detail) in seen.wrongs {
                    self.tell_wrong(oracle, detail, Vec::new());
                }
                for note in seen.notes {
                    self.port.note(format!("scenario {}: {note}", self.index));
                }
                false
            }
            Err(_) => true,
        }
    }
}

fn end(prepared: Prepared, threads: Vec<JoinHandle<()>>) -> Seen {
    let mut seen = Seen::default();
    for thread in threads {
        // A worker that panicked ended the agent; there is nobody else to wait for.
        let _ = thread.join();
    }
    for shared in &prepared.parts {
        seen.wrongs.extend(shared.stage.settle());
    }
    for shared in prepared.parts {
        clear(shared, &mut seen);
    }
    remove(prepared.ready, &mut seen);
    // Without the right to drop caches, what is kept says nothing.
    if let Some(caches) = Caches::open() {
        let kept = patiently(|| {
            // A refusal was told by the workload already.
            let _ = caches.drop_dentries();
            Counts::take()
                .kept_since(prepared.before)
                .map_or(Ok(()), Err)
        });
        if let Err(kept) = kept {
            seen.wrongs.push(("dentries not given back", kept));
        }
    }
    seen
}

fn clear(shared: Arc<Shared>, seen: &mut Seen) {
    let Some(shared) = Arc::into_inner(shared) else {
        return seen.notes.push("a worker still holds its scenario".into());
    };
    if let Err(why) = shared.stage.clear() {
        seen.wrongs
            .push(("still busy after its users are gone", why));
    }
}

fn remove(mut ready: Ready, seen: &mut Seen) {
    let Err(why) = patiently(|| ready.remove()) else {
        return;
    };
    // An NFS server puts some of its references whenever it likes, so an export that stays busy proves nothing.
    match ready.server {
        Some(_) => seen.notes.push(why),
        None => seen
            .wrongs
            .push(("still busy after its users are gone", why)),
    }
}

/// Tries again for a while: the kernel puts some references later than it answers.
pub(crate) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(_) if begun.elapsed() < LATER => std::thread::sleep(Duration::from_millis(50)),
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_more_dentries_are_told_and_few_are_not() {
        let counts = |n| Counts { dentries: Some(n) };
        assert_eq!(counts(3_000).kept_since(counts(1_000)), None);
        assert_eq!(
            counts(3_001).kept_since(counts(1_000)).unwrap(),
            "1000 dentries before, 3001 after"
        );
        assert_eq!(Counts::default().kept_since(counts(1)), None);
        assert!(Counts::take().dentries.is_some());
    }

    #[test]
    fn patience_ends_with_the_first_success() {
        let mut left = 3;
        let answer = patiently(|| {
            left -= 1;
            if left == 0 {
                Ok("done")
            } else {
                Err("busy".into())
            }
        });
        assert_eq!((answer, left), (Ok("done"), 0));
    }
}
