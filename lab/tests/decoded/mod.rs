// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's decoding held against the kernel's own scripts/decode_stacktrace.sh and against binutils, place by place.

use lab::symbols::Mapped;
use lab_core::symbol::{Frame, Kind, Spot, spots};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often both said the same.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Places compared, each once.
    pub(crate) places: usize,
    /// Same files and lines, where both look up the address as it is printed.
    pub(crate) as_printed: usize,
    /// Same files and lines, where the script is told the address of the call instead of where it returns to.
    pub(crate) of_calls: usize,
    /// The lab's files and lines are what the script says of the console as it is.
    pub(crate) as_script: usize,
    /// Inlined and outer functions that binutils name likewise, of those that it was asked.
    pub(crate) names: (usize, usize),
    /// Places that differ with the same address, for people.
    pub(crate) differ: Vec<String>,
    /// Time that the lab took for all places, its start included.
    pub(crate) took: Duration,
}

/// All places that the kernel proper has, of a console.
pub(crate) fn places(console: &str) -> Vec<Spot> {
    let mut seen = BTreeMap::new();
    for spot in console
        .lines()
        .flat_map(spots)
        .filter(|s| s.module.is_none())
    {
        seen.entry((spot.symbol.clone(), spot.offset, spot.size))
            .or_insert(spot);
    }
    seen.into_values().collect()
}

/// Compares at all places.
pub(crate) fn compare(vmlinux: &Path, script: &Path, places: &[Spot]) -> Figures {
    let begun = Instant::now();
    let mapped = Mapped::open(vmlinux).unwrap();
    let file = mapped.vmlinux().unwrap();
    let kernel = file.resolver();
    let frames = |spot: &Spot, exact: bool| {
        let resolved = kernel.resolve(spot, exact);
        resolved.map_or(Vec::new(), |resolved| resolved.frames)
    };
    let ours: Vec<Vec<Frame>> = places
        .iter()
        .map(|spot| frames(spot, spot.kind == Kind::Pointer))
        .collect();
    let mut figures = Figures {
        places: places.len(),
        took: begun.elapsed(),
        ..Figures::default()
    };
    let printed = ask_script(vmlinux, script, places, 0);
    let calls = ask_script(vmlinux, script, places, 1);
    for (index, spot) in places.iter().enumerate() {
        let exact = lines(&frames(spot, true));
        let call = lines(&frames(spot, false));
        figures.as_printed += usize::from(exact == printed[index]);
        figures.of_calls += usize::from(call == calls[index]);
        figures.as_script += usize::from(lines(&ours[index]) == printed[index]);
        for (ours, theirs, what) in [(exact, &printed, "at"), (call, &calls, "before")] {
            let theirs = &theirs[index];
            if ours != *theirs {
                let place = format!("{what} {}+{:#x}", spot.symbol, spot.offset);
                let both = format!("{place}: {ours:?}, script {theirs:?}");
                figures.differ.push(both);
            }
        }
    }
    figures.names = names(vmlinux, places, |spot| frames(spot, true));
    figures
}

fn lines(frames: &[Frame]) -> Vec<String> {
    let place = |frame: &Frame| Some(format!("{}:{}", frame.file.as_ref()?, frame.line?));
    frames.iter().filter_map(place).collect()
}

/// What the script says of each place, its address less `back`: `file:line`, innermost first.
fn ask_script(vmlinux: &Path, script: &Path, places: &[Spot], back: u64) -> Vec<Vec<String>> {
    let question: String = places
        .iter()
        .map(|s| {
            format!(
                " {}+{:#x}/{:#x}\n",
                s.symbol,
                s.offset.saturating_sub(back),
                s.size
            )
        })
        .collect();
    let answer = run(Command::new("bash").arg(script).arg(vmlinux), &question);
    let answers: Vec<Vec<String>> = answer.lines().map(said).collect();
    assert_eq!(answers.len(), places.len(), "{answer}");
    answers
}

/// `name (a.c:1 (discriminator 2) b.c:3) ` → `a.c:1`, `b.c:3`. A file without a line, which binutils guess from the
/// symbol table, is no answer.
fn said(line: &str) -> Vec<String> {
    let inside = line.split_once(" (").map_or("", |(_, rest)| rest);
    let words = inside.trim_end().trim_end_matches(')').split(' ');
    let is_place = |word: &&str| {
        word.rsplit_once(':')
            .is_some_and(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()))
    };
    // What the build generated is outside of the tree: the script tells its whole path, the lab its place in the build.
    let inside = |word: &str| {
        word.split_once("/./")
            .map_or(word, |(_, in_build)| in_build)
            .to_owned()
    };
    words.filter(is_place).map(inside).collect()
}

/// Asks addr2line for the names of all functions at places whose symbol is the only one of its name: how many are the
/// same, of how many.
fn names(vmlinux: &Path, places: &[Spot], frames: impl Fn(&Spot) -> Vec<Frame>) -> (usize, usize) {
    let table = run(Command::new("nm").arg(vmlinux), "");
    let mut addresses: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for line in table.lines() {
        let mut words = line.split(' ');
        if let (Some(address), Some("t" | "T"), Some(name)) =
            (words.next(), words.next(), words.next())
        {
            let address = u64::from_str_radix(address, 16).unwrap();
            addresses.entry(name).or_default().push(address);
        }
    }
    let asked: Vec<(&Spot, u64)> = places
        .iter()
        .filter_map(
            |spot| match addresses.get(spot.symbol.as_str())?.as_slice() {
                [one] => Some((spot, one + spot.offset)),
                _ => None,
            },
        )
        .collect();
    let question: String = asked.iter().map(|(_, a)| format!("{a:#x}\n")).collect();
    let answer = run(
        Command::new("addr2line")
            .args(["-a", "-f", "-i", "-e"])
            .arg(vmlinux),
        &question,
    );
    // An address, then a name and a place for each frame.
    let mut answers: Vec<Vec<&str>> = Vec::new();
    for (index, line) in answer.lines().enumerate() {
        if line.starts_with("0x") {
            answers.push(Vec::new());
        } else if let Some(last) = answers.last_mut() {
            last.push(line);
        }
        assert!(index < 1_000_000);
    }
    assert_eq!(answers.len(), asked.len());
    let same = asked.iter().zip(&answers).filter(|((spot, _), theirs)| {
        let ours: Vec<String> = frames(spot).into_iter().map(|f| f.function).collect();
        let theirs: Vec<&str> = theirs.iter().step_by(2).copied().collect();
        let inlined = ours.len().saturating_sub(1);
        // The outermost is named by its symbol here, by debug information there.
        ours.len() == theirs.len() && ours[..inlined].iter().eq(&theirs[..inlined])
    });
    (same.count(), asked.len())
}

fn run(command: &mut Command, input: &str) -> String {
    let mut child = command
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feed = std::thread::spawn(move || {
        use std::io::Write;
        let _closed = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
