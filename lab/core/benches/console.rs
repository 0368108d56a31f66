// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast consoles are read, in megabytes a second: `cargo bench -p lab-core --bench console [-- MEGABYTES NAME]`.
//!
//! Ordinary boot log (a real one, repeated) is wanted at 500 MB/s or more on one core; nothing a kernel or an attacker prints
//! may be slower than 50 MB/s. Exits with 1 when a wanted speed is missed.
#![allow(clippy::print_stdout)]

mod inputs;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = || {
        std::env::args()
            .skip(1)
            .filter(|argument| !argument.starts_with('-'))
    };
    let megabytes = arguments()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(64_usize);
    let only = arguments()
        .find(|argument| argument.parse::<usize>().is_err())
        .unwrap_or_default();
    let mut missed = false;
    for (name, input, wanted) in inputs::inputs(megabytes << 20) {
        if !name.contains(&only) {
            continue;
        }
        let (speed, heard) = inputs::measure(&input);
        let verdict = if speed >= wanted { "" } else { "   MISSED" };
        missed |= speed < wanted;
        println!("{name:<32} {speed:>8.0} MB/s   wanted {wanted:>4.0}   {heard:>5} heard{verdict}");
    }
    ExitCode::from(u8::from(missed))
}
