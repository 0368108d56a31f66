// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streaming reader: passes over what says nothing, and hands lines to the reports that are open.

use super::line::{Caller, Line};
use super::lines::{LINE_LIMIT, Lines};
use super::report::Report;
use super::table::{Hit, MATCHER, Matcher, Role, Source};
use crate::finding::{Class, Finding, Weight};

/// How to read.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many findings are told at most; a kernel that prints for ever must not fill the host.
    pub max_findings: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_findings: 2000 }
    }
}

/// What the reader heard in a chunk.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The first line of a report: its rest is still to come, so wait a little before judging.
    Begun {
        /// What kind.
        class: Class,
        /// Suspicion or finding.
        weight: Weight,
        /// Where in the console.
        start: u64,
    },
    /// A whole report.
    Complete(Finding),
}

/// Reports open at once at most: one for each caller id.
const OPEN: usize = 16;
/// Lines of a chunk that only resembled a head before the search looks for whole heads.
const FOOLED: u32 = 128;
/// Lines after `cut here` within which its report must begin.
const CUT_WITHIN: u32 = 12;

/// `------------[ cut here ]------------`, waiting for what it announces.
#[derive(Debug)]
struct Scissors {
    start: u64,
    time: Option<f64>,
    caller: Caller,
    lines: u32,
}

/// Reads a console as it is printed. Memory is bounded whatever comes; see [`super`].
#[derive(Debug)]
pub struct Reader {
    options: Options,
    lines: Lines,
    open: Vec<Report>,
    scissors: Option<Scissors>,
    /// Somebody printed something in this boot already.
    spoken: bool,
    /// The firmware's banner came, the kernel's not yet.
    booting: bool,
    /// Latest kernel time seen beyond the first moments of a boot.
    past_start: bool,
    /// A report of this boot counts already.
    tainted: bool,
    /// Findings begun so far.
    begun: usize,
}

