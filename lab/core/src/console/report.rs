// SPDX-License-Identifier: MIT OR Apache-2.0
//! A report while it is being printed: what its lines told so far, in bounded memory, and the finding it becomes.

mod culprit;
mod evidence;

use super::frame::{self, Frame};
use super::identity;
use super::line::{Caller, Line};
use super::table::{Format, Hit, Role, Source};
use crate::finding::{Class, Finding};
use evidence::{Marks, marks};

/// Bounds on what one report keeps; the kernel's own reports are far smaller.
const TRACES: usize = 12;
const FRAMES: usize = 384;
const GUESSES: usize = 32;
const LOCKS: usize = 64;
const HEAD: usize = 600;
/// Lines of the same caller that say nothing of a report before it counts as over.
const QUIET: u32 = 24;
/// Lines of anybody after the report's last word before it counts as over.
const SILENT: u32 = 4000;
/// Seconds of kernel time after the report's last word before it counts as over.
const SILENT_SECONDS: f64 = 15.0;
/// Lines of one report at most.
const LINES: u32 = 20_000;
/// How soon a trap must follow the words that announce it.
const TRAP_WITHIN: u32 = 12;

/// One stack of a report.
#[derive(Debug, Default)]
struct Trace {
    frames: Vec<Frame>,
    /// Another stack than the one that reports: who allocated, who took the lock before.
    aside: bool,
}

/// A lock that a report names.
#[derive(Debug)]
struct Lock {
    class: String,
    at: Option<String>,
}

/// An open report.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) format: &'static Format,
    pub(super) caller: Caller,
    pub(super) start: u64,
    pub(super) after_first: bool,
    end: u64,
    time: Option<f64>,
    last_time: Option<f64>,
    head: Vec<u8>,
    after: usize,
    access: Option<&'static str>,
    named: Option<String>,
    traces: Vec<Trace>,
    aside: bool,
    locks: Vec<Lock>,
    held_at: Option<String>,
    chain: Vec<String>,
    await_symbol: bool,
    skip_symbol: bool,
    lines: u32,
    quiet: u32,
    silent: u32,
    ended: bool,
    dropped: bool,
    trapped: bool,
}

impl Report {
    /// Begins a report with its head.
    pub(super) fn new(
        hit: &Hit,
        line: &Line<'_>,
        start: u64,
        time: Option<f64>,
        after_first: bool,
    ) -> Self {
        let mut report = Self {
            format: hit.format,
            caller: line.caller,
            start,
            after_first,
            end: line.end,
            time: time.or(line.time),
            last_time: line.time,
            head: line.text[..line.text.len().min(HEAD)].to_vec(),
            after: hit.after.min(HEAD),
            access: None,
            named: None,
            traces: Vec::new(),
            aside: false,
            locks: Vec::new(),
            held_at: None,
            chain: Vec::new(),
            await_symbol: false,
            skip_symbol: false,
            lines: 0,
            quiet: 0,
            silent: 0,
            ended: false,
            dropped: false,
            trapped: false,
        };
        report.name_from_head(line.text);
        report
    }

    /// Whether a trap that comes now belongs to this report.
    pub(super) fn awaits_trap(&self) -> bool {
        self.format.role == Role::OpensBeforeTrap && !self.trapped && self.lines < TRAP_WITHIN
    }

    /// Whether it counts as over, given the next line of anybody.
    pub(super) fn is_over(&self, line: &Line<'_>) -> bool {
        let limit = if self.ended { QUIET / 3 } else { QUIET };
        let late = match (self.last_time, line.time) {
            (Some(last), Some(now)) => now - last > SILENT_SECONDS,
            _ => false,
        };
        // Somebody asked for a dump: what follows is no longer the report's.
        let asked = line.caller == self.caller && line.text.starts_with(b"sysrq: ");
        asked || self.quiet > limit || self.silent > SILENT || self.lines > LINES || late
    }

    /// A line of somebody else went by.
    pub(super) fn other(&mut self) {
        self.silent += 1;
    }

    /// Whether `format` only says more of what this report's trap said: kernels differ in which they print first.
    pub(super) fn explained_by(&self, format: &Format) -> bool {
        self.format.role == Role::Trap
            && format.role == Role::OpensBeforeTrap
            && (format.class == self.format.class
                || matches!(self.format.class, Class::Warning | Class::Bug))
            && self.lines < TRAP_WITHIN
    }

    /// Takes the trap that this report announced.
    pub(super) fn trap(&mut self, line: &Line<'_>) {
        self.trapped = true;
        self.word(line);
        self.name_from_trap(line.text);
    }

    /// Takes a line that surely belongs.
    pub(super) fn word(&mut self, line: &Line<'_>) {
        self.lines += 1;
        self.quiet = 0;
        self.silent = 0;
        self.end = self.end.max(line.end);
        self.last_time = line.time.or(self.last_time);
    }

