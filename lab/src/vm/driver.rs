// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver of one boot: a single `select!` loop that decides nothing. [`Boot`] decides.

use super::channel::Channel;
use super::console::ConsoleFile;
use super::dump::Stored;
use super::events::EventLog;
use super::gather::{self, Taken};
use super::progress;
use super::qemu::Process;
use super::{News, VmProgress, qmp};
use crate::error::{Doing, Result};
use crate::stop::{Level, Stop};
use lab_core::boot::{Action, Boot, Event, Marks, QemuEnd, Said};
use lab_core::console::{Heard, Options, Reader};
use lab_core::job::{BootJob, DumpRecord};
use lab_wire::{Event as Told, FromGuest, Lines, decode, encode};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// What is kept of what QEMU prints to its standard error, in bytes.
const STDERR_KEPT: usize = 4096;
/// Reads of each channel before an event: more than a socket holds, so that a flood cannot hold up the event.
const CATCH_UP: usize = 16;
/// After QEMU's end, its sockets are empty at once, unless something else holds them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The lab's ends of QEMU's channels.
#[derive(Debug)]
pub(super) struct Channels {
    pub(super) console: Channel,
    pub(super) agent: Channel,
    pub(super) qmp: Channel,
    pub(super) stderr: Channel,
}

impl Channels {
    /// QEMU's ends are all closed, and all was read.
    fn closed(&self) -> bool {
        [&self.console, &self.agent, &self.qmp, &self.stderr]
            .iter()
            .all(|channel| !channel.is_open())
    }
}

/// Why the loop woke.
enum Woke {
    Console(usize),
    Agent(usize),
    Qmp(usize),
    Stderr(usize),
    Ended(std::io::Result<ExitStatus>),
    Dumped(Stored),
    Stop(Level),
    Time,
}

/// One boot under way.
pub(super) struct Driver<'a> {
    boot: Boot,
    clock: Instant,
    process: Process,
    pub(super) channels: Channels,
    pub(super) taken: Taken,
    console: ConsoleFile,
    events: EventLog,
    pub(super) out: PathBuf,
    marks: Marks,
    reader: Reader,
    agent_lines: Lines,
    qmp_lines: Lines,
    stderr: Vec<u8>,
    ended: Option<(ExitStatus, Duration)>,
    stop: Stop,
    stopped: Level,
    /// Events that come from the lab's own doing, still to be told to the boot.
    pub(super) pending: Vec<Event>,
    store_failed: bool,
    expected: u64,
    /// Scenario that runs, for people.
    scenario: String,
    progress: &'a mut (dyn FnMut(VmProgress) + Send),
}

/// What a driver leaves.
pub(super) struct Driven {
    pub(super) boot: Boot,
    pub(super) seconds: f64,
    pub(super) console_bytes: u64,
    pub(super) console_cut: u64,
    pub(super) dumps: Vec<DumpRecord>,
}

impl<'a> Driver<'a> {
    /// A driver for a QEMU that was started at `clock`.
    pub(super) fn new(
        job: &BootJob,
        out: &Path,
        (process, channels, taken, clock): (Process, Channels, Taken, Instant),
        stop: Stop,
        progress: &'a mut (dyn FnMut(VmProgress) + Send),
    ) -> Result<Self> {
        let doing = || format!("write the record of a boot to {}", out.display());
        let limit = u64::from(job.limits.console_mib) << 20;
        Ok(Self {
            boot: Boot::new(job),
            clock,
            process,
            channels,
            taken,
            console: ConsoleFile::create(&out.join("console.log"), limit).doing(doing)?,
            events: EventLog::create(&out.join("events.jsonl")).doing(doing)?,
            out: out.to_owned(),
            marks: Marks::default(),
            reader: Reader::new(Options::default()),
            expected: progress::expected(job),
            scenario: String::new(),
            agent_lines: Lines::new(),
            qmp_lines: Lines::new(),
            stderr: Vec::new(),
            ended: None,
            stop,
            stopped: Level::Run,
            pending: Vec::new(),
            store_failed: false,
            progress,
        })
    }

