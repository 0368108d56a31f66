// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab ls`.

use crate::error::Result;
use crate::gc;
use crate::settings::Settings;
use crate::store::{self, Set};
use lab_core::verdict::Overall;
use std::fmt::Write;
use std::path::PathBuf;

/// List the result sets, oldest first.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<String> {
    let results = Settings::load()?.results_folder(args.results.as_deref())?;
    let mut rows = Vec::new();
    for name in store::list(&results)? {
        // One set that cannot be read hides no other.
        let Ok(set) = Set::open(&results, &name) else {
            rows.push((String::new(), name, Vec::new(), "unreadable", false));
            continue;
        };
        let word = match set.verdict().map(|v| v.map(|v| v.overall)) {
            Ok(Some(Overall::Regression)) => "regression",
            Ok(Some(Overall::NoRegression)) => "no regression",
            Ok(Some(Overall::CannotTell)) => "cannot tell",
            Ok(None) => "unfinished",
            Err(_) => "unreadable",
        };
        rows.push((
            set.manifest().begun.clone(),
            name,
            set.manifest().profiles.clone(),
            word,
            gc::keep::is_kept(set.folder()),
        ));
    }
    rows.sort();
    if args.json {
        return Ok(rows.iter().map(json_line).collect());
    }
    if rows.is_empty() {
        return Ok(format!("no sets in {}\n", results.display()));
    }
    let width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (begun, name, profiles, word, kept) in rows {
        let names: Vec<&str> = profiles.iter().map(|p| p.name.as_str()).collect();
        let kept = if kept { "  kept" } else { "" };
        let _infallible = writeln!(
            text,
            "{name:width$}  {begun}  {word:13}  {}{kept}",
            names.join(",")
        );
    }
    Ok(text)
}

type Row = (String, String, Vec<store::ProfileLine>, &'static str, bool);

fn json_line((begun, set, profiles, verdict, kept): &Row) -> String {
    let line = serde_json::json!({"set": set, "begun": begun, "profiles": profiles, "verdict": verdict, "kept": kept});
    format!("{line}\n")
}
