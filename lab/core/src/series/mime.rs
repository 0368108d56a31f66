// SPDX-License-Identifier: MIT OR Apache-2.0
//! One mail: its headers, and its body with transfer encodings and multiparts undone.

use super::error::{Refusal, SeriesError};
use super::limits::MAX_NESTING;
use super::lines::Lines;
use super::mbox::{Message, is_header};
use super::transfer::{self, Base64};

/// A mail, decoded up to the charset of its text: a diff's bytes have no charset.
#[derive(Debug, Default)]
pub(super) struct Mail {
    headers: Vec<(String, Vec<u8>)>,
    /// All text parts, one after the other.
    pub(super) body: Lines,
    /// From which body line on which charset was declared.
    charsets: Vec<(usize, Option<String>)>,
    /// Some part says format=flowed.
    pub(super) flowed: bool,
    /// Line in the source of the first header.
    pub(super) line: u32,
}

impl Mail {
    /// A header's raw value; its folds are newlines.
    pub(super) fn raw(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }

    /// Whether there are headers at all.
    pub(super) fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// A header's value, decoded.
    pub(super) fn header(&self, name: &str) -> Result<Option<String>, Refusal> {
        self.raw(name).map(|raw| decode(raw, None)).transpose()
    }

    /// A line of the body as text, without its newline.
    pub(super) fn text(&self, at: usize) -> Result<String, Refusal> {
        let part = self
            .charsets
            .partition_point(|(from, _)| *from <= at)
            .checked_sub(1);
        let charset = part.and_then(|part| self.charsets[part].1.as_deref());
        let line = self.body.bare(at);
        if line.contains(&0) {
            return Err(Refusal::Nul("the message"));
        }
        let text = transfer::text(line, charset);
        text.map(std::borrow::Cow::into_owned)
            .ok_or_else(|| unknown("the message", charset.unwrap_or("")))
    }
}

fn unknown(what: &'static str, charset: &str) -> Refusal {
    Refusal::Charset {
        what,
        charset: charset.chars().take(60).collect(),
    }
}

/// A header value: 8-bit text as UTF-8 (or the given charset), then the encoded words.
pub(super) fn decode(raw: &[u8], charset: Option<&str>) -> Result<String, Refusal> {
    if raw.contains(&0) {
        return Err(Refusal::Nul("a header"));
    }
    let text =
        transfer::text(raw, charset).ok_or_else(|| unknown("a header", charset.unwrap_or("")))?;
    let text = transfer::words(&text.replace('\n', " "))
        .map_err(|charset| unknown("a header", &charset))?;
    if text.contains('\0') {
        Err(Refusal::Nul("a header"))
    } else {
        Ok(text)
    }
}

/// Reads one message. With `unflow`, format=flowed paragraphs are joined again (RFC 3676).
pub(super) fn read(message: Message<'_>, place: &str, unflow: bool) -> Result<Mail, SeriesError> {
    let lines = Lines::plain(message.bytes, message.line);
    let lines = transport(lines, message.escaped);
    let mut mail = Mail {
        line: message.line,
        ..Mail::default()
    };
    let mut at = 0;
    while at < lines.len() && lines.bare(at).trim_ascii().is_empty() {
        at += 1;
    }
    mail.headers = headers(&lines, &mut at);
    let mut walker = Walker {
        mail,
        stack: Vec::new(),
        part: Part::default(),
        unflow,
        held: Vec::new(),
    };
    walker
        .open()
        .and_then(|()| walker.walk(&lines, at))
        .map_err(|r| SeriesError::at(place, message.line, r))?;
    Ok(walker.mail)
}

/// A text that is no mail: all of it is body.
pub(super) fn plain(bytes: &[u8]) -> Mail {
    Mail {
        body: Lines::plain(bytes, 1),
        charsets: vec![(0, None)],
        line: 1,
        ..Mail::default()
    }
}

/// Undoes what the transport did to each line: CRLF where the headers have it too, and `>From ` escapes.
fn transport(lines: Lines, escaped: bool) -> Lines {
    let crlf = lines.get(0).ends_with(b"\r\n");
    if !crlf && !escaped {
        return lines;
    }
    let mut out = Lines::default();
    for at in 0..lines.len() {
        let mut line = lines.get(at);
        if escaped && line.starts_with(b">") {
            let quotes = line.iter().take_while(|&&b| b == b'>').count();
            if line[quotes..].starts_with(b"From ") {
                line = &line[1..];
            }
        }
        match line.strip_suffix(b"\r\n") {
            Some(bare) if crlf => {
                let mut text = bare.to_vec();
                text.push(b'\n');
                out.push(&text, lines.number(at));
            }
            _ => out.push(line, lines.number(at)),
        }
    }
    out
}

