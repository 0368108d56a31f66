// SPDX-License-Identifier: MIT OR Apache-2.0
//! A score is what was measured: no boot of it may make it look better than it is.

use super::*;
use proptest::prelude::*;

const YAML: &str = "\
title: dput() may sleep in RCU-walk
family: rcu-walk
profiles: [rt]
scenario: rcu-walk
fs: [tmpfs]
class: [atomic-sleep]
function: [dput]
";

fn refused(text: &str) -> String {
    read_bug("x", "x/bug.yaml", text).unwrap_err().to_string()
}

#[test]
fn a_description_is_read_strictly() {
    let bug = read_bug("rcu-walk-dput", "bug.yaml", YAML).unwrap();
    assert_eq!((bug.name.as_str(), bug.silent), ("rcu-walk-dput", false));
    assert_eq!(bug.class, [Class::AtomicSleep]);
    insta::assert_snapshot!(refused(&YAML.replace("rcu-walk\nfs", "rcu-wlak\nfs")), @"x/bug.yaml:4: scenario: `rcu-wlak` (did you mean `rcu-walk`?); accepted: lookup-storm, rename-web, rcu-walk, lockref, negative, shrink, nfs-open, nfs-unlink, handles, fsnotify, ci-lookup, rt-dirseq, proc-walk, mixed");
    insta::assert_snapshot!(refused(&YAML.replace("[tmpfs]", "[zfs]")), @"x/bug.yaml:5: fs: `zfs` (did you mean `xfs`?); accepted: tmpfs, xfs, ext4");
    assert!(refused(&YAML.replace("profiles: [rt]", "profiles: []")).contains("one profile"));
    assert!(refused(&YAML.replace("class", "clas")).contains("clas"));
}

fn boot(found: bool, seconds: f64) -> Attempt {
    Attempt {
        run: "r".into(),
        found,
        seconds,
        class: found.then_some(Class::AtomicSleep),
        title: found.then(|| "BUG: sleeping function called from invalid context in dput".into()),
        signature: found.then(|| "atomic-sleep/dput/BUG: sleeping function".into()),
        scenario: found.then(|| "rcu-walk/tmpfs".into()),
        class_right: found,
        function_right: false,
        spoilt: None,
    }
}

fn row(attempts: Vec<Attempt>, against: Vec<Attempt>) -> Row {
    Row {
        bug: "rcu-walk-dput".into(),
        title: "dput() may sleep in RCU-walk".into(),
        profile: "rt".into(),
        scenario: "rcu-walk".into(),
        silent: false,
        no_kernel: None,
        attempts,
        against,
    }
}

fn score(rows: Vec<Row>, clean: Vec<Clean>) -> Score {
    Score {
        format: SCORE_FORMAT,
        begun: "2026-01-01T00:00:00Z".into(),
        kernel: "6.12.117".into(),
        machine: "2 CPUs, TCG".into(),
        seconds: 120,
        repeat: 3,
        against: Some("plain".into()),
        rows,
        clean,
    }
}

#[test]
fn boots_without_a_hit_are_the_longest() {
    let some = row(
        vec![boot(true, 4.0), boot(false, 120.0), boot(true, 2.0)],
        vec![],
    );
    assert_eq!(
        (some.hits(), some.is_found(), some.median()),
        (2, true, Some(4.0))
    );
    let few = row(
        vec![boot(true, 4.0), boot(false, 120.0), boot(false, 120.0)],
        vec![],
    );
    assert_eq!((few.is_found(), few.median()), (false, None));
    let mut spoilt = boot(true, 1.0);
    spoilt.spoilt = Some("QEMU ended by signal 9".into());
    assert!(!row(vec![spoilt], vec![]).is_found());
}

