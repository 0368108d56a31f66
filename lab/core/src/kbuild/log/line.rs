// SPDX-License-Identifier: MIT OR Apache-2.0
//! One line of make's output: which tool speaks, and what of.

/// Longest line kept, in characters.
const LINE_MAX: usize = 400;

/// Steps that count as objects.
const OBJECT_STEPS: &[&str] = &["CC", "AS", "LD", "AR", "HOSTCC", "HOSTLD", "HOSTCXX"];

/// How lines end when the host is at fault.
const RIG_ENDS: &[&str] = &[
    ": No space left on device",
    ": Disk quota exceeded",
    ": Cannot allocate memory",
    ": Input/output error",
    ": Too many open files",
    ": File too large",
];

/// Headers that come with the host's packages, not with the kernel.
const HOST_HEADERS: &[&str] = &[
    "openssl/",
    "gelf.h",
    "libelf.h",
    "elfutils/",
    "gmp.h",
    "mpc.h",
];

/// A diagnostic, borrowed from its line.
#[derive(Debug, PartialEq)]
pub(super) struct Tool<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
    pub(super) message: &'a str,
}

/// What a line is.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// `  CC      fs/dcache.o`
    Step {
        counts: bool,
        target: &'a str,
    },
    /// An error; a lower rank tells more.
    Error(u8, Tool<'a>),
    Warning(Tool<'a>),
    /// What compiler and linker print before the diagnostic itself.
    Lead,
    /// The host is at fault, in these words.
    Rig(&'a str),
    Other,
}

/// The line without control characters, and not too long.
pub(super) fn printable(raw: &str) -> String {
    raw.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|c| !c.is_control())
        .take(LINE_MAX)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

pub(super) fn read(text: &str) -> Line<'_> {
    if let Some(step) = step(text) {
        return step;
    }
    if is_rig(text) {
        return Line::Rig(text);
    }
    if is_lead(text) {
        return Line::Lead;
    }
    compiler(text)
        .or_else(|| linker(text))
        .or_else(|| make(text))
        .or_else(|| kconfig(text))
        .unwrap_or(Line::Other)
}

/// A header or library that the host lacks, told with what to do.
pub(super) fn missing_on_host(found: &Tool<'_>) -> Option<String> {
    let header = found.message.strip_suffix(": No such file or directory")?;
    let hosts = HOST_HEADERS.iter().any(|known| header.starts_with(known));
    hosts.then(|| format!("the host lacks the C header {header}; `lab doctor` names the package"))
}

fn step(text: &str) -> Option<Line<'_>> {
    let body = text
        .strip_prefix("  ")
        .filter(|body| !body.starts_with(' '))?;
    let (tag, rest) = body.split_once(' ')?;
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let target = rest.trim_start().trim_start_matches("[M]").trim();
    if tag.len() < 2 || !tag.chars().all(upper) || target.is_empty() {
        return None;
    }
    let counts = OBJECT_STEPS.contains(&tag);
    Some(Line::Step { counts, target })
}

fn is_rig(text: &str) -> bool {
    let not_installed = text.starts_with("/bin/sh: ") || text.starts_with("make: ");
    RIG_ENDS.iter().any(|end| text.ends_with(end))
        || text.starts_with("bwrap: ")
        || text.starts_with("ccache: error: ")
        || (text.contains("fatal error: Killed signal terminated program"))
        || (not_installed && text.ends_with(": not found"))
}

fn is_lead(text: &str) -> bool {
    let linker = text.contains(": in function `") && text.ends_with("':");
    linker
        || text.starts_with("In file included from ")
        || text.trim_start().starts_with("from ")
        || (text.ends_with(':')
            && (text.contains(": In function ") || text.ends_with("At top level:")))
}

/// gcc, clang and gas: `file:line:column: error: words`, objtool: `file.o: warning: objtool: words`.
fn compiler(text: &str) -> Option<Line<'_>> {
    const MARKS: &[(&str, bool)] = &[
        (": fatal error: ", true),
        (": error: ", true),
        (": Error: ", true),
        (": warning: ", false),
        (": Warning: ", false),
    ];
    let (at, mark, is_error) = MARKS
        .iter()
        .filter_map(|(mark, is_error)| Some((text.find(mark)?, *mark, *is_error)))
        .min_by_key(|(at, ..)| *at)?;
    let place = &text[..at];
    let (file, line) = position(place);
    // `make: warning: …` and `ld: warning: …` speak of no source file.
    if !file.contains(['.', '/']) {
        return None;
    }
    let tool = Tool {
        file: Some(file),
        line,
        message: &text[at + mark.len()..],
    };
    Some(match is_error {
        true => Line::Error(0, tool),
        false => Line::Warning(tool),
    })
}

/// `file:12:3` into file and line.
fn position(place: &str) -> (&str, Option<u32>) {
    let mut parts = place.splitn(3, ':');
    let file = parts.next().unwrap_or(place);
    (file, parts.next().and_then(|line| line.parse().ok()))
}

/// ld and modpost: `file.c:12: undefined reference to …`, `ERROR: modpost: …`.
fn linker(text: &str) -> Option<Line<'_>> {
    if let Some(message) = text.strip_prefix("ERROR: ") {
        let tool = Tool {
            file: None,
            line: None,
            message,
        };
        return Some(Line::Error(0, tool));
    }
    const WORDS: &[&str] = &[
        "undefined reference to ",
        "multiple definition of ",
        "undefined symbol: ",
    ];
    let at = WORDS.iter().filter_map(|words| text.find(words)).min()?;
    let place = text[..at].trim_end_matches([':', ' ']);
    let place = place.rsplit("ld: ").next().unwrap_or(place);
    // Without debug information the place is `dcache.c:(.text+0x12)`: a base name and no line.
    let (file, line) = position(place);
    let tool = Tool {
        file: Some(file).filter(|file| !file.is_empty()),
        line,
        message: &text[at..],
    };
    Some(Line::Error(0, tool))
}

/// make itself: `make[3]: *** …`, `fs/Makefile:12: *** …`.
fn make(text: &str) -> Option<Line<'_>> {
    let (place, message) = text.split_once(": *** ")?;
    if !place.starts_with("make") || place.contains('/') {
        let (file, line) = position(place);
        let tool = Tool {
            file: Some(file),
            line,
            message,
        };
        return Some(Line::Error(1, tool));
    }
    let tool = Tool {
        file: None,
        line: None,
        message,
    };
    Some(match message.starts_with('[') {
        true => Line::Error(3, tool),
        false => Line::Error(1, tool),
    })
}

/// `fs/Kconfig:12: syntax error`, `fs/Kconfig:12:error: …`, `fs/Kconfig:12:warning: …`.
fn kconfig(text: &str) -> Option<Line<'_>> {
    let (file, rest) = text.split_once(':')?;
    let base = file.rsplit('/').next()?;
    let (line, message) = rest.split_once(':')?;
    let line = line.parse().ok()?;
    if !base.starts_with("Kconfig") {
        return None;
    }
    let message = message.trim_start();
    let tool = |message| Tool {
        file: Some(file),
        line: Some(line),
        message,
    };
    Some(match message.strip_prefix("warning:") {
        Some(message) => Line::Warning(tool(message.trim_start())),
        None => Line::Error(0, tool(message)),
    })
}
