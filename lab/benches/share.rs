// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's own share of a whole run: wall time over make and QEMU alone, for the same work.
//!
//! `cargo bench --bench share [-- PROFILE SECONDS]`: builds and boots a patch that was never built before, on a base whose
//! control is remembered, so that one make and one boot follow each other and nothing overlaps. The same run gives both
//! figures: make's and QEMU's own seconds stand in its records. Exits 1 over the goal of 3%. The first use builds the base.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

const GOAL: f64 = 0.03;

fn main() -> ExitCode {
    // Cargo hands «--bench» to every benchmark.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|w| !w.starts_with("--"))
        .collect();
    let profile = words.first().map_or("rt", String::as_str);
    let seconds = words.get(1).map_or("20", String::as_str);
    let folder = tempfile::tempdir().expect("a folder for results");
    // Brings the base's control into memory, if it is not there yet.
    run(&folder.path().join("first"), profile, seconds, 0);
    let stamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |t| t.as_secs());
    let (wall, set) = run(&folder.path().join("second"), profile, seconds, stamp);
    let make = sum(&set.join("builds"), "build.json", "make_seconds");
    let qemu = sum(&set.join("runs"), "recording.json", "seconds");
    let share = (wall - make - qemu) / wall;
    println!("whole run {wall:.1} s, make {make:.1} s, QEMU {qemu:.1} s");
    println!(
        "the lab's own share: {:.2}% (goal {:.0}%)",
        share * 100.0,
        GOAL * 100.0
    );
    if make > 0.0 && share <= GOAL {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the lab on a patch of its own; gives the wall seconds and the set's folder.
fn run(folder: &Path, profile: &str, seconds: &str, stamp: u64) -> (f64, PathBuf) {
    std::fs::create_dir_all(folder).expect("a folder");
    let patch = folder.join("stamp.patch");
    std::fs::write(&patch, series(stamp)).expect("a patch");
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("run")
        .arg(&patch)
        .args([
            "--profile",
            profile,
            "--seconds",
            seconds,
            "--json",
            "--results",
        ])
        .arg(folder)
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("the lab runs");
    let wall = begun.elapsed().as_secs_f64();
    let verdict: Value = serde_json::from_slice(&output.stdout).expect("a verdict");
    (wall, folder.join(verdict["set"].as_str().expect("a set")))
}

/// The example's first patch with another word in its comment: the same amount of work, never built before.
fn series(stamp: u64) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../patches/dcache-wakeup/v2");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the example")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let text = std::fs::read_to_string(&files[1]).expect("its first patch");
    text.replacen("[PATCH v2 1/4]", "[PATCH]", 1).replace(
        "+/* Wake everybody",
        &format!("+/* {stamp}: wake everybody"),
    )
}

fn sum(folder: &Path, file: &str, key: &str) -> f64 {
    let entries = std::fs::read_dir(folder).expect("a set");
    entries
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path().join(file)).ok())
        .filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .filter_map(|report| report[key].as_f64())
        .sum()
}
