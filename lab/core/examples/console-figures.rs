// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures the console reader on a folder of known logs:
//! `cargo run --release -p lab-core --example console-figures -- FOLDER [--misses]`: recall, false alarms, class and function
//! over the logs, and the speed over the inputs of the bench (optimised builds only). Exits with 1 when a wanted figure is missed.
//!
//! Each file is a header (`TITLE:`, `ALT:`, `TYPE:`, …), one blank line, the raw log, and perhaps a line `REPORT:` with text
//! that is not part of the log. A file without title must give no finding. A folder that is not there is said, loudly, and
//! counts as nothing measured (exit code 2), never as a good figure.
#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../benches/inputs/mod.rs"]
mod inputs;

use lab_core::console;
use lab_core::finding::{Class, Finding};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One known log.
struct Case {
    name: String,
    title: String,
    alt: Vec<String>,
    kind: String,
    corrupted: bool,
    log: Vec<u8>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let misses = arguments.iter().any(|argument| argument == "--misses");
    let Some(folder) = arguments
        .iter()
        .find(|argument| !argument.starts_with("--"))
    else {
        eprintln!("usage: console-figures FOLDER [--misses]");
        return ExitCode::from(129);
    };
    let cases = match load(Path::new(folder)) {
        Ok(cases) if !cases.is_empty() => cases,
        Ok(_) => {
            eprintln!("NOT MEASURED: no logs in {folder}");
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("NOT MEASURED: failed to read {folder}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut figures = Figures::default();
    for case in &cases {
        figures.take(case, misses);
    }
    let met = figures.print();
    let fast = speed();
    ExitCode::from(u8::from(!(met && fast)))
}

/// Bytes of each input whose reading is timed.
const TIMED: usize = 64 << 20;

/// Prints the speed over ordinary boot log, and over the input that is read slowest. True if both are as wanted, or cannot be
/// told.
fn speed() -> bool {
    if cfg!(debug_assertions) {
        println!("speed: NOT MEASURED, this build is not optimised: run it with --release");
        return true;
    }
    let line = |what: &str, speed: f64, wanted: f64| {
        println!("speed, {what:<50} {speed:7.0} MB/s   wanted ≥ {wanted} MB/s");
        speed >= wanted
    };
    let mut met = true;
    let mut slowest: Option<(f64, &str)> = None;
    for (name, input, wanted) in inputs::inputs(TIMED) {
        let (speed, _) = inputs::measure(&input);
        if wanted > inputs::ANYTHING {
            met &= line(name, speed, wanted);
        } else if slowest.is_none_or(|(before, _)| speed < before) {
            slowest = Some((speed, name));
        }
    }
    if let Some((speed, name)) = slowest {
        met &= line(&format!("slowest: {name}"), speed, inputs::ANYTHING);
    }
    met
}

fn load(folder: &Path) -> std::io::Result<Vec<Case>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
        .iter()
        .map(|path| Ok(parse(path, &std::fs::read(path)?)))
        .collect()
}

fn parse(path: &Path, bytes: &[u8]) -> Case {
    let (header, log) = match bytes.first() {
        Some(b'\n') => (&b""[..], &bytes[1..]),
        _ => match find(bytes, b"\n\n") {
            Some(at) => (&bytes[..at], &bytes[at + 2..]),
            None => (bytes, &b""[..]),
        },
    };
    let log = find(log, b"\nREPORT:").map_or(log, |at| &log[..at + 1]);
    let header = String::from_utf8_lossy(header);
    let field = |name: &str| -> Vec<String> {
        header
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
            .collect()
    };
    Case {
        name: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        title: field("TITLE:").pop().unwrap_or_default(),
        alt: field("ALT:"),
        kind: field("TYPE:").pop().unwrap_or_default(),
        corrupted: field("CORRUPTED:").iter().any(|value| value == "Y"),
        log: log.to_vec(),
    }
}

fn find(bytes: &[u8], words: &[u8]) -> Option<usize> {
    bytes
        .windows(words.len())
        .position(|window| window == words)
}

/// The function that a title names: the last word after ` in `.
fn function_of(title: &str) -> Option<String> {
    let (_, function) = title.rsplit_once(" in ")?;
    let function = function.split(" at ").next()?.trim();
    let word = !function.is_empty() && !function.contains(' ') && function != "corrupted";
    word.then(|| function.to_owned())
}

/// The classes that a known title and type stand for. By the title first, since the types are coarser than our classes.
fn classes_of(title: &str, kind: &str) -> Vec<Class> {
    use Class::*;
    const TITLES: &[(&str, &[Class])] = &[
        ("INFO: task ", &[HungTask]),
        ("INFO: rcu detected stall", &[RcuStall]),
        ("BUG: soft lockup", &[SoftLockup]),
        ("BUG: hard lockup", &[HardLockup]),
        ("BUG: workqueue lockup", &[WorkqueueLockup]),
        ("WARNING: suspicious RCU", &[Rcu]),
        ("INFO: suspicious RCU", &[Rcu]),
        ("possible deadlock", &[Lockdep]),
        ("WARNING: possible circular", &[Lockdep]),
        ("inconsistent lock state", &[Lockdep]),
        ("INFO: trying to register", &[Lockdep]),
        ("BUG: workqueue leaked", &[Lockdep]),
        ("WARNING: refcount bug", &[Refcount]),
        ("WARNING: ODEBUG", &[ObjectDebug]),
        ("WARNING: bad usercopy", &[Usercopy]),
        ("BUG: bad usercopy", &[Usercopy]),
        ("BUG: corrupted list", &[ListCorruption]),
        ("WARNING: kernel stack", &[Warning, StackOverflow]),
        ("BUG: Bad page", &[Memory]),
        ("INFO: Freed in", &[Memory]),
        ("BUG: Object already free", &[Memory]),
        ("BUG: Dentry", &[Filesystem]),
        ("VFS: ", &[Filesystem]),
        ("BUG: stack guard", &[StackOverflow]),
        ("PANIC: double fault", &[StackOverflow]),
        ("kernel panic: stack is corrupted", &[StackOverflow, Panic]),
        ("kernel panic: corrupted stack", &[StackOverflow, Panic]),
        ("kernel panic", &[Panic]),
        ("attempt to ", &[Bug, Panic]),
        ("memory leak", &[Leak]),
        ("unregister_netdevice", &[Leak]),
    ];
    const TYPES: &[(&str, &[Class])] = &[
        ("KASAN", &[Kasan]),
        ("KFENCE", &[Kfence]),
        ("KMSAN", &[Kmsan]),
        ("KCSAN", &[Kcsan]),
        ("UBSAN", &[Ubsan]),
        ("MEMORY_SAFETY_UBSAN", &[Ubsan]),
        ("LOCKDEP", &[Lockdep]),
        ("ATOMIC_SLEEP", &[AtomicSleep]),
        ("REFCOUNT", &[Refcount]),
        ("REBOOT", &[Reboot]),
        ("LEAK", &[Leak]),
        ("BUG", &[Bug]),
        ("WARNING", &[Warning]),
        ("NULL-POINTER", &[Oops]),
        ("MEMORY_SAFETY_BUG", &[Oops]),
        ("DoS", &[Oops]),
    ];
    let by = |table: &[(&str, &[Class])], text: &str| {
        table
            .iter()
            .find(|(begin, _)| text.starts_with(begin))
            .map(|(_, classes)| classes.to_vec())
    };
    by(TITLES, title)
        .or_else(|| by(TYPES, kind))
        .unwrap_or_default()
}

/// Hung tasks, stalls, lockups and lock reports: none may be missed.
fn must(title: &str, kind: &str) -> bool {
    matches!(kind, "HANG" | "LOCKDEP")
        || title.starts_with("possible deadlock")
        || title.contains("lockup")
}

/// `hits` of `all`.
#[derive(Default)]
struct Share {
    hits: usize,
    all: usize,
}

impl Share {
    fn take(&mut self, hit: bool) {
        self.all += 1;
        self.hits += usize::from(hit);
    }
    /// Prints it; true if it is as wanted, in percent.
    fn print(&self, name: &str, wanted: f64) -> bool {
        let percent = if self.all == 0 {
            0.0
        } else {
            100.0 * self.hits as f64 / self.all as f64
        };
        println!(
            "{name:<44} {:>4} of {:>4}  {percent:6.2} %   wanted ≥ {wanted} %",
            self.hits, self.all
        );
        percent >= wanted
    }
}

#[derive(Default)]
struct Figures {
    recall: Share,
    must: Share,
    class: Share,
    function: Share,
    title: Share,
    negatives: usize,
    false_alarms: usize,
    map: BTreeMap<(String, String), usize>,
}

impl Figures {
    fn take(&mut self, case: &Case, misses: bool) {
        let findings = console::read(&case.log);
        let first = findings.first();
        let say = |what: &str| {
            if misses {
                println!(
                    "{what:<12} {:<6} {} | {}",
                    case.name,
                    case.title,
                    describe(first)
                );
            }
        };
        if case.title.is_empty() {
            self.negatives += 1;
            if !findings.is_empty() {
                self.false_alarms += 1;
                say("FALSE ALARM");
            }
            return;
        }
        self.recall.take(first.is_some());
        if must(&case.title, &case.kind) {
            self.must.take(first.is_some());
        }
        let Some(first) = first else {
            return say("MISSED");
        };
        let classes = classes_of(&case.title, &case.kind);
        *self
            .map
            .entry((case.kind.clone(), first.class.name()))
            .or_default() += 1;
        self.class.take(classes.contains(&first.class));
        if !classes.contains(&first.class) {
            say("CLASS");
        }
        if let Some(wanted) = function_of(&case.title) {
            let same = first.function.as_deref() == Some(wanted.as_str());
            self.function.take(same);
            if !same {
                say(if case.corrupted {
                    "FUNCTION~"
                } else {
                    "FUNCTION"
                });
            }
        }
        self.title.take(
            first.title == case.title
                || case.alt.contains(&first.title)
                || first.alt.contains(&case.title),
        );
    }

    /// Prints all; true if every figure is as wanted.
    fn print(&self) -> bool {
        println!("type → class");
        for ((kind, class), count) in &self.map {
            println!(
                "  {:<36} {class:<20} {count}",
                if kind.is_empty() { "-" } else { kind }
            );
        }
        let met = [
            self.recall.print("recall", 99.0),
            self.must
                .print("hangs, stalls, lockups, lock reports", 100.0),
            self.class.print("class right", 97.0),
            self.function
                .print("function as in the title, where it names one", 90.0),
            self.title
                .print("title (or an alternative) word for word", 0.0),
            self.false_alarms <= 1,
        ];
        println!(
            "false alarms: {} in {} negatives                    wanted ≤ 1",
            self.false_alarms, self.negatives
        );
        met.into_iter().all(|met| met)
    }
}

fn describe(finding: Option<&Finding>) -> String {
    finding.map_or_else(
        || "nothing".to_owned(),
        |finding| {
            format!(
                "{} [{}] {:?}",
                finding.title, finding.class, finding.function
            )
        },
    )
}
