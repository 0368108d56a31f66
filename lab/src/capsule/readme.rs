// SPDX-License-Identifier: MIT OR Apache-2.0
//! The README of a capsule: for somebody who has QEMU and no lab.

use super::Told;
use crate::ui::{duration, harmless};
use lab_core::job::Accel;
use std::fmt::Write;

/// What the names are, for those that need saying.
const NAMES: &[(&str, &str)] = &[
    ("run.sh", "boots it: plain POSIX sh"),
    ("bzImage", "the kernel"),
    ("vmlinux", "the kernel with its debugging information"),
    ("config", "its configuration"),
    ("System.map", "its symbols"),
    (
        "initramfs.cpio",
        "the guest: one static program, and what it is to do (lab/job.json in it)",
    ),
    (
        "kvm-probe.img",
        "a boot sector by which run.sh sees whether KVM runs a guest",
    ),
    ("series.mbox", "the patch series"),
    (
        "manifest.json",
        "base, patches with their ids, profiles, host",
    ),
    ("recorded/console.log", "what the kernel printed in the run"),
    (
        "recorded/events.jsonl",
        "what the guest's program said, and what the lab did",
    ),
    ("recorded/findings.json", "what was found"),
    (
        "recorded/recording.json",
        "how the run ended, with QEMU's exact arguments",
    ),
    ("recorded/job.json", "what was asked of it"),
    ("recorded/autopsy.txt", "what the dump of its memory tells"),
    (
        "recorded/vmcore.zst",
        "that dump: an ELF core, compressed with zstd",
    ),
];

/// Its text; `names` are all files beside it.
pub(super) fn readme<'a>(told: &Told, names: impl Iterator<Item = &'a String>) -> String {
    let mut text = format!("{}\n\n", told.name);
    text += "One boot of a Linux kernel that was exercised by a regression lab, packed so that any machine with\n\
             qemu-system-x86_64 can boot it again. Nothing else is needed:\n\n    sh run.sh\n\n";
    text += "The kernel's console comes to the terminal and to console.log, what the guest's program says to\n\
             agent.jsonl. Disks are never written to. The exit code says what came of it:\n\n\
             \x20   0    it ran to its end and showed nothing of what is below\n\
             \x20   1    it showed it again\n\
             \x20   2    it ended otherwise: crashed, or was killed at its time limit\n\
             \x20   125  QEMU did not run\n\n\
             KVM is used where it runs a guest (tried with a boot sector), else QEMU's translator. ACCEL=tcg sh run.sh\n\
             chooses; LIMIT=SECONDS changes the time limit; QEMU=PROGRAM names another QEMU. Races need not show each\n\
             time: run it again.\n\n";
    found(&mut text, told);
    made_with(&mut text, told);
    text += "Files\n\n";
    for name in names {
        let about = NAMES.iter().find(|(known, _)| known == name);
        let about = match about {
            Some((_, about)) => about,
            None if name.starts_with("disk") => "a disk of the guest",
            None => "",
        };
        let line = format!("    {name:26}{about}");
        let _infallible = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn found(text: &mut String, told: &Told) {
    *text += "What to look for\n\n";
    if told.findings.is_empty() {
        *text += "    The run had no finding.\n";
    }
    for finding in &told.findings {
        let _infallible = writeln!(text, "    {}", harmless(&finding.title));
        let _infallible = writeln!(text, "        signature: {}", harmless(&finding.signature));
        if let Some(time) = finding.time {
            let _infallible = writeln!(text, "        {time:.1} s after the kernel began");
        }
    }
    text.push('\n');
}

fn made_with(text: &mut String, told: &Told) {
    let mut line = |name: &str, value: String| {
        let _infallible = writeln!(text, "    {name:12}{}", harmless(&value));
    };
    if let Some(series) = &told.series {
        line("series", series.clone());
    }
    line(
        "kernel",
        format!("{}, {}", told.job.label, told.kernel_version),
    );
    let machine = &told.job.machine;
    let accel = match machine.accel {
        Accel::Kvm => "KVM",
        Accel::Tcg => "QEMU's translator (TCG)",
    };
    line(
        "machine",
        format!("{} CPUs, {} MiB, {accel}", machine.cpus, machine.memory_mib),
    );
    if let Some(recording) = &told.recording {
        let after = duration(recording.seconds);
        line("ended", format!("{} after {after}", recording.outcome));
        line("QEMU", recording.qemu.clone());
    }
    line("lab", env!("CARGO_PKG_VERSION").to_owned());
    for scenario in &told.job.guest.scenarios {
        let what = format!(
            "{}/{}, {} s, seed {}",
            scenario.name, scenario.fs, scenario.seconds, scenario.seed
        );
        line("scenario", what);
    }
    text.push('\n');
}
