// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use crate::finding::Class;
use crate::verdict::VERDICT_FORMAT;

fn seen(hits: u32, seconds: f64, runs: u32) -> Exposure {
    Exposure {
        hits,
        seconds,
        runs,
    }
}

fn judged(call: Call, first_bad: Option<FirstBad>) -> Judged {
    Judged {
        signature: "atomic-sleep __wake_up".into(),
        class: Class::AtomicSleep,
        title: "BUG: sleeping function called from invalid context in __wake_up".into(),
        function: Some("__wake_up".into()),
        call,
        series: seen(2, 3.1, 2),
        base: seen(0, 66.0, 1),
        p: 0.002,
        run: "rt-0004-01".into(),
        first_bad,
    }
}

fn verdict(overall: Overall, profile: ProfileVerdict) -> Verdict {
    Verdict {
        format: VERDICT_FORMAT,
        set: "dcache-wakeup-v1".into(),
        series: "dcache-wakeup v1".into(),
        overall,
        profiles: vec![profile],
    }
}

fn profile(findings: Vec<Judged>, trouble: Vec<Trouble>) -> ProfileVerdict {
    ProfileVerdict {
        warnings: Vec::new(),
        profile: "rt".into(),
        findings,
        suspicions: vec![("INFO: task hung in nfsd_start".into(), "rt-0004-01".into())],
        series_seconds: 3.1,
        base_seconds: 60.0,
        trouble,
    }
}

#[test]
fn a_regression_names_the_patch_and_shows_the_lines() {
    let bad = FirstBad {
        patch: 3,
        subject: "fs/dcache: wake in-lookup waiters before i_dir_seq is released".into(),
        probability: 0.9996,
        seen: vec![
            seen(0, 66.0, 1),
            Exposure::default(),
            seen(0, 64.2, 1),
            seen(1, 1.6, 1),
            seen(2, 3.1, 2),
        ],
        run: Some("rt-0003-01".into()),
    };
    let proof = Proof {
        signature: "atomic-sleep __wake_up".into(),
        console: "results/dcache-wakeup-v1/runs/rt-0003-01/console.log, line 240".into(),
        lines: vec!["BUG: sleeping function called from invalid context".into()],
    };
    let verdict = verdict(
        Overall::Regression,
        profile(vec![judged(Call::Regression, Some(bad))], vec![]),
    );
    insta::assert_snapshot!(verdict_text(&verdict, "6.12.117", &[proof]));
}

#[test]
fn a_clean_series_says_what_would_have_been_seen() {
    let mut clean = profile(vec![], vec![]);
    (clean.series_seconds, clean.suspicions) = (60.0, vec![]);
    insta::assert_snapshot!(verdict_text(
        &verdict(Overall::NoRegression, clean),
        "6.12.117",
        &[]
    ));
}

#[test]
fn what_keeps_it_from_telling_is_said() {
    let trouble = vec![
        Trouble::DoesNotBuild {
            patch: 2,
            subject: "fs: add a helper".into(),
            error: "does not build: fs/dcache.c:12: expected ';'".into(),
        },
        Trouble::Rig {
            reason: "run rt-0004-02: disk full".into(),
        },
        Trouble::NotRun {
            reason: "lookup-storm/xfs: skipped: no XFS in this kernel".into(),
        },
    ];
    let open = judged(
        Call::Undecided {
            more_seconds: 170.0,
        },
        None,
    );
    let text = verdict_text(
        &verdict(Overall::CannotTell, profile(vec![open], trouble)),
        "6.12.117",
        &[],
    );
    insta::assert_snapshot!(text);
}
