// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series as an mbox that this room reads back, and `git am` too but for the cover letter, which it never takes.

use super::binary;
use super::model::{Body, Change, FilePatch, Hunk, LineKind, Patch, Series};
use super::patch_id::header_lines;
use super::path::quote;
use std::fmt::Write as _;

/// Writes the canonical mbox: one mail a patch, in order, after the cover letter where there is one. Reading it again
/// gives the same series but for sources, line numbers and warnings.
pub fn format_patch(series: &Series) -> Vec<u8> {
    let mut out = Vec::new();
    if let (Some(cover), Some(first)) = (&series.cover, series.patches.first()) {
        let head = Patch {
            subject: series.subject.clone(),
            message_id: None,
            ..first.clone()
        };
        mail(
            series,
            &head,
            0,
            guarded(&head, cover).into_bytes(),
            &mut out,
        );
    }
    for patch in &series.patches {
        mail(series, patch, patch.number, body(series, patch), &mut out);
    }
    out
}

/// Writes a diff as `git diff --binary` does.
pub fn format_diff(files: &[FilePatch]) -> Vec<u8> {
    let mut out = Vec::new();
    files.iter().for_each(|file| write_file(file, &mut out));
    out
}

fn mail(series: &Series, patch: &Patch, number: u32, body: Vec<u8>, out: &mut Vec<u8>) {
    let total = series.patches.len();
    let rfc = if series.rfc { "RFC " } else { "" };
    let resend = if series.resend { " RESEND" } else { "" };
    let width = total.to_string().len();
    let prefix = format!(
        "[{rfc}PATCH{resend} v{} {number:0width$}/{total}]",
        series.version
    );
    let mut head =
        String::from("From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n");
    let _ = writeln!(head, "From: {}", address(patch));
    let _ = writeln!(head, "Date: {}", date(patch));
    let _ = writeln!(head, "Subject: {prefix} {}", words(&patch.subject));
    if let Some(id) = &patch.message_id {
        let _ = writeln!(head, "Message-ID: <{}>", words(id));
    }
    let coded = body.contains(&b'\r') || body.split(|&b| b == b'\n').any(looks_like_separator);
    let encoding = match (coded, body.is_ascii()) {
        (true, _) => "quoted-printable",
        (false, true) => "7bit",
        (false, false) => "8bit",
    };
    let _ = write!(
        head,
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: {encoding}\n\n"
    );
    out.extend(head.into_bytes());
    if coded {
        quoted_printable(&body, out)
    } else {
        out.extend(body)
    }
    out.extend(b"-- \nlab\n\n");
}

/// Lines that some reader of an mbox would cut at or unescape.
fn looks_like_separator(line: &[u8]) -> bool {
    let quotes = line.iter().take_while(|&&b| b == b'>').count();
    line[quotes..].starts_with(b"From ")
}

fn body(series: &Series, patch: &Patch) -> Vec<u8> {
    let text = patch
        .message
        .strip_prefix(patch.subject.as_str())
        .unwrap_or(&patch.message);
    let mut out = guarded(patch, text.trim_start_matches('\n')).into_bytes();
    out.extend(b"---\n\n");
    patch
        .files
        .iter()
        .for_each(|file| write_file(file, &mut out));
    if patch.number == 1 {
        let mut tags = String::from("\n");
        if let Some(id) = &series.base_commit {
            let _ = writeln!(tags, "base-commit: {id}");
        }
        if let Some(id) = &series.change_id {
            let _ = writeln!(tags, "change-id: {id}");
        }
        for id in &series.prerequisites {
            let _ = writeln!(tags, "prerequisite-patch-id: {id}");
        }
        out.extend(tags.into_bytes());
    }
    out
}

/// Text whose first line would be read as a header gets a real one in front of it.
fn guarded(patch: &Patch, text: &str) -> String {
    let first = text.lines().next().unwrap_or("").to_ascii_lowercase();
    let risky = ["from:", "subject:", "date:", "[patch]", ">from"]
        .iter()
        .any(|word| first.starts_with(word));
    if risky {
        format!("From: {}\n\n{text}", address(patch))
    } else {
        text.to_owned()
    }
}

fn address(patch: &Patch) -> String {
    let name = &patch.author_name;
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_".contains(c);
    // A reader decodes the words first and takes the quotes away then.
    let name = if name.chars().all(plain) {
        name.clone()
    } else {
        words(&format!(
            "\"{}\"",
            name.replace('\\', "\\\\").replace('"', "\\\"")
        ))
    };
    format!("{name} <{}>", words(&patch.author_email))
}

fn date(patch: &Patch) -> String {
    let offset = patch.date_offset;
    let sign = if offset < 0 { '-' } else { '+' };
    let zone = format!("{sign}{:02}{:02}", offset.abs() / 60, offset.abs() % 60);
    let local = patch.date_seconds.saturating_add(i64::from(offset) * 60);
    match jiff::Timestamp::from_second(local) {
        Ok(time) => format!(
            "{} {zone}",
            time.to_zoned(jiff::tz::TimeZone::UTC)
                .strftime("%a, %-d %b %Y %H:%M:%S")
        ),
        Err(_) => format!("@{} {zone}", patch.date_seconds),
    }
}

