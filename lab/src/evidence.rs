// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which dumps are kept, and the kernels that they cannot be read without.
//!
//! A dump is some tens of MiB, and ten runs of one bug show the same. So a set keeps the dump of the first run of each
//! signature. Nothing is remembered for that: which dumps are there is looked up on the disk, so a lab that died in the
//! middle, a user who removed some, or a run that was made again need no care.

use crate::error::{Doing, Error, Result};
use crate::listen::Findings;
use crate::store::file;
use lab_core::finding::Weight;
use lab_core::job::{DumpPolicy, Recording};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The dump of a run's failure, in its folder.
pub const VMCORE: &str = "vmcore.zst";
/// Folder beside a kernel with one file for each run whose dump needs it.
const NEEDED: &str = "needed";

/// After a run is in the ledger: keeps its dump, or removes it, where another of `others` (folders of runs before it) has
/// one that shows the same. Gives the folder of that other run then.
///
/// # Errors
/// When a recording cannot be read or written, or the dump cannot be removed.
pub fn keep_first(
    run: &Path,
    others: impl IntoIterator<Item = PathBuf>,
    policy: DumpPolicy,
) -> Result<Option<PathBuf>> {
    if policy != DumpPolicy::First || !run.join(VMCORE).is_file() {
        return Ok(None);
    }
    let Some(recording) = recording(run)? else {
        return Ok(None);
    };
    let mut new = shows(run, &recording)?;
    let mut same = None;
    for other in others {
        if other == run || !other.join(VMCORE).is_file() {
            continue;
        }
        let Some(known) = self::recording(&other)? else {
            continue;
        };
        let known = shows(&other, &known)?;
        let before = new.len();
        new.retain(|signature| !known.contains(signature));
        if new.len() < before {
            same = Some(other);
        }
    }
    match same.filter(|_| new.is_empty()) {
        Some(other) => {
            remove(run, recording, &other)?;
            Ok(Some(other))
        }
        None => Ok(None),
    }
}

fn recording(run: &Path) -> Result<Option<Recording>> {
    file::read_json(&run.join("recording.json"))
}

/// What a run's dump is a dump of: its findings; where it has none, its suspicions; else how it ended.
fn shows(run: &Path, recording: &Recording) -> Result<BTreeSet<String>> {
    let findings = file::read_json::<Findings>(&run.join("findings.json"))?;
    let findings = findings.map(|of| of.findings).unwrap_or_default();
    let signatures = |weight| {
        let these = findings.iter().filter(move |f| f.weight == weight);
        these.map(|f| f.signature.clone()).collect::<BTreeSet<_>>()
    };
    let shown = [Weight::Finding, Weight::Suspicion].map(signatures);
    let shown = shown.into_iter().find(|set| !set.is_empty());
    Ok(shown.unwrap_or_else(|| [recording.outcome.to_string()].into()))
}

/// The recording tells of it first: a lab that dies in between leaves a dump that is removed the next time.
fn remove(run: &Path, mut recording: Recording, other: &Path) -> Result<()> {
    let name = other.file_name().unwrap_or_default().to_string_lossy();
    let words = format!("{VMCORE} was removed: that of {name} shows the same");
    for dump in recording.dumps.iter_mut().filter(|d| d.file == VMCORE) {
        dump.stored = 0;
    }
    if !recording.remarks.contains(&words) {
        recording.remarks.push(words);
    }
    file::write_json(&run.join("recording.json"), &recording)?;
    let path = run.join(VMCORE);
    fs::remove_file(&path).doing(|| format!("remove {}", path.display()))
}

/// The dumps in a run's folder: of its failure, and of audits.
pub fn dumps_in(run: &Path) -> Vec<PathBuf> {
    let dump = |name: &str| name == VMCORE || name.starts_with("audit-") && name.ends_with(".zst");
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let mut dumps: Vec<PathBuf> = entries
        .filter(|entry| dump(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    dumps.sort();
    dumps
}

/// Marks beside a kernel (a folder of the cache's) that a folder needs it: a run whose dump was made of it, or a set.
///
/// # Errors
/// When the mark cannot be written.
pub fn pin_kernel(kernel: &Path, folder: &Path) -> Result<()> {
    let folder = std::path::absolute(folder).doing(|| format!("find {}", folder.display()))?;
    let mark = mark(kernel, &folder);
    let marks = kernel.join(NEEDED);
    fs::create_dir_all(&marks).doing(|| format!("make {}", marks.display()))?;
    file::write(&mark, folder.as_os_str().as_bytes())
}

/// Takes the mark of a folder away, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn unpin_kernel(kernel: &Path, folder: &Path) -> Result<()> {
    let mark = mark(kernel, folder);
    match fs::remove_file(&mark) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).doing(|| format!("remove {}", mark.display()))
        }
        _ => Ok(()),
    }
}