    /// Takes a line of the same caller, whatever it is.
    pub(super) fn feed(&mut self, line: &Line<'_>) {
        if self.read(line.text) {
            self.word(line);
        } else {
            self.lines += 1;
            self.quiet += 1;
            self.silent += 1;
        }
    }

    /// Reads a line; true if it is one of a report's.
    fn read(&mut self, text: &[u8]) -> bool {
        let bare = text.trim_ascii_start();
        if bare.is_empty() {
            return false;
        }
        if let Some(frame) = frame::frame(text) {
            if std::mem::take(&mut self.await_symbol) {
                self.set_at(frame.func.clone());
            }
            if !std::mem::take(&mut self.skip_symbol) {
                self.push_frame(frame);
            }
            return true;
        }
        let marks = marks(bare);
        self.header(bare, marks)
            || self.lock(bare, marks)
            || self.detail(bare, marks)
            || marks.evidence
    }

    /// Headers that begin a stack.
    fn header(&mut self, text: &[u8], marks: Marks) -> bool {
        const OWN: &[&[u8]] = &[
            b"Call Trace:",
            b"Call trace:",
            b"backtrace:",
            b"Backtrace:",
            b"Stack:",
            b"<TASK>",
            b"<IRQ>",
        ];
        const ASIDE: &[&[u8]] = &[
            b"Allocated by ",
            b"Allocated:",
            b"Freed by ",
            b"Freed:",
            b"Uninit was ",
            b"Last potentially",
            b"Second to last",
            b"Showing all locks",
            b"Local variable ",
            b"-> #",
            b"the existing dependency chain",
            b"the dependencies between",
        ];
        if text.starts_with(b"Preemption disabled at:") {
            self.skip_symbol = true;
            return true;
        }
        if text.starts_with(b"stack backtrace:")
            || text.starts_with(b"NMI backtrace for")
            || text.starts_with(b"Sending NMI")
            || text.starts_with(b"RCU grace-period kthread stack dump")
            || text.starts_with(b"task:")
        {
            self.aside = false;
            self.new_trace();
            return true;
        }
        if marks.registered || ASIDE.iter().any(|words| text.starts_with(words)) {
            self.aside = true;
            self.new_trace();
            if text.starts_with(b"-> #") {
                self.chain_link(text);
            }
            return true;
        }
        if OWN.iter().any(|words| text.starts_with(words)) {
            if self.aside && text.starts_with(b"Call ") {
                self.aside = false;
                self.new_trace();
            }
            if self
                .traces
                .last()
                .is_some_and(|trace| trace.frames.iter().any(|frame| !frame.pointer))
                && !text.starts_with(b"<")
            {
                self.new_trace();
            }
            return true;
        }
        false
    }

    fn new_trace(&mut self) {
        if self.traces.len() < TRACES
            && self
                .traces
                .last()
                .is_none_or(|trace| !trace.frames.is_empty() || trace.aside != self.aside)
        {
            self.traces.push(Trace {
                frames: Vec::new(),
                aside: self.aside,
            });
        }
    }

    fn push_frame(&mut self, frame: Frame) {
        if self.traces.is_empty() {
            self.new_trace();
        }
        if let Some(trace) = self
            .traces
            .last_mut()
            .filter(|trace| trace.frames.len() < FRAMES)
        {
            // What may be left from earlier calls is kept only while nothing better is known.
            if !frame.guess || trace.frames.len() < GUESSES {
                trace.frames.push(frame);
            }
        }
    }

    /// Lines that name a lock: `ffff… (&sb->s_type->i_mutex_key#3/1){+.+.}-{3:3}, at: do_unlinkat+0x1/0x2`.
    fn lock(&mut self, text: &[u8], marks: Marks) -> bool {
        if text.ends_with(b" at:") {
            self.await_symbol = true;
            if let Some(class) = identity::lock_class(text) {
                self.push_lock(class, None);
            }
            return true;
        }
        let Some(mark) = marks.lock else {
            return self.inlined_at(text);
        };
        let held = text.starts_with(b"#");
        if held && self.held_at.is_none() {
            self.held_at = memchr::memmem::find(text, b"at: ")
                .and_then(|at| frame::symbol(frame::after_address(&text[at + 4..])));
        }
        if let (false, Some(class)) = (held, identity::lock_class(&text[..mark + 1])) {
            let at =
                memchr::memmem::find(text, b"at: ").map(|at| frame::after_address(&text[at + 4..]));
            let symbol = at.and_then(frame::symbol);
            self.push_lock(class, symbol);
        }
        true
    }

    /// ` at: func+0x1/0x2 file:line`, after an inlined one.
    fn inlined_at(&mut self, text: &[u8]) -> bool {
        let Some(rest) = text.strip_prefix(b"at: ") else {
            return false;
        };
        if let Some(func) = frame::symbol(frame::after_address(rest)) {
            self.set_at(func);
        }
        true
    }

    fn set_at(&mut self, func: String) {
        if let Some(lock) = self.locks.last_mut().filter(|lock| lock.at.is_none()) {
            lock.at = Some(func);
        } else if self.locks.is_empty() {
            self.named.get_or_insert(func);
        }
    }

