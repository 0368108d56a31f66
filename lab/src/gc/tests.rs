// SPDX-License-Identifier: MIT OR Apache-2.0
//! Freeing on real folders: what is held, pinned, killed half way, or changes under the hand.

use super::{Decision, Fate, Kind, Places, Policy, hold_kernel, keep, run, text};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Everything older than ten days goes, and whatever does not fit.
const STRICT: Policy = Policy {
    keep: Duration::from_secs(10 * 24 * 3600),
    cache_bytes: u64::MAX,
    dump_bytes: u64::MAX,
};

struct Rig {
    home: tempfile::TempDir,
}

impl Rig {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file so many days old, in folders that are made.
    fn file(&self, name: &str, text: &str, days: u32) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        let time = SystemTime::now() - DAY * days;
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
        path
    }

    fn kernel(&self, key: &str, days: u32) -> PathBuf {
        for name in ["bzImage", "vmlinux", "known.json"] {
            self.file(&format!("cache/kernels/{key}/{name}"), "x", days);
        }
        self.at("cache/kernels").join(key)
    }

    /// A run of a set with this kernel, and a dump of it.
    fn dump(&self, set: &str, key: &str, days: u32) -> PathBuf {
        let kernel = self.at("cache/kernels").join(key);
        let mut job = crate::vm::tests::job(&kernel);
        job.machine.disks = vec![lab_core::job::Disk {
            mib: 512,
            fs: Some("xfs".into()),
        }];
        let run = self.at("results").join(set).join(format!("runs/{key}-01"));
        let job = lab_core::job::Job {
            format: lab_core::job::JOB_FORMAT,
            out: run.clone(),
            work: lab_core::job::Work::Boot(job),
        };
        let text = serde_json::to_string(&job).unwrap();
        self.file(
            &format!("results/{set}/runs/{key}-01/job.json"),
            &text,
            days,
        );
        let pin = format!("cache/kernels/{key}/needed/{set}");
        self.file(&pin, &run.display().to_string(), days);
        self.file(
            &format!("results/{set}/runs/{key}-01/vmcore.zst"),
            "core",
            days,
        )
    }

    fn gc(&self, policy: &Policy, dry: bool) -> Vec<Decision> {
        let places = Places {
            cache: self.at("cache"),
            results: self.at("results"),
        };
        run(&places, policy, SystemTime::now(), dry).unwrap()
    }

    /// What becomes of a thing.
    #[track_caller]
    fn fate(&self, decisions: &[Decision], path: &Path) -> Fate {
        let found = decisions.iter().find(|d| d.thing.path == path);
        found
            .unwrap_or_else(|| panic!("{} in {decisions:#?}", path.display()))
            .fate
            .clone()
    }
}

