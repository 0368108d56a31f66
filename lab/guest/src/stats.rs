// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often each operation ran, how it ended and how long it took.

/// Buckets per doubling: a percentile is right within 6%.
const SUB: usize = 8;
/// Doublings of a nanosecond: up to 18 minutes.
const OCTAVES: usize = 40;

/// Counts of latencies in logarithmic buckets; nanoseconds in, microseconds out.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u32>,
    total: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; SUB * OCTAVES],
            total: 0,
            max_ns: 0,
        }
    }
}

impl Histogram {
    /// Counts `times` latencies of that length.
    pub(crate) fn add(&mut self, times: u32, ns: u64) {
        let count = &mut self.counts[bucket(ns)];
        *count = count.saturating_add(times);
        self.total += u64::from(times);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Takes over another's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.total += other.total;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many were counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The longest, microseconds.
    pub(crate) fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1e3
    }

    /// Upper bounds (nanoseconds) and counts of the buckets that hold anything, rising.
    pub(crate) fn buckets(&self) -> Vec<(u64, u64)> {
        let filled = self.counts.iter().enumerate().filter(|(_, n)| **n > 0);
        filled
            .map(|(index, n)| (upper_ns(index), u64::from(*n)))
            .collect()
    }

    /// The latency that `part` (0 to 1) of all are at most, microseconds; `None` if there are none.
    pub(crate) fn percentile_us(&self, part: f64) -> Option<f64> {
        let rank = ((self.total as f64 * part).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(middle_ns(index).min(self.max_ns as f64) / 1e3)
    }
}

fn bucket(ns: u64) -> usize {
    let ns = ns.max(SUB as u64);
    let octave = 63 - ns.leading_zeros() as usize;
    let sub = (ns >> (octave - 3)) as usize & (SUB - 1);
    ((octave - 3) * SUB + sub).min(SUB * OCTAVES - 1)
}

fn upper_ns(index: usize) -> u64 {
    ((SUB + index % SUB + 1) as u64) << (index / SUB)
}

fn middle_ns(index: usize) -> f64 {
    let width = 2f64.powi((index / SUB) as i32);
    width * ((SUB + index % SUB) as f64 + 0.5)
}

/// Everything counted about one thread's operations, or all threads' together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    latency: Vec<Histogram>,
    /// Operations that ended for want of memory or space: no oracle, but worth knowing.
    pub(crate) starved: u64,
    /// Violations of oracles, told or not.
    pub(crate) wrong: u64,
}

impl Stats {
    /// Room for that many kinds of operations, so that counting never allocates in a worker.
    pub(crate) fn new(ops: usize) -> Self {
        Self {
            latency: vec![Histogram::default(); ops],
            ..Self::default()
        }
    }

    /// Counts `times` operations of a kind, each of which took that long.
    pub(crate) fn add(&mut self, op: u8, times: u32, ns: u64) {
        if let Some(histogram) = self.latency.get_mut(usize::from(op)) {
            histogram.add(times, ns);
        }
    }

    /// Median of a kind, microseconds; `None` if there were none.
    pub(crate) fn median_us(&self, op: u8) -> Option<f64> {
        self.latency.get(usize::from(op))?.percentile_us(0.5)
    }

    /// Takes over another's counts.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.latency.iter_mut().zip(&other.latency) {
            mine.merge(theirs);
        }
        self.starved += other.starved;
        self.wrong += other.wrong;
    }

    /// The kinds that ran (places in the table), with their latencies.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, &Histogram)> {
        let all = self.latency.iter().enumerate();
        all.filter(|(_, histogram)| histogram.total() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_rise_with_the_latency_and_hold_their_middle() {
        let mut last = 0;
        for ns in (0..5_000).chain((5_000..40_000_000).step_by(9_973)) {
            let index = bucket(ns);
            assert!(index >= last, "{ns}");
            last = index;
            if ns >= 8 {
                let off = middle_ns(index) / ns as f64;
                assert!((0.93..=1.07).contains(&off), "{ns}: {off}");
            }
        }
        assert_eq!(bucket(u64::MAX), SUB * OCTAVES - 1);
        for ns in (8..100_000).step_by(7) {
            let upper = upper_ns(bucket(ns));
            assert!(upper > ns && upper <= ns + ns / 8 + 1, "{ns}: {upper}");
        }
    }

    #[test]
    fn percentiles_of_a_known_spread() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile_us(0.5), None);
        (1..=1000).for_each(|us| histogram.add(1, us * 1000));
        let p50 = histogram.percentile_us(0.5).unwrap();
        let p99 = histogram.percentile_us(0.99).unwrap();
        assert!((470.0..530.0).contains(&p50), "{p50}");
        assert!((930.0..=1000.0).contains(&p99), "{p99}");
        assert_eq!(histogram.max_us(), 1000.0);
        assert_eq!(
            histogram.percentile_us(1.0),
            Some(1000.0_f64.min(middle_ns(bucket(1_000_000)) / 1e3))
        );
    }

    #[test]
    fn merging_is_counting_both() {
        let (mut a, mut b) = (Stats::new(3), Stats::new(3));
        a.add(0, 1, 1_000);
        b.add(0, 1, 9_000);
        b.add(2, 4, 5);
        b.wrong = 2;
        a.merge(&b);
        let counts: Vec<_> = a.each().map(|(op, h)| (op, h.total())).collect();
        assert_eq!(counts, [(0, 2), (2, 4)]);
        assert_eq!(a.wrong, 2);
    }
}
