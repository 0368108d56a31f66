// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only printer. Answers go to standard output; what is going on goes to standard error: living
//! progress lines on a terminal, plain lines otherwise.

#![expect(clippy::print_stderr, reason = "this is the one place that prints")]

pub use lab_core::text::harmless;

use crate::error::Error;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Seconds between two plain lines of one task, where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(20);

/// Where people read; cheap to clone.
#[derive(Debug, Clone)]
pub struct Ui {
    bars: MultiProgress,
    living: bool,
    colour: bool,
}

impl Ui {
    /// For this process's standard streams. Colours only on a terminal and without `NO_COLOR`.
    pub fn new() -> Self {
        let living = std::io::stderr().is_terminal();
        let bars = MultiProgress::new();
        if !living {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            bars,
            living,
            colour,
        }
    }

    /// Prints an answer on standard output. A reader that went away is no error.
    pub fn out(&self, text: &str) {
        self.bars.suspend(|| {
            let mut stdout = std::io::stdout().lock();
            let newline = if text.ends_with('\n') || text.is_empty() {
                ""
            } else {
                "\n"
            };
            let _gone = write!(stdout, "{text}{newline}").and_then(|()| stdout.flush());
        });
    }

    /// Tells what is going on, one line, on standard error.
    pub fn say(&self, line: &str) {
        self.bars.suspend(|| eprintln!("{line}"));
    }

    /// Prints an error with its hint.
    pub fn error(&self, error: &Error) {
        // An error may quote a mail or a path: its lines stay, its controls go.
        for line in format!("lab: {error}").lines() {
            self.say(&harmless(line));
        }
        for line in error.hint_text().unwrap_or_default().lines() {
            self.say(&harmless(&format!("     {line}")));
        }
    }

    /// Asks for a yes on the terminal; no terminal, no yes.
    pub fn ask(&self, question: &str) -> bool {
        if !std::io::stdin().is_terminal() {
            return false;
        }
        self.bars.suspend(|| {
            eprint!("{question} [y/N] ");
            let mut answer = String::new();
            let read = std::io::stdin().lock().read_line(&mut answer);
            read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
        })
    }

    /// A line that lives as long as something is being done.
    pub fn task(&self, label: &str) -> Task {
        let bar = self.bars.add(ProgressBar::new(0));
        bar.set_style(plain_style());
        bar.set_prefix(label.to_owned());
        if self.living {
            bar.enable_steady_tick(Duration::from_millis(250));
        } else {
            self.say(&format!("{label}: started"));
        }
        let state = Plain {
            label: label.to_owned(),
            last: Instant::now(),
            begun: Instant::now(),
        };
        Task {
            ui: self.clone(),
            bar,
            plain: Arc::new(Mutex::new(state)),
        }
    }

    /// Wraps text in an SGR colour where colours are wanted.
    pub fn paint(&self, text: &str, sgr: &str) -> String {
        if self.colour {
            format!("\x1b[{sgr}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

impl Default for Ui {
    fn default() -> Self {
        Self::new()
    }
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn plain_style() -> ProgressStyle {
    template("{spinner} {prefix:34!} {elapsed:>4}  {wide_msg}")
}

fn bar_style() -> ProgressStyle {
    template("{spinner} {prefix:34!} {elapsed:>4}  [{bar:24}] {wide_msg}").progress_chars("=> ")
}

/// One progress line.
#[derive(Debug)]
pub struct Task {
    ui: Ui,
    bar: ProgressBar,
    plain: Arc<Mutex<Plain>>,
}

#[derive(Debug)]
struct Plain {
    label: String,
    last: Instant,
    begun: Instant,
}

impl Task {
    /// Shows where it stands: `done` of `expected` (0: unknown) and some words.
    pub fn at(&self, done: u64, expected: u64, words: &str) {
        let words = harmless(words);
        if self.ui.living {
            self.bar.set_style(if expected > 0 {
                bar_style()
            } else {
                plain_style()
            });
            self.bar.set_length(expected.max(done));
            self.bar.set_position(done);
            self.bar.set_message(words);
            return;
        }
        let Ok(mut plain) = self.plain.lock() else {
            return;
        };
        if plain.last.elapsed() >= PLAIN_EVERY {
            plain.last = Instant::now();
            self.ui.say(&format!("{}: {words}", plain.label));
        }
    }

    /// Ends the line with what came of it.
    pub fn done(self, words: &str) {
        self.bar.finish_and_clear();
        let (label, seconds) = match self.plain.lock() {
            Ok(plain) => (plain.label.clone(), plain.begun.elapsed().as_secs_f64()),
            Err(_) => return,
        };
        self.ui
            .say(&format!("{label:34} {seconds:6.1} s  {}", harmless(words)));
    }
}

/// Seconds as people say them: `8 s`, `3 min 20 s`, `2 h 05 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=119 => format!("{whole} s"),
        120..=7199 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_say_them() {
        assert_eq!(duration(7.6), "8 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 05 min");
    }
}