fn held(fate: Fate) -> String {
    match fate {
        Fate::Held(why) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_old_goes_and_the_records_stay() {
    let rig = Rig::new();
    let (old, new) = (rig.kernel("old", 40), rig.kernel("new", 2));
    let image = rig.file("cache/images/xfs-512M-abc.img", "x", 40);
    let slot = rig.file("cache/slots/rt-1/state.json", "{}", 40);
    let dump = rig.dump("set", "new", 40);
    let planned = rig.gc(&STRICT, true);
    assert!(
        [&old, &image, &slot, &dump]
            .into_iter()
            .all(|path| path.exists())
    );
    assert!(text(&planned, true).starts_with("would free "));
    let done = rig.gc(&STRICT, false);
    assert_eq!(planned, done);
    assert!(
        ![&old, &image, &slot, &dump]
            .into_iter()
            .any(|path| path.exists())
    );
    assert!(new.join("bzImage").is_file() && dump.with_file_name("job.json").is_file());
    let told = text(&done, false);
    assert!(
        told.contains("not used for 40 days") && told.contains("stays: 1 kernel, "),
        "{told}"
    );
    assert!(rig.gc(&STRICT, false).iter().all(|d| !d.goes()));
    // Nothing half removed is left.
    assert_eq!(fs::read_dir(rig.at("cache/kernels")).unwrap().count(), 1);
}

#[test]
fn a_kernel_stays_as_long_as_a_dump_of_it_does_wherever_that_lies() {
    let rig = Rig::new();
    let kernel = rig.kernel("k", 40);
    let elsewhere = rig.file("elsewhere/run-01/audit-03.zst", "core", 40);
    let folder = elsewhere.parent().unwrap().to_owned();
    rig.file(
        "cache/kernels/k/needed/7",
        &folder.display().to_string(),
        40,
    );
    let why = held(rig.fate(&rig.gc(&STRICT, false), &kernel));
    assert!(why.contains("audit-03.zst was made of it"), "{why}");
    fs::remove_file(&elsewhere).unwrap();
    rig.gc(&STRICT, false);
    assert!(!kernel.exists());
}

#[test]
fn a_dump_that_cannot_be_removed_keeps_its_kernel() {
    let rig = Rig::new();
    let kernel = rig.kernel("k", 40);
    let dump = rig.dump("set", "k", 40);
    // The plan lets both go. That the dump cannot be removed is played by a dump that comes again.
    let places = Places {
        cache: rig.at("cache"),
        results: rig.at("results"),
    };
    let mut decisions = super::plan::plan(
        super::look::look(&places, SystemTime::now()).unwrap(),
        &STRICT,
        SystemTime::now(),
    );
    assert!(
        rig.fate(&decisions, &kernel) != Fate::Stay && rig.fate(&decisions, &dump) != Fate::Stay
    );
    for decision in &mut decisions {
        super::act::act(decision);
        if decision.thing.kind == Kind::Dump {
            fs::write(&dump, "core").unwrap();
        }
    }
    let why = held(rig.fate(&decisions, &kernel));
    assert!(why.contains("vmcore.zst was made of it"), "{why}");
    assert!(kernel.join("vmlinux").is_file());
}

#[test]
fn a_kept_set_loses_nothing_and_other_sets_do() {
    let rig = Rig::new();
    let (kept_kernel, other_kernel) = (rig.kernel("kept", 40), rig.kernel("other", 40));
    let (kept, other) = (
        rig.dump("kept-set", "kept", 40),
        rig.dump("other-set", "other", 40),
    );
    let image = rig.file("cache/images/xfs-512M-abc.img", "x", 40);
    let set = rig.at("results/kept-set");
    assert_eq!(keep::keep(&set, &rig.at("cache")).unwrap(), 0);
    assert!(keep::is_kept(&set));
    let nothing = Policy {
        keep: Duration::ZERO,
        cache_bytes: 0,
        dump_bytes: 0,
    };
    let decisions = rig.gc(&nothing, false);
    for path in [&kept_kernel, &kept, &image] {
        assert_eq!(held(rig.fate(&decisions, path)), "kept-set is marked keep");
        assert!(path.exists());
    }
    assert!(!other.exists() && !other_kernel.exists());
    // Also for somebody with other results, who sees the kernel alone.
    fs::remove_file(&kept).unwrap();
    let blind = Places {
        cache: rig.at("cache"),
        results: rig.at("nowhere"),
    };
    let decisions = run(&blind, &nothing, SystemTime::now(), false).unwrap();
    assert!(held(rig.fate(&decisions, &kept_kernel)).ends_with("kept-set is marked keep"));
    keep::undo(&set, &rig.at("cache")).unwrap();
    rig.gc(&nothing, false);
    assert!(!kept_kernel.exists());
}

#[test]
fn what_is_in_use_stays() {
    let rig = Rig::new();
    let kernel = rig.kernel("runs", 40);
    let of_set = rig.kernel("of-set", 40);
    let slot = rig
        .file("cache/slots/rt-1/state.json", "{}", 40)
        .parent()
        .unwrap()
        .to_owned();
    let dump = rig.dump("set", "of-set", 40);
    let lock =
        |path: PathBuf| Flock::lock(File::create(path).unwrap(), FlockArg::LockExclusive).unwrap();
    let holds = [lock(slot.join("lock")), lock(rig.at("results/set/.lock"))];
    let runs = hold_kernel(&kernel).unwrap();
    // It was used just now; what matters here is the lock.
    let used = File::options()
        .write(true)
        .open(kernel.join("used"))
        .unwrap();
    used.set_modified(SystemTime::now() - DAY * 40).unwrap();
    let decisions = rig.gc(&STRICT, false);
    assert_eq!(held(rig.fate(&decisions, &kernel)), "it runs");
    assert_eq!(
        held(rig.fate(&decisions, &slot)),
        "a kernel is being built there"
    );
    assert_eq!(held(rig.fate(&decisions, &dump)), "a lab works on set");
    assert_eq!(held(rig.fate(&decisions, &of_set)), "a lab works on set");
    let busy = super::busy_slots(&rig.at("cache"));
    assert_eq!(busy, std::slice::from_ref(&slot));
    drop((holds, runs));
    rig.gc(&STRICT, false);
    assert!(
        ![&kernel, &slot, &dump, &of_set]
            .into_iter()
            .any(|path| path.exists())
    );
}

#[test]
fn using_a_kernel_is_its_last_use() {
    let rig = Rig::new();
    let kernel = rig.kernel("k", 40);
    drop(hold_kernel(&kernel));
    assert_eq!(rig.fate(&rig.gc(&STRICT, false), &kernel), Fate::Stay);
    assert!(hold_kernel(&rig.at("cache/kernels/absent")).is_none());
}

#[test]
fn what_a_kill_left_half_removed_goes_the_next_time() {
    let rig = Rig::new();
    let half = rig.file("cache/kernels/.gone-0-k/vmlinux", "x", 0);
    let slot = rig.file("cache/slots/.gone-0-rt-1/src/fs/dcache.c", "x", 0);
    let old = rig.file("cache/images/.new-abc", "x", 1);
    let young = rig.file("cache/images/.new-def", "x", 0);
    // A kernel of the same name was made again meanwhile, and goes too.
    let again = rig.kernel("k", 40);
    let decisions = rig.gc(&STRICT, false);
    assert!(
        ![&half, &slot, &old, &again]
            .into_iter()
            .any(|path| path.exists()),
        "{decisions:#?}"
    );
    assert!(young.exists());
    assert_eq!(fs::read_dir(rig.at("cache/kernels")).unwrap().count(), 0);
}

#[test]
fn what_vanishes_meanwhile_is_gone_and_what_cannot_go_stops_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    let (vanishes, stays, goes) = (
        rig.kernel("a", 40),
        rig.kernel("b", 40),
        rig.kernel("c", 40),
    );
    let inner = rig.file("cache/kernels/b/sub/file", "x", 40);
    let sub = inner.parent().unwrap();
    fs::set_permissions(sub, fs::Permissions::from_mode(0o555)).unwrap();
    let places = Places {
        cache: rig.at("cache"),
        results: rig.at("results"),
    };
    let mut decisions = super::plan::plan(
        super::look::look(&places, SystemTime::now()).unwrap(),
        &STRICT,
        SystemTime::now(),
    );
    fs::remove_dir_all(&vanishes).unwrap();
    decisions.iter_mut().for_each(super::act::act);
    assert!(matches!(rig.fate(&decisions, &vanishes), Fate::Free(_)));
    assert!(!goes.exists() && !stays.exists());
    if let Fate::Failed(why) = rig.fate(&decisions, &stays) {
        assert!(why.contains("denied"), "{why}");
        assert!(text(&decisions, false).contains("could not be freed: "));
        let left = fs::read_dir(rig.at("cache/kernels"))
            .unwrap()
            .flatten()
            .next()
            .unwrap();
        fs::set_permissions(left.path().join("sub"), fs::Permissions::from_mode(0o755)).unwrap();
        rig.gc(&STRICT, false);
    } else {
        println!("NOT CHECKED that a refusal is told: this user may remove anything");
    }
    assert_eq!(fs::read_dir(rig.at("cache/kernels")).unwrap().count(), 0);
}

#[test]
fn controls_go_with_their_kernel_when_they_are_old() {
    let rig = Rig::new();
    rig.kernel("k", 2);
    let record = |key: &str| {
        format!(
            r#"{{"format":1,"id":"rt-0000-01","profile":"rt","patch":0,"key":"{key}","seed":1,"outcome":{{"as":"completed"}},"uptime":1.0,"scenarios":[],"sightings":[],"seconds":1.0,"remembered":null}}"#
        )
    };
    let with = rig.file("cache/controls/with.jsonl", &record("k"), 40);
    let without = rig.file("cache/controls/without.jsonl", &record("gone"), 40);
    let young = rig.file("cache/controls/young.jsonl", &record("gone"), 2);
    rig.gc(&STRICT, false);
    assert!(with.exists() && young.exists() && !without.exists());
}

#[test]
fn two_do_not_free_in_one_cache_and_an_empty_one_has_nothing() {
    let rig = Rig::new();
    assert_eq!(rig.gc(&STRICT, false), []);
    fs::create_dir_all(rig.at("cache")).unwrap();
    let _other = super::alone(&rig.at("cache")).unwrap();
    let places = Places {
        cache: rig.at("cache"),
        results: rig.at("results"),
    };
    let error = run(&places, &STRICT, SystemTime::now(), false).unwrap_err();
    assert!(
        error.to_string().contains("another lab frees space"),
        "{error}"
    );
}