/// The header fields from `at` on, folds as newlines; `at` moves behind the empty line that ends them.
fn headers(lines: &Lines, at: &mut usize) -> Vec<(String, Vec<u8>)> {
    let mut out: Vec<(String, Vec<u8>)> = Vec::new();
    while *at < lines.len() {
        let line = lines.bare(*at);
        if let (Some(b' ' | b'\t'), Some((_, value))) = (line.first(), out.last_mut()) {
            if line.trim_ascii().is_empty() {
                break;
            }
            value.push(b'\n');
            value.extend_from_slice(line.trim_ascii());
        } else if is_header(line) {
            let colon = memchr::memchr(b':', line).unwrap_or(0);
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            out.push((name, line[colon + 1..].trim_ascii().to_vec()));
        } else if !(line.starts_with(b"From ") || line.starts_with(b">From ")) {
            break;
        }
        *at += 1;
    }
    if lines.bare(*at).trim_ascii().is_empty() {
        *at += 1;
    }
    out
}

#[derive(Debug, Default, PartialEq)]
enum Encoding {
    #[default]
    Identity,
    Quoted,
    Base64,
}

/// The part that is being read.
#[derive(Debug, Default)]
struct Part {
    encoding: Encoding,
    charset: Option<String>,
    flowed: bool,
    delsp: bool,
    /// Not text, or a multipart's preamble: its lines are not read.
    skip: bool,
    base64: Base64,
    /// First line of the part in the decoded body.
    start: usize,
}

struct Walker {
    mail: Mail,
    /// Boundaries, with their `--`.
    stack: Vec<Vec<u8>>,
    part: Part,
    unflow: bool,
    /// Flowed lines that wait for their last.
    held: Vec<u8>,
}

impl Walker {
    /// Starts the outermost part.
    fn open(&mut self) -> Result<(), Refusal> {
        let value = |name: &str| {
            self.mail
                .raw(name)
                .map(|v| String::from_utf8_lossy(v).replace('\n', " "))
        };
        let (kind, encoding) = (value("Content-Type"), value("Content-Transfer-Encoding"));
        self.enter(kind.as_deref(), encoding.as_deref())
    }

    fn enter(&mut self, kind: Option<&str>, encoding: Option<&str>) -> Result<(), Refusal> {
        // A content type longer than this is an attack on the parser, not a description.
        let kind = kind.filter(|kind| kind.len() < 4096);
        let parsed = kind.map(mailparse::parse_content_type);
        let param = |name: &str| parsed.as_ref().and_then(|p| p.params.get(name).cloned());
        let mime = parsed
            .as_ref()
            .map_or("text/plain", |p| p.mimetype.as_str())
            .to_ascii_lowercase();
        let encoding = encoding.unwrap_or("").to_ascii_lowercase();
        let named_patch =
            param("name").is_some_and(|n| n.ends_with(".patch") || n.ends_with(".diff"));
        let texty = (mime.starts_with("text/") && mime != "text/html")
            || mime == "message/rfc822"
            || mime.starts_with("application/")
                && (mime.contains("patch") || mime.contains("diff") || named_patch);
        self.part = Part {
            encoding: match encoding.as_str() {
                e if e.contains("base64") => Encoding::Base64,
                e if e.contains("quoted-printable") => Encoding::Quoted,
                _ => Encoding::Identity,
            },
            charset: param("charset"),
            flowed: self.unflow
                && param("format").is_some_and(|f| f.eq_ignore_ascii_case("flowed")),
            delsp: param("delsp").is_some_and(|d| d.eq_ignore_ascii_case("yes")),
            skip: !texty,
            ..Part::default()
        };
        self.mail.flowed |= param("format").is_some_and(|f| f.eq_ignore_ascii_case("flowed"));
        if mime.starts_with("multipart/") {
            let boundary = param("boundary")
                .filter(|b| !b.is_empty())
                .ok_or(Refusal::Multipart("no boundary"))?;
            if self.stack.len() >= MAX_NESTING {
                return Err(Refusal::TooLarge {
                    what: "multiparts in each other",
                    limit: MAX_NESTING,
                });
            }
            self.stack.push(format!("--{boundary}").into_bytes());
            self.part.skip = true;
        }
        self.part.start = self.mail.body.len();
        self.mail
            .charsets
            .push((self.part.start, self.part.charset.clone()));
        Ok(())
    }

