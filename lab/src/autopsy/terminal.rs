// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program that has the terminal for itself, as a shell gives it to one: Ctrl-C is the program's, not the lab's.

use crate::error::{Doing, Result};
use crate::stop::{Level, Stop};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::unistd::{Pid, getpgrp};
use std::io::{IsTerminal, stdin};
use std::process::ExitStatus;
use tokio::process::Command;

/// Runs a program on this process's terminal to its end; a stop ends it. Whatever happens, the terminal is the lab's again.
///
/// # Errors
/// It cannot be started.
pub(crate) async fn foreground(mut command: Command, mut stop: Stop) -> Result<ExitStatus> {
    let name = command
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let terminal = stdin().is_terminal();
    if terminal {
        // SAFETY: between fork and exec only async-signal-safe calls are made: setpgid, sigprocmask, tcsetpgrp.
        unsafe {
            command.pre_exec(|| {
                nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
                hand_over(nix::unistd::getpid())?;
                Ok(())
            });
        }
    }
    let _back = terminal.then_some(Back);
    let mut child = (command.kill_on_drop(true).spawn()).doing(|| format!("start `{name}`"))?;
    // With a terminal of its own the child alone hears Ctrl-C; a stop can then only be a request from elsewhere.
    tokio::select! {
        status = child.wait() => Ok(status?),
        () = stop.reached(Level::Orderly), if terminal => {
            child.kill().await?;
            Ok(child.wait().await?)
        }
    }
}

/// Gives the terminal to a process group. A group in the background that does so would be stopped, but for the mask.
fn hand_over(group: Pid) -> nix::Result<()> {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGTTOU);
    let mut before = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), Some(&mut before))?;
    // SAFETY: it takes two numbers.
    let done = Errno::result(unsafe { libc::tcsetpgrp(libc::STDIN_FILENO, group.as_raw()) });
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    done.map(drop)
}

/// Takes the terminal back.
struct Back;

impl Drop for Back {
    fn drop(&mut self) {
        // A terminal that has hung up cannot be taken.
        let _ = hand_over(getpgrp());
    }
}
