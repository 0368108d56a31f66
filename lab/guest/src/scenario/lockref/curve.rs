// SPDX-License-Identifier: MIT OR Apache-2.0
//! The speed of one path looked up by 1, 2, 4, 8… threads.
//!
//! The time is cut into slices, and each number of threads gets one in turn, so that a machine that is slow for a
//! while is slow for all of them. Between the rounds of that all threads fight for last references.

use crate::scenario::Number;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Length of a slice.
const SLICE: Duration = Duration::from_millis(200);
/// A speed over less than that is none.
const LEAST: Duration = Duration::from_millis(400);

/// What a worker is to do in a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Look the path up, as one of the threads of that place of the curve.
    Walk(usize),
    /// Wait: fewer threads have their turn.
    Wait,
    /// Fight for last references.
    Fight,
}

/// The curve as far as it was measured.
#[derive(Debug)]
pub(crate) struct Curve {
    begun: OnceLock<Instant>,
    /// Numbers of threads.
    counts: Vec<u32>,
    /// Lookups of each.
    done: Vec<AtomicU64>,
    /// When the last lookups ended, nanoseconds after the beginning.
    ended: AtomicU64,
}

impl Curve {
    /// For up to that many threads.
    pub(crate) fn new(threads: u32) -> Self {
        let counts: Vec<u32> = (0..)
            .map(|n| 1 << n)
            .take_while(|n| *n <= threads)
            .collect();
        Self {
            begun: OnceLock::new(),
            done: counts.iter().map(|_| AtomicU64::new(0)).collect(),
            counts,
            ended: AtomicU64::new(0),
        }
    }

    /// What a worker is to do now.
    pub(crate) fn turn(&self, worker: u32) -> Turn {
        self.turn_at(self.elapsed(), worker)
    }

    /// Counts lookups, if they were done in one slice.
    pub(crate) fn count(&self, place: usize, lookups: u32) {
        let now = self.elapsed();
        self.ended.fetch_max(now.as_nanos() as u64, Relaxed);
        if self.place_at(now) == Some(place) {
            self.done[place].fetch_add(lookups.into(), Relaxed);
        }
    }

    /// Lookups a second by each number of threads.
    pub(crate) fn numbers(&self) -> Vec<Number> {
        let all = Duration::from_nanos(self.ended.load(Relaxed));
        let each = self.counts.iter().zip(&self.done).enumerate();
        let speeds = each.filter_map(|(place, (count, done))| {
            let time = self.time_of(place, all);
            (time >= LEAST).then(|| {
                let speed = done.load(Relaxed) as f64 / time.as_secs_f64();
                Number::per_second(format!("threads-{count}"), speed)
            })
        });
        speeds.collect()
    }

    fn elapsed(&self) -> Duration {
        self.begun.get_or_init(Instant::now).elapsed()
    }

    /// Slices of a whole turn: one for each number of threads, and as many for the fight.
    fn slices(&self) -> usize {
        2 * self.counts.len()
    }

    /// Slices of curve and fight alternate.
    fn place_at(&self, at: Duration) -> Option<usize> {
        let slice = (at.as_nanos() / SLICE.as_nanos()) as usize % self.slices();
        slice.is_multiple_of(2).then_some(slice / 2)
    }

    fn turn_at(&self, at: Duration, worker: u32) -> Turn {
        match self.place_at(at) {
            None => Turn::Fight,
            Some(place) if worker < self.counts[place] => Turn::Walk(place),
            Some(_) => Turn::Wait,
        }
    }

    /// How much of that time belonged to a place.
    fn time_of(&self, place: usize, all: Duration) -> Duration {
        let turn = SLICE * self.slices() as u32;
        let turns = (all.as_nanos() / turn.as_nanos()) as u32;
        let rest = all - turn * turns;
        let before = SLICE * (2 * place) as u32;
        SLICE * turns + rest.saturating_sub(before).min(SLICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_threads_gets_its_time() {
        let curve = Curve::new(6);
        assert_eq!(curve.counts, [1, 2, 4]);
        let turn = |ms, worker| curve.turn_at(Duration::from_millis(ms), worker);
        assert_eq!((turn(0, 0), turn(0, 1)), (Turn::Walk(0), Turn::Wait));
        assert_eq!((turn(250, 0), turn(650, 5)), (Turn::Fight, Turn::Fight));
        assert_eq!((turn(850, 3), turn(850, 4)), (Turn::Walk(2), Turn::Wait));
        assert_eq!(turn(1_200, 0), Turn::Walk(0));
        let time = |place, ms| curve.time_of(place, Duration::from_millis(ms)).as_millis();
        assert_eq!((time(0, 100), time(1, 100)), (100, 0));
        assert_eq!(
            (time(0, 1_700), time(1, 1_700), time(2, 1_700)),
            (400, 300, 200)
        );
    }

    #[test]
    fn a_speed_needs_its_time() {
        let curve = Curve::new(2);
        curve.turn(0);
        curve.count(0, 64);
        assert_eq!(curve.numbers(), []);
        curve
            .ended
            .store(Duration::from_millis(1_600).as_nanos() as u64, Relaxed);
        let names: Vec<_> = curve.numbers().into_iter().map(|n| n.name).collect();
        assert_eq!(names, ["threads-1", "threads-2"]);
    }
}
