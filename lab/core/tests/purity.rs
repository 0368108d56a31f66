// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thinking half does no I/O: its sources and its dependencies name nothing that could.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers fail by panic, as its functions do"
)]

use std::fs;
use std::path::{Path, PathBuf};

const FORBIDDEN: &[&str] = &[
    "tokio",
    "git2",
    "reqwest",
    "tempfile",
    "indicatif",
    "std::fs",
    "std::process",
    "std::net",
    "std::env",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && !name.ends_with("_tests.rs") {
            found.push(path);
        }
    }
}

/// The lines that are code, up to the unit tests at the end of a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_tests = |line: &&str| !line.starts_with("#[cfg(test)]");
    let lines = text.lines().take_while(is_tests).enumerate();
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// `use std::{fs, …}` names it as well as `std::fs` does.
fn names(line: &str, word: &str) -> bool {
    let bounded = |at: usize, len: usize| {
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !part(line[..at].chars().next_back()) && !part(line[at + len..].chars().next())
    };
    let plain = line
        .match_indices(word)
        .any(|(at, found)| bounded(at, found.len()));
    let grouped = word.strip_prefix("std::").is_some_and(|module| {
        line.contains("std::{")
            && line
                .match_indices(module)
                .any(|(at, found)| bounded(at, found.len()))
    });
    plain || grouped
}

#[test]
fn no_source_names_what_does_io() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    assert!(files.len() > 30, "{files:?}");
    let mut bad = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code(&text) {
            bad.extend(
                FORBIDDEN
                    .iter()
                    .filter(|word| names(line, word))
                    .map(|word| format!("{}:{}: {word}", path.display(), number + 1)),
            );
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn no_dependency_does_io() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let plain = manifest.split("[dependencies]").nth(1).unwrap();
    let plain = plain.split("\n[").next().unwrap();
    for word in FORBIDDEN {
        assert!(
            !plain.lines().any(|line| names(line, word)),
            "{word}: {plain}"
        );
    }
}

#[test]
fn the_search_finds_what_it_is_for() {
    assert!(names("use std::{fmt, fs};", "std::fs"));
    assert!(names("    tokio::spawn(x)", "tokio"));
    assert!(!names("use std::fmt; let offs = 1;", "std::fs"));
}
