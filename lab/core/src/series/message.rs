// SPDX-License-Identifier: MIT OR Apache-2.0
//! The commit message in a mail's body, cut out as `git mailinfo --scissors` does.

use super::error::Refusal;
use super::mime::{self, Mail};

/// `From:`, `Subject:`, `Date:` lines at the top of a body, which go before the mail's own headers.
#[derive(Debug, Default)]
pub(super) struct InBody {
    pub(super) from: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) date: Option<String>,
}

impl InBody {
    fn slot(&mut self, line: &str) -> Option<(&mut Option<String>, usize)> {
        let (name, _) = line.split_once(':')?;
        let slot = match name.to_ascii_lowercase().as_str() {
            "from" => &mut self.from,
            "subject" => &mut self.subject,
            "date" => &mut self.date,
            _ => return None,
        };
        Some((slot, name.len() + 1))
    }

    fn takes(&mut self, line: &str) -> bool {
        self.slot(line).is_some_and(|(slot, _)| slot.is_none())
    }
}

/// What a body says above its diff.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) in_body: InBody,
    /// The text, without the subject.
    pub(super) text: String,
    /// Line index where the message ended: at `---`, or where the diff begins.
    pub(super) end: Option<usize>,
    /// A scissors line cut off what stood above it.
    pub(super) cut: bool,
}

/// Where the reader stands while it looks for in-body headers.
#[derive(Debug, PartialEq)]
enum Stage {
    /// Nothing but blanks and headers so far; the header that is being collected.
    Headers(Option<String>),
    Text,
}

/// Reads from the top of the body to the line that ends the message.
pub(super) fn read(mail: &Mail) -> Result<Message, (usize, Refusal)> {
    let mut out = Message::default();
    let mut stage = Stage::Headers(None);
    for at in 0..mail.body.len() {
        if is_break(mail.body.bare(at)) {
            out.end = Some(at);
            break;
        }
        let line = mail.text(at).map_err(|r| (at, r))?;
        out.line(&line, &mut stage).map_err(|r| (at, r))?;
    }
    if let Stage::Headers(Some(held)) = stage {
        out.keep(&held).map_err(|r| (0, r))?;
    }
    Ok(out)
}

impl Message {
    fn line(&mut self, line: &str, stage: &mut Stage) -> Result<(), Refusal> {
        let scissors = is_scissors(line);
        if let Stage::Headers(held) = stage {
            if line.trim_matches(['\r', '\n']).is_empty() {
                if let Some(held) = held.take() {
                    self.keep(&held)?;
                    *stage = Stage::Text;
                }
                return Ok(());
            }
            if !scissors && self.header(line, held)? {
                return Ok(());
            }
            if let Some(held) = held.take() {
                self.keep(&held)?;
            }
            *stage = Stage::Text;
        }
        if scissors {
            *self = Message {
                cut: true,
                ..Message::default()
            };
            *stage = Stage::Headers(None);
            return Ok(());
        }
        self.text.push_str(line);
        self.text.push('\n');
        Ok(())
    }

    /// Whether the line belongs to the headers at the top.
    fn header(&mut self, line: &str, held: &mut Option<String>) -> Result<bool, Refusal> {
        if let (Some(held), true) = (held.as_mut(), line.starts_with([' ', '\t'])) {
            held.push_str(line);
            return Ok(true);
        }
        if let Some(held) = held.take() {
            self.keep(&held)?;
        }
        if line.starts_with(">From ") || line.starts_with(">From\t") {
            return Ok(is_git_separator(&line[1..]));
        }
        if line
            .strip_prefix("[PATCH]")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']))
        {
            self.in_body.subject = Some(line.to_owned());
            return Ok(true);
        }
        let takes = self.in_body.takes(line);
        if takes {
            *held = Some(line.to_owned());
        }
        Ok(takes)
    }

    fn keep(&mut self, held: &str) -> Result<(), Refusal> {
        if let Some((slot, skip)) = self.in_body.slot(held) {
            *slot = Some(mime::decode(held[skip..].trim().as_bytes(), None)?);
        }
        Ok(())
    }
}

/// The first line of git's own mbox form.
fn is_git_separator(line: &str) -> bool {
    let hash = line
        .strip_prefix("From ")
        .and_then(|rest| rest.strip_suffix(" Mon Sep 17 00:00:00 2001"));
    hash.is_some_and(|hash| hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A line that ends the message: a diff begins, or `---` with nothing but blanks behind it.
pub(super) fn is_break(line: &[u8]) -> bool {
    if line.starts_with(b"diff -") || line.starts_with(b"Index: ") {
        return true;
    }
    let Some(rest) = line.strip_prefix(b"---") else {
        return false;
    };
    let named = matches!(rest, [b' ', next, ..] if !next.is_ascii_whitespace());
    named || rest.trim_ascii().is_empty()
}

/// A line like `-- >8 -- cut here -- >8 --`: at least eight columns, more than a third of them dashes, scissors and
/// the gaps between, and of these less than half gaps.
pub(super) fn is_scissors(line: &str) -> bool {
    let (mut marks, mut scissors, mut gaps) = (0usize, 0usize, 0usize);
    let mut inside = false;
    let bytes = line.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b' ' | b'\t' | b'\n' | b'\r', ..] => {
                if inside {
                    marks += 1;
                    gaps += 1;
                }
            }
            [b'-', ..] => {
                inside = true;
                marks += 1;
            }
            [b'>', b'8' | b'%', ..] | [b'8' | b'%', b'<', ..] => {
                inside = true;
                marks += 2;
                scissors += 2;
                at += 1;
            }
            _ => inside = false,
        }
        at += 1;
    }
    // git counts blanks behind the last mark as part of the perforation, but not of what is visible.
    let visible = line.trim_matches([' ', '\t', '\n', '\r']).len();
    scissors > 0 && visible >= 8 && visible < marks * 3 && gaps * 2 < marks
}

/// Joins subject and text as `git am` does: no blanks at line ends, no empty lines at either end, one at most between
/// paragraphs, one newline at the end.
pub(super) fn compose(subject: &str, text: &str) -> String {
    let mut out = String::with_capacity(subject.len() + text.len() + 2);
    let mut gap = false;
    for line in subject.lines().chain([""]).chain(text.split('\n')) {
        let line = line.trim_end_matches([' ', '\t', '\r', '\n', '\u{b}', '\u{c}']);
        if line.is_empty() {
            gap = !out.is_empty();
            continue;
        }
        if gap {
            out.push('\n');
        }
        gap = false;
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scissors_and_breaks() {
        for yes in [
            "-- >8 --",
            "---------- >8 ----------",
            "-- 8< -- cut here -- 8< --",
            "  - - >% - - -",
            "--->8---",
        ] {
            assert!(is_scissors(yes), "{yes}");
        }
        for no in [
            "",
            ">8",
            "-- --",
            "see >8 in the text of this line",
            "- >8 -",
            "8< a b c d e f g h i",
        ] {
            assert!(!is_scissors(no), "{no}");
        }
        for yes in [
            "---",
            "--- ",
            "--- a/x",
            "diff --git a/x b/x",
            "diff -urN a b",
            "Index: x",
        ] {
            assert!(is_break(yes.as_bytes()), "{yes}");
        }
        for no in ["----", "---x", "different", "--", "---  x", "Index"] {
            assert!(!is_break(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn messages_are_stripped_as_git_does() {
        assert_eq!(compose("a", "\n\nb  \n\n\n\nc\n\n"), "a\n\nb\n\nc\n");
        assert_eq!(compose("a", ""), "a\n");
        assert_eq!(compose("", "\n"), "");
    }
}
