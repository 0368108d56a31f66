// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiler warnings that a series brings: those of its builds which the base's build does not have.

use crate::job::Diagnostic;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A warning that is not in the base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewWarning {
    /// The first patch built that has it.
    pub patch: u32,
    /// The first patch that may have brought it: those from here to `patch` were not built by themselves.
    pub not_before: u32,
    /// Source file.
    pub file: String,
    /// Line in the build of `patch`.
    pub line: Option<u32>,
    /// The compiler's words.
    pub message: String,
}

type Counted<'a> = BTreeMap<(&'a str, &'a str), Vec<Option<u32>>>;

/// The new warnings of some builds, in the order of patches and files. `builds` are patch numbers with their warnings,
/// in ascending order; the first must be the base (0), or nothing can be told to be new.
///
/// Lines move when code is added above them, so a warning is known by file and words, and counted.
pub fn new_warnings(builds: &[(u32, &[Diagnostic])]) -> Vec<NewWarning> {
    let Some(((0, base), patches)) = builds.split_first() else {
        return Vec::new();
    };
    let base = counted(base);
    let mut most: BTreeMap<(&str, &str), usize> = base
        .iter()
        .map(|(key, lines)| (*key, lines.len()))
        .collect();
    let mut found = Vec::new();
    let mut before = 0;
    for (patch, warnings) in patches {
        for (key, lines) in counted(warnings) {
            let known = most.entry(key).or_default();
            found.extend(lines.iter().skip(*known).map(|line| NewWarning {
                patch: *patch,
                not_before: before + 1,
                file: key.0.to_owned(),
                line: *line,
                message: key.1.to_owned(),
            }));
            *known = lines.len().max(*known);
        }
        before = *patch;
    }
    found
}

fn counted(warnings: &[Diagnostic]) -> Counted<'_> {
    let mut counted = Counted::new();
    for warning in warnings {
        if let Some(file) = &warning.file {
            let lines = counted
                .entry((file.as_str(), warning.message.as_str()))
                .or_default();
            lines.push(warning.line);
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(line: u32, message: &str) -> Diagnostic {
        Diagnostic {
            file: Some("fs/dcache.c".into()),
            line: Some(line),
            message: message.into(),
            context: Vec::new(),
        }
    }

    #[test]
    fn a_warning_that_moved_is_not_new_and_a_second_of_its_kind_is() {
        let base = [warning(3, "unused x")];
        let second = [warning(13, "unused x")];
        let fifth = [
            warning(13, "unused x"),
            warning(20, "unused x"),
            warning(9, "unused y"),
        ];
        let found = new_warnings(&[(0, &base), (2, &second), (5, &fifth)]);
        let told: Vec<_> = found
            .iter()
            .map(|w| (w.patch, w.not_before, w.line, w.message.as_str()))
            .collect();
        assert_eq!(
            told,
            [(5, 3, Some(20), "unused x"), (5, 3, Some(9), "unused y")]
        );
    }

    #[test]
    fn without_the_base_nothing_is_called_new() {
        assert_eq!(new_warnings(&[(1, &[warning(1, "x")])]), []);
        assert_eq!(new_warnings(&[]), []);
    }
}
