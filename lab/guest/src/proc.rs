// SPDX-License-Identifier: MIT OR Apache-2.0
//! What /proc says about a thread that does not stop, and of the kernel.

pub(crate) mod state;

use crate::ops::sched;
use std::fs::read_to_string;
use std::sync::mpsc;
use std::time::Duration;

/// Frames of a stack that are told.
const FRAMES: usize = 64;

/// A thread of this process as /proc shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// Its name.
    pub(crate) comm: String,
    /// Scheduler state letter; `?` if it cannot be read.
    pub(crate) state: char,
    /// Where it waits.
    pub(crate) wchan: String,
    /// Its kernel stack, innermost first.
    pub(crate) stack: Vec<String>,
}

/// More urgent than any worker.
const URGENT: i32 = 12;
/// Longest wait for a look at a thread from its own CPU.
const ASIDE: Duration = Duration::from_secs(2);

/// Looks at a thread of this process.
pub(crate) fn look(tid: i32) -> Task {
    let stat = read(tid, "stat");
    let (comm, state) = parse_stat(&stat).unwrap_or(("?".into(), '?'));
    let mut stack = parse_stack(&read(tid, "stack"));
    if stack.is_empty() && state == 'R' {
        stack = parse_cpu(&stat).map_or(stack, |cpu| stack_pushed_aside(tid, cpu));
    }
    Task {
        comm,
        state,
        wchan: read(tid, "wchan"),
        stack,
    }
}

fn read(tid: i32, file: &str) -> String {
    read_to_string(format!("/proc/self/task/{tid}/{file}")).unwrap_or_default()
}

/// The stack of a thread that runs without end. The kernel shows none while it is on a CPU, so a more urgent
/// thread takes that CPU from it and looks. Where preemption is off, that one never gets its turn, and there is
/// no stack.
fn stack_pushed_aside(tid: i32, cpu: usize) -> Vec<String> {
    let (give, take) = mpsc::channel();
    let looker = std::thread::Builder::new().name("looker".into());
    let started = looker.spawn(move || {
        // Where either is refused, the stack is empty again, as it was before.
        let _ = sched::fifo(URGENT).and_then(|()| sched::pin(cpu));
        let _ = give.send(parse_stack(&read(tid, "stack")));
    });
    match started {
        Ok(_) => take.recv_timeout(ASIDE).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// Memory that new work may take, KiB: MemAvailable of /proc/meminfo.
pub(crate) fn available_kib() -> Option<u64> {
    meminfo(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Memory of the machine, KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All.
    pub(crate) total: u64,
    /// What nobody uses.
    pub(crate) free: u64,
}

/// Memory as /proc/meminfo shows it.
pub(crate) fn memory() -> Option<Memory> {
    let text = read_to_string("/proc/meminfo").ok()?;
    Some(Memory {
        total: meminfo(&text, "MemTotal:")?,
        free: meminfo(&text, "MemFree:")?,
    })
}

fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Name and state of a line of /proc/PID/stat; the name may hold anything, brackets too.
pub(crate) fn parse_stat(line: &str) -> Option<(String, char)> {
    let (begin, end) = (line.find('(')?, line.rfind(')')?);
    let comm = line.get(begin + 1..end)?;
    let state = line.get(end + 1..)?.trim_start().chars().next()?;
    Some((comm.to_owned(), state))
}

/// The CPU that a thread ran on last, of a line of /proc/PID/stat.
fn parse_cpu(line: &str) -> Option<usize> {
    // The state, behind the name, is the third field; the CPU is the 39th.
    let fields = line.get(line.rfind(')')? + 1..)?;
    fields.split_ascii_whitespace().nth(36)?.parse().ok()
}

/// Frames of /proc/PID/stack without their addresses: `[<0>] d_wait_lookup+0x5e/0x90`.
fn parse_stack(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            line.split_once("] ")
                .map_or(line, |(_, frame)| frame)
                .trim()
                .to_owned()
        })
        .filter(|frame| !frame.is_empty())
        .take(FRAMES)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_brackets_do_not_confuse() {
        assert_eq!(parse_stat("77 (w) 3) D 1 1"), Some(("w) 3".into(), 'D')));
        assert_eq!(parse_stat("77 (w3"), None);
        assert_eq!(parse_stat(""), None);
        let fields: String = (3..=52).map(|n| format!(" {n}")).collect();
        assert_eq!(parse_cpu(&format!("77 (w) 3){fields}")), Some(39));
    }

    #[test]
    fn memory_is_read_by_its_key() {
        let text = "MemTotal:  994320 kB\nMemAvailable:    900100 kB\n";
        assert_eq!(meminfo(text, "MemAvailable:"), Some(900_100));
        assert_eq!(meminfo(text, "MemFree:"), None);
    }

    #[test]
    fn frames_lose_their_addresses() {
        let text = "[<0>] d_wait_lookup+0x5e/0x90\n[<0>] __lookup_slow+0x1/0x2\n\n";
        assert_eq!(
            parse_stack(text),
            ["d_wait_lookup+0x5e/0x90", "__lookup_slow+0x1/0x2"]
        );
    }

    #[test]
    fn a_thread_of_this_test_is_seen() {
        // SAFETY: no arguments.
        let task = look(unsafe { libc::gettid() });
        assert_eq!(task.state, 'R');
        assert_eq!(look(0).state, '?');
    }
}
