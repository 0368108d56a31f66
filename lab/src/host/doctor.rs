// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this host can do, at a glance.

use super::machine::{cpus, memory_mib};
use super::setup::{self, one_line};
use super::tools::{TOOLS, version};
use crate::autopsy::Python;
use crate::error::Result;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::{build, tree, vm};
use lab_core::job::Accel;
use nix::sys::statvfs::statvfs;
use serde::Serialize;
use std::path::Path;

/// Free space that a first run under one profile needs, GiB: 4.4 were used (tree, source, output, kernels, ccache).
const DISK_GIB: u64 = 6;
/// Memory below which a debug kernel's build and a boot get in each other's way, MiB.
const MEMORY_MIB: u64 = 4096;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Version, size, reason.
    pub words: String,
    /// What mends it.
    pub mend: Option<String>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Good,
    /// The lab goes on, with less.
    Less,
    /// The lab cannot run.
    Missing,
}

/// Looks at everything.
///
/// # Errors
/// When the settings are wrong.
pub async fn look(settings: &Settings, stop: Stop) -> Result<Vec<Row>> {
    let cache = settings.cache_folder()?;
    let mut rows = tools();
    rows.push(drgn(&cache, stop.clone()).await);
    rows.push(accelerator(&cache, stop).await);
    rows.push(match build::sandbox_works() {
        Ok(words) => row("sandbox", State::Good, words, None),
        Err(error) => row(
            "sandbox",
            State::Missing,
            error.to_string(),
            error.hint_text().map(str::to_owned),
        ),
    });
    rows.push(kernel_tree(settings)?);
    rows.push(disk(&cache));
    let memory = memory_mib("MemAvailable:");
    let state = if memory >= MEMORY_MIB {
        State::Good
    } else {
        State::Less
    };
    rows.push(row(
        "memory",
        state,
        format!("{memory} MiB available, {} CPUs", cpus()),
        None,
    ));
    Ok(rows)
}

/// The one command that mends what an installation can mend.
pub fn mend(settings: &Settings) -> Option<String> {
    let wants = settings
        .tree_choice(None)
        .is_ok_and(|choice| tree::wants_source(&choice));
    let plan = setup::plan(wants).ok()??;
    Some(one_line(&plan, nix::unistd::geteuid().is_root()))
}

fn tools() -> Vec<Row> {
    TOOLS
        .iter()
        .map(|tool| match (tool.found(), tool.optional) {
            (Some(found), _) => row(tool.name, State::Good, found, None),
            (None, true) => row(
                tool.name,
                State::Less,
                format!("absent: {}", tool.purpose),
                Some("lab setup".into()),
            ),
            (None, false) => row(
                tool.name,
                State::Missing,
                format!("absent: {}", tool.purpose),
                Some("lab setup".into()),
            ),
        })
        .collect()
}

async fn accelerator(cache: &Path, stop: Stop) -> Row {
    if version("qemu-system-x86_64", "--version").is_none() {
        return row(
            "KVM",
            State::Missing,
            "not tried: QEMU is absent".into(),
            Some("lab setup".into()),
        );
    }
    match vm::probe(cache, stop).await {
        Ok(probe) if probe.accel == Accel::Kvm => row("KVM", State::Good, probe.reason, None),
        Ok(probe) => row(
            "KVM",
            State::Less,
            format!("emulated (TCG): {}", probe.reason),
            None,
        ),
        Err(error) => row(
            "KVM",
            State::Missing,
            error.to_string(),
            error.hint_text().map(str::to_owned),
        ),
    }
}

async fn drgn(cache: &Path, stop: Stop) -> Row {
    match Python::find(cache, stop).await {
        Ok(python) => {
            let (drgn, version, program) = (python.drgn, python.version, python.program.display());
            row(
                "drgn",
                State::Good,
                format!("{drgn} on Python {version} in {program}"),
                None,
            )
        }
        Err(error) => row(
            "drgn",
            State::Less,
            format!("dumps are kept but not read: {error}"),
            error.hint_text().map(str::to_owned),
        ),
    }
}

fn kernel_tree(settings: &Settings) -> Result<Row> {
    let choice = settings.tree_choice(None)?;
    let wants = tree::wants_source(&choice);
    Ok(match tree::look(&choice) {
        Ok(Some(tree)) => {
            let words = format!(
                "{} in {} ({})",
                tree.version(),
                tree.git_dir().display(),
                tree.origin()
            );
            row("kernel tree", State::Good, words, None)
        }
        Ok(None) if wants => row(
            "kernel tree",
            State::Missing,
            "none yet, and no source to make one from".into(),
            Some("lab setup, or --tree DIR, or LAB_TREE".into()),
        ),
        Ok(None) => row(
            "kernel tree",
            State::Good,
            "will be made by the first run".into(),
            None,
        ),
        Err(error) => row(
            "kernel tree",
            State::Missing,
            error.to_string(),
            error.hint_text().map(str::to_owned),
        ),
    })
}

fn disk(cache: &Path) -> Row {
    let place = cache
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    let free = statvfs(place).map(|s| (s.blocks_available() * s.fragment_size()) >> 30);
    match free {
        Ok(free) if free >= DISK_GIB => row(
            "disk",
            State::Good,
            format!("{free} GiB free for {}", cache.display()),
            None,
        ),
        Ok(free) => row(
            "disk",
            State::Less,
            format!(
                "{free} GiB free for {}; a first run takes about {DISK_GIB}",
                cache.display()
            ),
            Some("set LAB_CACHE to a larger disk".into()),
        ),
        Err(error) => row(
            "disk",
            State::Less,
            format!("{}: {error}", cache.display()),
            None,
        ),
    }
}

fn row(name: &str, state: State, words: String, mend: Option<String>) -> Row {
    Row {
        name: name.to_owned(),
        state,
        words,
        mend,
    }
}