    fn walk(&mut self, lines: &Lines, mut at: usize) -> Result<(), Refusal> {
        while at < lines.len() {
            let line = lines.bare(at);
            at += 1;
            if let Some(after) = self
                .stack
                .last()
                .and_then(|b| line.strip_prefix(b.as_slice()))
            {
                self.close(lines.number(at - 1));
                if after.starts_with(b"--") {
                    self.stack.pop();
                    self.part = Part {
                        skip: true,
                        ..Part::default()
                    };
                    if self.stack.is_empty() {
                        return Ok(());
                    }
                } else {
                    let fields = headers(lines, &mut at);
                    let value = |name: &str| {
                        let field = fields
                            .iter()
                            .find(|(known, _)| known.eq_ignore_ascii_case(name));
                        field.map(|(_, value)| String::from_utf8_lossy(value).replace('\n', " "))
                    };
                    self.enter(
                        value("Content-Type").as_deref(),
                        value("Content-Transfer-Encoding").as_deref(),
                    )?;
                }
            } else if !self.part.skip {
                self.line(lines.get(at - 1), lines.number(at - 1));
            }
        }
        self.close(lines.number(lines.len()));
        Ok(())
    }

    fn line(&mut self, raw: &[u8], number: u32) {
        match self.part.encoding {
            Encoding::Identity if self.part.flowed => self.flow(raw, number),
            Encoding::Identity => self.mail.body.extend(raw, number),
            Encoding::Base64 => {
                let decoded = self.part.base64.feed(raw);
                self.mail.body.extend(&decoded, number);
            }
            Encoding::Quoted => {
                let decoded = transfer::quoted_printable(raw);
                if self.part.flowed {
                    self.held_quoted(&decoded, number);
                } else {
                    self.mail.body.extend(&decoded, number);
                }
            }
        }
    }

    /// Quoted-printable first, then the flow: soft breaks of the first are none of the second.
    fn held_quoted(&mut self, decoded: &[u8], number: u32) {
        for piece in decoded.split_inclusive(|&b| b == b'\n') {
            self.flow(piece, number);
        }
    }

    fn flow(&mut self, raw: &[u8], number: u32) {
        let line = raw.strip_suffix(b"\n").unwrap_or(raw);
        if line == b"-- " {
            self.flush(number);
            self.mail.body.extend(raw, number);
            return;
        }
        let line = line.strip_prefix(b" ").unwrap_or(line);
        if let Some(open) = line.strip_suffix(b" ") {
            self.held
                .extend_from_slice(if self.part.delsp { open } else { line });
            return;
        }
        let mut whole = std::mem::take(&mut self.held);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        self.mail.body.extend(&whole, number);
    }

    fn flush(&mut self, number: u32) {
        if !self.held.is_empty() {
            let mut whole = std::mem::take(&mut self.held);
            whole.push(b'\n');
            self.mail.body.extend(&whole, number);
        }
    }

    /// Ends the part: its last line gets its newline, and CRLF inside base64 or quoted-printable goes
    /// where all of its lines have it.
    fn close(&mut self, number: u32) {
        self.flush(number);
        let body = &mut self.mail.body;
        if !body.bytes().is_empty() && !body.bytes().ends_with(b"\n") {
            body.extend(b"\n", number);
        }
        let start = self.part.start;
        let coded = self.part.encoding != Encoding::Identity;
        let crlf = |at: usize| body.get(at).ends_with(b"\r\n");
        if coded
            && start < body.len()
            && (start..body.len().saturating_sub(1).max(start + 1)).all(crlf)
        {
            let mut out = Lines::default();
            for at in 0..body.len() {
                let line = body.get(at);
                match line.strip_suffix(b"\r\n").filter(|_| at >= start) {
                    Some(bare) => out.push(&[bare, b"\n"].concat(), body.number(at)),
                    None => out.push(line, body.number(at)),
                }
            }
            *body = out;
        }
    }
}
