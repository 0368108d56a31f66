// SPDX-License-Identifier: MIT OR Apache-2.0
//! `run.sh` of a capsule: QEMU's command line of the run, with files instead of inherited descriptors, as plain POSIX sh.

use super::pattern::{Look, Place};
use crate::vm::{Ends, command_line};
use lab_core::boot::Boot;
use lab_core::job::{Accel, BootJob};
use std::fmt::Write;

const HEAD: &str = include_str!("head.sh");
const TAIL: &str = include_str!("tail.sh");

/// The script.
pub(super) fn script(job: &BootJob, looks: &[Look]) -> String {
    let limit = Boot::longest(job).as_secs();
    let recorded = match job.machine.accel {
        Accel::Kvm => "kvm",
        Accel::Tcg => "tcg",
    };
    let mut text = HEAD
        .replace("@LIMIT@", &limit.to_string())
        .replace("@RECORDED@", recorded);
    text += "within \"$LIMIT\" \"$QEMU\"";
    for word in words(job) {
        // An option begins a line of its own.
        let gap = if word.starts_with('-') {
            " \\\n    "
        } else {
            " "
        };
        let _infallible = write!(text, "{gap}{word}");
    }
    text += "\ncode=$?\n\n";
    for look in looks {
        let place = match look.place {
            Place::Console => "console.log",
            Place::Agent => "agent.jsonl",
            Place::End => "",
        };
        let patterns: Vec<String> = look.patterns.iter().map(|p| quoted(p)).collect();
        let title = quoted(&lab_core::text::harmless(&look.title));
        let _infallible = match look.place {
            Place::End => writeln!(text, "look_at_the_end {title}"),
            _ => writeln!(text, "look {title} {place} {}", patterns.join(" ")),
        };
    }
    text + TAIL
}

/// Name of a disk's image.
pub(super) fn disk(n: usize) -> String {
    format!("disk{n}.img")
}

/// QEMU's arguments as words for a shell. Those that depend on the machine where it runs are variables.
fn words(job: &BootJob) -> Vec<String> {
    let ends = Ends {
        kernel: "bzImage".into(),
        initramfs: "initramfs.cpio".into(),
        console: "stdio,logfile=console.log".into(),
        terminal: None,
        monitor: None,
        agent: Some("file,path=agent.jsonl".into()),
        disks: (0..job.machine.disks.len()).map(disk).collect(),
    };
    let argv = command_line(job, &ends);
    let mut words: Vec<String> = Vec::new();
    let mut argv = argv.into_iter();
    while let Some(word) = argv.next() {
        let variable = match word.as_str() {
            "-accel" => "\"$ACCEL\"",
            "-cpu" => "\"$CPU\"",
            // Nobody takes evidence of a guest that is paused: it goes on, prints its report and resets.
            "-action" => "panic=none",
            "-sandbox" => {
                argv.next();
                words.push("$SANDBOX".into());
                continue;
            }
            _ => {
                words.push(quoted(&word));
                continue;
            }
        };
        argv.next();
        words.extend([word, variable.to_owned()]);
    }
    words
}

/// A word as a shell takes it literally.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
