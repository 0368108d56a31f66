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
use tokio::signal::unix::{Signal, SignalKind, signal};

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

/// Refuses to go on where there is no terminal, before anything is built for it.
///
/// # Errors
/// When standard input and output are no terminal.
pub fn needs_terminal() -> Result<()> {
    terminal::size().map(drop)
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

/// Whoever looks, once joined.
struct User {
    raw: Raw,
    screen: Screen,
    keys: Keys,
    hangup: Signal,
    resized: Signal,
    /// How QEMU ended, once it has.
    over: Option<String>,
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
    /// Keeps what the kernel printed; gives its whole lines, and leaves the last of all in `last`.
    fn printed(&mut self, bytes: &[u8], last: &mut Vec<String>) -> Vec<String> {
        self.keep(bytes);
        let lines = self.console.push(bytes);
        last.extend_from_slice(&lines);
        last.drain(..last.len().saturating_sub(SHOWN));
        lines
    }

    /// Waits for the shell's first word, which it gives.
    async fn boot(&mut self, ui: &Ui) -> Result<String> {
        let task = ui.task("boot");
        let mut last: Vec<String> = Vec::new();
        loop {
            tokio::select! {
                bytes = self.running.console.read() => {
                    for line in self.printed(&bytes, &mut last) {
                        task.at(0, 0, &line);
                    }
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
                    // QEMU's end may be heard of before its guest's last words are.
                    let rest = async {
                        loop {
                            let bytes = self.running.console.read().await;
                            self.printed(&bytes, &mut last);
                        }
                    };
                    let _all: std::result::Result<(), _> = tokio::time::timeout(LAST_WORDS, rest).await;
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
    async fn join(&mut self, first: &str, screen: Screen) -> Result<Ended> {
        let mut user = User {
            hangup: signal(SignalKind::hangup())?,
            resized: signal(SignalKind::window_change())?,
            keys: Keys::start()?,
            raw: Raw::enter()?,
            screen,
            over: None,
        };
        user.raw.write(&user.screen.shell(first))?;
        loop {
            let woke = self.wait(&mut user).await?;
            if let Some(ended) = self.take(woke, &mut user).await? {
                user.raw.write("\r\n")?;
                return Ok(ended);
            }
        }
    }

    async fn wait(&mut self, user: &mut User) -> Result<Woke> {
        let runs = user.over.is_none();
        Ok(tokio::select! {
            bytes = self.running.console.read() => Woke::Console(bytes),
            bytes = self.running.terminal.read() => Woke::Shell(bytes),
            typed = user.keys.next(), if runs => Woke::Keys(typed),
            _ = user.resized.recv() => Woke::Resized,
            status = self.running.process.wait(), if runs => Woke::Qemu(status?.to_string()),
            () = tokio::time::sleep(LAST_WORDS), if !runs => Woke::Ended,
            _ = user.hangup.recv() => Woke::Signal,
            () = self.stop.reached(Level::Orderly) => Woke::Signal,
        })
    }

    /// Does what is to be done; how the session ends, if it does.
    async fn take(&mut self, woke: Woke, user: &mut User) -> Result<Option<Ended>> {
        match woke {
            Woke::Console(bytes) => {
                self.keep(&bytes);
                for line in self.console.push(&bytes) {
                    user.raw.write(&user.screen.kernel(&line))?;
                }
            }
            Woke::Shell(bytes) => {
                let text = self.shell.push(&bytes);
                user.raw.write(&user.screen.shell(&text))?;
            }
            Woke::Resized => user.screen.resize(terminal::size()?.1),
            Woke::Keys(None) => return Ok(Some(Ended::Left)),
            Woke::Keys(Some(typed)) => {
                let until = typed.iter().position(|byte| *byte == ESCAPE);
                let for_guest = &typed[..until.unwrap_or(typed.len())];
                self.running.terminal.send(for_guest).await;
                return Ok(until.map(|_| Ended::Left));
            }
            Woke::Qemu(status) => user.over = Some(status),
            Woke::Ended => {
                let status = user.over.take().unwrap_or_default();
                return Ok(Some(self.end(&status).await));
            }
            Woke::Signal => return Err(Error::interrupted()),
        }
        Ok(None)
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
