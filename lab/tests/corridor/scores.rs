// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab measured: bugs found and missed, and speeds compared.

use crate::bench::{Bench, sandbox};
use crate::verdicts::{BUG, OK};
use serde_json::Value;
use std::fs;

const YAML: &str = "\
title: a sleeping lock is taken where nothing may sleep
family: atomic sleep
profiles: [mini]
scenario: lookup-storm
fs: [tmpfs]
class: [atomic-sleep]
function: [__d_lookup_unhash]
";

/// A bench with two bugs, of which the scripted guest shows one.
fn with_bugs() -> Bench {
    let bench = Bench::new();
    for (name, line) in [("shown", BUG), ("hidden", OK)] {
        let series = bench.series(&format!("bugs/{name}"), &[line]);
        fs::write(format!("{series}/bug.yaml"), YAML).unwrap();
    }
    bench
}

fn score(bench: &Bench, more: &[&str]) -> Vec<String> {
    let bugs = bench.path("bugs").display().to_string();
    let mut args = vec!["score", "--bugs", &bugs, "--base", "base", "--seed", "7"];
    args.extend(["--seconds", "5", "--repeat", "2", "--json"]);
    args.extend(["--scenario", "lookup-storm/tmpfs"]);
    args.extend(more);
    args.extend(sandbox());
    args.into_iter().map(str::to_owned).collect()
}

fn ask(bench: &Bench, args: &[String]) -> crate::bench::Ran {
    bench.ask(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_score_says_what_was_found_and_what_was_not() {
    let bench = with_bugs();
    let told = ask(&bench, &score(&bench, &["--against", "plain"]))
        .exits(1)
        .json();
    let summary = &told["summary"];
    assert_eq!(
        (&summary["found"], &summary["bugs"]),
        (&1.into(), &2.into()),
        "{told:#}"
    );
    assert_eq!(summary["false_findings"], 0, "{told:#}");
    let rows = told["score"]["rows"].as_array().unwrap();
    let row = |bug: &str| rows.iter().find(|row| row["bug"] == bug).unwrap();
    let hits = row("shown")["attempts"].as_array().unwrap();
    assert_eq!(hits.len(), 2);
    for hit in hits {
        let right = (&hit["class"], &hit["class_right"], &hit["function_right"]);
        assert_eq!(right, (&"atomic-sleep".into(), &true.into(), &true.into()));
        assert_eq!(hit["scenario"], "lookup-storm/tmpfs");
    }
    assert_eq!(row("hidden")["attempts"][0]["found"], false);
    assert_eq!(row("shown")["against"].as_array().unwrap().len(), 2);
}

#[test]
fn a_score_goes_on_from_what_is_there() {
    let bench = with_bugs();
    let first = ask(&bench, &score(&bench, &["--clean", "0"]))
        .exits(1)
        .json();
    let folder = bench.path("work/results").join(&bench.sets()[0]);
    let lost = fs::read_dir(folder.join("runs"))
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let kept = fs::read_dir(folder.join("runs"))
        .unwrap()
        .flatten()
        .nth(1)
        .unwrap()
        .path();
    fs::remove_dir_all(&lost).unwrap();
    let made = |path: &std::path::Path| {
        fs::metadata(path.join("recording.json"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = made(&kept);
    let mut again = vec!["score", "--json", "--resume"];
    let folder = folder.display().to_string();
    again.push(&folder);
    let second = bench.ask(&again).exits(1).json();
    assert_eq!(second["summary"]["found"], first["summary"]["found"]);
    assert!(lost.join("recording.json").is_file());
    assert_eq!(made(&kept), before);
}

#[test]
fn wrong_bugs_are_refused_before_anything_is_built() {
    let bench = with_bugs();
    let refused = ask(&bench, &score(&bench, &["--bug", "shwon"])).exits(129);
    assert!(refused.err.contains("no bug shwon") && refused.err.contains("hidden  shown"));
    for unknown in [["--against", "plian"], ["--scenario", "lookup-strom"]] {
        let refused = ask(&bench, &score(&bench, &unknown)).exits(129);
        assert!(refused.err.contains("no scenario"), "{}", refused.err);
        assert!(refused.err.contains("lab scenarios"), "{}", refused.err);
    }
    bench.write(
        "bugs/shown/bug.yaml",
        &YAML.replace("lookup-storm", "lookup-strom"),
    );
    let refused = ask(&bench, &score(&bench, &[])).exits(129);
    assert!(
        refused.err.contains("bug.yaml:4: scenario: `lookup-strom`"),
        "{}",
        refused.err
    );
    assert_eq!(bench.sets(), Vec::<String>::new());
}

#[test]
fn speeds_are_compared_on_boots_in_turns() {
    let bench = Bench::new();
    let series = bench.series("slower", &[OK, "/* HALF_AS_FAST */"]);
    let ran = bench.run(&series, &["--measure", "4"]).exits(0);
    assert!(
        ran.out.contains("lookup-storm/tmpfs ops-per-second"),
        "{}",
        ran.out
    );
    let text = fs::read_to_string(bench.shelf("measures-mini.json")).unwrap();
    let measures: Value = serde_json::from_str(&text).unwrap();
    let samples = &measures["samples"][0];
    let side = |name: &str| -> Vec<f64> {
        let all = samples[name].as_array().unwrap();
        all.iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let (base, slower) = (side("base"), side("series"));
    assert_eq!((base.len(), slower.len()), (4, 4));
    assert!(base.iter().all(|b| *b >= 400.0) && slower.iter().all(|s| *s < 220.0));
    assert_eq!(measures["latencies"][0]["base"]["1000"], 4 * 98);
    // Eight samples without overlap: 2 of 70 orders.
    assert!(ran.out.contains("p 0.029 changed"), "{}", ran.out);
}
