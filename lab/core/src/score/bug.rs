// SPDX-License-Identifier: MIT OR Apache-2.0
//! `bug.yaml`: what a seeded bug is, and what should find it.

use crate::finding::Class;
use crate::yaml::{self, YamlError, did_you_mean};
use serde::Deserialize;

/// A seeded bug.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// Its name: the folder.
    #[serde(skip)]
    pub name: String,
    /// What is wrong, one sentence.
    pub title: String,
    /// The class of bugs it stands for.
    pub family: String,
    /// Profiles under which it must be found; the first is the one that a score takes.
    pub profiles: Vec<String>,
    /// Scenario that is expected to find it.
    pub scenario: String,
    /// Filesystems to run it on; empty: those that a profile gets which names none.
    #[serde(default)]
    pub fs: Vec<String>,
    /// Classes that its finding may have.
    pub class: Vec<Class>,
    /// Functions that its finding may name; empty: any, or none.
    #[serde(default)]
    pub function: Vec<String>,
    /// Profiles under which it should not show.
    #[serde(default)]
    pub quiet: Vec<String>,
    /// No console line shows it: an oracle or a stuck thread does.
    #[serde(default)]
    pub silent: bool,
}

/// Reads a bug's description. `name` is its folder's, `file` how the file is named in errors.
///
/// # Errors
/// With file, line and what is accepted: bad YAML, unknown keys, a scenario or filesystem that the lab has not.
pub fn read(name: &str, file: &str, text: &str) -> Result<Bug, YamlError> {
    let mut bug: Bug = yaml::parse(file, text)?;
    bug.name = name.to_owned();
    let refuse = |key: &str, given: &str, accepted: &[&str]| {
        let line = text.lines().position(|line| line.starts_with(key));
        let hint = did_you_mean(given, accepted.iter().copied());
        let words = format!("{key}: `{given}`{hint}; accepted: {}", accepted.join(", "));
        YamlError::new(file, line.map(|at| at + 1), words)
    };
    let names: Vec<&str> = lab_wire::SCENARIOS.iter().map(|k| k.name).collect();
    let known =
        lab_wire::known(&bug.scenario).ok_or_else(|| refuse("scenario", &bug.scenario, &names))?;
    if let Some(fs) = bug
        .fs
        .iter()
        .find(|fs| !known.filesystems.contains(&fs.as_str()))
    {
        return Err(refuse("fs", fs, known.filesystems));
    }
    if bug.profiles.is_empty() {
        return Err(refuse("profiles", "[]", &["one profile or more"]));
    }
    if bug.fs.is_empty() {
        let usual = &known.filesystems[..known.usual];
        bug.fs = usual.iter().map(|fs| (*fs).to_owned()).collect();
    }
    Ok(bug)
}
