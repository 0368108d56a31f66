// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab keep`.

use crate::error::Result;
use crate::gc::keep;
use crate::settings::Settings;
use crate::store::Set;
use std::path::PathBuf;

/// Mark a result set: `lab gc` frees nothing that it needs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the set (or a unique beginning of it), or its folder.
    set: String,
    /// Take the mark away.
    #[arg(long)]
    undo: bool,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<String> {
    let settings = Settings::load()?;
    let results = settings.results_folder(args.results.as_deref())?;
    let set = Set::open(&results, &args.set)?;
    let name = &set.manifest().set;
    if args.undo {
        keep::undo(set.folder(), &settings.cache_folder()?)?;
        return Ok(format!("{name} is no longer kept"));
    }
    let gone = keep::keep(set.folder(), &settings.cache_folder()?)?;
    Ok(match gone {
        0 => format!("{name} is kept, with its kernels and dumps"),
        some => format!("{name} is kept; {some} of its kernels are gone from the cache already"),
    })
}
