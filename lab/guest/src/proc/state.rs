// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says of itself, told when the lab asks: a few files of /proc, each read by a thread of its own, for in
//! a kernel that hangs a file may hang too, and that must not silence the agent.

use crate::init;
use crate::port::Port;
use lab_wire::Event;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// In the order in which they are told: the quick and telling ones first.
const FILES: &[&str] = &[
    "/proc/uptime",
    "/proc/sys/fs/dentry-state",
    "/proc/sys/fs/inode-state",
    "/proc/sys/kernel/tainted",
    "/proc/lockdep_stats",
    "/proc/meminfo",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/locks",
    "/proc/self/mountinfo",
    "/proc/interrupts",
    "/proc/softirqs",
];
/// Longest wait for one file…
const EACH: Duration = Duration::from_millis(800);
/// …and for all. The lab waits a little longer.
const ALL: Duration = Duration::from_secs(4);
/// Kept of a file, bytes: escaped, it must fit into a line.
const KEPT: usize = lab_wire::MAX_LINE / 4;

/// Tells all of it, from a thread of its own; the caller goes on at once.
pub(crate) fn tell(port: &Port) {
    let own = port.clone();
    let thread = std::thread::Builder::new().name("state".into());
    let started = thread.stack_size(128 << 10).spawn(move || {
        init::be_heard();
        tell_files(&own, FILES, read);
    });
    if let Err(error) = started {
        port.note(format!(
            "no thread to read the state of the kernel: {error}"
        ));
        port.tell(Event::StateEnd);
    }
}

fn tell_files(port: &Port, files: &[&'static str], read: fn(&'static str) -> Option<String>) {
    let end = Instant::now() + ALL;
    for &path in files {
        let left = end.saturating_duration_since(Instant::now());
        match within(left.min(EACH), move || read(path)) {
            Some(Some(text)) => port.tell(Event::State {
                path: path.to_owned(),
                text,
            }),
            // Not every kernel has every file.
            Some(None) => {}
            None => port.note(format!("{path} did not answer")),
        }
    }
    port.tell(Event::StateEnd);
}

/// The result of `work`, if it ends in time. Otherwise its thread is left to itself.
fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (give, take) = mpsc::channel();
    let thread = std::thread::Builder::new().name("state-of".into());
    let started = thread.stack_size(128 << 10).spawn(move || {
        init::be_heard();
        // Who came too late is not listened to.
        let _ = give.send(work());
    });
    started.ok()?;
    take.recv_timeout(limit).ok()
}

fn read(path: &'static str) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(match path {
        "/proc/slabinfo" => slabs(&text),
        _ => cut(&text).to_owned(),
    })
}

/// Of /proc/slabinfo the heading and the caches of dentries, inodes and open files.
fn slabs(text: &str) -> String {
    let ours = |line: &&str| {
        let name = line.split_ascii_whitespace().next().unwrap_or_default();
        line.starts_with('#')
            || name.starts_with("dentry")
            || name.starts_with("filp")
            || name.contains("inode")
            || name.contains("nfs")
            || name.contains("fsnotify")
    };
    let lines: Vec<&str> = text.lines().filter(ours).collect();
    cut(&lines.join("\n")).to_owned()
}

fn cut(text: &str) -> &str {
    let whole = |end: &usize| text.is_char_boundary(*end);
    let end = (0..=KEPT.min(text.len())).rev().find(whole);
    &text[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_wire::{FromGuest, decode, encode};
    use std::fs::File;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_file_that_hangs_is_named_and_the_rest_is_told() {
        let (guest, host) = UnixStream::pair().unwrap();
        let port = Port::start(File::from(OwnedFd::from(guest))).unwrap();
        let begun = Instant::now();
        tell_files(
            &port,
            &["/a", "/hangs", "/absent", "/b"],
            |path| match path {
                "/hangs" => loop {
                    std::thread::park();
                },
                "/absent" => None,
                path => Some(format!("{path} is well")),
            },
        );
        assert!(begun.elapsed() < ALL);
        let lines = BufReader::new(host).lines().map(|line| line.unwrap());
        let events = lines.map(|line| decode::<FromGuest>(line.as_bytes()).unwrap().event);
        let state = |path: &str| Event::State {
            path: path.into(),
            text: format!("{path} is well"),
        };
        let hung = Event::Note {
            text: "/hangs did not answer".into(),
        };
        let wanted = [state("/a"), hung, state("/b"), Event::StateEnd];
        assert_eq!(events.take(4).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn any_file_fits_into_a_line() {
        let lines = "é\n\t".repeat(KEPT);
        assert!(cut(&lines).len() > KEPT - 4);
        let event = Event::State {
            path: "/proc/x".into(),
            text: cut(&lines).to_owned(),
        };
        let line = encode(&FromGuest { t_ms: 1, event }).unwrap();
        assert!(line.len() < lab_wire::MAX_LINE);
    }

    #[test]
    fn of_the_slabs_those_of_files_are_told() {
        let text = "slabinfo - version: 2.1\n# name <active_objs>\nxfs_inode 1 2\nkmalloc-64 9 9\ndentry 5 6\n";
        assert_eq!(
            slabs(text),
            "# name <active_objs>\nxfs_inode 1 2\ndentry 5 6"
        );
    }
}
