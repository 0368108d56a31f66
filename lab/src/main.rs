// SPDX-License-Identifier: MIT OR Apache-2.0
//! The binary `lab`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::cli::main().into()
}
