// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was freed and why, and what stays and why.

use super::plan::{Decision, Fate, Kind};
use crate::ui::harmless;
use std::fmt::Write;

/// For people; with `dry`, as what would be.
pub fn text(decisions: &[Decision], dry: bool) -> String {
    let mut text = String::new();
    let bytes = |some: &[&Decision]| size(some.iter().map(|d| d.thing.bytes).sum());
    let of = |wanted: fn(&Fate) -> Option<&String>| -> Vec<&Decision> {
        decisions
            .iter()
            .filter(|d| wanted(&d.fate).is_some())
            .collect()
    };
    let freed = of(|fate| match fate {
        Fate::Free(why) => Some(why),
        _ => None,
    });
    let verb = if dry { "would free" } else { "freed" };
    let _infallible = writeln!(text, "{verb} {}", bytes(&freed));
    freed.iter().for_each(|d| line(&mut text, d));
    let failed = of(|fate| match fate {
        Fate::Failed(why) => Some(why),
        _ => None,
    });
    if !failed.is_empty() {
        let _infallible = writeln!(text, "could not be freed: {}", bytes(&failed));
        failed.iter().for_each(|d| line(&mut text, d));
    }
    let held = of(|fate| match fate {
        Fate::Held(why) => Some(why),
        _ => None,
    });
    if !held.is_empty() {
        let _infallible = writeln!(text, "must stay: {}", bytes(&held));
        held.iter().for_each(|d| line(&mut text, d));
    }
    for kind in [
        Kind::Dump,
        Kind::Kernel,
        Kind::Slot,
        Kind::Image,
        Kind::Control,
    ] {
        let stays: Vec<&Decision> = (decisions.iter())
            .filter(|d| d.thing.kind == kind && d.fate == Fate::Stay)
            .collect();
        if !stays.is_empty() {
            let (count, many) = (stays.len(), if stays.len() == 1 { "" } else { "s" });
            let what = format!("{}{many}", name(kind));
            let _infallible = writeln!(
                text,
                "stays: {count} {what}, {}: used lately, or there is room",
                bytes(&stays)
            );
        }
    }
    text
}

fn line(text: &mut String, decision: &Decision) {
    let (Fate::Free(why) | Fate::Held(why) | Fate::Failed(why)) = &decision.fate else {
        return;
    };
    let thing = &decision.thing;
    let (path, why) = (harmless(&thing.path.display().to_string()), harmless(why));
    let _infallible = writeln!(
        text,
        "  {:>8}  {} {path}: {why}",
        size(thing.bytes),
        name(thing.kind)
    );
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Leftover => "leftover",
        Kind::Dump => "dump",
        Kind::Kernel => "kernel",
        Kind::Slot => "work folder",
        Kind::Image => "disk image",
        Kind::Control => "control",
    }
}

/// Bytes as people say them.
pub(super) fn size(bytes: u64) -> String {
    let value = bytes as f64;
    match bytes {
        0..1_000_000 => format!("{:.0} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", value / 1e6),
        _ => format!("{:.1} GB", value / 1e9),
    }
}
