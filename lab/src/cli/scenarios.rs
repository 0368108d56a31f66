// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab scenarios`.

use lab_wire::Known;
use std::fmt::Write;

/// List the scenarios of the bundled workload: what each drives, where it runs, and its defaults.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> String {
    let line = if args.json { json_line } else { text };
    lab_wire::SCENARIOS.iter().map(line).collect()
}

fn text(known: &Known) -> String {
    let d = known.defaults;
    let mut out = format!("{}\n  {}\n", known.name, known.about);
    let (usual, more) = known.filesystems.split_at(known.usual);
    let more = match more {
        [] => String::new(),
        more => format!(" (and {})", more.join(", ")),
    };
    let _infallible = writeln!(out, "  on {}{more}", usual.join(", "));
    let _infallible = writeln!(out, "  reaches {}", known.reaches.join(", "));
    let _infallible = writeln!(
        out,
        "  threads {}, names {}, dirs {}, seconds {}",
        d.threads, d.names, d.dirs, d.seconds
    );
    out
}

fn json_line(known: &Known) -> String {
    let d = known.defaults;
    let line = serde_json::json!({
        "scenario": known.name, "about": known.about, "reaches": known.reaches,
        "filesystems": known.filesystems, "usual": known.filesystems[..known.usual],
        "threads": d.threads, "names": d.names, "dirs": d.dirs, "seconds": d.seconds,
    });
    format!("{line}\n")
}
