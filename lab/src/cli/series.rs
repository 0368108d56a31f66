// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab series`: shows what was read.

use crate::error::{Error, Result};
use crate::intake::{self, Options};
use lab_core::series::describe;
use std::path::PathBuf;

/// Show a patch series as the lab reads it.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// An mbox (also .gz), a patch file, a folder of patches, a quilt folder, - for standard input, or REV..REV.
    pub series: String,
    /// Print everything that was read as JSON.
    #[arg(long)]
    pub json: bool,
    /// Take this version where there are several; the newest otherwise.
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
    /// The git repository in which REV..REV is looked up.
    #[arg(long, value_name = "DIR", env = "LAB_TREE")]
    pub tree: Option<PathBuf>,
}

/// The text or JSON to print.
///
/// # Errors
/// When the series cannot be read.
pub fn run(args: &Args) -> Result<String> {
    let options = Options {
        version: args.version,
        tree: args.tree.clone(),
    };
    let series = intake::read_series(&args.series, &options)?;
    if args.json {
        let json = serde_json::to_string_pretty(&series)
            .map_err(|error| Error::internal(error.to_string()))?;
        return Ok(json + "\n");
    }
    Ok(describe(&series))
}
