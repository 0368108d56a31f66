// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a shell script with grep alone sees that a finding is there again.

use crate::error::{Doing, Result};
use lab_core::finding::{Class, Finding};
use std::fs;
use std::path::Path;

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Look {
    /// The finding's title.
    pub(super) title: String,
    /// Where.
    pub(super) place: Place,
    /// Basic regular expressions that must all match a line there.
    pub(super) patterns: Vec<String>,
}

/// Where it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In what the kernel prints.
    Console,
    /// In what the agent says.
    Agent,
    /// In that the agent never says its last word.
    End,
}

/// What to look for, for each finding of the run in this folder.
pub(super) fn looks(run: &Path, findings: &[Finding]) -> Result<Vec<Look>> {
    let path = run.join("console.log");
    let console = match findings.iter().any(|f| f.end > f.start) {
        true => fs::read(&path).doing(|| format!("read {}", path.display()))?,
        false => Vec::new(),
    };
    Ok(findings.iter().map(|f| look(f, &console)).collect())
}

fn look(finding: &Finding, console: &[u8]) -> Look {
    let with = |place, first: Option<String>| {
        let function = finding.function.as_deref().map(escaped);
        Look {
            title: finding.title.clone(),
            place,
            patterns: first.into_iter().chain(function).collect(),
        }
    };
    let range = finding.start as usize..finding.end as usize;
    let head = console.get(range).and_then(|report| {
        let text = String::from_utf8_lossy(report);
        text.lines()
            .map(without_stamps)
            .find(|line| !line.is_empty())
            .map(line_pattern)
    });
    if head.is_some() {
        return with(Place::Console, head);
    }
    match finding.class {
        Class::HungTask => with(Place::Agent, Some(r#""say":"stuck""#.into())),
        Class::WrongResult => {
            let oracle = finding
                .title
                .split_once(": ")
                .map_or("", |(_, oracle)| oracle);
            with(
                Place::Agent,
                Some(format!(r#""oracle":"{}""#, escaped(oracle))),
            )
        }
        _ => Look {
            title: finding.title.clone(),
            place: Place::End,
            patterns: Vec::new(),
        },
    }
}

/// A console line without its time and caller: `[   12.345678][  T71] BUG: …`.
fn without_stamps(line: &str) -> &str {
    let mut line = line.trim();
    // Syslog levels come before the time where the console shows them.
    while let Some((stamp, rest)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let of_a_stamp = |c: char| c.is_ascii_digit() || ". TC".contains(c);
        if !stamp.chars().all(of_a_stamp) {
            break;
        }
        line = rest.trim_start();
    }
    line
}

/// The line with what differs from boot to boot (words with digits: addresses, tasks, lines, times) left open.
fn line_pattern(line: &str) -> String {
    let word = |word: &str| match word.contains(|c: char| c.is_ascii_digit()) {
        true => "[^ ]*".to_owned(),
        false => escaped(word),
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Text as a basic regular expression that matches it alone.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '.' | '*' | '[' | ']' | '^' | '$' | '\\' => out.extend(['\\', c]),
            // What is no plain text is any character.
            c if !c.is_ascii_graphic() && c != ' ' => out.push('.'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_core::finding::Weight;

    fn finding(class: Class, title: &str, function: Option<&str>, report: (u64, u64)) -> Finding {
        Finding {
            class,
            title: title.into(),
            function: function.map(str::to_owned),
            alt: Vec::new(),
            signature: title.into(),
            weight: Weight::Finding,
            torn: false,
            start: report.0,
            end: report.1,
            time: None,
            after_first: false,
        }
    }

    fn check(class: Class, title: &str, console: &str, place: Place, patterns: &[&str]) {
        let end = console.len() as u64;
        let found = look(
            &finding(class, title, Some("__d_add"), (0, end)),
            console.as_bytes(),
        );
        assert_eq!(
            (found.place, found.patterns),
            (place, patterns.iter().map(|p| (*p).to_owned()).collect())
        );
    }

    #[test]
    fn what_differs_from_boot_to_boot_is_left_open() {
        check(
            Class::AtomicSleep,
            "BUG: sleeping function called from invalid context in __d_add",
            "[    0.891049][    T1] BUG: sleeping function called from invalid context at kernel/locking/spinlock_rt.c:48\n[ 1.0] x\n",
            Place::Console,
            &[
                "BUG: sleeping function called from invalid context at [^ ]*",
                "__d_add",
            ],
        );
        check(
            Class::HungTask,
            "INFO: task hung in __d_add",
            "[   61.1] INFO: task w3:77 blocked for more than 20 seconds.\r\n",
            Place::Console,
            &[
                "INFO: task [^ ]* blocked for more than [^ ]* seconds\\.",
                "__d_add",
            ],
        );
    }

    #[test]
    fn what_the_agent_said_is_looked_for_there() {
        check(
            Class::HungTask,
            "INFO: task hung in __d_add",
            "",
            Place::Agent,
            &[r#""say":"stuck""#, "__d_add"],
        );
        check(
            Class::WrongResult,
            "wrong result in shrink/xfs: still busy after its users are gone",
            "",
            Place::Agent,
            &[
                r#""oracle":"still busy after its users are gone""#,
                "__d_add",
            ],
        );
        check(Class::Silence, "the guest fell silent", "", Place::End, &[]);
    }

    #[test]
    fn a_hostile_line_is_a_pattern_and_no_more() {
        assert_eq!(
            line_pattern("a.*[b]$(x)'\u{1b}\\"),
            "a\\.\\*\\[b\\]\\$(x)'.\\\\"
        );
        assert_eq!(without_stamps("[ok] [12.3] x"), "[ok] [12.3] x");
    }
}
