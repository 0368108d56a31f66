// SPDX-License-Identifier: MIT OR Apache-2.0
//! One `@@` hunk, its lines counted.

use super::diff::Refused;
use super::error::Refusal;
use super::lines::Lines;
use super::model::{Hunk, HunkLine, LineKind};

/// Numbers and section of `@@ -a,b +c,d @@ section`; `None` when the line is none.
pub(super) fn header(line: &[u8]) -> Option<(u32, u32, u32, u32, &[u8])> {
    let rest = line.strip_prefix(b"@@ -")?;
    let (old_start, old_lines, rest) = range(rest)?;
    let rest = rest.strip_prefix(b" +")?;
    let (new_start, new_lines, rest) = range(rest)?;
    let section = rest.strip_prefix(b" @@")?;
    Some((
        old_start,
        old_lines,
        new_start,
        new_lines,
        section.strip_prefix(b" ").unwrap_or(section),
    ))
}

fn range(text: &[u8]) -> Option<(u32, u32, &[u8])> {
    let (start, rest) = number(text)?;
    match rest.strip_prefix(b",") {
        Some(rest) => number(rest).map(|(count, rest)| (start, count, rest)),
        None => Some((start, 1, rest)),
    }
}

fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let value = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((value, &text[digits..]))
}

/// Reads the hunk whose `@@` line is at index `at`; gives it and the index after it.
pub(super) fn parse(lines: &Lines, at: usize) -> Result<(Hunk, usize), Refused> {
    let error = |at: usize, reason: String| (lines.number(at), Refusal::Diff(reason));
    let (old_start, old_lines, new_start, new_lines, section) =
        header(lines.bare(at)).ok_or_else(|| error(at, "unreadable @@ line".into()))?;
    if old_lines == 0 && new_lines == 0 {
        return Err(error(at, "a hunk without lines".into()));
    }
    let (mut old_left, mut new_left) = (old_lines, new_lines);
    let mut out: Vec<HunkLine> = Vec::new();
    let mut next = at + 1;
    loop {
        let raw = lines.bare(next);
        if raw.first() == Some(&b'\\') && next < lines.len() {
            no_newline(&mut out)
                .ok_or_else(|| error(next, "a `\\` line without a line before it".into()))?;
            next += 1;
            continue;
        }
        if old_left == 0 && new_left == 0 {
            break;
        }
        let line = (next < lines.len())
            .then(|| line(raw, &mut old_left, &mut new_left))
            .flatten();
        let line = line.ok_or_else(|| error(next, short(old_start, old_left, new_left)))?;
        if line.text.contains(&0) {
            return Err((lines.number(next), Refusal::Nul("the diff")));
        }
        out.push(line);
        next += 1;
    }
    let section = String::from_utf8_lossy(section).into_owned();
    let line = lines.number(at);
    Ok((
        Hunk {
            old_start,
            old_lines,
            new_start,
            new_lines,
            section,
            lines: out,
            line,
        },
        next,
    ))
}

fn short(old_start: u32, old_left: u32, new_left: u32) -> String {
    format!(
        "the hunk at line {old_start} does not have the lines its @@ line says ({old_left} before, {new_left} after are left)"
    )
}

/// One line of the hunk, counted off. An empty line is a context line whose blank a mail program ate.
fn line(raw: &[u8], old_left: &mut u32, new_left: &mut u32) -> Option<HunkLine> {
    let (kind, text) = match raw.split_first() {
        None | Some((b'\r', [])) => (LineKind::Context, raw),
        Some((b' ', text)) => (LineKind::Context, text),
        Some((b'-', text)) => (LineKind::Remove, text),
        Some((b'+', text)) => (LineKind::Add, text),
        Some(_) => return None,
    };
    if kind != LineKind::Add {
        *old_left = old_left.checked_sub(1)?;
    }
    if kind != LineKind::Remove {
        *new_left = new_left.checked_sub(1)?;
    }
    let mut owned = Vec::with_capacity(text.len() + 1);
    owned.extend_from_slice(text);
    owned.push(b'\n');
    Some(HunkLine { kind, text: owned })
}

fn no_newline(lines: &mut [HunkLine]) -> Option<()> {
    let last = lines.last_mut()?;
    (last.text.pop()? == b'\n').then_some(())
}
