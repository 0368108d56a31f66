// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a profile still needs before it can be judged.

use super::{Call, RunRecord, judge};

/// The next boot that would tell most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Boot the base once more.
    Base,
    /// Boot the whole series once more.
    Tip,
    /// Enough is known, or the limit of runs is reached.
    Nothing,
}

/// Each kernel gets `runs` boots; while a finding is undecided, up to `most` each.
///
/// A hit costs the least where hits are quick, so the series is booted again first; the base gets its
/// quiet seconds when the series has had its share.
pub fn need(
    tip: &[&RunRecord],
    base: &[&RunRecord],
    runs: u32,
    most: u32,
    confidence: f64,
) -> Need {
    let (tips, bases) = (tip.len() as u32, base.len() as u32);
    if bases < 1 {
        return Need::Base;
    }
    if tips < 1 {
        return Need::Tip;
    }
    let undecided = judge(tip, base, confidence)
        .iter()
        .any(|j| matches!(j.call, Call::Undecided { .. }));
    if undecided {
        return match (tips < most, bases < most) {
            (true, _) if tips <= bases => Need::Tip,
            (_, true) => Need::Base,
            (true, false) => Need::Tip,
            (false, false) => Need::Nothing,
        };
    }
    let decided_bad = judge(tip, base, confidence)
        .iter()
        .any(|j| j.call == Call::Regression);
    if tips < runs && !decided_bad {
        Need::Tip
    } else {
        Need::Nothing
    }
}
