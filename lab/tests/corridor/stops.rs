// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ctrl-C: the first stops in order, the second at once; nothing of ours survives either, and the set goes on.

use crate::bench::{Bench, ended, until};
use crate::verdicts::{BUG, OK};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Child;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(15);

fn interrupt(lab: &Child) {
    kill(Pid::from_raw(lab.id() as i32), Signal::SIGINT).unwrap();
}

fn starts(bench: &Bench, series: &str, wanted: &str) -> Child {
    let lab = bench.lab(&bench.run_args(series, &[])).spawn().unwrap();
    until(wanted, SOON, || {
        bench.alive().iter().any(|process| process.contains(wanted))
    });
    lab
}

/// A boot that a stop in order ends by way of the guest.
#[test]
fn the_first_ctrl_c_during_a_boot_stops_in_order_and_resume_goes_on() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, OK, "/* BUG_IN_SCENARIO SLOW */"]);
    let lab = starts(&bench, &series, "console=ttyS0");
    until("the slow kernel boots", SOON, || {
        std::fs::read_to_string(bench.shelf("runs/mini-0003-01/events.jsonl"))
            .is_ok_and(|t| t.contains("progress"))
    });
    interrupt(&lab);
    let ran = ended(lab).exits(130);
    assert_eq!(bench.alive(), [""; 0]);
    let set = bench.set();
    // The hint names the folder, so that it holds from wherever it is followed.
    let hint = ran
        .err
        .split("lab run --resume ")
        .nth(1)
        .unwrap_or_default();
    let set = hint
        .lines()
        .next()
        .filter(|path| path.ends_with(&set))
        .unwrap_or_else(|| panic!("{}", ran.err))
        .to_owned();
    assert!(!bench.shelf("verdict.json").exists());
    let script = std::fs::read_to_string(bench.path("qemu")).unwrap();
    bench.write("qemu", &script.replace("has SLOW", "has NEVER_SLOW"));
    let verdict = bench
        .ask(&["run", "--resume", &set, "--json"])
        .exits(1)
        .json();
    assert_eq!(
        verdict["profiles"][0]["findings"][0]["first_bad"]["patch"], 3,
        "{verdict:#}"
    );
}

#[test]
fn ctrl_c_during_a_build_leaves_nothing_running() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, "/* SLOW_BUILD */"]);
    let lab = starts(&bench, &series, "bzImage");
    until("the slow object is made", SOON, || {
        std::process::Command::new("pgrep")
            .args(["-f", "^sleep 60$"])
            .output()
            .is_ok_and(|o| o.status.success())
    });
    interrupt(&lab);
    ended(lab).exits(130);
    assert_eq!(bench.alive(), [""; 0]);
}

#[test]
fn the_second_ctrl_c_stops_at_once_what_does_not_listen() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &["/* SILENT */"]);
    let lab = starts(&bench, &series, "console=ttyS0");
    until("the silent kernel boots", SOON, || {
        std::fs::read_to_string(bench.shelf("runs/mini-0001-01/events.jsonl"))
            .is_ok_and(|t| t.contains("progress"))
    });
    interrupt(&lab);
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    interrupt(&lab);
    ended(lab).exits(130);
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(bench.alive(), [""; 0]);
}

#[test]
fn a_set_that_another_lab_writes_is_refused() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &["/* SLOW */", BUG]);
    let lab = starts(&bench, &series, "console=ttyS0");
    let set = bench.set();
    let refused = bench.ask(&["run", "--resume", &set]).exits(129);
    assert!(
        refused.err.contains("is being written by another lab"),
        "{}",
        refused.err
    );
    // Reading it is no writing.
    let shown = bench.ask(&["show", &set]).exits(0);
    assert!(shown.out.contains("no verdict yet"), "{}", shown.out);
    assert!(bench.ask(&["ls"]).exits(0).out.contains("unfinished"));
    interrupt(&lab);
    ended(lab).exits(130);
}
