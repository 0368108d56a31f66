// SPDX-License-Identifier: MIT OR Apache-2.0
//! One mail or patch file, understood: message, author, diff, and its place in the series.

use super::author::{self, UNKNOWN_AUTHOR, UNKNOWN_DATE};
use super::diff;
use super::error::{Refusal, SeriesError};
use super::limits::MAX_MESSAGE;
use super::mbox;
use super::message::{self, Message};
use super::mime::{self, Mail};
use super::model::{FilePatch, Patch};
use super::patch_id::patch_id_of_files;
use super::subject::{self, Prefix};

/// What one source holds.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    /// What its brackets say.
    pub(super) prefix: Prefix,
    /// The patch (its number still 0); without files it may be a cover letter.
    pub(super) patch: Patch,
    /// The body above the diff, for covers.
    pub(super) text: String,
    /// `base-commit:`, `change-id:`, `prerequisite-patch-id:`, wherever they stood.
    pub(super) tags: Tags,
    /// What was odd.
    pub(super) warnings: Vec<String>,
}

/// The lines by which git and b4 say what a series stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tags {
    pub(super) base_commit: Option<String>,
    pub(super) change_id: Option<String>,
    pub(super) prerequisites: Vec<String>,
}

/// How to read one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    /// For error messages.
    pub(super) place: &'a str,
    /// `-p` of patch(1).
    pub(super) strip: usize,
    /// Subject of a patch that has none.
    pub(super) fallback: &'a str,
    /// Fields as Debian's DEP-3 has them may stand for mail headers.
    pub(super) dep3: bool,
}

/// Reads one message. Replies are not looked into beyond their subject.
pub(super) fn read(message: mbox::Message<'_>, how: Reading<'_>) -> Result<Letter, SeriesError> {
    let mail = mime::read(message, how.place, true)?;
    let mail = if mail.has_headers() && (!how.dep3 || is_mail(&mail)) {
        mail
    } else {
        mime::plain(message.bytes)
    };
    if mail.flowed {
        return flowed(&mail, message, how);
    }
    understand(&mail, how)
}

/// Whether the fields at the top are headers, and not text with a colon in it.
fn is_mail(mail: &Mail) -> bool {
    ["From", "Subject", "Date", "Author", "Description"]
        .iter()
        .any(|name| mail.raw(name).is_some())
}

/// Some mail programs say format=flowed and do not mean it: what only reads without it is taken so.
fn flowed(
    mail: &Mail,
    message: mbox::Message<'_>,
    how: Reading<'_>,
) -> Result<Letter, SeriesError> {
    let first = understand(mail, how);
    let Err(SeriesError {
        place,
        line,
        reason: Refusal::Diff(why),
    }) = first
    else {
        return first;
    };
    let plain = mime::read(message, how.place, false)?;
    match understand(&plain, how) {
        Ok(mut letter) => {
            letter
                .warnings
                .push(format!("{}: says format=flowed, but is not", how.place));
            Ok(letter)
        }
        Err(_) => Err(SeriesError {
            place,
            line,
            reason: Refusal::Flowed(why),
        }),
    }
}

fn understand(mail: &Mail, how: Reading<'_>) -> Result<Letter, SeriesError> {
    let refuse = |line: u32, reason| SeriesError::at(how.place, line, reason);
    let head = |r| refuse(mail.line, r);
    let subject = mail.header("Subject").map_err(head)?;
    let prefix = subject::prefix(subject.as_deref().unwrap_or(""));
    let mut warnings = Vec::new();
    if prefix.reply {
        return Ok(Letter {
            prefix,
            patch: empty_patch(how.place),
            text: String::new(),
            tags: Tags::default(),
            warnings,
        });
    }
    let said = message::read(mail).map_err(|(at, r)| refuse(mail.body.number(at), r))?;
    let files = files(mail, &said, how)?;
    if said.cut && !files.is_empty() {
        warnings.push(format!(
            "{}: text above its scissors line is not part of the message",
            how.place
        ));
    }
    let (title, more) = if how.dep3 && subject.is_none() {
        description(mail).map_err(head)?
    } else {
        Default::default()
    };
    let raw_subject = subject.unwrap_or(title);
    let used = said
        .in_body
        .subject
        .as_ref()
        .filter(|_| !files.is_empty())
        .unwrap_or(&raw_subject);
    let mut clean = subject::clean(used);
    if clean.is_empty() && !files.is_empty() {
        clean = how.fallback.to_owned();
    }
    let prefix = if prefix == Prefix::default() {
        subject::prefix(used)
    } else {
        prefix
    };
    let message = message::compose(&clean, &(more + &said.text));
    if message.len() > MAX_MESSAGE {
        return Err(refuse(
            mail.line,
            Refusal::TooLarge {
                what: "bytes of a commit message",
                limit: MAX_MESSAGE,
            },
        ));
    }
    let mut patch = Patch {
        subject: first_line(&message),
        message,
        files,
        ..empty_patch(how.place)
    };
    patch.patch_id = patch_id_of_files(&patch.files);
    sign(&mut patch, mail, &said, how, &mut warnings).map_err(head)?;
    patch.message_id = mail
        .header("Message-ID")
        .map_err(head)?
        .map(|id| id.trim_matches(['<', '>', ' ']).to_owned());
    Ok(Letter {
        prefix,
        patch,
        text: said.text,
        tags: tags(mail),
        warnings,
    })
}

