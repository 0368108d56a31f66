// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often the lab's decoding of consoles says what scripts/decode_stacktrace.sh says:
//! `cargo run --release --example decode-figures -- MOST VMLINUX SCRIPT CONSOLE…`, all consoles of that kernel, at most so
//! many places of them (the script takes a second for each). Needs binutils.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool of one screen, for whoever works on the lab"
)]

#[path = "../tests/decoded/mod.rs"]
mod decoded;

use std::collections::BTreeMap;
use std::path::PathBuf;

fn main() {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let most = args.next().and_then(|most| most.to_str()?.parse().ok());
    let most: usize = most.unwrap_or(0);
    let (Some(vmlinux), Some(script)) = (args.next(), args.next()) else {
        println!("usage: decode-figures MOST VMLINUX SCRIPT CONSOLE…");
        return;
    };
    let mut all = BTreeMap::new();
    for console in args {
        let text = std::fs::read(&console).unwrap();
        for spot in decoded::places(&String::from_utf8_lossy(&text)) {
            all.insert((spot.symbol.clone(), spot.offset, spot.size), spot);
        }
    }
    let places: Vec<_> = all.into_values().take(most).collect();
    let f = decoded::compare(&vmlinux, &script, &places);
    let share = |part: usize, of: usize| {
        format!(
            "{part} of {of} ({:.1}%)",
            100.0 * part as f64 / of.max(1) as f64
        )
    };
    println!(
        "same files and lines, same addresses:       {}",
        share(f.as_printed, f.places)
    );
    println!(
        "the same, the script told of the calls:     {}",
        share(f.of_calls, f.places)
    );
    println!(
        "the lab's lines are the script's:           {}",
        share(f.as_script, f.places)
    );
    println!(
        "same functions, inlined ones too, binutils: {}",
        share(f.names.0, f.names.1)
    );
    println!("the lab took {:.2} s", f.took.as_secs_f64());
    f.differ.iter().for_each(|line| println!("  {line}"));
}
