// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of replays, as values and as text.

use crate::exit::Exit;
use crate::ui::{duration, harmless};
use lab_core::outcome::BootOutcome;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

/// A finding of the run that is replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// Identity.
    pub signature: String,
    /// For people.
    pub title: String,
}

/// A wanted finding that came again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Again {
    /// Identity.
    pub signature: String,
    /// Seconds in which it could have shown, up to its showing.
    pub after_seconds: f64,
}

/// One boot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Seed of its first scenario.
    pub seed: u64,
    /// How it ended.
    pub outcome: BootOutcome,
    /// Wall seconds.
    pub seconds: f64,
    /// Seconds of workload.
    pub exposure: f64,
    /// The kernel, not the rig, decided how it ended.
    pub counts: bool,
    /// It was ended at its first finding.
    pub stopped_at_hit: bool,
    /// Wanted findings that came again.
    pub again: Vec<Again>,
    /// Titles of other findings.
    pub others: Vec<String>,
    /// Its folder.
    pub folder: PathBuf,
}

/// All boots of one replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the run that was replayed.
    pub run: String,
    /// Its findings.
    pub wanted: Vec<Wanted>,
    /// The boots.
    pub attempts: Vec<Attempt>,
    /// The user stopped it.
    pub stopped: bool,
}

impl Summary {
    /// A wanted finding showed in any of the boots.
    pub fn came_again(&self) -> bool {
        self.attempts.iter().any(|a| !a.again.is_empty())
    }

    /// 1 when a finding came again, or one came where the run had none; 0 when none did; 125 when the rig spoilt
    /// all boots.
    pub fn exit(&self) -> Exit {
        let found_at_all =
            self.wanted.is_empty() && self.attempts.iter().any(|a| !a.others.is_empty());
        if self.came_again() || found_at_all {
            return Exit::Regression;
        }
        match self.attempts.iter().any(|a| a.counts) {
            _ if self.stopped => Exit::Interrupted,
            true => Exit::Good,
            false => Exit::CannotTell,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let counted: Vec<&Attempt> = self.attempts.iter().filter(|a| a.counts).collect();
        for wanted in &self.wanted {
            let seconds: Vec<f64> = (counted.iter().flat_map(|a| &a.again))
                .filter(|again| again.signature == wanted.signature)
                .map(|again| again.after_seconds)
                .collect();
            let _infallible = writeln!(text, "{}", harmless(&wanted.title));
            let _infallible = writeln!(text, "  {}", came(&seconds, &counted));
        }
        if self.wanted.is_empty() {
            let _infallible = writeln!(text, "the run {} had no finding", self.run);
        }
        let mut others: Vec<&String> = self.attempts.iter().flat_map(|a| &a.others).collect();
        others.sort();
        others.dedup();
        for title in others {
            let _infallible = writeln!(text, "not in the run: {}", harmless(title));
        }
        let spoilt = self.attempts.len() - counted.len();
        if spoilt > 0 {
            let _infallible = writeln!(
                text,
                "{spoilt} boots were spoilt by the rig and count for nothing"
            );
        }
        for attempt in &self.attempts {
            let _infallible = writeln!(text, "  {}", attempt.folder.display());
        }
        text
    }
}

fn came(seconds: &[f64], counted: &[&Attempt]) -> String {
    let of = counted.len();
    if seconds.is_empty() {
        let quiet: f64 = counted.iter().map(|a| a.exposure).sum();
        return format!(
            "did not come again in {of} boots, {} of workload",
            duration(quiet)
        );
    }
    let all: Vec<String> = seconds.iter().map(|s| format!("{s:.1} s")).collect();
    format!(
        "came again in {} of {of} boots, after {} of exposure",
        all.len(),
        all.join(", ")
    )
}

/// One attempt in a line.
pub(super) fn line(attempt: &Attempt) -> String {
    let again = match attempt.again.first() {
        Some(first) => format!("came again after {:.1} s of exposure", first.after_seconds),
        None if attempt.others.is_empty() => "no finding".to_owned(),
        None => format!("another finding: {}", harmless(&attempt.others.join("; "))),
    };
    format!(
        "seed {}: {} after {}, {} of workload: {again}",
        attempt.seed,
        harmless(&attempt.outcome.to_string()),
        duration(attempt.seconds),
        duration(attempt.exposure)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, after: Option<f64>, counts: bool) -> Attempt {
        let again = after.map(|after_seconds| Again {
            signature: "s".into(),
            after_seconds,
        });
        Attempt {
            number,
            seed: 7,
            outcome: BootOutcome::Completed,
            seconds: 20.0,
            exposure: 10.0,
            counts,
            stopped_at_hit: false,
            again: again.into_iter().collect(),
            others: Vec::new(),
            folder: PathBuf::from(format!("/r/{number}")),
        }
    }

    fn summary(attempts: Vec<Attempt>) -> Summary {
        Summary {
            run: "rt-0003-01".into(),
            wanted: vec![Wanted {
                signature: "s".into(),
                title: "BUG: x in \x1by".into(),
            }],
            attempts,
            stopped: false,
        }
    }

    #[test]
    fn it_is_said_in_how_many_and_after_how_long() {
        let all = vec![
            attempt(1, Some(1.25), true),
            attempt(2, None, true),
            attempt(3, None, false),
            attempt(4, Some(6.0), true),
        ];
        let summary = summary(all);
        assert_eq!(summary.exit(), Exit::Regression);
        insta::assert_snapshot!(summary.text());
        insta::assert_snapshot!(line(&summary.attempts[0]));
    }

    #[test]
    fn what_did_not_come_again_is_no_proof_when_the_rig_spoilt_it() {
        assert_eq!(summary(vec![attempt(1, None, true)]).exit(), Exit::Good);
        assert_eq!(
            summary(vec![attempt(1, None, false)]).exit(),
            Exit::CannotTell
        );
        let stopped = Summary {
            stopped: true,
            ..summary(vec![attempt(1, None, true)])
        };
        assert_eq!(stopped.exit(), Exit::Interrupted);
        assert!(
            stopped
                .text()
                .contains("did not come again in 1 boots, 10 s of workload")
        );
    }

    #[test]
    fn a_finding_where_the_run_had_none_is_one() {
        let mut found = summary(vec![attempt(1, None, true)]);
        found.wanted.clear();
        assert_eq!(found.exit(), Exit::Good);
        found.attempts[0].others.push("WARNING in x".into());
        assert_eq!(found.exit(), Exit::Regression);
        assert!(found.text().contains("not in the run: WARNING in x"));
    }
}
