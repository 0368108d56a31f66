// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is said of a series, for each way in which its kernels can behave.

use crate::bench::{Bench, Ran};
use serde_json::Value;

pub(crate) const BUG: &str = "/* BUG_IN_SCENARIO */";
pub(crate) const OK: &str = "/* sound */";

/// Text without what differs from run to run.
fn steady(bench: &Bench, text: &str) -> String {
    let results = bench.path("work/results").display().to_string();
    let mut text = text.replace(&results, "RESULTS");
    for set in bench.sets() {
        text = text.replace(&set, "SET");
    }
    text
}

fn findings(ran: &Ran) -> Value {
    ran.json()["profiles"][0]["findings"].clone()
}

#[test]
fn a_regression_is_told_with_the_patch_that_brings_it() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, OK, BUG, OK, OK]);
    let ran = bench.run(&series, &[]).exits(1);
    insta::assert_snapshot!(steady(&bench, &ran.out));
    let text = std::fs::read_to_string(bench.shelf("verdict.json")).unwrap();
    let stored: Value = serde_json::from_str(&text).unwrap();
    let bad = &stored["profiles"][0]["findings"][0]["first_bad"];
    assert_eq!(bad["patch"], 3, "{stored:#}");
    assert!(bad["probability"].as_f64().unwrap() > 0.95, "{stored:#}");
    // What is shown later is what was said at once.
    let shown = bench.ask(&["show", &bench.set()]).exits(0);
    let verdict = ran.out.split("all of it:").next().unwrap().trim();
    assert!(shown.out.contains(verdict), "{}", shown.out);
}

#[test]
fn a_sound_series_is_no_regression_and_json_says_all_of_it() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, OK]);
    let ran = bench.run(&series, &["--json"]).exits(0);
    let verdict = ran.json();
    assert_eq!(
        (
            &verdict["format"],
            &verdict["overall"],
            &verdict["series"],
            &verdict["set"]
        ),
        (
            &1.into(),
            &"no-regression".into(),
            &"wakeup v1".into(),
            &bench.set().into()
        )
    );
    let profile = &verdict["profiles"][0];
    assert_eq!(
        (&profile["findings"], &profile["trouble"]),
        (&Value::Array(vec![]), &Value::Array(vec![]))
    );
    assert_eq!(profile["series_seconds"], 5.0, "{verdict:#}");
    let stored = std::fs::read_to_string(bench.shelf("verdict.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&stored).unwrap(), verdict);
    assert_eq!(
        bench.ask(&["show", &bench.set(), "--json"]).exits(0).json(),
        verdict
    );
    let listed = bench.ask(&["ls", "--json"]).exits(0).json();
    assert_eq!(listed["verdict"], "no regression");
    assert!(ran.err.contains("results: "), "{}", ran.err);
}

#[test]
fn a_bug_at_boot_is_found_before_the_workload_begins() {
    let bench = Bench::new();
    let series = bench.series("early", &["/* BUG_AT_BOOT */"]);
    let ran = bench.run(&series, &["--json"]).exits(1);
    let first = &findings(&ran)[0];
    assert_eq!(
        (&first["class"], &first["function"]),
        (&"atomic-sleep".into(), &"d_walk_at_boot".into())
    );
    assert_eq!(first["first_bad"]["patch"], 1);
}

#[test]
fn what_the_base_does_too_is_no_regression() {
    let bench = Bench::with_base(BUG);
    let series = bench.series("wakeup", &[OK, OK]);
    let ran = bench.run(&series, &[]).exits(0);
    assert!(
        ran.out.contains("also in base BUG: sleeping function"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains(": no regression"), "{}", ran.out);
}

fn one_bad(line: &str) -> Value {
    let bench = Bench::new();
    let series = bench.series("one", &[line]);
    let ran = bench.run(&series, &["--json"]).exits(1);
    let all = findings(&ran);
    assert_eq!(all.as_array().unwrap().len(), 1, "{all:#}");
    assert_eq!(
        (&all[0]["call"], &all[0]["first_bad"]["patch"]),
        (&"regression".into(), &1.into())
    );
    all[0].clone()
}

#[test]
fn a_panic_is_the_kernels() {
    assert_eq!(one_bad("/* PANIC */")["class"], "panic");
}

#[test]
fn a_thread_that_never_stops_is_told_by_its_function() {
    let finding = one_bad("/* STUCK */");
    assert_eq!(
        (&finding["class"], &finding["function"]),
        (&"hung-task".into(), &"d_alloc_parallel".into())
    );
}

#[test]
fn a_guest_that_goes_silent_is_the_kernels() {
    assert_eq!(one_bad("/* SILENT */")["class"], "silence");
}

#[test]
fn what_mails_and_kernels_say_reaches_the_terminal_unarmed() {
    let bench = Bench::new();
    let subject = "fs: \u{1b}[31mred\u{9b}5m \u{202e}backwards \u{1b}]0;title\u{7}";
    let series = bench.series_of(
        "hostile",
        &[(subject, "/* BUG_IN_SCENARIO ESCAPES */"), (subject, OK)],
    );
    let ran = bench.run(&series, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let set = bench.set();
    let asked: [&[&str]; 5] = [
        &["show", &set],
        &["show", &set, "mini-0002-01"],
        &["ls"],
        &["ls", "--json"],
        &["show", &set, "--json"],
    ];
    let mut said = vec![("run".to_owned(), ran.out, ran.err)];
    for args in asked {
        let ran = bench.ask(args).exits(0);
        said.push((args.join(" "), ran.out, ran.err));
    }
    let json = bench.run(&series, &["--json"]).exits(1);
    said.push(("run --json".into(), json.out.clone(), json.err.clone()));
    for (command, out, err) in &said {
        let armed = |c: char| c.is_control() && !"\n\t".contains(c) || c == '\u{202e}';
        for text in [out, err] {
            assert!(!text.contains(armed), "{command}: {text:?}");
        }
    }
    assert!(said[0].1.contains("\\u{1b}[31mred"), "{}", said[0].1);
    let told = json.json()["profiles"][0]["findings"][0]["first_bad"]["subject"].clone();
    assert!(told.as_str().unwrap().contains("\u{1b}[31mred"), "{told}");
}
