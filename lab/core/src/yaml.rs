// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only place that knows YAML: strict reading, and what is wrong said so that it can be mended: file, line, key and
//! what is accepted.

use serde::de::DeserializeOwned;
use std::fmt;

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct YamlError {
    /// File as it was named by the caller.
    pub file: String,
    /// Line, from 1, where known.
    pub line: Option<usize>,
    /// The words: key path first, then what is accepted.
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

impl YamlError {
    pub(crate) fn new(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            message: message.into(),
        }
    }
}

/// Levels of lists and maps within each other. The YAML scanner's time grows with the square of the depth: 200 KB of `[`
/// would keep it busy for minutes.
const DEPTH_MAX: usize = 100;

/// Whether brackets or list dashes open more levels than any real file has. Those in quoted words count too, which
/// only matters to a file with a hundred of them that are never closed.
fn too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    let brackets = text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEPTH_MAX
    });
    let dashes = |line: &str| {
        let marks = line.split_ascii_whitespace();
        marks
            .take_while(|word| matches!(*word, "-" | "?" | ":"))
            .count()
    };
    brackets || text.lines().any(|line| dashes(line) > DEPTH_MAX)
}

/// Reads a text; one without any key is the default.
///
/// # Errors
/// What serde found, with its line, its key path and what is accepted.
pub(crate) fn parse<T: DeserializeOwned + Default>(file: &str, text: &str) -> Result<T, YamlError> {
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(T::default());
    }
    if too_deep(text) {
        let why = format!("nested more than {DEPTH_MAX} levels deep");
        return Err(YamlError::new(file, None, why));
    }
    serde_yaml::from_str(text).map_err(|error| explain(file, &error))
}

/// Takes serde_yaml's words apart: its position goes to the front, a near miss is named.
fn explain(file: &str, error: &serde_yaml::Error) -> YamlError {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or(&words);
    let hint = unknown_field(words).map(|(given, accepted)| did_you_mean(given, accepted));
    let message = format!("{words}{}", hint.unwrap_or_default());
    YamlError::new(file, error.location().map(|at| at.line()), message)
}

/// From «unknown field `a`, expected one of `b`, `c`»: `a` and the rest.
fn unknown_field(words: &str) -> Option<(&str, Vec<&str>)> {
    let (_, rest) = words.split_once("unknown field `")?;
    let given = rest.split('`').next()?;
    let accepted = rest.split('`').skip(2).step_by(2).collect();
    Some((given, accepted))
}

/// « (did you mean `x`?)» when one of `accepted` is close to `given`, else nothing.
pub(crate) fn did_you_mean<'a>(given: &str, accepted: impl IntoIterator<Item = &'a str>) -> String {
    let near = accepted
        .into_iter()
        .map(|word| (distance(given, word), word))
        .filter(|(far, word)| *far <= 1 + word.len() / 4)
        .min();
    near.map(|(_, word)| format!(" (did you mean `{word}`?)"))
        .unwrap_or_default()
}

/// Levenshtein distance, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
