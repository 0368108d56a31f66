// SPDX-License-Identifier: MIT OR Apache-2.0
//! The line to the lab: a virtio-serial port, found by its name, with a thread for each direction.
//!
//! Events wait in a bounded queue. Nobody who tells something ever waits for the lab; what does
//! not fit is dropped and counted. Workers do not use the port at all: the coordinator collects
//! what they saw, so a worker that hangs takes no lock with it that the answer to a ping needs.

use crate::init::{self, boot_ms};
use crate::proc::state;
use lab_wire::{Event, FromGuest, Lines, ToGuest, decode, encode};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Events that may wait for the lab to read.
const QUEUE: usize = 4096;

/// Nothing is said any more; see [`mute`].
static MUTE: AtomicBool = AtomicBool::new(false);

/// Ends all talk with the lab, as if the agent hung. Only a trial of the lab itself does that.
pub(crate) fn mute() {
    MUTE.store(true, Ordering::Relaxed);
}

/// Whether the lab said stop; can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    set: Mutex<bool>,
    change: Condvar,
}

impl Signal {
    /// Sets it, for good.
    pub(crate) fn set(&self) {
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.change.notify_all();
    }

    /// Waits until it is set, or for that long; whether it is set.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.change.wait_timeout_while(set, limit, |set| !*set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// How far the lab has let the scenarios go; can be waited for.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    passed: Mutex<Option<u32>>,
    change: Condvar,
}

impl Gate {
    /// Lets the scenario of that number go on, and those before it.
    pub(crate) fn open(&self, index: u32) {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        *passed = (*passed).max(Some(index));
        self.change.notify_all();
    }

    /// Waits until the scenario of that number may go on, or for that long; whether it may.
    pub(crate) fn wait(&self, index: u32, limit: Duration) -> bool {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = |passed: &mut Option<u32>| *passed < Some(index);
        let waited = self.change.wait_timeout_while(passed, limit, waits);
        *waited.unwrap_or_else(PoisonError::into_inner).0 >= Some(index)
    }
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    dropped: u64,
    writing: bool,
}

/// The line to the lab; clones are the same line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Port {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    /// Set when the lab says stop.
    pub(crate) stop: Arc<Signal>,
    /// Opened when the lab says go.
    pub(crate) gate: Arc<Gate>,
}

impl Port {
    /// Starts both threads on an open port.
    ///
    /// # Errors
    /// When the kernel gives no second descriptor or no thread.
    pub(crate) fn start(file: File) -> std::io::Result<Self> {
        let port = Self::default();
        let (reader, reading) = (file.try_clone()?, port.clone());
        let writing = port.clone();
        let thread = || std::thread::Builder::new().stack_size(128 << 10);
        thread()
            .name("port-out".into())
            .spawn(move || writing.write_to(file))?;
        thread()
            .name("port-in".into())
            .spawn(move || reading.read_from(reader))?;
        Ok(port)
    }

    /// Tells the lab. Never waits; counts what does not fit.
    pub(crate) fn tell(&self, event: Event) {
        let t_ms = boot_ms();
        let line = encode(&FromGuest { t_ms, event });
        let mut queue = self.lock();
        match line {
            Ok(line) if queue.lines.len() < QUEUE => queue.lines.push_back(line),
            _ => queue.dropped += 1,
        }
        self.queue.1.notify_all();
    }

