// SPDX-License-Identifier: MIT OR Apache-2.0
//! A change between two sets of samples, and how sure it is.

use serde::{Deserialize, Serialize};

/// Resamples of the bootstrap.
const RESAMPLES: usize = 2_000;

/// How a number changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Median of the base.
    pub base: f64,
    /// Median of the series.
    pub series: f64,
    /// Series over base.
    pub ratio: f64,
    /// Bounds of the ratio's 95% interval.
    pub interval: (f64, f64),
    /// Two-sided p-value of «both sides are alike».
    pub p: f64,
}

/// The change from one side's samples to the other's; `None` with fewer than two on either side, or a base of 0.
pub fn change(base: &[f64], series: &[f64]) -> Option<Change> {
    if base.len() < 2 || series.len() < 2 {
        return None;
    }
    let (a, b) = (median(base)?, median(series)?);
    if a <= 0.0 {
        return None;
    }
    Some(Change {
        base: a,
        series: b,
        ratio: b / a,
        interval: bootstrap(base, series),
        p: rank_test(base, series),
    })
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        1 => sorted.get(middle).copied(),
        _ => Some(f64::midpoint(
            *sorted.get(middle.checked_sub(1)?)?,
            *sorted.get(middle)?,
        )),
    }
}

/// Percentile bootstrap of the ratio of medians. The generator is seeded with a constant: one set of samples has
/// one interval.
fn bootstrap(base: &[f64], series: &[f64]) -> (f64, f64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let (a, b) = (draw(base, &mut state), draw(series, &mut state));
            let (a, b) = (median(&a)?, median(&b)?);
            (a > 0.0).then(|| b / a)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |part| crate::stats::nearest_rank(&ratios, part).unwrap_or(f64::NAN);
    (at(0.025), at(0.975))
}

/// As many samples again, with replacement (xorshift64*: S. Vigna, ACM Transactions on Mathematical Software 42, 2016).
fn draw(samples: &[f64], state: &mut u64) -> Vec<f64> {
    samples
        .iter()
        .map(|_| {
            *state ^= *state >> 12;
            *state ^= *state << 25;
            *state ^= *state >> 27;
            let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
            samples[((u128::from(random) * samples.len() as u128) >> 64) as usize]
        })
        .collect()
}

/// Exact two-sided p-value of the Mann–Whitney U statistic, ties counted half and then taken as untied; by the
/// recursion over how many arrangements give each value of U.
fn rank_test(base: &[f64], series: &[f64]) -> f64 {
    let (n, m) = (base.len(), series.len());
    let beats = |x: &f64, y: &f64| match x.total_cmp(y) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let u: f64 = series
        .iter()
        .flat_map(|y| base.iter().map(move |x| beats(y, x)))
        .sum();
    let low = u.min((n * m) as f64 - u).floor() as usize;
    let ways = arrangements(n, m);
    let all: f64 = ways.iter().sum();
    let tail: f64 = ways.iter().take(low + 1).sum();
    (2.0 * tail / all).min(1.0)
}

/// How many of the orders of `n` and `m` samples give each U from 0 to `n * m`.
fn arrangements(n: usize, m: usize) -> Vec<f64> {
    // ways[j] holds the counts for i of the first kind and j of the second.
    let mut ways: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for i in 1..=n {
        let mut next: Vec<Vec<f64>> = vec![vec![1.0]];
        for j in 1..=m {
            let mut sum = vec![0.0; i * j + 1];
            // The largest is of the first kind and beats all j others, or of the second and beats nobody.
            for (u, way) in ways[j].iter().enumerate() {
                sum[u + j] += way;
            }
            for (u, way) in next[j - 1].iter().enumerate() {
                sum[u] += way;
            }
            next.push(sum);
        }
        ways = next;
    }
    ways.swap_remove(m)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_rank_test_gives_the_tabled_values() {
        // 5 against 5 without overlap: 2 of 252 orders; 3 against 3: 2 of 20.
        let (low, high) = ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]);
        assert!((rank_test(&low, &high) - 2.0 / 252.0).abs() < 1e-12);
        assert!((rank_test(&low[..3], &high[..3]) - 0.1).abs() < 1e-12);
        assert_eq!(rank_test(&low, &low), 1.0);
        let counts = arrangements(3, 2);
        assert_eq!(counts, [1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0]);
    }

    #[test]
    fn a_clear_change_is_told_with_its_interval() {
        let base = [100.0, 101.0, 99.0, 102.0, 98.0];
        let half: Vec<f64> = base.iter().map(|x| x / 2.0).collect();
        let told = change(&base, &half).unwrap();
        assert_eq!((told.base, told.series, told.ratio), (100.0, 50.0, 0.5));
        assert!(told.interval.0 > 0.45 && told.interval.1 < 0.55 && told.p < 0.01);
        assert_eq!(change(&base[..1], &half), None);
        assert_eq!(change(&[0.0, 0.0], &half), None);
    }

    proptest! {
        #[test]
        fn the_order_of_samples_does_not_matter_and_bounds_hold(
            mut base in prop::collection::vec(1.0f64..1e6, 2..8),
            series in prop::collection::vec(1.0f64..1e6, 2..8),
        ) {
            let one = change(&base, &series).unwrap();
            prop_assert!(one.interval.0 <= one.interval.1);
            prop_assert!((0.0..=1.0).contains(&one.p));
            base.reverse();
            let other = change(&base, &series).unwrap();
            prop_assert_eq!((one.base, one.p), (other.base, other.p));
            let back = change(&series, &base).unwrap();
            prop_assert!((back.p - one.p).abs() < 1e-9);
        }
    }
}