#[test]
fn boots_that_disagree_on_the_name_are_told() {
    let mut other = boot(true, 3.0);
    other.signature = Some("hung-task/dput/INFO: task hung".into());
    let mut spoilt = boot(true, 1.0);
    (spoilt.spoilt, spoilt.signature) = (Some("QEMU ended".into()), Some("panic/-/x".into()));
    let mut old = boot(true, 1.0);
    old.signature = None;
    let boots = vec![
        other,
        boot(true, 1.0),
        boot(true, 2.0),
        boot(false, 9.0),
        spoilt,
        old,
    ];
    let disagree = row(boots, vec![]);
    assert_eq!(
        disagree.signatures(),
        [
            ("atomic-sleep/dput/BUG: sleeping function", 2),
            ("hung-task/dput/INFO: task hung", 1)
        ]
    );
    let agree = row(vec![boot(true, 1.0), boot(true, 2.0)], vec![]);
    let score = score(
        vec![disagree, agree, row(vec![boot(false, 9.0)], vec![])],
        vec![],
    );
    assert_eq!(score.summary().one_signature, (1, 2));
    let text = text(&score);
    assert!(text.contains("one signature for 1 of 2 bugs"), "{text}");
    assert!(text.contains("rcu-walk-dput under rt: 2 signatures\n  2 × atomic-sleep/dput/BUG: sleeping function\n  1 × hung-task/"), "{text}");
}

#[test]
fn a_score_without_signatures_is_still_read() {
    let mut json = serde_json::to_value(boot(true, 1.0)).unwrap();
    json.as_object_mut().unwrap().remove("signature");
    let attempt: Attempt = serde_json::from_value(json).unwrap();
    assert_eq!(attempt.signature, None);
}

#[test]
fn what_never_came_is_a_lower_bound() {
    let never = row(vec![boot(true, 2.0)], vec![boot(false, 100.0)]);
    assert_eq!(
        never.times_sooner(),
        Some(Ratio {
            times: 50.0,
            at_least: true
        })
    );
    let both = row(vec![boot(true, 2.0)], vec![boot(true, 8.0)]);
    assert_eq!(
        both.times_sooner(),
        Some(Ratio {
            times: 4.0,
            at_least: false
        })
    );
    assert_eq!(
        row(vec![boot(false, 2.0)], vec![boot(true, 8.0)]).times_sooner(),
        None
    );
}

#[test]
fn the_table_says_all_of_it() {
    let mut lost = row(vec![], vec![]);
    lost.bug = "does-not-build".into();
    lost.no_kernel = Some("does not build: fs/dcache.c:1: error".into());
    let clean = Clean {
        profile: "fast".into(),
        boots: 2,
        scenarios: 28,
        seconds: 280.4,
        findings: vec![(
            "clean-fast-02".into(),
            "wrong result in mixed/tmpfs: lost".into(),
        )],
        trouble: vec!["ci-lookup/xfs-ci: skipped: this kernel has no filesystem xfs".into()],
    };
    let attempts = vec![boot(true, 0.4), boot(true, 1.5), boot(false, 120.0)];
    let score = score(
        vec![row(attempts, vec![boot(true, 9.0)]), lost],
        vec![clean],
    );
    insta::assert_snapshot!(text(&score));
    insta::assert_snapshot!(markdown(&score));
}

proptest! {
    #[test]
    fn a_worse_boot_never_makes_a_better_score(times in prop::collection::vec(prop::option::of(0.1f64..100.0), 1..9)) {
        let boots: Vec<Attempt> = times.iter().map(|t| boot(t.is_some(), t.unwrap_or(120.0))).collect();
        let mut worse = boots.clone();
        worse.push(boot(false, 120.0));
        let (a, b) = (score(vec![row(boots, vec![])], vec![]).summary(), score(vec![row(worse, vec![])], vec![]).summary());
        prop_assert!(b.found <= a.found);
        let time = |t: Option<f64>| t.unwrap_or(f64::INFINITY);
        prop_assert!(time(b.median) >= time(a.median) && time(b.p90) >= time(a.p90));
    }
}