    /// Tells the lab something worth keeping.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.tell(Event::Note { text: text.into() });
    }

    /// Waits until all was written, but no longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut queue = self.lock();
        while queue.writing || !queue.lines.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.queue.1.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut file: File) {
        init::be_heard();
        loop {
            let line = self.next_line();
            while MUTE.load(Ordering::Relaxed) {
                std::thread::park();
            }
            // A port that cannot be written to has no lab behind it; the silence is seen there.
            let _ = file.write_all(&line);
            self.lock().writing = false;
            self.queue.1.notify_all();
        }
    }

    fn next_line(&self) -> Vec<u8> {
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.lines.pop_front() {
                queue.writing = true;
                return line;
            }
            let dropped = std::mem::take(&mut queue.dropped);
            if dropped > 0 {
                let text = format!(
                    "{dropped} events were dropped: the queue was full or they were too long"
                );
                let event = Event::Note { text };
                let line = encode(&FromGuest {
                    t_ms: boot_ms(),
                    event,
                });
                queue.lines.extend(line.ok());
                continue;
            }
            queue = self
                .queue
                .1
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn read_from(&self, mut file: File) {
        init::be_heard();
        let (mut lines, mut buffer) = (Lines::new(), [0; 4096]);
        loop {
            match file.read(&mut buffer) {
                // Nobody holds the host's end now; somebody may again.
                Ok(0) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
                Ok(got) => lines.push(&buffer[..got], |line| self.hear(line)),
            }
        }
    }

    fn hear(&self, line: &[u8]) {
        match decode(line) {
            Ok(ToGuest::Ping { n }) => self.tell(Event::Pong { n }),
            Ok(ToGuest::Stop) => self.stop.set(),
            Ok(ToGuest::State) => state::tell(self),
            Ok(ToGuest::Go { index }) => self.gate.open(index),
            Err(error) => self.note(format!("the lab said something unknown: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Port, UnixStream) {
        let (guest, host) = UnixStream::pair().unwrap();
        host.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        (Port::start(File::from(OwnedFd::from(guest))).unwrap(), host)
    }

    fn read(host: &mut BufReader<UnixStream>) -> Event {
        let mut line = String::new();
        host.read_line(&mut line).unwrap();
        decode::<FromGuest>(line.trim_end().as_bytes())
            .unwrap()
            .event
    }

    #[test]
    fn pings_are_answered_and_stop_is_heard() {
        let (port, mut host) = pair();
        host.write_all(b"{\"say\":\"ping\",\"n\":7}\nrubbish\n{\"say\":\"stop\"}\n")
            .unwrap();
        let mut host = BufReader::new(host);
        assert_eq!(read(&mut host), Event::Pong { n: 7 });
        assert!(matches!(read(&mut host), Event::Note { text } if text.contains("unknown")));
        assert!(port.stop.wait(Duration::from_secs(10)));
    }

    #[test]
    fn the_state_is_told_when_asked_and_pings_are_answered_meanwhile() {
        let (port, mut host) = pair();
        host.write_all(
            b"{\"say\":\"state\"}\n{\"say\":\"ping\",\"n\":7}\n{\"say\":\"go\",\"index\":3}\n",
        )
        .unwrap();
        let mut host = BufReader::new(host);
        let (mut meminfo, mut pong) = (false, false);
        loop {
            match read(&mut host) {
                Event::State { path, text } if path == "/proc/meminfo" => {
                    meminfo = text.contains("MemTotal");
                }
                Event::Pong { n: 7 } => pong = true,
                Event::StateEnd => break,
                _ => {}
            }
        }
        assert!(meminfo && pong);
        assert!(port.gate.wait(3, Duration::from_secs(10)));
        assert!(port.gate.wait(2, Duration::ZERO));
        assert!(!port.gate.wait(4, Duration::from_millis(1)));
    }

    #[test]
    fn a_lab_that_does_not_read_blocks_nobody_and_learns_what_was_dropped() {
        let (port, host) = pair();
        let begun = Instant::now();
        let sent = QUEUE + 6000;
        for n in 0..sent as u64 {
            port.tell(Event::Pong { n });
        }
        port.flush(Duration::from_millis(50));
        assert!(begun.elapsed() < Duration::from_secs(5));
        let mut host = BufReader::new(host);
        let mut got = 0;
        loop {
            match read(&mut host) {
                Event::Pong { .. } => got += 1,
                Event::Note { text } => {
                    let dropped: usize = text.split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(got + dropped, sent);
                    assert!(dropped > 0);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        port.flush(Duration::from_secs(5));
    }
}
