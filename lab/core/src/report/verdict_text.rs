// SPDX-License-Identifier: MIT OR Apache-2.0
//! A verdict as plain text for a terminal or a mail.

use crate::stats::{Exposure, power};
use crate::text::harmless;
use crate::verdict::{
    Call, FirstBad, Judged, NewWarning, Overall, ProfileVerdict, Trouble, Verdict,
};
use std::fmt::Write;

/// Console lines that prove a finding, and where the whole console is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Signature of the finding.
    pub signature: String,
    /// Where the console is.
    pub console: String,
    /// Lines, fit to print.
    pub lines: Vec<String>,
}

/// Means of races whose detection is stated when nothing was found, seconds.
const MEANS: [(f64, &str); 3] = [
    (60.0, "a minute"),
    (300.0, "5 minutes"),
    (1800.0, "30 minutes"),
];

/// The verdict: one sentence, then each profile with its findings and their proofs.
pub fn verdict_text(verdict: &Verdict, kernel: &str, proofs: &[Proof]) -> String {
    let mut text = format!("{} on {kernel}: {}\n", verdict.series, sentence(verdict));
    for profile in &verdict.profiles {
        let _infallible = write!(text, "\n{}", profile_text(profile, proofs));
    }
    text
}

fn sentence(verdict: &Verdict) -> String {
    let profiles = verdict.profiles.iter();
    let all = || profiles.clone().flat_map(|p| &p.findings);
    let bad = all()
        .filter(|f| matches!(f.call, Call::Regression | Call::Worse))
        .collect::<Vec<_>>();
    match verdict.overall {
        Overall::Regression => {
            let named = bad.iter().find_map(|f| f.first_bad.as_ref());
            let patch = named.map_or(String::new(), |b| {
                format!(", first shown by patch {}", b.patch)
            });
            format!("REGRESSION{patch}")
        }
        Overall::NoRegression => "no regression".into(),
        Overall::CannotTell => "cannot tell".into(),
    }
}

fn profile_text(profile: &ProfileVerdict, proofs: &[Proof]) -> String {
    let mut text = format!(
        "{}: {} of workload with the series, {} with the base\n",
        profile.profile,
        seconds(profile.series_seconds),
        seconds(profile.base_seconds)
    );
    for finding in &profile.findings {
        text += &finding_text(finding, proofs);
    }
    if profile.findings.is_empty() && profile.series_seconds > 0.0 {
        text += &quiet_text(profile.series_seconds);
    }
    for trouble in &profile.trouble {
        text += &format!("  {}\n", trouble_text(trouble));
    }
    for (title, run) in &profile.suspicions {
        text += &format!(
            "  suspicion, not counted: {} (run {run})\n",
            harmless(title)
        );
    }
    for warning in &profile.warnings {
        text += &format!("  new compiler warning, {}\n", warning_text(warning));
    }
    text
}

fn quiet_text(exposure: f64) -> String {
    let seen: Vec<String> = MEANS
        .iter()
        .map(|(mean, name)| format!("once in {name}: {}", percent(power(exposure, *mean))))
        .collect();
    format!(
        "  no finding; a race would have been seen that shows {}\n",
        seen.join(", ")
    )
}

fn finding_text(finding: &Judged, proofs: &[Proof]) -> String {
    let mut text = format!(
        "  {} {}\n",
        call_word(&finding.call),
        harmless(&finding.title)
    );
    text += &format!(
        "    series {}; base {}{}\n",
        evidence(finding.series),
        evidence(finding.base),
        chance(finding)
    );
    if let Call::Undecided { more_seconds } = finding.call {
        text += &format!(
            "    {} more of a quiet base would decide it\n",
            seconds(more_seconds)
        );
    }
    if let Some(bad) = &finding.first_bad {
        text += &first_bad_text(bad);
    }
    for proof in proofs.iter().filter(|p| p.signature == finding.signature) {
        text += &format!("    {}\n", proof.console);
        for line in &proof.lines {
            text += &format!("      | {line}\n");
        }
    }
    text
}

fn call_word(call: &Call) -> &'static str {
    match call {
        Call::Regression => "REGRESSION",
        Call::Worse => "MORE FREQUENT",
        Call::Undecided { .. } => "undecided",
        Call::AlsoInBase => "also in base",
        Call::NotReproduced => "only in base",
    }
}

fn chance(finding: &Judged) -> String {
    match finding.call {
        Call::Regression | Call::Worse | Call::Undecided { .. } => {
            format!(
                "; were they equal, chance would do this in {}",
                percent(finding.p)
            )
        }
        Call::AlsoInBase | Call::NotReproduced => String::new(),
    }
}

fn first_bad_text(bad: &FirstBad) -> String {
    let mut text = format!(
        "    first bad patch: {} {} ({})\n",
        bad.patch,
        harmless(&bad.subject),
        percent(bad.probability)
    );
    for (patch, seen) in bad.seen.iter().enumerate().filter(|(_, e)| e.runs > 0) {
        let name = if patch == 0 {
            "base".into()
        } else {
            format!("patch {patch}")
        };
        text += &format!("      {name:9} {}\n", evidence(*seen));
    }
    text
}

fn evidence(e: Exposure) -> String {
    match (e.runs, e.hits) {
        (0, _) => "not run".into(),
        (_, 0) => format!("quiet for {}", seconds(e.seconds)),
        (runs, hits) => format!("hit in {hits} of {runs} boots, {} run", seconds(e.seconds)),
    }
}

fn trouble_text(trouble: &Trouble) -> String {
    match trouble {
        Trouble::DoesNotBuild {
            patch: 0, error, ..
        } => format!("the base {}", harmless(error)),
        Trouble::DoesNotBuild {
            patch,
            subject,
            error,
        } => {
            format!(
                "from patch {patch} ({}) on it {}",
                harmless(subject),
                harmless(error)
            )
        }
        Trouble::Rig { reason } => format!("rig trouble: {}", harmless(reason)),
        Trouble::NotRun { reason } => format!("not run: {}", harmless(reason)),
    }
}

fn warning_text(warning: &NewWarning) -> String {
    let patches = if warning.not_before == warning.patch {
        format!("patch {}", warning.patch)
    } else {
        format!("one of patches {} to {}", warning.not_before, warning.patch)
    };
    let line = warning
        .line
        .map_or(String::new(), |line| format!(":{line}"));
    format!(
        "{patches}: {}{line}: {}",
        harmless(&warning.file),
        harmless(&warning.message)
    )
}

fn seconds(s: f64) -> String {
    if s < 10.0 {
        return format!("{s:.1} s");
    }
    let whole = s.round() as u64;
    if whole < 120 {
        format!("{whole} s")
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

/// A probability in per cent, never rounded up to certainty or down to impossibility.
fn percent(p: f64) -> String {
    let value = p * 100.0;
    match value {
        v if v > 99.9 && p < 1.0 => "> 99.9%".into(),
        v if v < 0.1 && p > 0.0 => "< 0.1%".into(),
        v if !(10.0..=90.0).contains(&v) => format!("{v:.1}%"),
        v => format!("{v:.0}%"),
    }
}

#[cfg(test)]
#[path = "verdict_text_tests.rs"]
mod tests;
