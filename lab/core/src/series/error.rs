// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a series was refused, where, and what to try.

use crate::text::harmless;
use thiserror::Error;

/// A refusal: the place in the source and the reason. As text it is one line, and harmless on a terminal, whatever the
/// mail holds.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{}: {}", harmless(place), line.map(|n| format!(":{n}")).unwrap_or_default(), harmless(&reason.to_string()))]
pub struct SeriesError {
    /// What was read: a file, or a message in an mbox.
    pub place: String,
    /// Line in the source, from 1, where it is known.
    pub line: Option<u32>,
    /// What is wrong there.
    pub reason: Refusal,
}

impl SeriesError {
    /// A refusal of a whole source.
    pub fn new(place: impl Into<String>, reason: Refusal) -> Self {
        Self {
            place: place.into(),
            line: None,
            reason,
        }
    }
    /// A refusal at a line.
    pub fn at(place: impl Into<String>, line: u32, reason: Refusal) -> Self {
        Self {
            place: place.into(),
            line: Some(line),
            reason,
        }
    }
    /// What to try next.
    pub fn hint(&self) -> Option<&'static str> {
        self.reason.hint()
    }
}

/// What is wrong with a series.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is nothing to apply.
    #[error("no patch in it")]
    Empty,
    /// A limit of [`super::limits`].
    #[error("too large: {what} over the limit of {limit}")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The named limit.
        limit: usize,
    },
    /// Numbers of the series that no mail carries.
    #[error("patches missing: {} of {total} (v{version})", list(missing))]
    Missing {
        /// The version that was chosen.
        version: u32,
        /// The numbers.
        missing: Vec<u32>,
        /// How many there should be.
        total: u32,
    },
    /// Two different mails for one place.
    #[error("two different patches claim {number}/{total} (v{version}): {first} and {second}")]
    Clash {
        /// The version.
        version: u32,
        /// The place.
        number: u32,
        /// How many there are.
        total: u32,
        /// Where the first stands.
        first: String,
        /// Where the second stands.
        second: String,
    },
    /// Mails of one version that do not agree on how many there are, or mix numbered and unnumbered.
    #[error("more than one series of version {version} in it: {what}")]
    Mixed {
        /// The version.
        version: u32,
        /// What differs.
        what: String,
    },
    /// The version asked for is not there.
    #[error("version {wanted} is not in it; there are: {}", list(present))]
    NoVersion {
        /// The one asked for.
        wanted: u32,
        /// Those that are there.
        present: Vec<u32>,
    },
    /// A header that a patch needs.
    #[error("mail without a usable `{0}:` header")]
    Header(&'static str),
    /// Bytes that no patch mail has.
    #[error("{0} holds a NUL byte")]
    Nul(&'static str),
    /// Text in no known encoding.
    #[error("cannot decode {what} as `{charset}`")]
    Charset {
        /// Header or message.
        what: &'static str,
        /// The declared name.
        charset: String,
    },
    /// Multipart without its parts.
    #[error("broken multipart mail: {0}")]
    Multipart(&'static str),
    /// A path that may not be written.
    #[error("path {path:?} is refused: {why}")]
    Path {
        /// As the patch has it (lossy).
        path: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A diff that cannot be read.
    #[error("broken diff: {0}")]
    Diff(String),
    /// A diff broken by a mail program.
    #[error(
        "broken diff: {0}; the mail is format=flowed, so its sender's mail program has likely rewrapped it"
    )]
    Flowed(String),
    /// `Binary files differ`: the content was not sent.
    #[error("binary change of {0} without its content")]
    BinaryOmitted(String),
    /// A `GIT binary patch` that cannot be read.
    #[error("broken binary patch: {0}")]
    Binary(&'static str),
    /// A quilt series file that cannot be followed.
    #[error("quilt series: {0}")]
    Quilt(String),
}

impl Refusal {
    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Refusal::Missing { .. } => {
                "save the whole thread as one mbox, or add the missing mails"
            }
            Refusal::Clash { .. } | Refusal::Mixed { .. } => {
                "keep one posting of the series in the mbox, or pick one with --version"
            }
            Refusal::NoVersion { .. } => {
                "pick one of these with --version, or leave the option out for the newest"
            }
            Refusal::BinaryOmitted(_) => "make the patch with `git format-patch --binary`",
            Refusal::Flowed(_) => {
                "ask for a resend with git send-email, or take the series from a git branch"
            }
            Refusal::Diff(_) => {
                "compare with the mail's raw text: it may have been wrapped or edited by hand"
            }
            Refusal::Empty => {
                "give an mbox, a folder of *.patch files, a quilt folder with its series file, or REV..REV"
            }
            _ => return None,
        })
    }
}

/// Numbers for people: `2, 5-7`.
fn list(numbers: &[u32]) -> String {
    let mut out: Vec<(u32, u32)> = Vec::new();
    for &n in numbers {
        match out.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(n) => *last = n,
            _ => out.push((n, n)),
        }
    }
    let words: Vec<String> = out
        .into_iter()
        .map(|(a, b)| match b - a {
            0 => a.to_string(),
            1 => format!("{a}, {b}"),
            _ => format!("{a}-{b}"),
        })
        .collect();
    words.join(", ")
}
