// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series for people: an aligned list.

use super::model::{Body, LineKind, Patch, Series};
use crate::text::harmless;
use std::fmt::Write as _;

/// Columns that a subject gets at most.
const SUBJECT: usize = 60;
/// Columns that an author gets at most.
const AUTHOR: usize = 24;

/// Name, version and subject, then one line a patch: number, subject, author, files, lines added and removed; then what
/// was odd. Control characters of the mails are shown as `?`.
pub fn describe(series: &Series) -> String {
    let mut out = String::new();
    let flags = [(series.rfc, "RFC"), (series.resend, "RESEND")];
    let flags: String = flags
        .iter()
        .filter(|f| f.0)
        .map(|f| format!(", {}", f.1))
        .collect();
    let count = series.patches.len();
    let noun = if count == 1 { "patch" } else { "patches" };
    let _ = writeln!(
        out,
        "{} v{}: {} ({count} {noun}{flags})",
        series.name,
        series.version,
        harmless(&series.subject)
    );
    let fields = [
        ("base", &series.base_commit),
        ("change-id", &series.change_id),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            let _ = writeln!(out, "{name} {}", harmless(value));
        }
    }
    let number = count.to_string().len();
    let subject = width(series.patches.iter().map(|p| p.subject.as_str()), SUBJECT);
    let author = width(
        series.patches.iter().map(|p| p.author_name.as_str()),
        AUTHOR,
    );
    for patch in &series.patches {
        let (added, removed) = lines(patch);
        let files = patch.files.len();
        let noun = if files == 1 { "file " } else { "files" };
        let (title, name) = (
            pad(&patch.subject, subject),
            pad(&patch.author_name, author),
        );
        let _ = writeln!(
            out,
            "  {:>number$}  {title}  {name}  {files:>3} {noun}  +{added} -{removed}",
            patch.number
        );
    }
    for warning in &series.warnings {
        let _ = writeln!(out, "note: {}", harmless(warning));
    }
    out
}

/// Lines added and removed by all text hunks of a patch.
fn lines(patch: &Patch) -> (usize, usize) {
    let hunks = patch.files.iter().flat_map(|file| match &file.body {
        Body::Text(hunks) => hunks.as_slice(),
        Body::Binary { .. } => &[],
    });
    hunks
        .flat_map(|hunk| &hunk.lines)
        .fold((0, 0), |(added, removed), line| match line.kind {
            LineKind::Context => (added, removed),
            LineKind::Add => (added + 1, removed),
            LineKind::Remove => (added, removed + 1),
        })
}

fn width<'a>(texts: impl Iterator<Item = &'a str>, most: usize) -> usize {
    texts
        .map(|text| text.chars().count())
        .max()
        .unwrap_or(0)
        .min(most)
}

fn pad(text: &str, width: usize) -> String {
    let text = harmless(text);
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}