    /// Drives it to its end.
    pub(super) async fn drive(mut self) -> Driven {
        self.channels.qmp.send(&qmp::hello()).await;
        self.tell(Event::Spawned).await;
        while self.boot.outcome().is_none() {
            match self.wait().await {
                Woke::Console(n) => self.printed(n).await,
                Woke::Agent(n) => self.agent(n).await,
                Woke::Qmp(n) => self.monitor(n).await,
                Woke::Stderr(n) => self.complained(n),
                Woke::Ended(status) => self.ended = Some((status.unwrap_or_default(), self.now())),
                Woke::Dumped(stored) => self.dumped(stored).await,
                Woke::Stop(level) => self.stop_at(level).await,
                Woke::Time => self.tell(Event::Tick).await,
            }
            self.last_words().await;
        }
        if let Some(dump) = &mut self.taken.dump {
            // Nobody waits for it any more, but half a file shall not stay behind.
            dump.give_up();
            let _ = tokio::time::timeout(LAST_WORDS, dump.stored()).await;
        }
        self.finish()
    }

    async fn wait(&mut self) -> Woke {
        let deadline = match &self.ended {
            Some((_, at)) => Some(*at + LAST_WORDS),
            None => self.boot.next_deadline(),
        };
        let deadline = deadline.map(|due| tokio::time::Instant::from_std(self.clock + due));
        let next = match self.stopped {
            Level::Run => Level::Orderly,
            Level::Orderly | Level::Now => Level::Now,
        };
        let channels = &mut self.channels;
        let dump = &mut self.taken.dump;
        tokio::select! {
            n = channels.console.read() => Woke::Console(n),
            n = channels.agent.read() => Woke::Agent(n),
            n = channels.qmp.read() => Woke::Qmp(n),
            n = channels.stderr.read() => Woke::Stderr(n),
            stored = gather::stored(dump), if dump.is_some() => Woke::Dumped(stored),
            status = self.process.wait(), if self.ended.is_none() => Woke::Ended(status),
            () = self.stop.reached(next), if self.stopped < Level::Now => Woke::Stop(self.stop.level()),
            () = sleep_until(deadline) => Woke::Time,
        }
    }

    /// Tells the boot what happened and does what it says, until nothing more follows.
    pub(super) async fn tell(&mut self, event: Event) {
        self.pending.push(event);
        while !self.pending.is_empty() {
            let event = self.pending.remove(0);
            let before = self.boot.stage();
            let actions = self.boot.step(event, self.now());
            let stage = self.boot.stage();
            if stage != before {
                let console = self.console.total();
                let name = stage.to_string();
                self.record(Said::Stage { name, console });
                self.news(News::Stage(stage));
            }
            for action in actions {
                self.act(action).await;
            }
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::SendAgent(message) => {
                if let Ok(line) = encode(&message) {
                    self.channels.agent.send(&line).await;
                }
                self.record(Said::Lab(message));
            }
            Action::Remark(words) => self.remark(words),
            Action::Gather(evidence) => self.gather(evidence).await,
            Action::GiveUp(evidence) => self.give_up(&evidence),
            Action::Quit => {
                self.channels.qmp.send(&qmp::quit()).await;
            }
            Action::Kill => self.process.kill(),
        }
    }

    // What comes in.

    async fn printed(&mut self, n: usize) {
        let buffer = self.channels.console.take();
        let bytes = &buffer[..n];
        if !self.store_failed {
            let stored = self.console.write(bytes);
            self.check_store(stored, "console.log");
        }
        self.tell(Event::ConsoleBytes { n: n as u64 }).await;
        let mut marks = self.marks.push(bytes);
        let heard = self.reader.push(bytes);
        if n == 0 {
            marks.extend(self.marks.finish());
        }
        for mark in marks {
            self.tell(Event::Mark(mark)).await;
        }
        for heard in heard {
            match heard {
                Heard::Begun { class, weight, .. } => {
                    self.tell(Event::Report { weight, class }).await;
                }
                Heard::Complete(finding) => self.news(News::Found(finding)),
            }
        }
        self.channels.console.give_back(buffer);
    }

    async fn agent(&mut self, n: usize) {
        let buffer = self.channels.agent.take();
        let mut heard = Vec::new();
        let damaged = self.agent_lines.damaged();
        self.agent_lines
            .push(&buffer[..n], |line| heard.push(said(line)));
        let too_long = self.agent_lines.damaged() - damaged;
        let cut = || Said::Garbage {
            start: format!("a line of more than {} bytes", lab_wire::MAX_LINE),
            bytes: lab_wire::MAX_LINE as u64,
        };
        heard.extend((0..too_long).map(|_| cut()));
        self.channels.agent.give_back(buffer);
        for what in heard {
            let event = match &what {
                Said::Guest(message) => Event::Agent(message.clone()),
                _ => Event::AgentGarbage,
            };
            if let Said::Guest(message) = &what {
                self.news(News::Told(message.clone()));
                if let Told::State { path, text } = &message.event {
                    self.keep_state(message.t_ms, path, text);
                }
            }
            self.record(what);
            self.tell(event).await;
        }
    }

