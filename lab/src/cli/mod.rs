// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: one file a command. A command gives its answer as text; what is printed goes
//! through [`Ui`].

pub mod apply;
mod autopsy;
mod capsule;
mod doctor;
mod dump;
mod gc;
mod job;
mod keep;
mod ls;
pub mod profiles;
mod replay;
mod run;
mod scenarios;
mod score;
pub mod series;
mod setup;
mod shell;
mod show;
pub mod triage;

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::intake;
use crate::profiles::FOLDER;
use crate::settings::Settings;
use crate::stop::{self, Stop, Stopper};
use crate::tree;
use crate::ui::Ui;
use clap::{Parser, Subcommand};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// A patch-series regression lab for the Linux VFS.
///
/// Exit codes, safe under `git bisect run`: 0 no regression, 1 regression, 125 cannot tell, 129 usage,
/// 130 interrupted, 255 internal.
#[derive(Debug, Parser)]
#[command(name = "lab", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Args>),
    Replay(replay::Args),
    Shell(shell::Args),
    Capsule(capsule::Args),
    Series(series::Args),
    Apply(apply::Args),
    Profiles(profiles::Args),
    Scenarios(scenarios::Args),
    Score(Box<score::Args>),
    Ls(ls::Args),
    Show(show::Args),
    Triage(triage::Args),
    Autopsy(autopsy::Args),
    Dump(dump::Args),
    Keep(keep::Args),
    Gc(gc::Args),
    Doctor(doctor::Args),
    Setup(setup::Args),
    Job(job::Args),
}

/// Runs the command line of this process to its exit code.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let ui = Ui::new();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(dispatch(cli.command, &ui));
            // A blocking step that is still at work (an import) must not hold up a stop.
            runtime.shutdown_timeout(std::time::Duration::from_millis(200));
            outcome
        });
    outcome.unwrap_or_else(|error| {
        ui.error(&error);
        error.exit()
    })
}

/// clap's own words: help and version are answers, the rest is a usage error.
fn refuse(error: &clap::Error) -> Exit {
    let asked = !error.use_stderr();
    let _closed = error.print();
    if asked { Exit::Good } else { Exit::Usage }
}

async fn dispatch(command: Command, ui: &Ui) -> Result<Exit> {
    let (stopper, stop) = stop::channel();
    listen_for_signals(stopper, ui.clone())?;
    match command {
        Command::Run(args) => run::run(*args, ui, stop).await,
        Command::Score(args) => score::run(*args, ui, stop).await,
        Command::Job(args) => job::run(args, stop).await,
        Command::Replay(args) => replay::run(args, ui, stop).await,
        Command::Shell(args) => shell::run(args, ui, stop).await,
        Command::Apply(args) => apply(args, ui, stop).await,
        Command::Autopsy(args) => autopsy::run(args, ui, stop).await,
        Command::Dump(args) => dump::run(args, ui, stop).await,
        Command::Triage(args) => triage(args, ui, stop).await,
        Command::Doctor(args) => doctor::run(args, ui, stop).await,
        Command::Setup(args) => setup::run(&args, ui),
        other => answer(other, ui, stop).await,
    }
}

async fn apply(args: apply::Args, ui: &Ui, mut stop: Stop) -> Result<Exit> {
    let choice = Settings::load()?.tree_choice(args.tree.as_deref())?;
    intake::needs_tree(&args.series)?;
    let tree = tree::obtain(&choice, ui, &stop).await?;
    let work = tokio::task::spawn_blocking(move || apply::run(&args, &tree));
    let said = tokio::select! {
        said = work => said.map_err(|e| Error::internal(e.to_string()))??,
        // No ref is written before all is stored: leaving here leaves the tree as it was, or whole.
        () = stop.reached(stop::Level::Orderly) => return Err(Error::interrupted()),
    };
    ui.out(&said.text);
    Ok(said.exit)
}

async fn triage(args: triage::Args, ui: &Ui, mut stop: Stop) -> Result<Exit> {
    let work = tokio::task::spawn_blocking(move || triage::run(&args));
    let said = tokio::select! {
        said = work => said.map_err(|e| Error::internal(e.to_string()))??,
        // Each file of a set is written whole or not at all: whatever this leaves, another triage goes on from.
        () = stop.reached(stop::Level::Orderly) => return Err(Error::interrupted()),
    };
    ui.out(&said.text);
    Ok(said.exit)
}

/// Commands whose answer is a text.
async fn answer(command: Command, ui: &Ui, stop: Stop) -> Result<Exit> {
    // These read and compute for a while without waiting: they must not hold up the signal handler.
    let work = tokio::task::spawn_blocking(move || match command {
        Command::Series(args) => series::run(&args),
        Command::Profiles(args) => profiles::run(&args, Path::new(FOLDER)),
        Command::Scenarios(args) => Ok(scenarios::run(&args)),
        Command::Ls(args) => ls::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Capsule(args) => capsule::run(&args),
        Command::Keep(args) => keep::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Run(_)
        | Command::Score(_)
        | Command::Job(_)
        | Command::Replay(_)
        | Command::Shell(_)
        | Command::Apply(_)
        | Command::Autopsy(_)
        | Command::Dump(_)
        | Command::Triage(_)
        | Command::Doctor(_)
        | Command::Setup(_) => Err(Error::internal("this command has no plain answer")),
    });
    let mut stop = stop;
    let text = tokio::select! {
        text = work => text.map_err(|e| Error::internal(e.to_string()))??,
        () = stop.reached(stop::Level::Orderly) => return Err(Error::interrupted()),
    };
    ui.out(&text);
    Ok(Exit::Good)
}

/// The first Ctrl-C (or TERM) stops in order, the second at once.
fn listen_for_signals(stopper: Stopper, ui: Ui) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => ui.say("\nstopping in order; once more stops at once"),
                _ = terminate.recv() => {}
            }
            stopper.escalate();
        }
    });
    Ok(())
}