    fn push_lock(&mut self, class: String, at: Option<String>) {
        if self.locks.len() < LOCKS {
            self.locks.push(Lock { class, at });
        }
    }

    fn chain_link(&mut self, text: &[u8]) {
        if let Some(class) = identity::lock_class(text).filter(|_| self.chain.len() < LOCKS) {
            self.chain.push(class);
        }
    }

    /// Lines that tell something the title needs.
    fn detail(&mut self, text: &[u8], marks: Marks) -> bool {
        if let Some(rest) = text.strip_prefix(b"last function: ") {
            self.named = self
                .named
                .take()
                .or_else(|| frame::ident(rest).map(frame::plain));
            return true;
        }
        for (words, access) in [
            (&b"Read of "[..], "Read"),
            (b"Write of ", "Write"),
            (b"Read at ", "Read"),
        ] {
            if text.starts_with(words) {
                self.access.get_or_insert(access);
                return true;
            }
        }
        if [&b"---[ end"[..], b"Kernel Offset: ", b"Rebooting in "]
            .iter()
            .any(|words| text.starts_with(words))
        {
            self.ended = true;
            return true;
        }
        if text.starts_with(b"=======") && self.traces.iter().any(|trace| trace.frames.len() > 1) {
            self.ended = true;
            return true;
        }
        self.dropped |= marks.dropped;
        false
    }

    /// The function that the head names.
    fn name_from_head(&mut self, text: &[u8]) {
        if let Source::Head(words) = self.format.source {
            self.named = memchr::memmem::find(text, words.as_bytes())
                .map(|at| frame::after_address(&text[at + words.len()..]))
                .and_then(|rest| {
                    frame::symbol(rest).or_else(|| {
                        frame::ident(rest)
                            .filter(|name| name.len() > 3 && !rest[name.len()..].starts_with(b"/"))
                            .map(frame::plain)
                    })
                });
        } else if self.format.role == Role::Trap {
            self.name_from_trap(text);
        }
    }

    /// `WARNING: CPU: 1 PID: 2 at fs/dcache.c:10 func+0x1/0x2` names the function; `kernel BUG at fs/dcache.c:10!` does not.
    fn name_from_trap(&mut self, text: &[u8]) {
        let Some(at) = memchr::memmem::find(text, b" at ") else {
            return;
        };
        for word in text[at + 4..].split(|byte| matches!(byte, b' ' | b',')) {
            if let Some(func) = frame::symbol(word) {
                self.new_trace();
                self.push_frame(Frame {
                    func,
                    pointer: true,
                    guess: false,
                    inlined: false,
                });
                return;
            }
        }
    }

    /// Ends the report. `cut`: the console ended in its midst.
    pub(super) fn finish(self, cut: bool) -> Finding {
        let (function, sure) = self.function();
        let class = self.format.class;
        let locks = self.lock_classes();
        let pattern = identity::Pattern {
            format: self.format,
            head: &self.head,
            after: self.after,
            access: self.access,
        };
        let title = pattern.title(self.format.title, function.as_deref());
        let mut alt: Vec<String> = Vec::new();
        for template in self.format.alt {
            if function.is_some() {
                alt.push(pattern.title(template, function.as_deref()));
            }
        }
        if self.format.source == Source::Entry
            && let Some(top) = self.top().filter(|top| Some(top) != function.as_ref())
        {
            alt.push(pattern.title(self.format.title, Some(&top)));
        }
        let torn = self.dropped
            || (self.format.has_stack()
                && (self.traces.iter().all(|trace| trace.frames.is_empty()) || !sure))
            || cut;
        let signature = identity::signature(
            class,
            function.as_deref(),
            &pattern.title(self.format.title, None),
            &locks,
        );
        Finding {
            class,
            title,
            function,
            alt,
            signature,
            weight: self.format.weight,
            torn,
            start: self.start,
            end: self.end,
            time: self.time,
            after_first: self.after_first,
        }
    }

    /// Bytes that it keeps, about.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let frames: usize = self
            .traces
            .iter()
            .flat_map(|trace| &trace.frames)
            .map(|frame| size_of::<Frame>() + frame.func.capacity())
            .sum();
        let locks: usize = self
            .locks
            .iter()
            .map(|lock| lock.class.capacity() + lock.at.as_ref().map_or(0, String::capacity))
            .sum();
        let chain: usize = self.chain.iter().map(String::capacity).sum();
        self.head.capacity() + frames + locks + chain
    }

    /// The classes of the locks of a cycle in one order, whichever side reported it.
    fn lock_classes(&self) -> Vec<String> {
        if !self.format.by_locks {
            return Vec::new();
        }
        let mut classes: Vec<String> = match self.chain.is_empty() {
            false => self.chain.clone(),
            true => self
                .locks
                .iter()
                .take(2)
                .map(|lock| lock.class.clone())
                .collect(),
        };
        classes.sort_unstable();
        classes.dedup();
        classes
    }
}
