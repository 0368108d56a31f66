// SPDX-License-Identifier: MIT OR Apache-2.0
//! A shell for people who look at a filesystem by hand, in a guest that has no other program.
//!
//! ```text
//! PID 1 ── waits ── shell (session leader on its terminal) ── a child for each command
//! ```
//! The terminal is a serial port of its own, in the kernel's cooked mode: the kernel edits the line. Each command is a
//! forked child, not a new program: on a kernel whose path walk hangs, nothing could be executed. A child that hangs in
//! the kernel is left behind, and the shell goes on.

mod commands;
mod files;
mod kernel;
mod mounts;
mod parse;
mod scenario;
mod session;
mod tasks;
mod terminal;
#[cfg(test)]
mod tests;
mod vfs;

use crate::init;
use crate::job;
use std::io::Write;

/// What a command answers: nothing, or why it failed. What it has to say goes to its output.
type Answer = Result<(), String>;
/// A command's code.
type Code = fn(&[String], &mut dyn Write) -> Answer;

/// The terminal's size as the lab asks for it: the kernel hands an argument that it does not know to PID 1.
pub(crate) fn wanted() -> Option<(u16, u16)> {
    size(&std::env::var(lab_wire::SHELL_ARGUMENT).ok()?)
}

/// Rows and columns of `24x80`.
fn size(text: &str) -> Option<(u16, u16)> {
    let (rows, columns) = text.split_once('x')?;
    Some((rows.parse().ok()?, columns.parse().ok()?))
}

/// Lives as PID 1 with a shell and never returns.
pub(crate) fn live(size: (u16, u16)) -> ! {
    let mut trouble = init::furnish();
    trouble.extend(job::settle_in());
    // SAFETY: there is one thread yet.
    match unsafe { libc::fork() } {
        0 => session::live(size, &trouble),
        child if child > 0 => {
            let mut status = 0;
            // SAFETY: waits for the child just made; children that nobody waits for are reaped by the kernel here.
            while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0
                && std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
            {}
        }
        _ => init::console("there is no process for a shell"),
    }
    init::power_off()
}

/// The words of an error, with its number's name gone: `No such file or directory`.
fn words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let known = text.split_once(" (os error ");
    known.map_or(text.clone(), |(words, _)| words.to_owned())
}

/// `what: No such file or directory`, for `map_err`.
fn of(what: &str) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{what}: {}", words(&error))
}

/// A name as it can be shown: controls and what is no UTF-8 are escaped.
fn shown(name: &std::ffi::OsStr) -> String {
    name.as_encoded_bytes()
        .utf8_chunks()
        .flat_map(|chunk| {
            let plain = chunk
                .valid()
                .chars()
                .map(|c| match c.is_control() || c == '\\' {
                    true => c.escape_default().to_string(),
                    false => c.to_string(),
                });
            let rest = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
            plain.chain(rest).collect::<Vec<_>>()
        })
        .collect()
}

fn say(out: &mut dyn Write, line: impl AsRef<str>) -> Answer {
    // A terminal that is gone ends the command.
    writeln!(out, "{}", line.as_ref()).map_err(|e| words(&e))
}
