// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run looked at again: replayed, packed, kept; and the space of what nobody keeps freed.

use crate::bench::Bench;
use crate::verdicts::{BUG, OK};
use std::fs;

/// A series that was found bad, and the folder of the boot that shows it.
fn found(bench: &Bench) -> String {
    let series = bench.series("wakeup", &[OK, BUG]);
    bench.run(&series, &[]).exits(1);
    let ledger = fs::read_to_string(bench.shelf("runs.jsonl")).unwrap();
    let hit = ledger
        .lines()
        .find(|line| line.contains("__d_lookup_unhash"))
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(hit).unwrap();
    line["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_replay_says_whether_the_finding_came_again() {
    let bench = Bench::new();
    let run = found(&bench);
    let ran = bench.ask(&["replay", &run, "--times", "2"]).exits(1);
    assert!(
        ran.out.contains("came again in 2 of 2 boots, after "),
        "{}",
        ran.out
    );
    let first = bench.shelf(&format!("replays/{run}-01"));
    let job = |path: std::path::PathBuf| -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(path.join("job.json")).unwrap()).unwrap()
    };
    let (was, is) = (job(bench.shelf(&format!("runs/{run}"))), job(first.clone()));
    for same in ["kernel", "machine", "append", "guest", "limits"] {
        assert_eq!(was[same], is[same], "{same}");
    }
    // Until the hit takes one boot here; a replay can be replayed, too.
    let set = bench.set();
    let ran = bench
        .ask(&["replay", &format!("{set}/{run}"), "--until-hit", "--json"])
        .exits(1);
    assert_eq!(ran.json()["attempts"].as_array().unwrap().len(), 1);
    let folder = first.display().to_string();
    bench.ask(&["replay", &folder]).exits(1);
    // A kernel without the bug does not show it.
    let text = fs::read(bench.shelf(&format!("runs/{run}/job.json"))).unwrap();
    assert!(!text.is_empty());
    let good = bench.ask(&["replay", "mini-0000-01"]).exits(0);
    assert!(good.out.contains("had no finding"), "{}", good.out);
    bench
        .ask(&["replay", "mini-0000-01", "--until-hit"])
        .exits(129);
    bench.ask(&["replay", "mini-7777-01"]).exits(129);
}

#[test]
fn a_kernel_that_is_gone_is_built_again_as_its_set_built_it() {
    let bench = Bench::new();
    let run = found(&bench);
    fs::remove_dir_all(bench.path("cache/kernels")).unwrap();
    let ran = bench.ask(&["replay", &run]).exits(1);
    assert!(
        ran.err.contains("it is built again: patch 2/2, mini"),
        "{}",
        ran.err
    );
    assert!(!ran.err.contains("not the same kernel"), "{}", ran.err);
    fs::remove_dir_all(bench.path("cache/kernels")).unwrap();
    fs::remove_dir_all(bench.shelf("builds")).unwrap();
    let ran = bench.ask(&["replay", &run]).exits(125);
    assert!(
        ran.err.contains("its set no longer says how it was built"),
        "{}",
        ran.err
    );
}

#[test]
fn the_debugger_is_told_what_to_type() {
    let bench = Bench::new();
    let run = found(&bench);
    let ran = bench.ask(&["replay", &run, "--gdb=0"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let line = "/vmlinux -ex 'target remote 127.0.0.1:0'";
    assert!(
        ran.err.contains("  gdb /") && ran.err.contains(line),
        "{}",
        ran.err
    );
    let job = fs::read_to_string(bench.shelf(&format!("replays/{run}-01/job.json"))).unwrap();
    assert!(
        job.contains("nokaslr") && job.contains("\"gdb\": 0"),
        "{job}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--gdb={}", taken.local_addr().unwrap().port());
    let ran = bench.ask(&["replay", &run, &port]).exits(125);
    assert!(ran.err.contains("name a free port"), "{}", ran.err);
}

#[test]
fn a_kept_set_outlives_a_strict_gc_and_a_capsule_needs_its_kernel() {
    let bench = Bench::new();
    let run = found(&bench);
    let set = bench.set();
    let kept = bench.ask(&["keep", &set]).exits(0);
    assert!(
        kept.out.contains("is kept, with its kernels and dumps"),
        "{}",
        kept.out
    );
    assert!(bench.ask(&["ls"]).exits(0).out.trim_end().ends_with("kept"));
    let strict = [
        "gc",
        "--keep-days",
        "0",
        "--cache-gb",
        "0",
        "--dumps-gb",
        "0",
    ];
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let age = || {
        for kernel in fs::read_dir(bench.path("cache/kernels")).unwrap().flatten() {
            for name in ["used", "known.json"] {
                let file = fs::File::options()
                    .write(true)
                    .open(kernel.path().join(name));
                file.unwrap().set_modified(old).unwrap();
            }
        }
    };
    age();
    let ran = bench.ask(&strict).exits(0);
    assert!(
        ran.out.contains(&format!("{set} is marked keep")),
        "{}",
        ran.out
    );
    let capsule = bench.path("x.tar.zst").display().to_string();
    let packed = bench.ask(&["capsule", &run, "-o", &capsule]).exits(0);
    assert!(packed.out.contains("tar --zstd -xf "), "{}", packed.out);
    bench.ask(&["keep", &set, "--undo"]).exits(0);
    let planned = bench.ask(&[&strict[..], &["--dry-run"]].concat()).exits(0);
    assert!(planned.out.starts_with("would free "), "{}", planned.out);
    bench.ask(&["capsule", &run, "-o", &capsule]).exits(0);
    bench.ask(&strict).exits(0);
    let ran = bench.ask(&["capsule", &run, "-o", &capsule]).exits(125);
    assert!(ran.err.contains("is no longer at"), "{}", ran.err);
    // What was recorded is all there, and the kernel can be made again.
    bench.ask(&["show", &set, &run]).exits(0);
    bench.ask(&["replay", &run]).exits(1);
}
