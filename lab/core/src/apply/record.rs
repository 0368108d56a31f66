// SPDX-License-Identifier: MIT OR Apache-2.0
//! What applying left: `apply.json`, and the refusal when there is nothing to leave.

use super::report::Misfit;
use crate::series::Change;
use crate::text::harmless;
use serde::{Deserialize, Serialize};

/// Format of `apply.json`.
pub const APPLY_FORMAT: u32 = 1;

/// A series applied to a base, one commit a patch: `apply.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// [`APPLY_FORMAT`].
    pub format: u32,
    /// Name of the series.
    pub series: String,
    /// Version of the series.
    pub version: u32,
    /// Commit that it was applied to.
    pub base: String,
    /// Kernel version that the base's Makefile names.
    pub kernel: String,
    /// Where the refs are: `refs/lab/NAME/vN/KEY`; patch 7 is `…/0007`.
    pub refs: String,
    /// Commit of the last patch.
    pub tip: String,
    /// The patches, in order.
    pub patches: Vec<AppliedPatch>,
}

/// One patch as a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedPatch {
    /// Place in the series, from 1.
    pub number: u32,
    /// First line of the message.
    pub subject: String,
    /// The commit.
    pub commit: String,
    /// Its tree.
    pub tree: String,
    /// Stable patch-id of the mail's diff.
    pub patch_id: String,
    /// How it is known that the commit is what the mail says.
    pub proof: Proof,
    /// The files, in the order of the mail.
    pub files: Vec<AppliedFile>,
}

/// How it is known that a commit is what its mail says. Each also means that the commit changes the paths that
/// the mail names and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The commit's own diff has the mail's stable patch-id, and the mail taken back out of the new files gives the
    /// old ones byte for byte.
    PatchId,
    /// The mail taken back out of the new files gives the old ones byte for byte. The commit's own diff is cut into
    /// hunks in another way than the mail's, so its patch-id differs.
    Reverse,
    /// At least one file was merged over the blob that the mail was made from, without conflicts.
    Merge,
}

/// One file of a patch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedFile {
    /// Path after; before, for a deleted file.
    pub path: String,
    /// Path before, where it is another.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// What happened to it.
    pub change: Change,
    /// Lines by which each hunk moved.
    pub offsets: Vec<i64>,
    /// Merged over this blob instead of applied, so there are no offsets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub merged_over: Option<String>,
}

/// Why a series was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`APPLY_FORMAT`].
    pub format: u32,
    /// Commit that it was to be applied to.
    pub base: String,
    /// The patch, from 1.
    pub number: u32,
    /// Patches in the series.
    pub of: usize,
    /// Its subject.
    pub subject: String,
    /// Where it was read.
    pub source: String,
    /// The file at fault, if one is.
    pub file: Option<String>,
    /// What is wrong.
    pub reason: Reason,
    /// The nearest of the tree's recent tags to which the whole series applies.
    pub fits: Option<String>,
    /// How many tags were tried for `fits`.
    pub tried: usize,
}

/// What is wrong with a patch on a base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Reason {
    /// A hunk does not fit, and there was no merge.
    Conflict {
        /// Hunk and tree side by side.
        misfit: Misfit,
        /// Why there was no merge.
        merge: String,
    },
    /// A binary change does not fit.
    Binary {
        /// Why.
        why: String,
    },
    /// The base, or a patch before, already has all that this patch does.
    AlreadyApplied,
    /// The tree is not as the patch says: no such file, file exists, another mode.
    Tree {
        /// What and why.
        why: String,
    },
    /// It asks for what no honest patch does.
    Hostile {
        /// What and why.
        why: String,
    },
    /// It was applied, and the result is not what the mail says.
    Unproven {
        /// What differs.
        why: String,
    },
}

impl Refusal {
    /// For people: patch, file, hunk, what the tree has there, and what to try next. Harmless on a terminal.
    pub fn text(&self) -> String {
        let mut out = format!(
            "patch {}/{} does not apply to {}: {}\n",
            self.number,
            self.of,
            self.base.get(..12).unwrap_or(&self.base),
            harmless(&self.subject)
        );
        let mut line = |text: String| {
            out.push_str("  ");
            out.push_str(&harmless(&text));
            out.push('\n');
        };
        line(format!("read from {}", self.source));
        if let (Some(file), Reason::Conflict { .. } | Reason::Binary { .. }) =
            (&self.file, &self.reason)
        {
            line(format!("file {file}"));
        }
        for text in self.reason.lines(self.file.as_deref()) {
            line(text);
        }
        match (&self.fits, self.tried) {
            (Some(tag), _) => line(format!(
                "the whole series applies to {tag}: try --base {tag}"
            )),
            (None, 0) => {}
            (None, tried) => line(format!(
                "it applies to none of the tree's {tried} most recent tags either"
            )),
        }
        out
    }
}

impl Reason {
    fn lines(&self, file: Option<&str>) -> Vec<String> {
        let subject = file.unwrap_or("it");
        match self {
            Reason::Conflict { misfit, merge } => misfit.lines(merge),
            Reason::Binary { why } => vec![format!("binary change: {why}")],
            Reason::AlreadyApplied => vec![
                "already applied: all that it does is in the tree; take it out of the series, \
                 or name an older base"
                    .to_owned(),
            ],
            Reason::Tree { why } => vec![format!("{subject} {why}")],
            Reason::Hostile { why } => vec![format!("refused: {subject}: {why}")],
            Reason::Unproven { why } => {
                vec![format!(
                    "the result is not what the mail says: {subject}: {why}"
                )]
            }
        }
    }
}

impl Misfit {
    fn lines(&self, merge: &str) -> Vec<String> {
        let mut out = vec![
            format!(
                "hunk {} (line {}): {}",
                self.hunk, self.source_line, self.header
            ),
            format!("  {}; {merge}", self.reason),
            "  the patch wants:".to_owned(),
        ];
        out.extend(self.wants.iter().map(|line| format!("    |{line}")));
        out.push(format!(
            "  the tree has, at line {} ({} of {} lines alike):",
            self.line, self.alike.0, self.alike.1
        ));
        out.extend(self.has.iter().map(|line| format!("    |{line}")));
        out
    }
}
