// SPDX-License-Identifier: MIT OR Apache-2.0
//! `kill -9` at random moments: at most the step that was under way is lost.

use crate::bench::{Bench, ended};
use crate::verdicts::{BUG, OK};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

const KILLS: u64 = 12;
const LANES: u64 = 3;
const SEED: u64 = 0x5eed_0001;

/// What of a verdict is the same however the way to it was.
fn essence(verdict: &Value) -> Value {
    let mut all = verdict.clone();
    all["set"] = Value::Null;
    for finding in all["profiles"][0]["findings"].as_array_mut().unwrap() {
        finding["run"] = Value::Null;
    }
    all
}

/// The `n`th number of a seed (SplitMix64's finisher).
fn random(n: u64) -> u64 {
    let mut z = SEED.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The lines of two values that are not the same.
fn differences(got: &Value, wanted: &Value) -> String {
    let (got, wanted) = (format!("{got:#}"), format!("{wanted:#}"));
    let both = got.lines().zip(wanted.lines()).filter(|(a, b)| a != b);
    both.map(|(a, b)| format!("\n  {a} instead of {b}"))
        .collect()
}

fn nothing_is_torn(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            nothing_is_torn(&path);
        } else if path.extension().is_some_and(|e| e == "json") {
            let text = std::fs::read_to_string(&path).unwrap();
            let read = serde_json::from_str::<Value>(&text);
            assert!(read.is_ok(), "{}: {text:?}", path.display());
        }
    }
}

fn each_id_once(ledger: &Path) {
    let text = std::fs::read_to_string(ledger).unwrap();
    let mut ids = BTreeSet::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {text}"));
        let id = format!("{} {}", line["kind"], line["id"]);
        assert!(ids.insert(id.clone()), "{id} twice: {text}");
    }
    assert!(ids.len() >= 6, "{text}");
}

/// Runs with everything new, killed after `after`, and gone on with; the verdict.
fn killed_after(after: Duration) -> Value {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, BUG, OK]);
    let mut lab = bench
        .lab(&bench.run_args(&series, &["--json"]))
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    lab.kill().unwrap();
    let first = ended(lab);
    let verdict = if let Some(set) = bench.sets().first() {
        nothing_is_torn(&bench.path("work/results"));
        bench.ask(&["run", "--resume", set, "--json"])
    } else {
        // Killed before there was a set: nothing to go on with, and nothing in the way of a new one.
        bench.run(&series, &["--json"])
    };
    bench.empty_within(Duration::from_secs(5));
    let verdict = verdict.exits(1).json();
    nothing_is_torn(&bench.path("work/results"));
    each_id_once(&bench.shelf("runs.jsonl"));
    drop(first);
    essence(&verdict)
}

#[test]
fn killed_anywhere_a_run_ends_as_if_nothing_had_been() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, BUG, OK]);
    let begun = Instant::now();
    let wanted = essence(&bench.run(&series, &["--json"]).exits(1).json());
    let whole = begun.elapsed();
    println!("undisturbed: {whole:?}; seed {SEED:#x}");
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let wanted = &wanted;
            scope.spawn(move || {
                for n in (lane..KILLS).step_by(LANES as usize) {
                    // Lanes share the machine, so the same step comes later than alone.
                    let after = whole.mul_f64(1.5 * (random(n) % 1000) as f64 / 1000.0);
                    println!("kill {n} after {after:?}");
                    let verdict = killed_after(after);
                    assert!(
                        &verdict == wanted,
                        "kill {n} after {after:?}: {}",
                        differences(&verdict, wanted)
                    );
                }
            });
        }
    });
}