    async fn monitor(&mut self, n: usize) {
        let buffer = self.channels.qmp.take();
        let mut heard = Vec::new();
        self.qmp_lines.push(&buffer[..n], |line| {
            heard.extend(serde_json::from_slice::<serde_json::Value>(line));
        });
        self.channels.qmp.give_back(buffer);
        for value in heard {
            match qmp::read(&value) {
                qmp::Heard::Event(event) => {
                    self.catch_up().await;
                    self.record(Said::Qmp(value));
                    self.tell(Event::Qmp(event)).await;
                }
                qmp::Heard::Answer { id, result } => self.answered(&id, result).await,
                qmp::Heard::Other => self.record(Said::Qmp(value)),
            }
        }
    }

    /// Reads what was said before an event of the machine. The channels have no order among each other: a guest that
    /// said its last word and powered off would else seem to have gone without it.
    async fn catch_up(&mut self) {
        for _ in 0..CATCH_UP {
            let console = self.channels.console.read_now();
            if let Some(n) = console {
                self.printed(n).await;
            }
            let agent = self.channels.agent.read_now();
            if let Some(n) = agent {
                self.agent(n).await;
            }
            if console.is_none() && agent.is_none() {
                return;
            }
        }
    }

    /// Keeps the end of what QEMU says of itself.
    fn complained(&mut self, n: usize) {
        let buffer = self.channels.stderr.take();
        self.stderr.extend_from_slice(&buffer[..n]);
        let over = self.stderr.len().saturating_sub(STDERR_KEPT);
        self.stderr.drain(..over);
        self.channels.stderr.give_back(buffer);
    }

    async fn stop_at(&mut self, level: Level) {
        self.stopped = level;
        let event = match level {
            Level::Run => Event::Tick,
            Level::Orderly => Event::StopOrderly,
            Level::Now => Event::StopNow,
        };
        self.tell(event).await;
    }

    /// Once QEMU has ended and all was read: its end.
    async fn last_words(&mut self) {
        let Some((status, at)) = self.ended else {
            return;
        };
        let read = self.channels.closed() && self.taken.dump.is_none();
        if read || self.now() >= at + LAST_WORDS {
            let end = QemuEnd {
                code: status.code(),
                signal: status.signal(),
                said: String::from_utf8_lossy(&self.stderr).trim().to_owned(),
            };
            self.tell(Event::Exited(end)).await;
        }
    }

    // What is kept.

    pub(super) fn remark(&mut self, words: String) {
        self.record(Said::Remark(words.clone()));
        self.news(News::Remark(words));
    }

    fn record(&mut self, what: Said) {
        if !self.store_failed {
            let stored = self.events.write(self.now(), what);
            self.check_store(stored, "events.jsonl");
        }
    }

    /// A record that cannot be kept ends the boot, once.
    pub(super) fn check_store(&mut self, stored: std::io::Result<()>, name: &str) {
        if let Err(error) = stored
            && !self.store_failed
        {
            self.store_failed = true;
            let path = self.out.join(name);
            let reason = format!("cannot write {}: {error}; free some space", path.display());
            self.pending.push(Event::StoreFailed { reason });
        }
    }

    fn news(&mut self, news: News) {
        let done = self.now().as_secs();
        let expected = self.expected.max(done);
        if let News::Told(FromGuest {
            event: Told::Begin { name, fs, .. },
            ..
        }) = &news
        {
            self.scenario = format!("{name}/{fs}");
        }
        (self.progress)(VmProgress {
            done,
            expected,
            news,
            scenario: self.scenario.clone(),
        });
    }

    fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    fn finish(mut self) -> Driven {
        let seconds = self.now().as_secs_f64();
        for finding in std::mem::replace(&mut self.reader, Reader::new(Options::default())).finish()
        {
            self.news(News::Found(finding));
        }
        let kept = self.console.finish().and_then(|()| self.events.finish());
        if let Err(error) = kept {
            self.news(News::Remark(format!("the record is not whole: {error}")));
        }
        Driven {
            boot: self.boot,
            seconds,
            console_bytes: self.console.total(),
            console_cut: self.console.cut(),
            dumps: self.taken.dumps,
        }
    }
}

/// A line of the agent's port.
fn said(line: &[u8]) -> Said {
    match decode::<FromGuest>(line) {
        Ok(message) => Said::Guest(message),
        Err(_) => Said::Garbage {
            start: String::from_utf8_lossy(line).chars().take(200).collect(),
            bytes: line.len() as u64,
        },
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
