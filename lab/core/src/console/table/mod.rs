// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel's reports look like: ordered tables, one file a family. The first format that fits a line wins, so the
//! special stands before the general.

mod atomic;
mod boot;
mod data;
mod filesystem;
mod hang;
mod lockdep;
mod memory;
mod oops;
mod panic;
mod program;
mod rcu;
mod sanitizer;
mod warn;

use crate::finding::{Class, Weight};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind, packed};
use std::sync::LazyLock;

/// Where in a line the head may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// At the beginning, or after the name of the watchdog, of RCU, or an old report's bracket.
    Start,
    /// Anywhere.
    Anywhere,
}

/// What a head does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It begins a report.
    Opens,
    /// It begins a report, and the trap that carries it (`WARNING: … at`, `kernel BUG at`) comes after it.
    OpensBeforeTrap,
    /// A trap: part of the report that announced it, else a report.
    Trap,
    /// A line of an open report; a report by itself only if there is none.
    Follows,
    /// What a report leads to (`Kernel panic - not syncing: panic_on_warn set`): a report only if the boot had none.
    Consequence,
    /// `------------[ cut here ]------------`: the next head's report begins here.
    Cut,
    /// The kernel's first line.
    Banner,
    /// The firmware's first line.
    Firmware,
}

/// Where the function that matters stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The head names it after these words; else the stack.
    Head(&'static str),
    /// At the instruction pointer, else below it in the stack.
    Pointer,
    /// In the stack of the report.
    Stack,
    /// In the stack of a task that waits: whom it waits in.
    Wait,
    /// After the first `at:` of a lock, else in the stack.
    LockAt,
    /// Where the first held lock was taken, else in the stack.
    HeldAt,
    /// In the first stack that is told aside: who registered the other side, else in the stack.
    Aside,
    /// Where the looping code was entered: the function that was called by the first dispatcher in the stack.
    Entry,
    /// Nowhere: the head says all.
    Nowhere,
}

/// One format of one head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    /// The words that announce it.
    pub(super) head: &'static str,
    /// Where they stand.
    pub(super) place: Place,
    /// Words that must stand in the line, too.
    pub(super) also: &'static str,
    /// Words that make the line innocent.
    pub(super) unless: &'static [&'static str],
    /// The kind of trouble.
    pub(super) class: Class,
    /// Title: `{func}`, `{kind}` (from the head to ` in `), `{access}` (Read, Write), `{rest}` (what follows the head).
    pub(super) title: &'static str,
    /// Other titles of the same bug.
    pub(super) alt: &'static [&'static str],
    /// Where the function stands.
    pub(super) source: Source,
    /// Functions that only carry the message.
    pub(super) skip: &'static [super::skip::Names],
    /// What the head does.
    pub(super) role: Role,
    /// How much it weighs.
    pub(super) weight: Weight,
    /// The report's identity is in its locks.
    pub(super) by_locks: bool,
}

impl Format {
    const fn new(head: &'static str, class: Class, title: &'static str) -> Self {
        Self {
            head,
            place: Place::Start,
            also: "",
            unless: &[],
            class,
            title,
            alt: &[],
            source: Source::Stack,
            skip: &[super::skip::MESSENGERS],
            role: Role::Opens,
            weight: Weight::Finding,
            by_locks: false,
        }
    }
    const fn anywhere(mut self) -> Self {
        self.place = Place::Anywhere;
        self
    }
    const fn also(mut self, also: &'static str) -> Self {
        self.also = also;
        self
    }
    const fn unless(mut self, unless: &'static [&'static str]) -> Self {
        self.unless = unless;
        self
    }
    const fn alt(mut self, alt: &'static [&'static str]) -> Self {
        self.alt = alt;
        self
    }
    const fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }
    const fn skip(mut self, skip: &'static [super::skip::Names]) -> Self {
        self.skip = skip;
        self
    }
    const fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }
    const fn suspicion(mut self) -> Self {
        self.weight = Weight::Suspicion;
        self
    }
    const fn by_locks(mut self) -> Self {
        self.by_locks = true;
        self
    }
    /// Whether the report brings a stack: without one it is torn.
    pub(super) fn has_stack(&self) -> bool {
        self.source != Source::Nowhere
    }
}

/// All families in order.
const FAMILIES: [&[Format]; 13] = [
    boot::FORMATS,
    sanitizer::FORMATS,
    lockdep::FORMATS,
    rcu::FORMATS,
    hang::FORMATS,
    atomic::FORMATS,
    data::FORMATS,
    memory::FORMATS,
    filesystem::FORMATS,
    oops::FORMATS,
    panic::FORMATS,
    program::FORMATS,
    warn::FORMATS,
];

/// Words of 64 bits in which each format has one.
const UNFIT: usize = 4;

/// A head found in a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    /// Its format.
    pub(super) format: &'static Format,
    /// Where the words after the head begin.
    pub(super) after: usize,
}

/// The search for heads, made once.
pub(super) struct Matcher {
    formats: Vec<&'static Format>,
    /// For each head: its formats, as indices in order.
    by_head: Vec<Vec<usize>>,
    lines: AhoCorasick,
    chunks: Option<packed::Searcher>,
}

