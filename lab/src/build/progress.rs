// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a build is.

use std::time::Instant;

/// Objects assumed for a kernel nobody has built here yet.
const FIRST_GUESS: u32 = 2400;
/// Objects assumed for a rebuild when none was seen yet.
const PART_GUESS: u32 = 60;

/// What a build is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Another build works in the folder.
    Waiting,
    /// Source files are brought to the wanted tree.
    Checkout,
    /// The configuration is made and compared with what was asked.
    Configuring,
    /// make is at work.
    Making,
    /// The kernel is stored.
    Storing,
}

/// How far a build is, now.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildProgress {
    /// What it is at.
    pub phase: Phase,
    /// Objects made.
    pub done: u32,
    /// Objects expected, at least `done`: a guess from builds before.
    pub expected: u32,
    /// Objects a second, once there is something to tell it from.
    pub rate: Option<f64>,
    /// Seconds left, likewise.
    pub eta: Option<f64>,
    /// What was made last.
    pub file: String,
}

impl BuildProgress {
    /// For people: `412 of 2000 objects, 3.1/s, 8 min 31 s left, fs/dcache.o`.
    pub fn words(&self) -> String {
        match self.phase {
            Phase::Waiting => "waiting for the work folder".into(),
            Phase::Checkout => "checking out".into(),
            Phase::Configuring => "configuring".into(),
            Phase::Storing => "storing the kernel".into(),
            Phase::Making => self.making(),
        }
    }

    fn making(&self) -> String {
        let mut words = format!("{} of {} objects", self.done, self.expected);
        if let Some(rate) = self.rate {
            words += &format!(", {rate:.1}/s");
        }
        if let Some(eta) = self.eta {
            words += &format!(", {} left", crate::ui::duration(eta));
        }
        if !self.file.is_empty() {
            words += &format!(", {}", self.file);
        }
        words
    }
}

/// Tells progress to whoever listens.
pub(super) struct Meter<'a> {
    listener: &'a (dyn Fn(BuildProgress) + Sync),
    expected: u32,
    begun: Option<Instant>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(listener: &'a (dyn Fn(BuildProgress) + Sync)) -> Self {
        Self {
            listener,
            expected: FIRST_GUESS,
            begun: None,
        }
    }

    /// Sets what to expect: a whole build's objects, or a part's when the folder holds a whole build already.
    pub(super) fn expect(&mut self, whole: Option<u32>, part: Option<u32>) {
        self.expected = match whole {
            None => FIRST_GUESS,
            Some(_) => part.unwrap_or(PART_GUESS),
        };
    }

    pub(super) fn tell(&mut self, phase: Phase, done: u32, file: &str) {
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let seconds = begun.elapsed().as_secs_f64();
        let rate = (done > 0 && seconds > 0.5).then(|| f64::from(done) / seconds);
        let expected = self.expected.max(done);
        (self.listener)(BuildProgress {
            phase,
            done,
            expected,
            rate,
            eta: rate.map(|rate| f64::from(expected - done) / rate),
            file: file.to_owned(),
        });
    }

    /// A phase in which nothing is counted.
    pub(super) fn phase(&mut self, phase: Phase) {
        self.begun = None;
        self.tell(phase, 0, "");
        self.begun = None;
    }
}
