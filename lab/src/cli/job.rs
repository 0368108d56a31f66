// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab job FILE`.

use crate::error::Result;
use crate::exec;
use crate::exit::Exit;
use crate::stop::Stop;
use crate::ui::Ui;
use std::path::PathBuf;

/// Run one job file: a build or a boot, with its results in the folder that the file names.
///
/// Prints its progress as JSON lines on standard output. This is what the executor starts, here or on
/// another machine; nothing but the file matters.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The job file.
    file: PathBuf,
}

pub(super) async fn run(args: Args, stop: Stop) -> Result<Exit> {
    let ui = Ui::new();
    let progress = move |now: exec::Progress| {
        if let Ok(line) = serde_json::to_string(&now) {
            ui.out(&line);
        }
    };
    exec::work(&args.file, stop, &progress).await?;
    Ok(Exit::Good)
}
