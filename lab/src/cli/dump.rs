// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab dump RUN`.

use crate::autopsy::{self, Python, terminal, unpack};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::store::{RunAt, Set, find_run};
use crate::ui::{Ui, harmless};
use lab_core::autopsy::{Autopsy, Table};
use lab_core::job::{DumpRecord, Recording};
use lab_core::verdict::Line;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// Open a boot's dump of memory in drgn, unpack it for other tools, or compare the dumps of one finding.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The boot: SET/RUN, a run's folder, or a run's name.
    #[arg(required_unless_present = "table")]
    run: Option<String>,
    /// Print how to open it with crash, gdb and drgn.
    #[arg(long, conflicts_with_all = ["out", "table"])]
    print: bool,
    /// Only unpack it into this file.
    #[arg(long, value_name = "FILE", conflicts_with = "table")]
    out: Option<PathBuf>,
    /// The dump at the end of the scenario of this number, not that of the failure.
    #[arg(long, value_name = "N", conflicts_with = "table")]
    scenario: Option<u32>,
    /// All dumps of a set whose boots show a signature (or a part of it), side by side.
    #[arg(long, num_args = 2, value_names = ["SET", "SIGNATURE"], conflicts_with = "run")]
    table: Option<Vec<String>>,
    /// With --table: as JSON.
    #[arg(long, requires = "table")]
    json: bool,
    /// Folder of results.
    #[arg(long, value_name = "DIR")]
    results: Option<PathBuf>,
}

pub(super) async fn run(args: Args, ui: &Ui, stop: Stop) -> Result<Exit> {
    let settings = Settings::load()?;
    let results = settings.results_folder(args.results.as_deref())?;
    if let Some([set, signature]) = args.table.as_deref() {
        ui.out(&table(&results, set, signature, args.json)?);
        return Ok(Exit::Good);
    }
    let at = find_run(&results, args.run.as_deref().unwrap_or_default())?;
    let (job, recording) = autopsy::load(&at)?;
    let dump = pick(&at, &recording, args.scenario)?;
    if let Some(out) = &args.out {
        return unpack_to(&dump, out, ui).await;
    }
    let vmlinux = autopsy::vmlinux(&job)?;
    if args.print {
        ui.out(&lines(&dump, &vmlinux));
        return Ok(Exit::Good);
    }
    let python = Python::find(&job.cache, stop.clone())
        .await
        .map_err(|error| {
            let hint = error.hint_text().unwrap_or_default().to_owned();
            error.hint(format!(
                "{hint}; `lab dump RUN --print` tells of other tools"
            ))
        })?;
    let folder = at.folder.clone();
    let from = dump.clone();
    ui.say(&format!("unpacking {}", dump.display()));
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(&from, &folder));
    let core = unpacking
        .await
        .map_err(|error| Error::internal(error.to_string()))??;
    tell_cut(&core, ui);
    let mut command = Command::new(&python.program);
    command.args(["-m", "drgn", "--core"]).arg(core.path());
    command.arg("--symbols").arg(&vmlinux);
    let status = terminal::foreground(command, stop).await?;
    Ok(if status.success() {
        Exit::Good
    } else {
        Exit::CannotTell
    })
}

/// The dump that is meant.
fn pick(at: &RunAt, recording: &Recording, scenario: Option<u32>) -> Result<PathBuf> {
    let there = |dump: &&DumpRecord| at.folder.join(&dump.file).is_file();
    let meant = |dump: &&DumpRecord| dump.scenario == scenario;
    let found = recording.dumps.iter().filter(meant).find(there);
    if let Some(dump) = found {
        return Ok(at.folder.join(&dump.file));
    }
    let others: Vec<String> = (recording.dumps.iter().filter(there))
        .map(|dump| match dump.scenario {
            Some(number) => format!("--scenario {number}"),
            None => "no --scenario".to_owned(),
        })
        .collect();
    let hint = match (
        others.is_empty(),
        recording.dumps.iter().any(|dump| meant(&dump)),
    ) {
        (false, _) => format!("there is one with {}", others.join(", ")),
        (true, true) => {
            "it was removed after its autopsy; `dump: all` in the profile keeps all".to_owned()
        }
        (true, false) => "none was taken: see `dump:` and `audit:` of its profile".to_owned(),
    };
    Err(Error::rig(format!("{} has no such dump", at.id)).hint(hint))
}

async fn unpack_to(dump: &Path, out: &Path, ui: &Ui) -> Result<Exit> {
    if out.exists() {
        return Err(Error::usage(format!("{} is there already", out.display()))
            .hint("give another name, or remove it"));
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    let from = dump.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(&from, &folder));
    let core = unpacking
        .await
        .map_err(|error| Error::internal(error.to_string()))??;
    tell_cut(&core, ui);
    core.keep(out)?;
    ui.out(&format!("{}\n", out.display()));
    Ok(Exit::Good)
}

fn tell_cut(core: &unpack::Core, ui: &Ui) {
    if let Some(why) = &core.cut {
        let why = harmless(why);
        ui.say(&format!(
            "the dump ends early ({why}): what is beyond is missing"
        ));
    }
}

/// How to open it by hand.
fn lines(dump: &Path, vmlinux: &Path) -> String {
    let (dump, vmlinux) = (quoted(dump), quoted(vmlinux));
    format!(
        "zstd -d --sparse {dump} -o /tmp/vmcore\n\
         drgn -c /tmp/vmcore -s {vmlinux}\n\
         crash {vmlinux} /tmp/vmcore\n\
         gdb {vmlinux} /tmp/vmcore    # registers and symbols alone: the dump holds physical memory\n"
    )
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let path = harmless(&path.display().to_string());
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    match path.chars().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

/// The autopsies of all boots of a set that show a signature.
fn table(results: &Path, set: &str, signature: &str, json: bool) -> Result<String> {
    let set = Set::open(results, set)?;
    let mut dumps: Vec<(String, Autopsy)> = Vec::new();
    let mut seen = 0;
    for line in set.ledger()?.0 {
        let Line::Run(run) = line else { continue };
        if !(run.sightings.iter()).any(|sighting| sighting.signature.contains(signature)) {
            continue;
        }
        seen += 1;
        if let Some(autopsy) = autopsy::stored(&set.run_folder(&run.id))? {
            dumps.push((run.id, autopsy));
        }
    }
    let name = &set.manifest().set;
    if dumps.is_empty() {
        let words = match seen {
            0 => format!("no boot of {name} shows «{signature}»"),
            seen => format!("{seen} boots of {name} show «{signature}», and none has an autopsy"),
        };
        return Err(Error::usage(words).hint(format!("`lab show {name}` lists what was found")));
    }
    let table = Table::of(&dumps);
    match json {
        true => report::json(&table),
        false => Ok(table.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_can_be_typed_as_they_stand() {
        let text = lines(Path::new("/r/it's/vmcore.zst"), Path::new("/k/vmlinux"));
        assert!(
            text.contains(r"zstd -d --sparse '/r/it'\''s/vmcore.zst' -o"),
            "{text}"
        );
        assert!(text.contains("\ncrash /k/vmlinux /tmp/vmcore\n"), "{text}");
    }
}
