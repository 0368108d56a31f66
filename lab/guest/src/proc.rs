// SPDX-License-Identifier: MIT OR Apache-2.0
//! What /proc says about a thread that does not stop.

use std::fs::read_to_string;

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

/// Looks at a thread of this process.
pub(crate) fn look(tid: i32) -> Task {
    let read =
        |file: &str| read_to_string(format!("/proc/self/task/{tid}/{file}")).unwrap_or_default();
    let (comm, state) = parse_stat(&read("stat")).unwrap_or(("?".into(), '?'));
    Task {
        comm,
        state,
        wchan: read("wchan"),
        stack: parse_stack(&read("stack")),
    }
}

/// Memory that new work may take, KiB: MemAvailable of /proc/meminfo.
pub(crate) fn available_kib() -> Option<u64> {
    meminfo(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// Name and state of a line of /proc/PID/stat; the name may hold anything, brackets too.
fn parse_stat(line: &str) -> Option<(String, char)> {
    let (begin, end) = (line.find('(')?, line.rfind(')')?);
    let comm = line.get(begin + 1..end)?;
    let state = line.get(end + 1..)?.trim_start().chars().next()?;
    Some((comm.to_owned(), state))
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
