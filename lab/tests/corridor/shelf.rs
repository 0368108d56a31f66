// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is on the shelf: used again where it holds, mended or named where it is damaged.

use crate::bench::Bench;
use crate::verdicts::{BUG, OK};
use std::fs;

#[test]
fn a_second_run_makes_nothing_again_and_remembers_the_control() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, BUG, OK]);
    let first = bench.run(&series, &["--json"]).exits(1).json();
    let before = bench.work_folders();
    assert!(before.len() > 5, "{before:?}");
    let again = bench.run(&series, &["--json"]).exits(1);
    assert_eq!(bench.work_folders(), before);
    let set = again.json()["set"].as_str().unwrap().to_owned();
    let told = format!(
        "base, mini: 1 boots remembered, the last from {}/mini-0000-01",
        first["set"].as_str().unwrap()
    );
    assert!(again.err.contains(&told), "{}", again.err);
    let ledger =
        fs::read_to_string(bench.path("work/results").join(&set).join("runs.jsonl")).unwrap();
    let builds: Vec<_> = ledger
        .lines()
        .filter(|l| l.contains(r#""kind":"build""#))
        .collect();
    assert!(
        !builds.is_empty() && builds.iter().all(|l| l.contains(r#""reused":true"#)),
        "{ledger}"
    );
    assert!(
        !ledger.contains("mini-0000"),
        "the base was not booted again: {ledger}"
    );
}

#[test]
fn another_qemu_is_another_experiment() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK]);
    bench.run(&series, &[]).exits(0);
    let script = fs::read_to_string(bench.path("qemu")).unwrap();
    bench.write("qemu", &script.replace("version 7.2.0", "version 9.9.0"));
    let ran = bench.run(&series, &[]).exits(0);
    assert!(!ran.err.contains("remembered"), "{}", ran.err);
}

#[test]
fn a_damaged_shelf_is_coped_with() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, BUG]);
    let whole = bench.run(&series, &[]).exits(1).out;
    let set = bench.set();
    let cut = |name: &str| {
        let path = bench.shelf(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    };

    cut("runs/mini-0002-01/findings.json");
    let shown = bench.ask(&["show", &set]).exits(0).out;
    assert!(
        shown.contains("__d_lookup_unhash+0x51"),
        "the proof comes from the console: {shown}"
    );
    let run = bench.ask(&["show", &set, "mini-0002-01"]).exits(0).out;
    assert!(run.contains("sleeping function called"), "{run}");

    cut("runs.jsonl");
    let shown = bench.ask(&["show", &set]).exits(0).out;
    assert!(
        shown.contains("1 torn lines of the ledger skipped"),
        "{shown}"
    );

    cut("verdict.json");
    let listed = bench.ask(&["ls"]).exits(0).out;
    assert!(listed.contains("unreadable"), "{listed}");
    let refused = bench.ask(&["show", &set]).exits(125).err;
    assert!(
        refused.contains("verdict.json") && refused.contains("move the file away"),
        "{refused}"
    );
    fs::remove_file(bench.shelf("verdict.json")).unwrap();
    assert!(bench.ask(&["ls"]).exits(0).out.contains("unfinished"));
    assert!(
        bench
            .ask(&["show", &set])
            .exits(0)
            .out
            .contains("no verdict yet")
    );

    let again = bench.ask(&["run", "--resume", &set]).exits(1);
    assert_eq!(again.out, whole);
    assert!(again.err.contains("1 torn lines"), "{}", again.err);
}

#[test]
fn a_newer_format_is_refused_and_hides_no_other_set() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK]);
    bench.run(&series, &[]).exits(0);
    let set = bench.set();
    let path = bench.shelf("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"format\": 1", "\"format\": 99", 1)).unwrap();
    for args in [
        vec!["show", set.as_str()],
        vec!["run", "--resume", set.as_str()],
    ] {
        let refused = bench.ask(&args).exits(129).err;
        assert!(
            refused.contains("has format 99, this lab knows 1"),
            "{refused}"
        );
    }
    bench.run(&series, &[]).exits(0);
    let listed = bench.ask(&["ls"]).exits(0).out;
    assert!(
        listed.contains("unreadable") && listed.contains("no regression"),
        "{listed}"
    );
}