/// A DEP-3 description: its first line, and the rest, where a dot stands for an empty line.
fn description(mail: &Mail) -> Result<(String, String), Refusal> {
    let Some(raw) = mail.raw("Description") else {
        return Ok(Default::default());
    };
    let mut lines = raw.split(|&b| b == b'\n');
    let title = mime::decode(lines.next().unwrap_or(b""), None)?;
    let mut more = String::new();
    for line in lines {
        more.push_str(&mime::decode(if line == b"." { b"" } else { line }, None)?);
        more.push('\n');
    }
    Ok((title, more + "\n"))
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or("").to_owned()
}

/// The diff below the message.
fn files(mail: &Mail, said: &Message, how: Reading<'_>) -> Result<Vec<FilePatch>, SeriesError> {
    let Some(end) = said.end else {
        return Ok(Vec::new());
    };
    diff::parse(&mail.body, end, how.strip).map_err(|(line, r)| SeriesError::at(how.place, line, r))
}

/// Author and date, from the body before the headers.
fn sign(
    patch: &mut Patch,
    mail: &Mail,
    said: &Message,
    how: Reading<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let own = !patch.files.is_empty();
    let mut from = said.in_body.from.clone().filter(|_| own);
    if from.is_none() {
        from = mail.header("From")?;
    }
    if from.is_none() && how.dep3 {
        from = mail.header("Author")?;
    }
    let author = from.as_deref().map(author::author);
    (patch.author_name, patch.author_email) = match author {
        Some(Some(author)) => author,
        Some(None) if own => return Err(Refusal::Header("From")),
        _ => (UNKNOWN_AUTHOR.0.to_owned(), UNKNOWN_AUTHOR.1.to_owned()),
    };
    let date = said.in_body.date.clone().filter(|_| own);
    let date = if date.is_some() {
        date
    } else {
        mail.header("Date")?
    };
    let read = date.as_deref().and_then(author::date);
    (patch.date_seconds, patch.date_offset) = read.unwrap_or(UNKNOWN_DATE);
    if own {
        if from.is_none() {
            warnings.push(format!(
                "{}: names no author; {} <{}> is used",
                how.place, UNKNOWN_AUTHOR.0, UNKNOWN_AUTHOR.1
            ));
        }
        if read.is_none() {
            warnings.push(format!(
                "{}: has no readable date; 2000-01-01 is used",
                how.place
            ));
        }
    }
    Ok(())
}

fn empty_patch(place: &str) -> Patch {
    Patch {
        number: 0,
        subject: String::new(),
        message: String::new(),
        author_name: UNKNOWN_AUTHOR.0.to_owned(),
        author_email: UNKNOWN_AUTHOR.1.to_owned(),
        date_seconds: UNKNOWN_DATE.0,
        date_offset: UNKNOWN_DATE.1,
        message_id: None,
        source: place.to_owned(),
        files: Vec::new(),
        patch_id: String::new(),
    }
}

/// Looks for the tags at line beginnings, where no line of a hunk can have them.
fn tags(mail: &Mail) -> Tags {
    let mut out = Tags::default();
    for at in 0..mail.body.len() {
        let line = mail.body.bare(at);
        let after = |word: &str| {
            let rest = line.strip_prefix(word.as_bytes())?;
            std::str::from_utf8(rest).ok().map(str::trim)
        };
        if let Some(id) = after("base-commit: ").filter(|id| is_hex(id, 7)) {
            out.base_commit = Some(id.to_owned());
        } else if let Some(id) = after("change-id: ").filter(|id| !id.is_empty() && id.len() <= 200)
        {
            out.change_id = Some(id.to_owned());
        } else if let Some(id) = after("prerequisite-patch-id: ").filter(|id| is_hex(id, 40)) {
            out.prerequisites.push(id.to_owned());
        }
    }
    out
}

fn is_hex(text: &str, least: usize) -> bool {
    (least..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}