fn mark(kernel: &Path, folder: &Path) -> PathBuf {
    let name: String = Sha256::digest(folder.as_os_str().as_bytes())[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    kernel.join(NEEDED).join(name)
}

/// The folders that a kernel was marked as needed by, whether or not they still hold a dump.
pub fn pins(kernel: &Path) -> Vec<PathBuf> {
    let marks = fs::read_dir(kernel.join(NEEDED))
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<PathBuf> = marks
        .filter_map(|mark| fs::read(mark.path()).ok())
        .map(|path| PathBuf::from(OsString::from_vec(path)))
        .filter(|folder| folder.is_absolute())
        .collect();
    folders.sort();
    folders
}

/// Folders of all runs below a folder.
///
/// # Errors
/// When it cannot be read; one that is not there has none.
pub fn runs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::from(e).doing(format!("read {}", folder.display()))),
    };
    let mut runs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    runs.sort();
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_core::finding::{Class, FINDINGS_FORMAT, Finding};
    use lab_core::job::{Accel, DumpRecord, JOB_FORMAT};
    use lab_core::outcome::BootOutcome;

    struct Shelf(tempfile::TempDir);

    impl Shelf {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn folder(&self, run: &str) -> PathBuf {
            self.0.path().join(run)
        }

        /// A finished run with a dump and these signatures; `~x` is a suspicion.
        fn run(&self, name: &str, signatures: &[&str]) -> PathBuf {
            let folder = self.folder(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(VMCORE), "core").unwrap();
            let dump = DumpRecord {
                file: VMCORE.into(),
                why: "panicked".into(),
                scenario: None,
                bytes: 40,
                stored: 4,
                seconds: 1.0,
                whole: true,
            };
            let recording = Recording {
                format: JOB_FORMAT,
                outcome: BootOutcome::AgentLost,
                seconds: 1.0,
                agent_up: None,
                first_operation: None,
                exposure: 1.0,
                accel: Accel::Tcg,
                argv: Vec::new(),
                qemu: String::new(),
                release: None,
                console_bytes: 0,
                console_cut: 0,
                remarks: Vec::new(),
                dumps: vec![dump],
            };
            let findings = Findings {
                format: FINDINGS_FORMAT,
                findings: signatures.iter().map(|s| finding(s)).collect(),
            };
            file::write_json(&folder.join("findings.json"), &findings).unwrap();
            file::write_json(&folder.join("recording.json"), &recording).unwrap();
            folder
        }

        /// Applies the policy to a run, and checks whether its dump is kept.
        fn check(&self, name: &str, policy: DumpPolicy, kept: bool) {
            let (run, others) = (self.folder(name), runs_in(self.0.path()).unwrap());
            keep_first(&run, others, policy).unwrap();
            assert_eq!(run.join(VMCORE).is_file(), kept, "{name}");
        }
    }

    fn finding(signature: &str) -> Finding {
        Finding {
            class: Class::Panic,
            title: signature.into(),
            function: None,
            alt: Vec::new(),
            signature: signature.trim_start_matches('~').into(),
            weight: match signature.starts_with('~') {
                true => Weight::Suspicion,
                false => Weight::Finding,
            },
            torn: false,
            start: 0,
            end: 0,
            time: None,
            after_first: false,
        }
    }

    #[test]
    fn the_first_dump_of_each_signature_is_kept() {
        let shelf = Shelf::new();
        let check = |name, signatures: &[&str], kept| {
            shelf.run(name, signatures);
            shelf.check(name, DumpPolicy::First, kept);
        };
        check("1", &["a"], true);
        check("2", &["a"], false);
        check("3", &["a", "b"], true);
        check("4", &["b", "~c"], false);
        check("5", &["~c"], true);
        check("6", &["~c"], false);
        // Nothing was found: what it shows is how it ended.
        check("7", &[], true);
        check("8", &[], false);
    }

    #[test]
    fn all_are_kept_where_that_is_wanted() {
        let shelf = Shelf::new();
        shelf.run("1", &["a"]);
        shelf.run("2", &["a"]);
        shelf.check("2", DumpPolicy::All, true);
    }

    #[test]
    fn a_removed_dump_is_told_of_and_doing_it_again_changes_nothing() {
        let shelf = Shelf::new();
        shelf.run("1", &["a"]);
        let second = shelf.run("2", &["a"]);
        for _ in 0..2 {
            shelf.check("2", DumpPolicy::First, false);
            let told = recording(&second).unwrap().unwrap();
            assert_eq!(
                told.remarks,
                ["vmcore.zst was removed: that of 1 shows the same"]
            );
            assert_eq!((told.dumps[0].bytes, told.dumps[0].stored), (40, 0));
        }
        // A lab that died between telling and removing.
        fs::write(second.join(VMCORE), "core").unwrap();
        shelf.check("2", DumpPolicy::First, false);
        assert_eq!(recording(&second).unwrap().unwrap().remarks.len(), 1);
    }

    #[test]
    fn a_dump_whose_like_was_removed_is_the_first_again() {
        let shelf = Shelf::new();
        let first = shelf.run("1", &["a"]);
        fs::remove_file(first.join(VMCORE)).unwrap();
        shelf.run("2", &["a"]);
        shelf.check("2", DumpPolicy::First, true);
    }

    #[test]
    fn a_run_that_is_not_over_stands_for_nothing() {
        let shelf = Shelf::new();
        let going = shelf.run("1", &["a"]);
        fs::remove_file(going.join("recording.json")).unwrap();
        shelf.run("2", &["a"]);
        shelf.check("2", DumpPolicy::First, true);
    }

    #[test]
    fn a_kernel_is_marked_once_by_each_that_needs_it() {
        let (shelf, kernel) = (Shelf::new(), tempfile::tempdir().unwrap());
        assert!(pins(kernel.path()).is_empty());
        let runs = [shelf.run("1", &["a"]), shelf.run("2", &["b"])];
        for run in runs.iter().chain(&runs) {
            pin_kernel(kernel.path(), run).unwrap();
        }
        assert_eq!(pins(kernel.path()), runs);
        for _ in 0..2 {
            unpin_kernel(kernel.path(), &runs[0]).unwrap();
            assert_eq!(pins(kernel.path()), [runs[1].clone()]);
        }
    }

    #[test]
    fn dumps_are_told_from_what_else_lies_there() {
        let shelf = Shelf::new();
        let run = shelf.run("1", &["a"]);
        for name in ["audit-03.zst", "audit.json", "audit-04.zst.tmp"] {
            fs::write(run.join(name), "").unwrap();
        }
        assert_eq!(dumps_in(&run), [run.join("audit-03.zst"), run.join(VMCORE)]);
    }
}
