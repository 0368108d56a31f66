// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab setup`.

use crate::error::Result;
use crate::exit::Exit;
use crate::host::setup;
use crate::settings::Settings;
use crate::tree;
use crate::ui::Ui;

/// Install what this host is missing: says what, asks, and uses sudo where needed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> Result<Exit> {
    let settings = Settings::load()?;
    setup::run(
        ui,
        args.yes,
        tree::wants_source(&settings.tree_choice(None)?),
        &settings.cache_folder()?,
    )?;
    Ok(Exit::Good)
}
