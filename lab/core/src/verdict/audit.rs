// SPDX-License-Identifier: MIT OR Apache-2.0
//! Violated rules of the dentry cache as findings: what a dump shows that no console line and no answer does.

use crate::autopsy::{Audits, Autopsy, Violation};
use crate::finding::{Class, Finding, Weight};
use crate::text::harmless;
use lab_wire::{Event, FromGuest};

/// The findings of a boot's audits: those at the ends of scenarios, and the one in the dump of a failure. `earlier` are
/// the boot's other findings. Each rule is told once, by its first violation.
///
/// A violation at the end of a scenario has the time at which its work ended: that is when it was there for certain, and
/// the waiting for threads and for the dump is no exposure.
pub fn audit_findings(
    audits: Option<&Audits>,
    autopsy: Option<&Autopsy>,
    events: &[FromGuest],
    earlier: &[Finding],
) -> Vec<Finding> {
    let mut seen: Vec<(f64, &Violation)> = Vec::new();
    for scenario in audits.iter().flat_map(|audits| &audits.audits) {
        let ended = work_ended(scenario.scenario, events).unwrap_or(scenario.uptime);
        let time = ended.min(scenario.uptime);
        seen.extend(scenario.audit.violations.iter().map(|v| (time, v)));
    }
    if let Some(autopsy) = autopsy {
        let found = autopsy.audit.iter().flat_map(|audit| &audit.violations);
        seen.extend(found.map(|violation| (autopsy.uptime, violation)));
    }
    seen.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut findings: Vec<Finding> = Vec::new();
    for (time, violation) in seen {
        let Some(finding) = finding(time, violation, earlier) else {
            continue;
        };
        if !findings.iter().any(|f| f.signature == finding.signature) {
            findings.push(finding);
        }
    }
    findings
}

fn finding(time: f64, violation: &Violation, earlier: &[Finding]) -> Option<Finding> {
    let rule = without_numbers(harmless(&violation.rule).trim());
    if rule.is_empty() {
        return None;
    }
    let class = Class::DcacheAudit;
    let title = format!("dentry cache: {rule}");
    let before = |f: &Finding| f.weight == Weight::Finding && f.time.is_none_or(|at| at <= time);
    Some(Finding {
        class,
        signature: format!("{class} {title}"),
        title,
        function: None,
        alt: Vec::new(),
        weight: Weight::Finding,
        torn: false,
        start: 0,
        end: 0,
        time: Some(time),
        after_first: earlier.iter().any(before),
    })
}

/// Kernel time at which a scenario's work ended, seconds since boot.
fn work_ended(index: u32, events: &[FromGuest]) -> Option<f64> {
    let mut began = None;
    let mut ran = 0;
    for event in events {
        match &event.event {
            Event::Begin { index: i, .. } if *i == index => began = Some(event.t_ms),
            Event::Progress {
                index: i, ran_ms, ..
            }
            | Event::End {
                index: i, ran_ms, ..
            } if *i == index => ran = *ran_ms,
            _ => {}
        }
    }
    began.map(|began| (began + ran) as f64 / 1000.0)
}

/// A rule is a fixed phrase; should a number ever stand in one, it must not part two findings of one kind.
fn without_numbers(rule: &str) -> String {
    let mut out = String::with_capacity(rule.len());
    for c in rule.chars() {
        match (c.is_ascii_digit(), out.ends_with('#')) {
            (true, true) => {}
            (true, false) => out.push('#'),
            (false, _) => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autopsy::{AUTOPSY_FORMAT, Audit, ScenarioAudit};
    use lab_wire::Ended;

    fn audit(rules: &[&str]) -> Audit {
        let violation = |rule: &&str| Violation {
            rule: (*rule).to_owned(),
            times: 1,
            ..Violation::default()
        };
        Audit {
            violations: rules.iter().map(violation).collect(),
            ..Audit::default()
        }
    }

    fn at_end_of(scenario: u32, uptime: f64, rules: &[&str]) -> ScenarioAudit {
        ScenarioAudit {
            scenario,
            uptime,
            audit: audit(rules),
            ..ScenarioAudit::default()
        }
    }

    fn events() -> Vec<FromGuest> {
        let event = |t_ms, event| FromGuest { t_ms, event };
        let begin = |index| Event::Begin {
            index,
            name: "x".into(),
            fs: "xfs".into(),
        };
        let end = |index| Event::End {
            index,
            how: Ended::Done,
            ops: 5,
            ran_ms: 8000,
        };
        vec![
            event(2000, begin(0)),
            event(14_000, end(0)),
            event(15_000, begin(1)),
            event(27_000, end(1)),
        ]
    }

    fn both(audits: Vec<ScenarioAudit>, last: &[&str], earlier: &[Finding]) -> Vec<Finding> {
        let audits = Audits { format: 1, audits };
        let autopsy = Autopsy {
            format: AUTOPSY_FORMAT,
            uptime: 40.0,
            audit: Some(audit(last)),
            ..Autopsy::default()
        };
        audit_findings(Some(&audits), Some(&autopsy), &events(), earlier)
    }

    #[test]
    fn a_violation_stands_at_the_end_of_its_scenario_once_a_rule() {
        let audits = vec![
            at_end_of(0, 13.0, &[]),
            at_end_of(1, 26.0, &["two hashed dentries of one parent and name"]),
        ];
        let last = [
            "two hashed dentries of one parent and name",
            "dead and hashed",
        ];
        let found = both(audits, &last, &[]);
        let told: Vec<(&str, f64)> = (found.iter())
            .map(|f| (f.title.as_str(), f.time.unwrap_or(0.0)))
            .collect();
        let wanted = [
            (
                "dentry cache: two hashed dentries of one parent and name",
                23.0,
            ),
            ("dentry cache: dead and hashed", 40.0),
        ];
        assert_eq!(told, wanted);
        assert_eq!(found[0].class, Class::DcacheAudit);
        assert_eq!(
            found[0].signature,
            "dcache-audit dentry cache: two hashed dentries of one parent and name"
        );
        assert!(
            found
                .iter()
                .all(|f| f.weight == Weight::Finding && !f.after_first)
        );
    }

    #[test]
    fn what_was_found_before_is_said() {
        let first = &both(vec![at_end_of(0, 9.0, &["a"])], &[], &[])[0];
        let found = both(
            vec![at_end_of(1, 26.0, &["b"])],
            &[],
            std::slice::from_ref(first),
        );
        assert!(found[0].after_first);
        let suspicion = Finding {
            weight: Weight::Suspicion,
            ..first.clone()
        };
        assert!(!both(vec![at_end_of(1, 26.0, &["b"])], &[], &[suspicion])[0].after_first);
    }

    #[test]
    fn no_number_and_no_control_enters_an_identity() {
        let found = both(
            vec![],
            &["count 12 of 0x7\u{1b}[2J", "count 3 of 0x9\u{1b}[2J", " "],
            &[],
        );
        let titles: Vec<&str> = found.iter().map(|f| f.title.as_str()).collect();
        assert_eq!(titles, ["dentry cache: count # of #x#\\u{#b}[#J"]);
        assert!(audit_findings(None, None, &events(), &[]).is_empty());
    }

    #[test]
    fn a_dump_that_was_taken_before_the_work_ended_has_its_own_time() {
        let found = both(vec![at_end_of(0, 5.5, &["a"])], &[], &[]);
        assert_eq!(found[0].time, Some(5.5));
        let unknown = both(vec![at_end_of(9, 5.5, &["a"])], &[], &[]);
        assert_eq!(unknown[0].time, Some(5.5));
    }
}
