// SPDX-License-Identifier: MIT OR Apache-2.0
//! An excerpt of a console with the source behind its stacks.

use super::source::Source;
use super::spot::{Kind, Spot, spots};
use super::vmlinux::{Frame, Resolved, Resolver};
use crate::console::printable;
use std::collections::{BTreeMap, BTreeSet};

/// A line of console, and what the places in it stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The line.
    pub line: String,
    /// Its places that the kernel knows, in order.
    pub places: Vec<(Spot, Resolved)>,
}

impl Decoded {
    /// Frames of the stack that this line tells for certain, innermost first.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.places
            .iter()
            .filter(|(spot, _)| spot.kind != Kind::Guess)
            .flat_map(|(_, resolved)| &resolved.frames)
    }
}

/// Files of the tree by their paths in it.
pub type Sources = BTreeMap<String, Source>;

/// A line of a decoded excerpt. All of them are fit for a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// A line that the console has, with file and line behind each place.
    Console(String),
    /// An inlined frame, which has no line of its own there.
    Inlined(String),
    /// The line of source of the frame above.
    Source(String),
}

impl Out {
    /// Its words.
    pub fn text(&self) -> &str {
        match self {
            Out::Console(text) | Out::Inlined(text) | Out::Source(text) => text,
        }
    }

    /// Whether it names patches of the series.
    pub fn is_marked(&self) -> bool {
        self.text().contains(" «")
    }
}

/// Resolves all places in the lines of one report.
pub fn decode(lines: &[String], kernel: &Resolver<'_>) -> Vec<Decoded> {
    let all: Vec<Vec<Spot>> = lines.iter().map(|line| spots(line)).collect();
    // A trap leaves the address of its instruction on the stack, where the unwinder meets it again.
    let pointers: BTreeSet<(String, u64)> = (all.iter().flatten())
        .filter(|spot| spot.kind == Kind::Pointer)
        .map(|spot| (spot.symbol.clone(), spot.offset))
        .collect();
    let resolved = |spot: Spot| {
        let exact = pointers.contains(&(spot.symbol.clone(), spot.offset));
        let resolved = kernel.resolve(&spot, exact)?;
        Some((spot, resolved))
    };
    lines
        .iter()
        .zip(all)
        .map(|(line, spots)| Decoded {
            line: line.clone(),
            places: spots.into_iter().filter_map(resolved).collect(),
        })
        .collect()
}

/// The excerpt as text: file and line behind each place, inlined frames above it, and the source below it, each line of
/// source once.
pub fn render(decoded: &[Decoded], sources: &Sources) -> Vec<Out> {
    let mut page = Page {
        sources,
        shown: BTreeSet::new(),
        out: Vec::new(),
    };
    decoded.iter().for_each(|line| page.line(line));
    page.out
}

struct Page<'a> {
    sources: &'a Sources,
    /// Lines of source that are on the page.
    shown: BTreeSet<(&'a str, u32)>,
    out: Vec<Out>,
}

impl<'a> Page<'a> {
    fn line(&mut self, decoded: &'a Decoded) {
        let mut text = String::new();
        let mut done = 0;
        let mut below = Vec::new();
        for (spot, resolved) in &decoded.places {
            text += &decoded.line[done..spot.at.end];
            done = spot.at.end;
            let Some((outer, inlined)) = resolved.frames.split_last() else {
                continue;
            };
            let Some(column) = column(&decoded.line, spot) else {
                // A place within a sentence (where a lock was taken): all on its line, as the kernel's script has it.
                text += &self.sentence(&resolved.frames);
                continue;
            };
            let certain = spot.kind != Kind::Guess;
            for frame in inlined {
                let words = format!(
                    "{:column$}{}{} [inline]{}",
                    "",
                    printable(frame.function.as_bytes()),
                    parenthesis(frame),
                    self.mark(frame)
                );
                self.out.push(Out::Inlined(words));
                if certain {
                    let source = self.source(frame, column);
                    self.out.extend(source);
                }
            }
            text += &parenthesis(outer);
            text += &self.mark(outer);
            if certain {
                below.extend(self.source(outer, column));
            }
        }
        text += &decoded.line[done..];
        self.out.push(Out::Console(text));
        self.out.extend(below);
    }

    fn sentence(&self, frames: &[Frame]) -> String {
        let places: Vec<String> = frames.iter().filter_map(location).collect();
        let mut text = String::new();
        if !places.is_empty() {
            text += &format!(" ({})", places.join(" "));
        }
        let marks: BTreeSet<String> = frames.iter().map(|frame| self.mark(frame)).collect();
        text.extend(marks);
        text
    }

    fn mark(&self, frame: &Frame) -> String {
        place(frame)
            .and_then(|(file, line)| self.sources.get(file)?.mark(line))
            .map_or(String::new(), |mark| format!(" «{}»", mark.text()))
    }

    fn source(&mut self, frame: &'a Frame, column: usize) -> Option<Out> {
        let (file, line) = place(frame)?;
        let text = self.sources.get(file)?.line(line)?;
        self.shown.insert((file, line)).then(|| {
            let text = printable(text.as_bytes());
            Out::Source(format!("{:column$}    {line}: {text}", ""))
        })
    }
}

fn place(frame: &Frame) -> Option<(&str, u32)> {
    Some((frame.file.as_deref()?, frame.line?))
}

/// Where a frame's symbol begins, characters, in a line that is a frame and nothing else; none for a sentence that
/// names a place.
fn column(line: &str, spot: &Spot) -> Option<usize> {
    /// Time, caller, code segment and address take less.
    const WIDEST: usize = 72;
    let before = &line[..spot.at.start];
    let words = before.rsplit(']').next().unwrap_or(before).trim();
    let frame = matches!(words, "" | "?" | "(" | "? (") || words.starts_with("RIP: ");
    let column = before.chars().count();
    (frame && column <= WIDEST).then_some(column)
}

/// `fs/dcache.c:2463`; `?` for a line that the compiler did not tell, as binutils write it.
fn location(frame: &Frame) -> Option<String> {
    let file = printable(frame.file.as_ref()?.as_bytes());
    let line = frame.line.map_or("?".to_owned(), |line| line.to_string());
    Some(format!("{file}:{line}"))
}

fn parenthesis(frame: &Frame) -> String {
    location(frame).map_or(String::new(), |place| format!(" ({place})"))
}
