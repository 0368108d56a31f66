// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trouble of the rig is said as such: it is neither a regression nor a clean bill.

use crate::bench::{Bench, ended};
use crate::verdicts::OK;
use std::process::Command;

#[test]
fn a_missing_qemu_is_the_rigs() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK]);
    std::fs::remove_file(bench.path("qemu")).unwrap();
    let ran = bench.run(&series, &[]).exits(125);
    assert!(ran.err.contains("install qemu-system-x86"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn a_qemu_that_dies_is_the_rigs_and_a_later_try_counts() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &["/* DIES */"]);
    let ran = bench.run(&series, &[]).exits(125);
    assert!(
        ran.out.contains("cannot tell") && ran.out.contains("rig trouble"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("killed by signal 9"), "{}", ran.out);
    assert!(
        !ran.out.contains("REGRESSION") && !ran.out.contains("no finding"),
        "{}",
        ran.out
    );
    // The rig is mended; what it spoilt is made again, and the ledger tells how it went the last time.
    let script = std::fs::read_to_string(bench.path("qemu")).unwrap();
    bench.write("qemu", &script.replace("has DIES", "has NEVER_DIES"));
    let set = bench.set();
    let mended = bench.ask(&["run", "--resume", &set]).exits(0);
    assert!(mended.out.contains("no regression"), "{}", mended.out);
    let shown = bench.ask(&["show", &set]).exits(0);
    assert!(!shown.out.contains("signal 9"), "{}", shown.out);
    assert_eq!(
        shown.out.matches("mini-0001-01").count(),
        1,
        "{}",
        shown.out
    );
}

/// A small filesystem of its own, unmounted at the end.
struct Small(std::path::PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_under_the_results_is_the_rigs() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, OK]);
    let results = bench.path("work/results");
    std::fs::create_dir_all(&results).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=128k", "tmpfs"])
        .arg(&results)
        .output();
    if !mounted.is_ok_and(|o| o.status.success()) {
        println!(
            "SKIPPED a_full_disk_under_the_results_is_the_rigs: no tmpfs can be mounted here (not root?)"
        );
        return;
    }
    let small = Small(results.clone());
    // Room for the beginnings of a set, not for its runs.
    std::fs::write(results.join("ballast"), vec![0; 56 << 10]).unwrap();
    let ran = bench.run(&series, &[]);
    assert_eq!(ran.code, Some(125), "{}{}", ran.out, ran.err);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("No space left on device"), "{said}");
    assert!(!said.contains("REGRESSION"), "{said}");
    // With room again the set goes on.
    std::fs::remove_file(results.join("ballast")).unwrap();
    let grown = Command::new("mount")
        .args(["-o", "remount,size=64m"])
        .arg(&results)
        .status();
    assert!(grown.unwrap().success());
    let set = bench
        .sets()
        .into_iter()
        .find(|name| name.starts_with("wakeup"))
        .unwrap();
    ended(bench.lab(&["run", "--resume", &set]).spawn().unwrap()).exits(0);
    drop(small);
}
