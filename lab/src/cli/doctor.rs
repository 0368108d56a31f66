// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab doctor`.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::host::doctor::{self, Row, State};
use crate::settings::Settings;
use crate::stop::Stop;
use crate::ui::{Ui, harmless};

/// Show at a glance what this host can do, and the command that mends what is missing.
///
/// KVM and the sandbox are tried, not looked up. Exits 125 if something without which the lab cannot run
/// is missing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, ui: &Ui, stop: Stop) -> Result<Exit> {
    let settings = Settings::load()?;
    let rows = doctor::look(&settings, stop).await?;
    if args.json {
        let text =
            serde_json::to_string_pretty(&rows).map_err(|e| Error::internal(e.to_string()))?;
        ui.out(&text);
    } else {
        let mut text: String = rows.iter().map(|row| line(ui, row)).collect();
        if let Some(command) = doctor::mend(&settings) {
            text += &format!("\nmend it with: lab setup\n          or: {command}\n");
        }
        ui.out(&text);
    }
    let missing = rows.iter().any(|row| row.state == State::Missing);
    Ok(if missing {
        Exit::CannotTell
    } else {
        Exit::Good
    })
}

fn line(ui: &Ui, row: &Row) -> String {
    let mark = match row.state {
        State::Good => ui.paint("ok     ", "32"),
        State::Less => ui.paint("less   ", "33"),
        State::Missing => ui.paint("missing", "31"),
    };
    let mend = row
        .mend
        .as_ref()
        .map_or(String::new(), |m| format!("  → {m}"));
    format!("{mark} {:20} {}{mend}\n", row.name, harmless(&row.words))
}
