// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab show`.

use crate::error::{Error, Result};
use crate::report;
use crate::settings::Settings;
use crate::store::Set;
use std::path::PathBuf;

/// Show a result set, or one run of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the set (or a unique beginning of it), or its folder.
    set: String,
    /// A run of it, e.g. `rt-0003-01`.
    run: Option<String>,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// The stored JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<String> {
    let results = Settings::load()?.results_folder(args.results.as_deref())?;
    let set = Set::open(&results, &args.set)?;
    match &args.run {
        Some(run) => report::run_text(&set, run, args.json),
        None if args.json => {
            let verdict = set.verdict()?.ok_or_else(|| unfinished(&set))?;
            report::json(&verdict)
        }
        None => report::set_text(&set),
    }
}

fn unfinished(set: &Set) -> Error {
    let name = &set.manifest().set;
    Error::rig(format!("{name} has no verdict yet"))
        .hint(format!("`lab run --resume {name}` goes on with it"))
}
