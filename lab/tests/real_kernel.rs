// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole lab on a real kernel, as a user runs it: builds Linux under the `rt` profile, boots it in
//! QEMU, and judges the example series. Needs the host tools of `lab setup`; minutes to an hour.
//!
//! One test, because its steps share the kernels: the second finds ready what the first built.

#![cfg(test)]

mod decoded;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Seconds of each scenario: enough for the example, whose bug shows at the first exec.
const SECONDS: &str = "10";

struct Ran {
    code: Option<i32>,
    verdict: Value,
    took: Duration,
    set: PathBuf,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(series: &str, results: &Path) -> Ran {
    let begun = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args([
            "run",
            series,
            "--profile",
            "rt",
            "--seconds",
            SECONDS,
            "--scenario",
            "lookup-storm,nfs-unlink",
            "--seed",
            "7",
            "--json",
            "--results",
        ])
        .arg(results)
        .current_dir(top())
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    let took = begun.elapsed();
    println!(
        "{series}: exit {:?} after {:.0} s",
        output.status.code(),
        took.as_secs_f64()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let verdict: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let set = results.join(verdict["set"].as_str().unwrap());
    Ran {
        code: output.status.code(),
        verdict,
        took,
        set,
    }
}

/// Milliseconds from the start of the lab to the start of its first boot.
fn until_first_boot(ran: &Ran, begun: std::time::SystemTime) -> Duration {
    let first = std::fs::read_dir(ran.set.join("runs"))
        .unwrap()
        .map(|run| {
            run.unwrap()
                .path()
                .join("job.json")
                .metadata()
                .unwrap()
                .modified()
                .unwrap()
        })
        .min()
        .unwrap();
    first.duration_since(begun).unwrap()
}

/// One test at a time: each wants the whole machine.
static MACHINE: Mutex<()> = Mutex::new(());

#[test]
fn the_example_is_judged_rightly() {
    let _alone = MACHINE.lock();
    let results = tempfile::tempdir().unwrap();

    let v1 = run("patches/dcache-wakeup/v1", results.path());
    assert_eq!(v1.code, Some(1), "{}", v1.verdict);
    let finding = &v1.verdict["profiles"][0]["findings"][0];
    assert_eq!(finding["call"], "regression");
    assert_eq!(finding["class"], "atomic-sleep");
    assert_eq!(finding["first_bad"]["patch"], 3);
    assert!(finding["first_bad"]["probability"].as_f64().unwrap() > 0.95);
    let run_id = finding["first_bad"]["run"].as_str().unwrap();
    let console = std::fs::read(v1.set.join("runs").join(run_id).join("console.log")).unwrap();
    let console = String::from_utf8_lossy(&console);
    assert!(console.contains("BUG: sleeping function called from invalid context"));
    frames_are_told_by_file_line_and_patch(&v1, run_id);

    let v2 = run("patches/dcache-wakeup/v2", results.path());
    assert_eq!(v2.code, Some(0), "{}", v2.verdict);
    assert_eq!(v2.verdict["profiles"][0]["findings"], serde_json::json!([]));
    assert!(
        v2.verdict["profiles"][0]["series_seconds"]
            .as_f64()
            .unwrap()
            >= 20.0
    );

    // Nothing changed: no make at all, and the first boot within 2 s.
    let begun = std::time::SystemTime::now();
    let again = run("patches/dcache-wakeup/v1", results.path());
    assert_eq!(again.code, Some(1));
    let quick = until_first_boot(&again, begun);
    println!(
        "nothing changed: first boot after {} ms, all in {:.0} s",
        quick.as_millis(),
        again.took.as_secs_f64()
    );
    let ledger = std::fs::read_to_string(again.set.join("runs.jsonl")).unwrap();
    let builds = ledger.lines().filter(|l| l.contains(r#""kind":"build""#));
    assert!(builds.clone().count() > 0);
    assert!(
        builds.clone().all(|l| l.contains(r#""reused":true"#)),
        "{ledger}"
    );
}

/// The set `v1` read again: its frames are told by file and line, as the kernel's own script tells them, and those of the
/// third patch are marked.
fn frames_are_told_by_file_line_and_patch(v1: &Ran, run: &str) {
    let folder = v1.set.join("runs").join(run);
    let triage = || {
        let lab = Command::new(env!("CARGO_BIN_EXE_lab"))
            .arg("triage")
            .arg(&v1.set)
            .output();
        let lab = lab.unwrap();
        assert_eq!(lab.status.code(), Some(1), "{lab:?}");
        String::from_utf8_lossy(&lab.stdout).into_owned()
    };
    triage();
    assert!(triage().contains("nothing changed"));
    let text = std::fs::read_to_string(folder.join("decoded.txt")).unwrap();
    assert!(
        text.contains("__d_add") && text.contains("(fs/dcache.c:"),
        "{text}"
    );
    assert!(text.contains("«line of patch 3»"), "{text}");

    let read =
        |path: PathBuf| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let kernel = read(folder.join("job.json"))["kernel"].clone();
    let vmlinux = Path::new(kernel.as_str().unwrap()).join("vmlinux");
    let manifest = read(v1.set.join("manifest.json"));
    let script = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "--git-dir",
            manifest["tree"].as_str().unwrap(),
        ])
        .args([
            "show",
            &format!(
                "{}:scripts/decode_stacktrace.sh",
                manifest["base_commit"].as_str().unwrap()
            ),
        ])
        .output()
        .unwrap();
    assert!(script.status.success(), "{script:?}");
    let file = folder.join("decode_stacktrace.sh");
    std::fs::write(&file, script.stdout).unwrap();
    let console = std::fs::read(folder.join("console.log")).unwrap();
    let places = decoded::places(&String::from_utf8_lossy(&console));
    let figures = decoded::compare(&vmlinux, &file, &places);
    println!("{figures:#?}");
    assert!(figures.places > 10);
    assert!(20 * figures.as_printed >= 19 * figures.places);
    assert!(20 * figures.of_calls >= 19 * figures.places);
    assert_eq!(figures.names.0, figures.names.1);
    assert!(figures.took < Duration::from_secs(5), "{:?}", figures.took);
}

/// Seeded bugs of three kinds: a console report, a thread that never ends, a wrong answer.
const BUGS: &str = "rcu-walk-dput,lookup-wait-lost,unlink-keeps-hashed";

#[test]
fn seeded_bugs_are_found_and_the_clean_kernel_is_quiet() {
    let _alone = MACHINE.lock();
    let results = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lab"))
        .args(["score", "--profile", "rt", "--bug", BUGS, "--json"])
        .args(["--clean-seconds", "2", "--seed", "7", "--results"])
        .arg(results.path())
        .current_dir(top())
        .stderr(std::process::Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    let (summary, clean) = (&told["summary"], &told["score"]["clean"]);
    assert_eq!(summary["found"], 3, "{told:#}");
    assert_eq!(summary["false_findings"], 0, "{clean:#}");
    assert_eq!(clean[0]["trouble"], serde_json::json!([]), "{clean:#}");
    assert_eq!(output.status.code(), Some(0));
}
