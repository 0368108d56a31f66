// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads: who there is, where each waits, its kernel stack.

use super::files::{each, some};
use super::{Answer, of, say};
use crate::proc::parse_stat;
use std::fs;
use std::io::Write;
use std::time::Duration;

/// A thread as /proc shows it.
#[derive(Debug, PartialEq, Eq)]
struct Thread {
    pid: u32,
    tid: u32,
    state: char,
    wchan: String,
    comm: String,
}

pub(super) fn ps(args: &[String], out: &mut dyn Write) -> Answer {
    let kernels = args.get(1).is_some_and(|word| word == "-a");
    say(
        out,
        format!("{:>7} {:>7} S {:32} NAME", "PID", "TID", "WAITS IN"),
    )?;
    for pid in numbers("/proc") {
        if !kernels && is_kernels(pid) {
            continue;
        }
        for tid in numbers(&format!("/proc/{pid}/task")) {
            if let Some(thread) = thread(pid, tid) {
                let Thread {
                    state, wchan, comm, ..
                } = thread;
                say(out, format!("{pid:>7} {tid:>7} {state} {wchan:32} {comm}"))?;
            }
        }
    }
    Ok(())
}

/// kthreadd and its children. One that has ended meanwhile is nobody's.
fn is_kernels(pid: u32) -> bool {
    const KTHREADD: u32 = 2;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    pid == KTHREADD || parent(&stat) == Some(KTHREADD)
}

/// The parent in a line of /proc/PID/stat, whose name may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let fields = stat.get(stat.rfind(')')? + 1..)?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Entries that are numbers, rising.
fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<u32> =
        (entries.filter_map(|e| e.file_name().to_str()?.parse().ok())).collect();
    all.sort_unstable();
    all
}

/// None if it has ended meanwhile.
fn thread(pid: u32, tid: u32) -> Option<Thread> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{name}"));
    let (comm, state) = parse_stat(&read("stat").ok()?)?;
    let wchan = read("wchan").unwrap_or_default();
    let runs = wchan.is_empty() || wchan == "0";
    Some(Thread {
        pid,
        tid,
        state,
        wchan: if runs { "-".into() } else { wchan },
        comm,
    })
}

/// `D in d_alloc_parallel`, of a process by its number.
pub(super) fn whereabouts(pid: i32) -> Option<String> {
    let pid = u32::try_from(pid).ok()?;
    let thread = thread(pid, pid)?;
    Some(format!("{} in {}", thread.state, thread.wchan))
}

pub(super) fn stack(args: &[String], out: &mut dyn Write) -> Answer {
    each(some("stack", &args[1..])?, out, |tid, out| {
        let number: u32 = tid
            .parse()
            .map_err(|_| format!("{tid}: not a thread's number"))?;
        let text = fs::read_to_string(format!("/proc/{number}/stack")).map_err(of(tid))?;
        let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
        say(out, format!("{number} {}", name.trim_end()))?;
        match text.is_empty() {
            true => say(out, "  it runs, or has no stack"),
            false => text
                .lines()
                .try_for_each(|line| say(out, format!("  {line}"))),
        }
    })
}

pub(super) fn kill(args: &[String], out: &mut dyn Write) -> Answer {
    let (signal, rest) = match args.get(1).and_then(|word| word.strip_prefix('-')) {
        Some(text) => (
            text.parse()
                .map_err(|_| format!("kill: {text} is no signal's number"))?,
            &args[2..],
        ),
        None => (libc::SIGTERM, &args[1..]),
    };
    each(some("kill", rest)?, out, |pid, _| {
        let number: i32 = (pid.parse().ok().filter(|n| *n > 0))
            .ok_or_else(|| format!("{pid}: not a process's number"))?;
        // SAFETY: no memory is handed over.
        match unsafe { libc::kill(number, signal) } {
            0 => Ok(()),
            _ => Err(of(pid)(std::io::Error::last_os_error())),
        }
    })
}

pub(super) fn sleep(args: &[String], _: &mut dyn Write) -> Answer {
    let seconds = args.get(1).and_then(|text| text.parse::<f64>().ok());
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    std::thread::sleep(time.ok_or("sleep SECONDS")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_behind_the_name() {
        assert_eq!(parent("77 (w) 3) D 2 0 0"), Some(2));
        assert_eq!(parent("77 (w"), None);
        assert!(!is_kernels(std::process::id()));
    }
}