impl Reader {
    /// A reader at the first byte of a console.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            lines: Lines::default(),
            open: Vec::new(),
            scissors: None,
            spoken: false,
            booting: false,
            past_start: false,
            tainted: false,
            begun: 0,
        }
    }

    /// Takes the next bytes of the console.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Heard> {
        let mut heard = Vec::new();
        let Some(matcher) = MATCHER.as_ref() else {
            return heard;
        };
        let cut = self.lines.cut(chunk);
        if let Some((kept, start, end)) = cut.joined {
            self.line(matcher, &kept, start, end, &mut heard);
        }
        self.block(matcher, cut.whole.0, cut.whole.1, &mut heard);
        heard
    }

    /// Whether a report is open: its rest may still come.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Ends open reports now, for when the console has been silent: what comes later begins anew.
    pub fn flush(&mut self) -> Vec<Finding> {
        self.close_all(None)
    }

    /// Ends the console: the last line and the open reports. A report whose caller was in the midst of a line is torn.
    pub fn finish(mut self) -> Vec<Finding> {
        let mut heard = Vec::new();
        let mut cut_by = None;
        if let (Some(matcher), Some((kept, start, end))) = (MATCHER.as_ref(), self.lines.rest()) {
            self.line(matcher, &kept, start, end, &mut heard);
            cut_by = Some(Line::parse(&kept, start, end).caller);
        }
        let mut findings = super::complete(heard);
        findings.extend(self.close_all(cut_by));
        findings
    }

    /// Bytes that it keeps of what it read, about.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lines.held() + self.open.iter().map(Report::held).sum::<usize>()
    }

    fn close_all(&mut self, cut_by: Option<Caller>) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .open
            .drain(..)
            .map(|report| {
                let cut = cut_by.is_some_and(|caller| report.caller == caller);
                report.finish(cut)
            })
            .collect();
        findings.sort_by_key(|finding| (finding.start, finding.end));
        findings
    }

    /// Reads whole lines, jumping from one that may say something to the next while no report is open.
    fn block(&mut self, matcher: &Matcher, block: &[u8], offset: u64, heard: &mut Vec<Heard>) {
        let mut at = 0;
        let mut fooled = 0;
        while at < block.len() {
            if self.begun >= self.options.max_findings && self.open.is_empty() {
                return;
            }
            if self.is_idle() {
                let Some(found) = matcher.candidate(&block[at..], fooled < FOOLED) else {
                    return self.pass(&block[at..]);
                };
                let line =
                    memchr::memrchr(b'\n', &block[at..at + found]).map_or(at, |end| at + end + 1);
                self.pass(&block[at..line]);
                at = line;
            }
            let end = memchr::memchr(b'\n', &block[at..]).map_or(block.len(), |end| at + end + 1);
            let raw = &block[at..end];
            // A short word of the search need not be a head: look again before taking the line apart.
            if self.is_idle() && !matcher.has_head(&raw[..raw.len().min(LINE_LIMIT)]) {
                self.pass(raw);
                fooled += 1;
                at = end;
                continue;
            }
            self.line(
                matcher,
                &raw[..raw.len().min(LINE_LIMIT)],
                offset + at as u64,
                offset + end as u64,
                heard,
            );
            at = end;
        }
    }

    /// Nothing is open: a line without head changes nothing.
    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.scissors.is_none()
    }

    /// Lines that say nothing of trouble: only that something was said.
    fn pass(&mut self, lines: &[u8]) {
        self.spoken = self.spoken || !lines.trim_ascii().is_empty();
    }

    fn line(
        &mut self,
        matcher: &Matcher,
        raw: &[u8],
        start: u64,
        end: u64,
        heard: &mut Vec<Heard>,
    ) {
        let line = Line::parse(raw, start, end);
        self.close_stale(&line, heard);
        match matcher.hit(line.text) {
            Some(hit) => self.head(&hit, &line, heard),
            None => self.tell(&line),
        }
        self.pass(line.text);
        if let Some(scissors) = &mut self.scissors {
            scissors.lines += 1;
            if scissors.lines > CUT_WITHIN {
                self.scissors = None;
            }
        }
    }

    fn close_stale(&mut self, line: &Line<'_>, heard: &mut Vec<Heard>) {
        let mut at = 0;
        while at < self.open.len() {
            if self.open[at].is_over(line) {
                heard.push(Heard::Complete(self.open.remove(at).finish(false)));
            } else {
                at += 1;
            }
        }
    }

    /// The open report that a line belongs to.
    fn owner(&self, line: &Line<'_>) -> Option<usize> {
        self.open
            .iter()
            .rposition(|report| report.caller == line.caller)
    }

    fn tell(&mut self, line: &Line<'_>) {
        let owner = self.owner(line);
        for (at, report) in self.open.iter_mut().enumerate() {
            if Some(at) == owner {
                report.feed(line);
            } else {
                report.other();
            }
        }
    }

    fn head(&mut self, hit: &Hit, line: &Line<'_>, heard: &mut Vec<Heard>) {
        let owner = self.owner(line);
        match (hit.format.role, owner) {
            (Role::Cut, _) => self.cut_here(line, owner, heard),
            (Role::Banner | Role::Firmware, _) => self.boot(hit, line, heard),
            (Role::Trap, Some(at)) if self.open[at].awaits_trap() => {
                self.scissors = None;
                self.open[at].trap(line);
            }
            (Role::Follows | Role::Consequence, Some(at)) => {
                self.open[at].word(line);
                self.open[at].feed(line);
            }
            (Role::OpensBeforeTrap, Some(at)) if self.open[at].explained_by(hit.format) => {
                self.open[at].word(line)
            }
            (Role::Opens, Some(at)) if hit.format.source == Source::Nowhere => {
                self.remark(hit, line, at, heard)
            }
            (Role::Consequence, None) if self.tainted || !self.open.is_empty() => {
                // What was announced was this, and it is no finding of its own.
                self.scissors
                    .take_if(|scissors| scissors.caller == line.caller);
                self.tell(line);
            }
            _ => self.begin(hit, line, owner, heard),
        }
    }

    /// A report of one line amid another one: the other goes on.
    fn remark(&mut self, hit: &Hit, line: &Line<'_>, owner: usize, heard: &mut Vec<Heard>) {
        self.open[owner].other();
        if self.begun < self.options.max_findings {
            self.begun += 1;
            let report = Report::new(hit, line, line.start, line.time, self.tainted);
            heard.push(Heard::Complete(report.finish(false)));
        }
    }

    fn cut_here(&mut self, line: &Line<'_>, owner: Option<usize>, heard: &mut Vec<Heard>) {
        match owner {
            Some(at) if self.open[at].awaits_trap() => self.open[at].word(line),
            Some(at) => {
                heard.push(Heard::Complete(self.open.remove(at).finish(false)));
                self.scissors = Some(Scissors {
                    start: line.start,
                    time: line.time,
                    caller: line.caller,
                    lines: 0,
                });
            }
            None => {
                self.scissors = Some(Scissors {
                    start: line.start,
                    time: line.time,
                    caller: line.caller,
                    lines: 0,
                })
            }
        }
    }

    /// A banner: the first one of a console is a boot, another one a reboot that nobody asked for.
    fn boot(&mut self, hit: &Hit, line: &Line<'_>, heard: &mut Vec<Heard>) {
        if !line.text.get(hit.after).is_some_and(u8::is_ascii_digit) {
            // Somebody else's words.
            return self.tell(line);
        }
        let firmware = hit.format.role == Role::Firmware;
        let again = if firmware {
            self.spoken
        } else {
            self.past_start && !self.booting
        };
        for report in self.open.drain(..) {
            heard.push(Heard::Complete(report.finish(false)));
        }
        self.scissors = None;
        if again {
            self.begin(hit, line, None, heard);
            for report in self.open.drain(..) {
                heard.push(Heard::Complete(report.finish(false)));
            }
        }
        self.tainted = false;
        self.booting = firmware;
        self.past_start = true;
    }

    fn begin(&mut self, hit: &Hit, line: &Line<'_>, owner: Option<usize>, heard: &mut Vec<Heard>) {
        if let Some(at) = owner {
            heard.push(Heard::Complete(self.open.remove(at).finish(false)));
        } else if self.open.len() >= OPEN {
            heard.push(Heard::Complete(self.open.remove(0).finish(true)));
        }
        if self.begun >= self.options.max_findings {
            return;
        }
        let scissors = self
            .scissors
            .take_if(|scissors| scissors.caller == line.caller);
        let (start, time) = scissors.map_or((line.start, line.time), |scissors| {
            (scissors.start, scissors.time)
        });
        let report = Report::new(hit, line, start, time, self.tainted);
        heard.push(Heard::Begun {
            class: hit.format.class,
            weight: hit.format.weight,
            start,
        });
        self.tainted = self.tainted || hit.format.weight == Weight::Finding;
        self.begun += 1;
        self.open.push(report);
    }
}
