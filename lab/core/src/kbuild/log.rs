// SPDX-License-Identifier: MIT OR Apache-2.0
//! What make prints while it builds a kernel: progress, warnings, and the first error in the words of whoever
//! made it. Wants the output of one target together (`make --output-sync=target`).

mod line;

use crate::job::Diagnostic;
use line::{Line, Tool};
use std::collections::BTreeMap;

/// Lines kept around a diagnostic.
const CONTEXT_LINES: usize = 12;
/// Warnings kept of one build.
const WARNINGS_MAX: usize = 2000;
/// Lines of an error's environment that make prints before it («In file included from …»).
const LEAD_LINES: usize = 4;

/// Why make failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The code, its Makefiles or its Kconfig files.
    Code(Diagnostic),
    /// The host: disk or memory full, a tool or header that is not installed, the sandbox.
    Rig(String),
}

/// What a whole output came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Objects compiled, assembled, linked or archived.
    pub objects: u32,
    /// For each target that was made, the warnings of making it.
    pub warnings: BTreeMap<String, Vec<Diagnostic>>,
    /// The first real error.
    pub failure: Option<Failure>,
}

/// Reads make's output line by line.
#[derive(Debug)]
pub struct LogReader {
    roots: Vec<String>,
    summary: Summary,
    warnings: usize,
    target: String,
    error: Option<(u8, Diagnostic)>,
    rig: Option<String>,
    lead: Vec<String>,
    /// Where lines of context go while a diagnostic is open.
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Open {
    Error,
    Warning,
}

impl LogReader {
    /// `roots` are the ways in which make may spell the source folder; they are cut off file names.
    pub fn new(roots: &[&str]) -> Self {
        let with_slash = |root: &&str| format!("{}/", root.trim_end_matches('/'));
        Self {
            roots: roots.iter().map(with_slash).collect(),
            summary: Summary::default(),
            warnings: 0,
            target: String::new(),
            error: None,
            rig: None,
            lead: Vec::new(),
            open: None,
        }
    }

    /// Objects made so far.
    pub fn objects(&self) -> u32 {
        self.summary.objects
    }

    /// What was made last.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Takes one line, without its newline.
    pub fn line(&mut self, raw: &str) {
        let text = line::printable(raw);
        match line::read(&text) {
            Line::Step { counts, target } => {
                self.summary.objects += u32::from(counts);
                target.clone_into(&mut self.target);
                if counts {
                    self.summary.warnings.entry(target.to_owned()).or_default();
                }
                self.lead.clear();
                self.open = None;
            }
            Line::Rig(words) => {
                self.rig.get_or_insert_with(|| words.to_owned());
            }
            Line::Error(rank, found) => self.error(rank, &found, &text),
            Line::Warning(found) => self.warning(&found, &text),
            Line::Lead => self.lead(text),
            Line::Other => self.context(text),
        }
    }

    /// The end of the output.
    pub fn finish(mut self) -> Summary {
        let rig = self.rig.take().map(Failure::Rig);
        let code = self
            .error
            .take()
            .map(|(_, diagnostic)| Failure::Code(diagnostic));
        self.summary.failure = rig.or(code);
        self.summary.warnings.values_mut().for_each(Vec::dedup);
        self.summary
    }

    fn error(&mut self, rank: u8, found: &Tool<'_>, text: &str) {
        if let Some(words) = line::missing_on_host(found) {
            self.rig.get_or_insert(words);
        }
        self.open = None;
        if self.error.as_ref().is_none_or(|(best, _)| rank < *best) {
            let diagnostic = self.diagnostic(found, text);
            self.error = Some((rank, diagnostic));
            self.open = Some(Open::Error);
        }
        self.lead.clear();
    }

    fn warning(&mut self, found: &Tool<'_>, text: &str) {
        self.open = None;
        if self.warnings < WARNINGS_MAX {
            self.warnings += 1;
            let diagnostic = self.diagnostic(found, text);
            let of_target = self.summary.warnings.entry(self.target.clone());
            of_target.or_default().push(diagnostic);
            self.open = Some(Open::Warning);
        }
        self.lead.clear();
    }

    fn diagnostic(&self, found: &Tool<'_>, text: &str) -> Diagnostic {
        let mut context = self.lead.clone();
        context.push(text.to_owned());
        Diagnostic {
            file: found.file.map(|file| self.relative(file)),
            line: found.line,
            message: found.message.to_owned(),
            context,
        }
    }

    /// The file as the tree knows it.
    fn relative(&self, file: &str) -> String {
        let cut = self.roots.iter().find_map(|root| file.strip_prefix(root));
        cut.unwrap_or(file).trim_start_matches("./").to_owned()
    }

    fn lead(&mut self, text: String) {
        self.open = None;
        if self.lead.len() == LEAD_LINES {
            self.lead.remove(0);
        }
        self.lead.push(text);
    }

    fn context(&mut self, text: String) {
        let diagnostic = match self.open {
            Some(Open::Error) => self.error.as_mut().map(|(_, diagnostic)| diagnostic),
            Some(Open::Warning) => self
                .summary
                .warnings
                .get_mut(&self.target)
                .and_then(|list| list.last_mut()),
            None => None,
        };
        if let Some(diagnostic) = diagnostic
            && diagnostic.context.len() < CONTEXT_LINES
        {
            diagnostic.context.push(text);
        }
    }
}

#[cfg(test)]
mod tests;
