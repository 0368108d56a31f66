// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which function of a report is the one that matters, and not the messenger.

use super::{Report, Trace};
use crate::console::frame::Frame;
use crate::console::table::Source;
use crate::console::{identity, skip};
use crate::finding::Class;

impl Report {
    /// The function that matters, and whether it is one: of a report that was cut only a messenger may be known.
    pub(super) fn function(&self) -> (Option<String>, bool) {
        let skip = self.format.skip;
        let matters = |func: &String| !skip::named(func, skip);
        let found = match self.format.source {
            Source::Nowhere => return (None, true),
            Source::Head(_) => self.named.clone().filter(matters),
            Source::Pointer => self.below_pointer(),
            // The lock that was asked for; where a helper took it, the one that was held.
            Source::LockAt => self
                .locks
                .iter()
                .filter_map(|lock| lock.at.clone())
                .take(2)
                .find(matters)
                .or_else(|| self.named.clone().filter(matters)),
            Source::HeldAt => self.held_at.clone().filter(matters),
            Source::Entry => self.entry(),
            Source::Aside => self
                .traces
                .iter()
                .find(|trace| trace.aside)
                .and_then(|trace| self.first_of(&trace.frames)),
            Source::Stack => self.named.clone(),
            Source::Wait => self.gathering(),
        };
        let found = found.or_else(|| self.first_in_stack());
        let waits = self.format.source == Source::Wait;
        let cut = found.is_none();
        let function = found.or_else(|| self.at_least());
        let sure = !cut || waits && function.is_some();
        (function.map(|func| identity::function_name(&func)), sure)
    }

    /// A messenger is better than nothing when the report was cut.
    fn at_least(&self) -> Option<String> {
        match self.format.source {
            Source::Head(_) => self.named.clone(),
            Source::LockAt | Source::Aside => self.locks.first().and_then(|lock| lock.at.clone()),
            Source::Pointer => self
                .own_traces()
                .flat_map(|trace| &trace.frames)
                .find(|frame| frame.pointer)
                .map(|frame| frame.func.clone()),
            // Nothing but waits: the innermost that is not the scheduler.
            Source::Wait => self
                .own_traces()
                .flat_map(|trace| Self::sure(&trace.frames))
                .map(|frame| &frame.func)
                .find(|func| !skip::named(func, &[skip::MESSENGERS, skip::SCHEDULER]))
                .cloned(),
            _ => None,
        }
    }

    /// The wait that many tasks share, wherever in the stack it stands.
    fn gathering(&self) -> Option<String> {
        let shared = [skip::GRACE_PERIODS, skip::GATHERINGS];
        Self::sure(&self.own_traces().next()?.frames)
            .find(|frame| skip::named(&frame.func, &shared))
            .map(|frame| frame.func.clone())
    }

    fn own_traces(&self) -> impl Iterator<Item = &Trace> {
        self.traces
            .iter()
            .filter(|trace| !trace.aside && !trace.frames.is_empty())
    }

    /// The frames that count: sure ones, or all if none is sure. What was inlined counts only where nothing else stands,
    /// or the same bug would have another name in a log without symbols and after another compiler's decisions.
    fn sure(frames: &[Frame]) -> impl Iterator<Item = &Frame> {
        let any = frames
            .iter()
            .any(|frame| !frame.guess && !frame.pointer && !frame.inlined);
        frames
            .iter()
            .filter(move |frame| !any || !frame.guess && !frame.inlined)
    }

    fn first_in_stack(&self) -> Option<String> {
        self.own_traces()
            .find_map(|trace| self.first_of(&trace.frames))
    }

    fn first_of(&self, frames: &[Frame]) -> Option<String> {
        Self::sure(frames)
            .map(|frame| &frame.func)
            .find(|func| {
                !skip::named(func, self.format.skip)
                    && !skip::named(func, &[skip::INTERRUPTS, skip::ENTRIES])
            })
            .cloned()
    }

    /// From the instruction pointer down; what stands above it is the trap's own.
    fn below_pointer(&self) -> Option<String> {
        self.own_traces().find_map(|trace| {
            let from = trace.frames.iter().position(|frame| frame.pointer)?;
            self.first_of(&trace.frames[from..])
        })
    }

    /// The part of a stack below the watchdog's interrupt: what stalls RCU is the code that the tick interrupted; a lockup's
    /// registers are that code's already.
    fn below_interrupt<'a>(&self, frames: &'a [Frame]) -> &'a [Frame] {
        let pointer = frames.iter().position(|frame| frame.pointer);
        let entry = |frame: &Frame| skip::named(&frame.func, &[skip::INTERRUPTS]);
        let interrupt = frames
            .iter()
            .position(entry)
            .map(|at| at + frames[at..].iter().take_while(|frame| entry(frame)).count())
            .filter(|at| *at < frames.len());
        let from = match self.format.class {
            Class::RcuStall => interrupt.or(pointer),
            _ => pointer.or(interrupt),
        };
        &frames[from.unwrap_or(0)..]
    }

    /// The top of the code that loops.
    pub(super) fn top(&self) -> Option<String> {
        self.own_traces()
            .find_map(|trace| self.first_of(self.below_interrupt(&trace.frames)))
    }

    fn entry(&self) -> Option<String> {
        self.own_traces().find_map(|trace| {
            let below = self.below_interrupt(&trace.frames);
            if let Some(top) = self
                .first_of(below)
                .filter(|top| top.starts_with("smp_call_function"))
            {
                return Some(top);
            }
            let frames: Vec<&Frame> = Self::sure(below).collect();
            // Where nothing dispatches the stack ends at the entry itself.
            let dispatcher = frames
                .iter()
                .position(|frame| skip::named(&frame.func, &[skip::DISPATCHERS]))
                .unwrap_or(frames.len());
            let entry = frames[..dispatcher].last()?.func.clone();
            (!skip::named(&entry, self.format.skip)).then_some(entry)
        })
    }
}
