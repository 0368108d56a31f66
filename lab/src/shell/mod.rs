// SPDX-License-Identifier: MIT OR Apache-2.0
//! An interactive shell in a guest: the terminal of whoever looks, joined to two serial ports.
//!
//! ```text
//! keyboard ──> second port (the guest's shell) ──> filter ──┐
//!                                                           ├─> screen ──> terminal
//! first port (the kernel's console) ─> whole lines ─────────┘
//! ```
//! The kernel's words come as whole lines above the line that is being typed. What a stranger's kernel prints reaches the
//! terminal as text and no more.

mod filter;
mod machine;
mod screen;
mod terminal;

pub use machine::Machine;

use crate::error::{Error, Result};
use crate::stop::{Level, Stop};
use crate::ui::{Ui, harmless};
use filter::{Lines, Text};
use machine::Running;
use screen::Screen;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use terminal::{Keys, Raw};
use tokio::signal::unix::{SignalKind, signal};

/// Ctrl-], as telnet(1) has it.
const ESCAPE: u8 = 0x1d;
/// Lines of the console that are shown when the guest never came to its shell.
const SHOWN: usize = 25;
/// After QEMU's end its sockets are empty at once.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The guest powered off or was reset.
    Guest,
    /// The user left with Ctrl-].
    Left,
    /// QEMU died by itself.
    Died(String),
}

/// Boots the machine and joins it to the terminal until either ends. `log` receives what the kernel prints, as it is.
///
/// # Errors
/// When there is no terminal, QEMU does not start, the guest never comes to its shell, or the lab is stopped.
pub async fn run(machine: Machine<'_>, log: Option<&Path>, ui: &Ui, stop: Stop) -> Result<Ended> {
    let size = terminal::size()?;
    let log = log.map(File::create).transpose()?;
    let running = machine.start(size).await?;
    let mut session = Session {
        running,
        console: Lines::default(),
        shell: Text::default(),
        log,
        stop,
    };
    let first = session.boot(ui).await?;
    ui.say("Ctrl-] quits; the guest's exit powers it off");
    session.join(&first, Screen::new(size.1)).await
}

struct Session {
    running: Running,
    console: Lines,
    shell: Text,
    log: Option<File>,
    stop: Stop,
}

/// Why a session woke.
enum Woke {
    Console(Vec<u8>),
    Shell(Vec<u8>),
    Keys(Option<Vec<u8>>),
    Resized,
    Qemu(String),
    Ended,
    Signal,
}

impl Session {
    /// Waits for the shell's first word, which it gives.
    async fn boot(&mut self, ui: &Ui) -> Result<String> {
        let task = ui.task("boot");
        let mut last: Vec<String> = Vec::new();
        loop {
            tokio::select! {
                bytes = self.running.console.read() => {
                    self.keep(&bytes);
                    for line in self.console.push(&bytes) {
                        task.at(0, 0, &line);
                        last.push(line);
                    }
                    last.drain(..last.len().saturating_sub(SHOWN));
                }
                bytes = self.running.terminal.read() => {
                    let text = self.shell.push(&bytes);
                    if !text.is_empty() {
                        task.done("the guest is up");
                        return Ok(text);
                    }
                }
                ended = self.running.process.wait() => {
                    task.done("failed");
                    let mut words = format!("the guest never came to its shell; QEMU ended with {}", ended?);
                    for line in last.iter().chain([&self.running.said().await]) {
                        words += &format!("\n{}", harmless(line));
                    }
                    return Err(Error::rig(words));
                }
                () = self.stop.reached(Level::Orderly) => return Err(Error::interrupted()),
            }
        }
    }

    /// Joins both, with the terminal in raw mode. It is given back on the way out, whichever that is.
    async fn join(&mut self, first: &str, mut screen: Screen) -> Result<Ended> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut resized = signal(SignalKind::window_change())?;
        let mut keys = Keys::start()?;
        let raw = Raw::enter()?;
        raw.write(&screen.shell(first))?;
        let mut over: Option<String> = None;
        let ended = loop {
            let grace = over.as_ref().map(|_| LAST_WORDS);
            let woke = tokio::select! {
                bytes = self.running.console.read() => Woke::Console(bytes),
                bytes = self.running.terminal.read() => Woke::Shell(bytes),
                typed = keys.next(), if over.is_none() => Woke::Keys(typed),
                _ = resized.recv() => Woke::Resized,
                status = self.running.process.wait(), if over.is_none() => Woke::Qemu(status?.to_string()),
                () = later(grace) => Woke::Ended,
                _ = hangup.recv() => Woke::Signal,
                () = self.stop.reached(Level::Orderly) => Woke::Signal,
            };
            match woke {
                Woke::Console(bytes) => {
                    self.keep(&bytes);
                    for line in self.console.push(&bytes) {
                        raw.write(&screen.kernel(&line))?;
                    }
                }
                Woke::Shell(bytes) => raw.write(&screen.shell(&self.shell.push(&bytes)))?,
                Woke::Resized => screen.resize(terminal::size()?.1),
                Woke::Keys(None) => break Ended::Left,
                Woke::Keys(Some(typed)) => {
                    let until = typed.iter().position(|byte| *byte == ESCAPE);
                    self.running
                        .terminal
                        .send(&typed[..until.unwrap_or(typed.len())])
                        .await;
                    if until.is_some() {
                        break Ended::Left;
                    }
                }
                Woke::Qemu(status) => over = Some(status),
                Woke::Ended => break self.end(&over.unwrap_or_default()).await,
                Woke::Signal => return Err(Error::interrupted()),
            }
        };
        raw.write("\r\n")?;
        Ok(ended)
    }

    /// QEMU exits with 0 when its guest powers off or resets.
    async fn end(&mut self, status: &str) -> Ended {
        if status == "exit status: 0" {
            return Ended::Guest;
        }
        let said = self.running.said().await;
        Ended::Died(format!("{status} {}", harmless(&said)).trim().to_owned())
    }

    fn keep(&mut self, bytes: &[u8]) {
        // A log that cannot be written must not end a session; what is in it is whole.
        if self
            .log
            .as_mut()
            .is_some_and(|log| log.write_all(bytes).is_err())
        {
            self.log = None;
        }
    }
}

async fn later(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}
