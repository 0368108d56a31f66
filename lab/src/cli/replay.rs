// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab replay`.

use crate::error::Result;
use crate::exec::Executor;
use crate::exit::Exit;
use crate::host::machine;
use crate::replay::{Options, Replayer};
use crate::report;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::store;
use crate::ui::Ui;
use std::path::PathBuf;

/// Boot a run once more, alone: the same kernel, machine, arguments and seed.
///
/// Says whether its findings came again, and after how many seconds. Exits 1 when one did, 0 when none did.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run: SET/RUN, its folder, or its name in the newest set that has it.
    run: String,
    /// Let the guest wait for a debugger on the loop-back, and print what to type.
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "1234")]
    #[arg(conflicts_with_all = ["until_hit", "times"])]
    gdb: Option<u16>,
    /// Boot again until a finding of the run shows: first with its own seed, then with others.
    #[arg(long)]
    until_hit: bool,
    /// Boots, or with --until-hit boots at most [default: 1; with --until-hit until stopped].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    times: Option<u32>,
    /// Seconds of each scenario, instead of the run's.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u32).range(1..))]
    seconds: Option<u32>,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
    /// Print what came of it as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, ui: &Ui, stop: Stop) -> Result<Exit> {
    let settings = Settings::load()?;
    let results = settings.results_folder(args.results.as_deref())?;
    let run = store::find_run(&results, &args.run)?;
    let cores = settings.cores.unwrap_or_else(machine::cpus);
    let memory = machine::memory_budget_mib();
    let exec = Executor::new(ui.clone(), stop.clone(), cores, memory);
    let replayer = Replayer {
        run: &run,
        exec: &exec,
        ui,
        stop,
    };
    let summary = replayer
        .run(Options {
            gdb: args.gdb,
            until_hit: args.until_hit,
            times: args.times,
            seconds: args.seconds,
        })
        .await?;
    let text = match args.json {
        true => report::json(&summary)?,
        false => format!("\n{}", summary.text()),
    };
    ui.out(&text);
    Ok(summary.exit())
}
