// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file of the series' own tree: its lines, and who among the patches wrote or changed what a frame stands in.

use super::touch::Touches;

/// Longest source line that is shown, characters.
const LONGEST: usize = 160;
/// Lines of a declaration before its body.
const DECLARATION: usize = 40;

/// What the series did to the place of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Patches wrote this very line.
    Line(Vec<u32>),
    /// Patches changed the function that it stands in.
    Function(Vec<u32>),
}

impl Mark {
    /// For people: `line of patch 3`, `patch 3 changes this function`.
    pub fn text(&self) -> String {
        match self {
            Mark::Line(patches) => format!("line of {}", numbered(patches)),
            Mark::Function(patches) => {
                let verb = if patches.len() == 1 {
                    "changes"
                } else {
                    "change"
                };
                format!("{} {verb} this function", numbered(patches))
            }
        }
    }
}

fn numbered(patches: &[u32]) -> String {
    let all: Vec<String> = patches.iter().map(u32::to_string).collect();
    let word = if all.len() == 1 { "patch" } else { "patches" };
    format!("{word} {}", all.join(", "))
}

/// A source file at the commit that was booted.
#[derive(Debug, Clone, Default)]
pub struct Source {
    lines: Vec<String>,
    touches: Touches,
}

impl Source {
    /// A file's text with what the series did to it.
    pub fn new(text: &[u8], touches: Touches) -> Self {
        let text = String::from_utf8_lossy(text);
        Self {
            lines: text.lines().map(str::to_owned).collect(),
            touches,
        }
    }

    fn get(&self, line: u32) -> Option<&str> {
        let index = (line as usize).checked_sub(1)?;
        self.lines.get(index).map(String::as_str)
    }

    /// A line without the blanks at its ends; `None` if there is no such line or it is empty.
    pub fn line(&self, line: u32) -> Option<String> {
        let text = self.get(line)?.trim();
        (!text.is_empty()).then(|| text.chars().take(LONGEST).collect())
    }

    /// What the series did there.
    pub fn mark(&self, line: u32) -> Option<Mark> {
        let exact = self.touches.line(line);
        if !exact.is_empty() {
            return Some(Mark::Line(exact));
        }
        let (first, last) = self.function(line)?;
        let within = self.touches.within(first, last);
        (!within.is_empty()).then_some(Mark::Function(within))
    }

    /// First and last line of the function that a line stands in, by the kernel's coding style: a body ends with a brace
    /// in the first column, and a declaration begins after an empty line, a directive, or another body's end.
    pub fn function(&self, line: u32) -> Option<(u32, u32)> {
        let here = self.get(line)?;
        if one_liner(here) {
            return Some((line, line));
        }
        let open = (1..=line)
            .rev()
            .take_while(|n| *n == line || !self.at(*n).starts_with('}'))
            .find(|n| self.at(*n).starts_with('{') || opens(self.at(*n)))
            // The declaration itself: its body opens below.
            .or_else(|| {
                (line..)
                    .take(DECLARATION)
                    .map_while(|n| Some((n, self.get(n)?)))
                    .take_while(|(_, text)| !text.trim().is_empty() && !text.starts_with('}'))
                    .find(|(_, text)| text.starts_with('{') || opens(text))
                    .map(|(n, _)| n)
            })?;
        let close = (open..)
            .map_while(|n| Some((n, self.get(n)?)))
            .find(|(n, text)| *n > open && text.starts_with('}'))?
            .0;
        if close < line {
            return None;
        }
        let first = (1..open)
            .rev()
            .take(DECLARATION)
            .take_while(|n| declares(self.at(*n)))
            .last()
            .unwrap_or(open);
        Some((first, close))
    }

    fn at(&self, line: u32) -> &str {
        self.get(line).unwrap_or("")
    }
}

/// `static inline int f(void) { return 0; }`
fn one_liner(text: &str) -> bool {
    starts_word(text) && text.contains(") {") && text.trim_end().ends_with('}')
}

/// `struct x { …` and `static int f(void) {` open a body on the line of their name.
fn opens(text: &str) -> bool {
    starts_word(text) && text.trim_end().ends_with('{')
}

fn starts_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// May this line be part of a declaration whose body opens below it?
fn declares(text: &str) -> bool {
    let end = text.trim_end();
    !(end.is_empty()
        || text.starts_with(['}', '#', '{'])
        || end.ends_with(';')
        || end.ends_with("*/")
        || text.starts_with("/*")
        || text.starts_with(" *"))
}
