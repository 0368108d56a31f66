// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::outcome::BootOutcome;

fn run(id: &str, scenario: f64, hit: Option<(f64, Option<u32>)>) -> RunRecord {
    let sighting = |(time, scenario)| Sighting {
        signature: "bug".into(),
        class: Class::Bug,
        title: "kernel BUG in d_alloc".into(),
        function: Some("d_alloc".into()),
        weight: Weight::Finding,
        time,
        scenario,
        after_first: false,
    };
    RunRecord {
        format: LEDGER_FORMAT,
        id: id.into(),
        profile: "rt".into(),
        patch: 0,
        key: String::new(),
        seed: 1,
        outcome: BootOutcome::Completed,
        uptime: 3.0 + scenario,
        scenarios: vec![ScenarioRecord {
            name: "lookup-storm/tmpfs".into(),
            began: Some(3.0),
            seconds: scenario,
            ops: 1,
            ended: "done".into(),
        }],
        sightings: hit.map(sighting).into_iter().collect(),
        seconds: 5.0 + scenario,
        remembered: None,
    }
}

fn verdict(tip: &[&RunRecord], base: &[&RunRecord]) -> Call {
    judge(tip, base, 0.95)
        .first()
        .map(|j| j.call.clone())
        .unwrap()
}

#[test]
fn a_hit_at_boot_against_a_long_quiet_base_is_a_regression() {
    let (tip, base) = (run("t", 0.0, Some((1.0, None))), run("b", 40.0, None));
    assert_eq!(verdict(&[&tip], &[&base]), Call::Regression);
}

#[test]
fn one_hit_late_in_a_scenario_is_undecided_and_says_what_is_missing() {
    let (tip, base) = (run("t", 20.0, Some((13.0, Some(0)))), run("b", 20.0, None));
    let Call::Undecided { more_seconds } = verdict(&[&tip], &[&base]) else {
        panic!()
    };
    // 10 s to the hit: 190 s of quiet give 5%; 20 s are there.
    assert!((more_seconds - 170.0).abs() < 1e-6, "{more_seconds}");
}

#[test]
fn what_the_base_shows_as_often_is_no_news() {
    let (tip, base) = (
        run("t", 20.0, Some((13.0, Some(0)))),
        run("b", 20.0, Some((9.0, Some(0)))),
    );
    assert_eq!(verdict(&[&tip], &[&base]), Call::AlsoInBase);
    assert_eq!(verdict(&[], &[&base]), Call::NotReproduced);
}

#[test]
fn a_run_that_the_rig_spoilt_adds_no_quiet() {
    let tip = run("t", 0.0, Some((1.0, None)));
    let mut base = run("b", 40.0, None);
    base.outcome = BootOutcome::QemuDied {
        reason: "killed".into(),
    };
    assert!(matches!(verdict(&[&tip], &[&base]), Call::Undecided { .. }));
}

#[test]
fn needs_go_from_base_to_tip_to_more_until_decided() {
    let (bad, late, quiet) = (
        run("t", 0.0, Some((1.0, None))),
        run("t", 20.0, Some((13.0, Some(0)))),
        run("b", 20.0, None),
    );
    assert_eq!(need(&[], &[], 1, 4, 0.95), Need::Base);
    assert_eq!(need(&[], &[&quiet], 1, 4, 0.95), Need::Tip);
    assert_eq!(need(&[&quiet], &[&quiet], 1, 4, 0.95), Need::Nothing);
    assert_eq!(need(&[&quiet], &[&quiet], 2, 4, 0.95), Need::Tip);
    assert_eq!(need(&[&late], &[&quiet], 1, 4, 0.95), Need::Tip);
    assert_eq!(need(&[&late, &late], &[&quiet], 1, 4, 0.95), Need::Base);
    assert_eq!(need(&[&late; 4], &[&quiet], 1, 4, 0.8), Need::Nothing);
    assert_eq!(need(&[&bad, &bad], &[&quiet], 3, 4, 0.95), Need::Nothing);
}

#[test]
fn trouble_and_silence_are_never_called_clean() {
    let clean = ProfileVerdict {
        warnings: Vec::new(),
        profile: "rt".into(),
        findings: vec![],
        suspicions: vec![],
        series_seconds: 20.0,
        base_seconds: 20.0,
        trouble: vec![],
    };
    assert_eq!(overall(&[]), Overall::CannotTell);
    assert_eq!(overall(std::slice::from_ref(&clean)), Overall::NoRegression);
    let mut rig = clean.clone();
    rig.trouble.push(Trouble::Rig {
        reason: "disk full".into(),
    });
    assert_eq!(overall(&[clean.clone(), rig]), Overall::CannotTell);
    let unseen = ProfileVerdict {
        series_seconds: 0.0,
        ..clean
    };
    assert_eq!(overall(&[unseen]), Overall::CannotTell);
}
