// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab gc`.

use crate::error::{Error, Result};
use crate::gc::{self, Places, Policy};
use crate::report;
use crate::settings::Settings;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Free space: old kernels, work folders, disk images, controls and dumps, and what killed labs left.
///
/// What was not used for the longest time goes first. Nothing goes that is in use, that a set marked with `lab keep`
/// needs, or that a dump needs which still exists. Consoles, events, findings and verdicts always stay. Kernel trees and
/// ccache (which has a limit of its own) are left alone.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only say what would be freed.
    #[arg(long)]
    dry_run: bool,
    /// Free what was not used for so many days.
    #[arg(long, value_name = "N", default_value_t = 30)]
    keep_days: u32,
    /// Size of kernels, work folders and disk images together, GB.
    #[arg(long, value_name = "N", default_value_t = 40)]
    cache_gb: u32,
    /// Size of the dumps of all sets together, GB.
    #[arg(long, value_name = "N", default_value_t = 10)]
    dumps_gb: u32,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Print what becomes of each thing as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<String> {
    let settings = Settings::load()?;
    let places = Places {
        cache: settings.cache_folder()?,
        results: settings.results_folder(args.results.as_deref())?,
    };
    let gigabytes = |n: u32| u64::from(n) * 1_000_000_000;
    let policy = Policy {
        keep: Duration::from_secs(u64::from(args.keep_days) * 24 * 3600),
        cache_bytes: gigabytes(args.cache_gb),
        dump_bytes: gigabytes(args.dumps_gb),
    };
    let decisions = gc::run(&places, &policy, SystemTime::now(), args.dry_run)?;
    let failed = |d: &gc::Decision| matches!(d.fate, gc::Fate::Failed(_));
    let text = match args.json {
        true => report::json(&decisions)?,
        false => gc::text(&decisions, args.dry_run),
    };
    match decisions.iter().filter(|d| failed(d)).count() {
        0 => Ok(text),
        some => Err(
            Error::rig(format!("{some} things could not be freed:\n{text}"))
                .hint("who owns them? `ls -ld` tells; the next `lab gc` tries again"),
        ),
    }
}
