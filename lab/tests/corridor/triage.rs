// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stored set read again: nothing changes where the lab hears the same, and what it hears otherwise is told and kept.

use crate::bench::Bench;
use crate::verdicts::{BUG, OK};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every file of a set but its lock and records of the rig, with its bytes.
fn files(set: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![set.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    all
}

fn edit(path: &Path, change: impl Fn(String) -> String) {
    let text = fs::read_to_string(path).unwrap();
    let changed = change(text.clone());
    assert_ne!(text, changed, "{}", path.display());
    fs::write(path, changed).unwrap();
}

#[test]
fn reading_a_set_again_changes_nothing_and_exits_as_its_verdict() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, OK, BUG, OK, OK]);
    let ran = bench.run(&series, &[]).exits(1);
    let set = bench.shelf("");
    let before = files(&set);
    let again = bench.ask(&["triage", &bench.set()]).exits(1);
    assert!(
        again.out.contains("read again, nothing changed\n"),
        "{}",
        again.out
    );
    let verdict = ran.out.split("all of it:").next().unwrap().trim();
    assert!(again.out.contains(verdict), "{}\n{}", again.out, verdict);
    let after = files(&set);
    for (path, bytes) in &after {
        assert!(before.get(path) == Some(bytes), "{}", path.display());
    }
    assert_eq!(before.len(), after.len());
}

#[test]
fn what_an_older_ear_heard_is_put_right_in_findings_ledger_and_verdict() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, BUG, OK]);
    bench.run(&series, &[]).exits(1);
    let set = bench.shelf("");
    let whole = files(&set);
    // An older lab blamed the messenger, in every file that it derived.
    let old = |text: String| text.replace("__d_lookup_unhash", "rt_spin_lock");
    edit(&set.join("runs/mini-0003-01/findings.json"), old);
    edit(&set.join("runs.jsonl"), old);
    edit(&set.join("verdict.json"), old);
    let run = bench.ask(&["triage", &bench.set()]).exits(1);
    let told = "  mini-0003-01\n    \
        renamed  BUG: sleeping function called from invalid context in rt_spin_lock\n    \
        to       BUG: sleeping function called from invalid context in __d_lookup_unhash\n";
    assert!(run.out.contains(told), "{}", run.out);
    for (path, bytes) in files(&set) {
        let told = String::from_utf8_lossy(&bytes).into_owned();
        assert!(whole[&path] == bytes, "{}: {told}", path.display());
    }
    let again = bench
        .ask(&["triage", &bench.set(), "--json"])
        .exits(1)
        .json();
    assert_eq!(
        (&again["changes"], &again["ledger_changed"]),
        (&serde_json::json!([]), &false.into())
    );
    assert_eq!(again["verdict"]["overall"], "regression");
    // Half of it done, as a kill leaves it: the rest follows.
    edit(&set.join("runs.jsonl"), old);
    edit(&set.join("verdict.json"), old);
    let mended = bench.ask(&["triage", &bench.set()]).exits(1);
    assert!(
        mended.out.contains("the ledger brought up to date"),
        "{}",
        mended.out
    );
    for (path, bytes) in files(&set) {
        assert!(whole[&path] == bytes, "{}", path.display());
    }
}

#[test]
fn a_finding_that_is_heard_only_now_changes_the_verdict_and_boots_nothing() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK, OK]);
    bench.run(&series, &[]).exits(0);
    let console = bench.shelf("runs/mini-0002-01/console.log");
    let report = "[    1.200000] WARNING: CPU: 0 PID: 71 at fs/dcache.c:344 dentry_free+0x5e/0x70\n\
        [    1.200001] RIP: 0010:dentry_free+0x5e/0x70\n[    1.200002] Call Trace:\n\
        [    1.200003]  <TASK>\n[    1.200004]  dput+0x1/0x20\n[    1.200005]  </TASK>\n\
        [    1.200006] ---[ end trace 0000000000000000 ]---\n";
    edit(&console, |text| text + report);
    let runs = || fs::read_dir(bench.shelf("runs")).unwrap().count();
    let before = runs();
    let triaged = bench.ask(&["triage", &bench.set()]);
    assert!(
        matches!(triaged.code, Some(1 | 125)),
        "{:?} {}",
        triaged.code,
        triaged.out
    );
    assert!(
        triaged.out.contains("    new      WARNING in dentry_free"),
        "{}",
        triaged.out
    );
    assert_eq!(runs(), before);
    let shown = bench.ask(&["show", &bench.set()]).exits(0);
    assert!(
        shown.out.contains("WARNING in dentry_free"),
        "{}",
        shown.out
    );
    let again = bench.ask(&["triage", &bench.set()]);
    assert_eq!(again.code, triaged.code);
    assert!(again.out.contains("nothing changed"), "{}", again.out);
}

#[test]
fn a_set_that_is_being_written_or_has_no_verdict_is_said_to_be_so() {
    let bench = Bench::new();
    let series = bench.series("wakeup", &[OK]);
    bench.run(&series, &[]).exits(0);
    let set = bench.set();
    let lock = fs::File::open(bench.shelf(".lock")).unwrap();
    let held = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let refused = bench.ask(&["triage", &set]).exits(129);
    assert!(
        refused.err.contains("is being written by another lab"),
        "{}",
        refused.err
    );
    drop(held);
    fs::remove_file(bench.shelf("counted-mini.json")).unwrap();
    let told = bench.ask(&["triage", &set]).exits(125);
    assert!(
        told.err
            .contains("does not say which boots its verdict counts"),
        "{}",
        told.err
    );
    fs::remove_file(bench.shelf("verdict.json")).unwrap();
    let unfinished = bench.ask(&["triage", &set]).exits(125);
    assert!(
        unfinished.out.contains("no verdict yet"),
        "{}",
        unfinished.out
    );
    assert!(
        bench
            .ask(&["triage", "no-such-set"])
            .exits(129)
            .err
            .contains("there is no set")
    );
    assert!(bench.ask(&["triage"]).exits(129).err.contains("SET"));
}