/// The one matcher.
pub(super) static MATCHER: LazyLock<Option<Matcher>> = LazyLock::new(Matcher::new);

impl Matcher {
    fn new() -> Option<Self> {
        let formats: Vec<&'static Format> =
            FAMILIES.iter().flat_map(|family| family.iter()).collect();
        let mut heads: Vec<&str> = formats.iter().map(|format| format.head).collect();
        heads.sort_unstable();
        heads.dedup();
        let by_head = heads
            .iter()
            .map(|head| {
                (0..formats.len())
                    .filter(|index| formats[*index].head == *head)
                    .collect()
            })
            .collect();
        let lines = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&heads)
            .ok()?;
        let chunks = packed::Config::new()
            .builder()
            .extend(anchors(&heads))
            .build();
        Some(Self {
            formats,
            by_head,
            lines,
            chunks,
        })
    }

    /// Where the first head in `bytes` may be, in time far under a nanosecond a byte.
    pub(super) fn candidate(&self, bytes: &[u8], quick: bool) -> Option<usize> {
        match &self.chunks {
            Some(packed) if quick && bytes.len() >= packed.minimum_len() => {
                packed.find(bytes).map(|found| found.start())
            }
            _ => self.lines.find(bytes).map(|found| found.start()),
        }
    }

    /// Whether a whole head stands in `bytes`.
    pub(super) fn has_head(&self, bytes: &[u8]) -> bool {
        self.lines.is_match(bytes)
    }

    /// The first format that fits `text`.
    pub(super) fn hit(&self, text: &[u8]) -> Option<Hit> {
        let mut best: Option<(usize, Hit)> = None;
        // What else must stand in the line is looked for once a format, however often its head stands there.
        let mut unfit = [0_u64; UNFIT];
        for found in self.lines.find_overlapping_iter(text) {
            for &index in &self.by_head[found.pattern().as_usize()] {
                if best.as_ref().is_some_and(|(before, _)| *before <= index) {
                    break;
                }
                let format = self.formats[index];
                let (word, bit) = (index / 64, 1 << (index % 64));
                if unfit[word] & bit != 0 || !stands(format, text, found.start()) {
                    continue;
                }
                if !fits(format, text) {
                    unfit[word] |= bit;
                } else {
                    best = Some((
                        index,
                        Hit {
                            format,
                            after: found.end(),
                        },
                    ));
                    break;
                }
            }
        }
        best.map(|(_, hit)| hit)
    }
}

/// Few words that between them stand in every head: the fewer, the faster the search, and none shorter than three bytes, since
/// the shortest says how many bytes at a time are compared.
fn anchors(heads: &[&str]) -> Vec<&'static str> {
    const SHORT: &[&str] = &[
        "BUG",
        "INFO: ",
        "WARNING: ",
        "panic",
        "fault",
        "UBSAN",
        "KASAN",
        "refcount_t",
        "list_",
        "etected",
        "suspicious",
        "nable to handle kernel ",
        "stack ",
        "divide",
        "XFS (",
        "NFS: ",
        "(device ",
        "corrupt",
    ];
    let mut anchors: Vec<&'static str> = SHORT.to_vec();
    for format in FAMILIES.iter().flat_map(|family| family.iter()) {
        // A line must hold the other words of its format as well.
        let anchored = |anchor: &&str| format.head.contains(anchor) || format.also.contains(anchor);
        if heads.contains(&format.head) && !anchors.iter().any(anchored) {
            anchors.push(format.head);
        }
    }
    anchors
}

/// What may stand before a head that begins a line.
const BEFORE: &[&str] = &[
    "",
    "[ ",
    "watchdog: ",
    "NMI watchdog: ",
    "rcu: ",
    "Oops: ",
    "kernel: ",
    "stack-protector: ",
    "traps: ",
    "kernel: traps: ",
    "rcu: rcu: ",
];

/// Whether the head stands where it must.
fn stands(format: &Format, text: &[u8], at: usize) -> bool {
    format.place == Place::Anywhere
        || (at <= 24 && BEFORE.iter().any(|before| before.as_bytes() == &text[..at]))
}

/// Whether the rest of the line is as it must be.
fn fits(format: &Format, text: &[u8]) -> bool {
    let has = |words: &str| memchr::memmem::find(text, words.as_bytes()).is_some();
    (format.also.is_empty() || has(format.also)) && !format.unless.iter().any(|words| has(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_bit_and_every_head_its_anchor() {
        let matcher = MATCHER.as_ref().unwrap();
        assert!(matcher.formats.len() <= 64 * UNFIT);
        // Beyond some number of anchors there is no quick search for them.
        assert!(matcher.chunks.is_some());
        for format in &matcher.formats {
            let text = format!("x\n{}{}\n", format.head, format.also);
            for quick in [false, true] {
                let padded = format!("{}{text}", " ".repeat(64));
                let found = matcher.candidate(padded.as_bytes(), quick);
                assert!(
                    found.is_some_and(|at| at >= 66),
                    "{:?} {found:?}",
                    format.head
                );
            }
        }
    }
}
