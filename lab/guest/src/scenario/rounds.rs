// SPDX-License-Identifier: MIT OR Apache-2.0
//! Barrier rounds: a team let loose at once.
//!
//! Tasks wait for each other's lookup only while a name is looked up for the first time. So a team
//! of threads meets at a barrier, and all are let loose at once on one name that nobody has ever
//! used: that beats any number of random operations on names that are cached.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A barrier that counts its rounds and lets everybody go when told to stop.
#[derive(Debug)]
pub(crate) struct Rounds {
    team: u32,
    arrived: AtomicU32,
    round: AtomicU32,
}

impl Rounds {
    /// A barrier for a team of that size.
    pub(crate) fn new(team: u32) -> Self {
        Self {
            team,
            arrived: AtomicU32::new(0),
            round: AtomicU32::new(0),
        }
    }

    /// How many threads meet here: those with the lowest numbers.
    pub(crate) fn team(&self) -> u32 {
        self.team
    }

    /// How many rounds there were.
    pub(crate) fn count(&self) -> u32 {
        self.round.load(Ordering::Relaxed)
    }

    /// Waits for the whole team; gives the number of the round, or `None` when told to stop.
    pub(crate) fn meet(&self, stop: &AtomicBool) -> Option<u32> {
        let now = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.team {
            self.arrived.store(0, Ordering::Release);
            self.round.store(now.wrapping_add(1), Ordering::Release);
            futex_wake_all(&self.round);
        }
        while self.round.load(Ordering::Acquire) == now {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            futex_wait(&self.round, now, Duration::from_millis(50));
        }
        (!stop.load(Ordering::Relaxed)).then_some(now)
    }
}

fn futex_wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let limit = libc::timespec {
        tv_sec: 0,
        tv_nsec: limit.subsec_nanos().into(),
    };
    let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word and the limit outlive the call; any return is looked at by the caller's loop.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            op,
            expected,
            &raw const limit,
        )
    };
}

fn futex_wake_all(word: &AtomicU32) {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word outlives the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, i32::MAX) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_team_meets_in_every_round_and_leaves_when_told() {
        let (rounds, stop) = (Rounds::new(4), AtomicBool::new(false));
        let seen: Vec<Vec<u32>> = std::thread::scope(|scope| {
            let run = || {
                let mut seen = Vec::new();
                while let Some(round) = rounds.meet(&stop) {
                    seen.push(round);
                    if round == 500 {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                seen
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .collect()
        });
        for seen in seen {
            assert!(seen.len() >= 500, "{}", seen.len());
            assert!(seen.iter().copied().eq(0..seen.len() as u32));
        }
    }
}
