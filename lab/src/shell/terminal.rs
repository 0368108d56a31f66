// SPDX-License-Identifier: MIT OR Apache-2.0
//! The user's terminal: its size, its keys, and its raw mode, which is taken back whatever happens.

use crate::error::{Doing, Error, Result};
use nix::sys::termios::{self, SetArg, Termios};
use std::io::{IsTerminal, Read, Write};
use std::sync::{Mutex, Once, PoisonError};
use tokio::sync::mpsc;

/// The modes that the terminal had, as long as it is raw. Outside of [`Raw`] so that a panic can take them back before
/// it prints.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Rows and columns; zeros where the terminal does not know.
///
/// # Errors
/// When standard input and output are no terminal.
pub(super) fn size() -> Result<(u16, u16)> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Error::usage("a shell needs a terminal")
            .hint("start it where standard input and output are one; `lab replay` needs none"));
    }
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel fills the size of this frame.
    match unsafe { libc::ioctl(1, libc::TIOCGWINSZ, &raw mut size) } {
        0 => Ok((size.ws_row, size.ws_col)),
        _ => Err(std::io::Error::last_os_error()).doing(|| "read the terminal's size"),
    }
}

/// The terminal in raw mode, until this is dropped.
#[derive(Debug)]
pub(super) struct Raw(());

impl Raw {
    /// Enters it.
    pub(super) fn enter() -> Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                leave();
                usual(panic);
            }));
        });
        let doing = || "put the terminal into raw mode";
        let before = termios::tcgetattr(std::io::stdin())
            .map_err(std::io::Error::from)
            .doing(doing)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // From here on dropping takes it back, also when this fails half way.
        let own = Self(());
        termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &raw)
            .map_err(std::io::Error::from)
            .doing(doing)?;
        Ok(own)
    }

    /// Puts text on the terminal as it is.
    pub(super) fn write(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .doing(|| "write to the terminal")
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that is gone needs no mode.
        let _gone = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &before);
    }
}

/// What is typed, read by a thread of its own: a terminal shares its blocking with whoever else has it open.
#[derive(Debug)]
pub(super) struct Keys(mpsc::Receiver<Vec<u8>>);

impl Keys {
    pub(super) fn start() -> Result<Self> {
        let (give, take) = mpsc::channel(16);
        let read = move || {
            let mut buffer = [0; 1024];
            let mut stdin = std::io::stdin().lock();
            while let Ok(got @ 1..) = stdin.read(&mut buffer) {
                if give.blocking_send(buffer[..got].to_vec()).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("keys".into());
        thread
            .spawn(read)
            .doing(|| "start a thread for the keyboard")?;
        Ok(Self(take))
    }

    /// The next bytes; none when the terminal is gone. May be cancelled.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.recv().await
    }
}
