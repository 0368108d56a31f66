// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs what is missing on the host, after saying what and asking.

use super::drgn;
use super::tools::{TOOLS, Tool, version};
use crate::error::{Doing, Error, Result};
use crate::ui::Ui;
use std::path::Path;
use std::process::{Command, Stdio};

/// A package manager the lab knows.
#[derive(Debug)]
pub struct Manager {
    name: &'static str,
    /// Refreshes its lists first, where it does not do so itself.
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    /// Package with the kernel source that the embedded default tree is made from.
    source: Option<&'static str>,
}

/// In the order of [`Tool::packages`].
pub const MANAGERS: &[Manager] = &[
    Manager {
        name: "apt-get",
        refresh: Some(&["apt-get", "update"]),
        install: &["apt-get", "install", "-y", "--no-install-recommends"],
        source: Some("linux-source-6.12"),
    },
    Manager {
        name: "dnf",
        refresh: None,
        install: &["dnf", "install", "-y"],
        source: None,
    },
    Manager {
        name: "pacman",
        refresh: None,
        install: &["pacman", "-S", "--needed", "--noconfirm"],
        source: None,
    },
];

/// Where Debian's package puts the source.
pub const SOURCE_TARBALL: &str = "/usr/src/linux-source-6.12.tar.xz";

/// What is to be installed, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Names of tools that are missing.
    pub missing: Vec<&'static str>,
    /// Commands, in order, without sudo.
    pub commands: Vec<Vec<String>>,
}

/// The plan for this host; `want_source`: the embedded default tree is needed and has no source yet.
///
/// # Errors
/// When something is missing and no package manager is known.
pub fn plan(want_source: bool) -> Result<Option<Plan>> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| tool.found().is_none()).collect();
    let source = want_source && !Path::new(SOURCE_TARBALL).exists();
    let manager = MANAGERS
        .iter()
        .position(|m| version(m.name, "--version").is_some());
    make_plan(&missing, source, manager)
}

fn make_plan(missing: &[&Tool], source: bool, manager: Option<usize>) -> Result<Option<Plan>> {
    if missing.is_empty() && !source {
        return Ok(None);
    }
    let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
    let Some(index) = manager else {
        if missing.is_empty() {
            return Ok(None);
        }
        return Err(
            Error::rig(format!("missing on this host: {}", names.join(", "))).hint(
                "no known package manager (apt-get, dnf, pacman) is here; install them by hand",
            ),
        );
    };
    let manager = &MANAGERS[index];
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.packages[index]).collect();
    packages.extend(manager.source.filter(|_| source));
    packages.dedup();
    if packages.is_empty() {
        return Ok(None);
    }
    let words = |line: &[&str]| line.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let mut commands: Vec<Vec<String>> = manager.refresh.iter().map(|line| words(line)).collect();
    commands.push([words(manager.install), words(&packages)].concat());
    Ok(Some(Plan {
        missing: names,
        commands,
    }))
}

/// Installs what is missing: says what, asks unless `yes`, and uses sudo where this is not root. drgn comes last, into
/// the cache; without it the lab goes on.
///
/// # Errors
/// When it may not install: the hint is the one command to run.
pub fn run(ui: &Ui, yes: bool, want_source: bool, cache: &Path) -> Result<()> {
    let plan = plan(want_source)?;
    let drgn = drgn::wanted(cache);
    if plan.is_none() && !drgn {
        ui.say("setup: everything is there");
        return Ok(());
    }
    let root = nix::unistd::geteuid().is_root();
    let one_line = plan.as_ref().map(|plan| one_line(plan, root));
    tell(ui, plan.as_ref(), one_line.as_deref());
    if drgn {
        ui.say(&format!("setup: {}", drgn::plan(cache)));
    }
    let may = plan.is_none() || root || version("sudo", "--version").is_some();
    let agreed = may && (yes || ui.ask("Do this now?"));
    match (agreed, &plan, one_line) {
        (true, Some(plan), Some(line)) => {
            for command in &plan.commands {
                install(command, root).map_err(|e| e.hint(format!("run: {line}")))?;
            }
            verify()?;
        }
        (false, Some(_), Some(line)) => {
            return Err(
                Error::rig("something is missing on this host").hint(format!("run: {line}"))
            );
        }
        (false, _, _) => ui.say("setup: without drgn dumps are kept but not read"),
        (true, _, _) => {}
    }
    if agreed && drgn {
        drgn::ensure(ui, cache);
    }
    Ok(())
}

fn tell(ui: &Ui, plan: Option<&Plan>, one_line: Option<&str>) {
    let missing = plan.map_or(&[][..], |plan| &plan.missing);
    if !missing.is_empty() {
        ui.say(&format!("setup: missing: {}", missing.join(", ")));
    }
    if let Some(line) = one_line {
        ui.say(&format!("setup: {line}"));
    }
}

/// A package manager that says it succeeded may still not have brought a tool.
fn verify() -> Result<()> {
    let still: Vec<&str> = TOOLS
        .iter()
        .filter(|tool| !tool.optional && tool.found().is_none())
        .map(|tool| tool.name)
        .collect();
    if still.is_empty() {
        return Ok(());
    }
    Err(Error::rig(format!(
        "still missing after the installation: {}",
        still.join(", ")
    ))
    .hint("`lab doctor` shows what this host has"))
}

fn install(command: &[String], root: bool) -> Result<()> {
    let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
    if !root {
        words.insert(0, "sudo");
    }
    let doing = || format!("run {}", words.join(" "));
    // The answer to the user's question goes to standard output: the installer's talk must not.
    let status = Command::new(words[0])
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(std::io::stderr())
        .stdin(Stdio::inherit())
        .status()
        .doing(doing)?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::rig(status.to_string()).doing(doing()))
    }
}

/// The plan as one line to copy.
pub fn one_line(plan: &Plan, root: bool) -> String {
    let sudo = if root { "" } else { "sudo " };
    plan.commands
        .iter()
        .map(|c| format!("{sudo}{}", c.join(" ")))
        .collect::<Vec<_>>()
        .join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some_tools() -> Vec<&'static Tool> {
        TOOLS
            .iter()
            .filter(|t| ["libelf", "qemu-system-x86_64"].contains(&t.name))
            .collect()
    }

    #[test]
    fn each_manager_gets_its_own_package_names() {
        let line = |manager| {
            one_line(
                &make_plan(&some_tools(), true, Some(manager))
                    .unwrap()
                    .unwrap(),
                false,
            )
        };
        assert_eq!(
            line(0),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends libelf-dev \
             qemu-system-x86 linux-source-6.12"
        );
        assert_eq!(
            line(1),
            "sudo dnf install -y elfutils-libelf-devel qemu-system-x86-core"
        );
        assert_eq!(
            line(2),
            "sudo pacman -S --needed --noconfirm libelf qemu-system-x86"
        );
    }

    #[test]
    fn nothing_missing_needs_no_plan_and_no_manager_is_said() {
        assert_eq!(make_plan(&[], false, None).unwrap(), None);
        assert_eq!(make_plan(&[], true, Some(1)).unwrap(), None);
        let error = make_plan(&some_tools(), false, None).unwrap_err();
        assert!(
            error.to_string().contains("libelf, qemu-system-x86_64"),
            "{error}"
        );
    }
}
