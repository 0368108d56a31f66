// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab autopsy RUN…`.

use crate::autopsy::{self, Again};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::store::{RunAt, find_run};
use crate::ui::{Ui, harmless};
use lab_core::autopsy::{Autopsy, Table, text};
use serde::Serialize;
use std::path::PathBuf;

/// Show what a boot's dump of memory tells: who waits for whom, stacks, locks, dentries.
///
/// The report is made again from the dump where that was kept (autopsy.json, .txt and .svg in the run's folder are
/// replaced); else the one that was made then is shown.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Boots: SET/RUN, a run's folder, or a run's name.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<String>,
    /// Show them side by side: which fields agree, which differ.
    #[arg(long)]
    table: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

#[derive(Serialize)]
struct Told<'a> {
    run: &'a str,
    autopsy: &'a Autopsy,
    remarks: &'a [String],
}

pub(super) async fn run(args: Args, ui: &Ui, stop: Stop) -> Result<Exit> {
    let results = Settings::load()?.results_folder(args.results.as_deref())?;
    let runs: Vec<RunAt> = (args.runs.iter())
        .map(|name| find_run(&results, name))
        .collect::<Result<_>>()?;
    let mut found: Vec<(String, Again)> = Vec::new();
    let mut failed: Option<Error> = None;
    for at in &runs {
        match get(at, args.table, stop.clone()).await {
            Ok(again) => found.push((name(at, &runs), again)),
            // The others may still be told.
            Err(error) if runs.len() > 1 => {
                ui.error(&error);
                failed = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    ui.out(&shown(&args, &found)?);
    Ok(failed.map_or(Exit::Good, |error| error.exit()))
}

/// A table is of what was seen at the time; one report is made anew.
async fn get(at: &RunAt, stored: bool, stop: Stop) -> Result<Again> {
    match autopsy::stored(&at.folder)?.filter(|_| stored) {
        Some(autopsy) => Ok(Again {
            autopsy,
            remarks: Vec::new(),
        }),
        None => autopsy::again(at, stop).await,
    }
}

/// The run's name, with its set's where they are of several.
fn name(at: &RunAt, all: &[RunAt]) -> String {
    let of = |at: &RunAt| at.set.as_ref().map(|set| set.manifest().set.clone());
    match of(at) {
        Some(set) if all.iter().any(|other| of(other).as_ref() != Some(&set)) => {
            format!("{set}/{}", at.id)
        }
        _ => at.id.clone(),
    }
}

fn shown(args: &Args, found: &[(String, Again)]) -> Result<String> {
    if args.table {
        let dumps: Vec<(String, Autopsy)> = (found.iter())
            .map(|(name, again)| (name.clone(), again.autopsy.clone()))
            .collect();
        let table = Table::of(&dumps);
        return match args.json {
            true => report::json(&table),
            false => Ok(table.text()),
        };
    }
    if args.json {
        let told: Vec<Told<'_>> = (found.iter())
            .map(|(run, again)| Told {
                run,
                autopsy: &again.autopsy,
                remarks: &again.remarks,
            })
            .collect();
        return report::json(&told);
    }
    let mut all = String::new();
    for (number, (name, again)) in found.iter().enumerate() {
        if number > 0 {
            all.push('\n');
        }
        if found.len() > 1 {
            all += &format!("{name}\n");
        }
        for remark in &again.remarks {
            all += &format!("({})\n", harmless(remark));
        }
        all += &text(&again.autopsy);
    }
    Ok(all)
}
