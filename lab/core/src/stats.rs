// SPDX-License-Identifier: MIT OR Apache-2.0
//! How sure a comparison of two exposures is. A finding is taken as a Poisson process: hits over the
//! seconds that the workload really ran.
//!
//! Sources: conditional test of two Poisson rates, J. Przyborowski and H. Wilenski, Biometrika 31 (1940);
//! exact interval of one rate, F. Garwood, Biometrika 28 (1936).

use serde::{Deserialize, Serialize};

/// Hits of one signature over the seconds in which it could have shown.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Exposure {
    /// Runs in which it showed (a run counts once).
    pub hits: u32,
    /// Seconds: up to the hit where there was one, else the whole run.
    pub seconds: f64,
    /// Runs looked at.
    pub runs: u32,
}

impl Exposure {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Exposure) -> Exposure {
        Exposure {
            hits: self.hits + other.hits,
            seconds: self.seconds + other.seconds,
            runs: self.runs + other.runs,
        }
    }
}

/// Probability that at least `suspect.hits` of all hits fall on the suspect's side when both sides have
/// the same rate: the one-sided p-value of «the suspect shows it more often». 1 without hits.
pub fn p_more_often(suspect: Exposure, control: Exposure) -> f64 {
    if suspect.hits == 0 {
        return 1.0;
    }
    let total = suspect.seconds + control.seconds;
    if total <= 0.0 {
        return 1.0;
    }
    binomial_tail(
        suspect.hits,
        suspect.hits + control.hits,
        suspect.seconds / total,
    )
}

/// Quiet seconds that the control must have so that [`p_more_often`] falls to `alpha`, when it stays quiet.
pub fn quiet_needed(suspect: Exposure, alpha: f64) -> f64 {
    if suspect.hits == 0 || alpha <= 0.0 {
        return f64::INFINITY;
    }
    suspect.seconds * (alpha.powf(-1.0 / f64::from(suspect.hits)) - 1.0)
}

/// Probability that a race which shows once in `mean` seconds would have shown in `seconds`.
pub fn power(seconds: f64, mean: f64) -> f64 {
    if mean <= 0.0 {
        1.0
    } else {
        1.0 - (-seconds / mean).exp()
    }
}

/// Garwood's exact two-sided interval of a rate, in hits per second, at `level` (0.95).
/// Without exposure the interval is everything.
pub fn rate_interval(exposure: Exposure, level: f64) -> (f64, f64) {
    if exposure.seconds <= 0.0 {
        return (0.0, f64::INFINITY);
    }
    let alpha = (1.0 - level) / 2.0;
    let k = exposure.hits;
    let low = if k == 0 {
        0.0
    } else {
        solve_mean(|m| 1.0 - poisson_cdf(k - 1, m), alpha, k, true)
    };
    let high = solve_mean(|m| poisson_cdf(k, m), alpha, k, false);
    (low / exposure.seconds, high / exposure.seconds)
}

/// The value of a sorted list that a `part` (0 to 1) of it does not exceed, by nearest rank; `None` of nothing.
pub fn nearest_rank(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// P(X >= k) for X binomial(n, p).
fn binomial_tail(k: u32, n: u32, p: f64) -> f64 {
    if p >= 1.0 {
        return 1.0;
    }
    // Terms are built by their ratio, from the one below, in logarithms: n is small, p may be tiny.
    let mut ln_term = f64::from(n) * (1.0 - p).ln();
    let mut sum = if k == 0 { ln_term.exp() } else { 0.0 };
    for i in 1..=n {
        ln_term += (f64::from(n - i + 1) / f64::from(i)).ln() + (p / (1.0 - p)).ln();
        if i >= k {
            sum += ln_term.exp();
        }
    }
    sum.min(1.0)
}

/// P(X <= k) for X Poisson(mean).
fn poisson_cdf(k: u32, mean: f64) -> f64 {
    let mut ln_term = -mean;
    let mut sum = ln_term.exp();
    for i in 1..=k {
        ln_term += mean.ln() - f64::from(i).ln();
        sum += ln_term.exp();
    }
    sum.min(1.0)
}

/// The mean at which a monotonic probability equals `target`, by halving.
fn solve_mean(probability: impl Fn(f64) -> f64, target: f64, k: u32, rising: bool) -> f64 {
    let (mut low, mut high) = (0.0, 20.0 + 10.0 * f64::from(k));
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if (probability(middle) < target) == rising {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(hits: u32, seconds: f64) -> Exposure {
        Exposure {
            hits,
            seconds,
            runs: hits.max(1),
        }
    }

    #[test]
    fn one_quick_hit_against_a_long_quiet_control_is_sure() {
        let p = p_more_often(seen(1, 1.5), seen(0, 43.0));
        assert!((p - 1.5 / 44.5).abs() < 1e-12, "{p}");
    }

    #[test]
    fn one_hit_against_equal_quiet_is_a_coin() {
        assert!((p_more_often(seen(1, 20.0), seen(0, 20.0)) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn garwood_agrees_with_the_published_table() {
        // Garwood's table: 95% limits of a Poisson mean for 0, 1 and 10 events.
        for (k, low, high) in [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39)] {
            let (l, h) = rate_interval(seen(k, 1.0), 0.95);
            assert!(
                (l - low).abs() < 2e-3 && (h - high).abs() < 5e-3,
                "{k}: {l} {h}"
            );
        }
    }

    proptest! {
        #[test]
        fn quiet_needed_is_where_p_reaches_alpha(hits in 1u32..20, t in 0.1f64..1e4, alpha in 0.001f64..0.5) {
            let suspect = seen(hits, t);
            let quiet = quiet_needed(suspect, alpha);
            prop_assert!((p_more_often(suspect, seen(0, quiet)) / alpha - 1.0).abs() < 1e-6);
        }

        #[test]
        fn more_quiet_control_never_makes_it_less_sure(hits in 1u32..20, t in 0.1f64..1e4, q in 0.0f64..1e4, d in 0.0f64..1e4) {
            let less = p_more_often(seen(hits, t), seen(0, q));
            let more = p_more_often(seen(hits, t), seen(0, q + d));
            prop_assert!(more <= less + 1e-12);
        }
    }
}