/// Encoded words for what headers cannot hold; blanks are kept plain so that ASCII stays readable.
fn words(text: &str) -> String {
    if text.chars().all(|c| (' '..='~').contains(&c)) && !text.contains("=?") && text.trim() == text
    {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() > 48 {
            let _ = write!(out, "=?UTF-8?q?{word}?=\n ");
            word.clear();
        }
        let mut bytes = [0; 4];
        for &byte in c.encode_utf8(&mut bytes).as_bytes() {
            match byte {
                b' ' => word.push('_'),
                b if b.is_ascii_alphanumeric() => word.push(b as char),
                b => drop(write!(word, "={b:02X}")),
            }
        }
    }
    let _ = write!(out, "=?UTF-8?q?{word}?=");
    out
}

fn quoted_printable(body: &[u8], out: &mut Vec<u8>) {
    for line in body.split_inclusive(|&b| b == b'\n') {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let mut column = 0;
        for (at, &byte) in text.iter().enumerate() {
            let last = at + 1 == text.len();
            let plain = matches!(byte, b'!'..=b'~' if byte != b'=')
                || (matches!(byte, b' ' | b'\t') && !last);
            let head = at == 0 && matches!(byte, b'F' | b'>');
            if column >= 72 {
                out.extend(b"=\n");
                column = 0;
            }
            if plain && !head && !(column == 0 && matches!(byte, b'F' | b'>')) {
                out.push(byte);
                column += 1;
            } else {
                out.extend(format!("={byte:02X}").into_bytes());
                column += 3;
            }
        }
        out.extend(&line[text.len()..]);
    }
}

fn write_file(file: &FilePatch, out: &mut Vec<u8>) {
    let hunks = match &file.body {
        Body::Text(hunks) => hunks.as_slice(),
        Body::Binary { .. } => &[],
    };
    let modeless = match file.change {
        Change::Add => file.new_mode.is_none(),
        Change::Delete => file.old_mode.is_none(),
        _ => false,
    };
    // A plain diff names no modes; git's header would have to.
    if !modeless || hunks.is_empty() {
        for line in header_lines(file, true)
            .iter()
            .filter(|l| !l.starts_with("--- ") && !l.starts_with("+++ "))
        {
            out.extend(line.as_bytes());
            out.push(b'\n');
        }
        if let Some((old, new)) = &file.blobs {
            let mode = file.new_mode.filter(|_| file.old_mode == file.new_mode);
            let mode = mode.map(|m| format!(" {m:06o}")).unwrap_or_default();
            out.extend(format!("index {old}..{new}{mode}\n").into_bytes());
        }
    }
    if !hunks.is_empty() {
        side("--- ", "a/", file.old_path.as_deref(), out);
        side("+++ ", "b/", file.new_path.as_deref(), out);
    }
    hunks.iter().for_each(|hunk| write_hunk(hunk, out));
    if let Body::Binary { forward, reverse } = &file.body {
        out.extend(b"GIT binary patch\n");
        binary::write(forward, out);
        if let Some(reverse) = reverse {
            binary::write(reverse, out);
        }
    }
}

/// A blank in a name is followed by a tab, so that no time stamp is looked for in it.
fn side(sign: &str, prefix: &str, path: Option<&str>, out: &mut Vec<u8>) {
    let name = path.map_or_else(|| "/dev/null".to_owned(), |path| quote(prefix, path));
    let tab = if name.contains(' ') { "\t" } else { "" };
    out.extend(format!("{sign}{name}{tab}\n").into_bytes());
}

fn write_hunk(hunk: &Hunk, out: &mut Vec<u8>) {
    let range = |start: u32, lines: u32| {
        if lines == 1 {
            start.to_string()
        } else {
            format!("{start},{lines}")
        }
    };
    let (old, new) = (
        range(hunk.old_start, hunk.old_lines),
        range(hunk.new_start, hunk.new_lines),
    );
    let blank = if hunk.section.is_empty() { "" } else { " " };
    out.extend(format!("@@ -{old} +{new} @@{blank}{}\n", hunk.section).into_bytes());
    for line in &hunk.lines {
        out.push(match line.kind {
            LineKind::Context => b' ',
            LineKind::Remove => b'-',
            LineKind::Add => b'+',
        });
        out.extend_from_slice(&line.text);
        if !line.text.ends_with(b"\n") {
            out.extend(b"\n\\ No newline at end of file\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_foreign_words_come_back() {
        for text in [
            "plain",
            " blank at the end ",
            "=?x",
            "Ärger mit Umlauten und noch viel mehr Text, der nicht in ein Wort passt",
            "日本語",
        ] {
            let folded = words(text).replace('\n', "");
            assert_eq!(crate::series::transfer::words(&folded).as_deref(), Ok(text));
        }
    }

    #[test]
    fn quoted_printable_hides_separators() {
        let mut out = Vec::new();
        quoted_printable(b"From me\n>From you\r\nx \n", &mut out);
        assert_eq!(out, b"=46rom me\n=3EFrom you=0D\nx=20\n");
    }
}
