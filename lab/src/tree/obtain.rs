// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tree for a run: the one that is named, else the lab's own, made from the distribution's source or a download.

use super::import::Progress;
use super::locate::{Choice, DEFAULT_KERNEL, Tree, locate};
use crate::error::{Error, Result};
use crate::fetch;
use crate::stop::Stop;
use crate::ui::{Task, Ui};

/// Release that is downloaded where the distribution has no source package: one for all, so that two users of the default
/// tree speak of the same kernel.
const RELEASE: &str = "6.12.117";

/// The lab's own tree is wanted, not there, and has no source on this host.
pub fn wants_source(choice: &Choice) -> bool {
    !choice.is_named() && !choice.own().exists() && choice.tarball().is_none()
}

/// The tree, if there is one already; nothing is made.
///
/// # Errors
/// What is named is no kernel tree.
pub fn look(choice: &Choice) -> Result<Option<Tree>> {
    if !choice.is_named() && !choice.own().exists() {
        return Ok(None);
    }
    locate(choice, &crate::stop::never(), &mut |_| ()).map(Some)
}

/// The tree, made if need be, with its progress shown.
///
/// # Errors
/// As [`locate`]; and the download's.
pub async fn obtain(choice: &Choice, ui: &Ui, stop: &Stop) -> Result<Tree> {
    if let Some(tree) = look(choice)? {
        return Ok(tree);
    }
    if wants_source(choice) {
        release(choice, ui, stop).await?;
    }
    let task = ui.task("kernel tree");
    let (choice, stop) = (choice.clone(), stop.clone());
    let made = tokio::task::spawn_blocking(move || {
        let made = locate(&choice, &stop, &mut |now| show(&task, now));
        task.done(if made.is_ok() { "imported" } else { "failed" });
        made
    });
    made.await
        .map_err(|error| Error::internal(error.to_string()))?
}

fn show(task: &Task, now: Progress) {
    match now {
        Progress::Waiting => task.at(0, 0, "another lab is importing the same tree; waiting"),
        Progress::Unpacking { read, of, files } => {
            task.at(
                read >> 20,
                of >> 20,
                &format!("{} of {} MiB, {files} files", read >> 20, of >> 20),
            );
        }
    }
}

/// Downloads the default kernel, checked against the list beside it.
async fn release(choice: &Choice, ui: &Ui, stop: &Stop) -> Result<()> {
    let task = ui.task("kernel source");
    let outcome = download(choice, &task, stop).await;
    task.done(if outcome.is_ok() {
        "downloaded"
    } else {
        "failed"
    });
    let hint = format!(
        "install the package linux-source-{DEFAULT_KERNEL} (lab setup), or name a kernel clone with --tree DIR"
    );
    outcome.map_err(|error| error.hint(hint))
}

async fn download(choice: &Choice, task: &Task, stop: &Stop) -> Result<()> {
    let mut show = |now: fetch::Progress| match now {
        fetch::Progress::Receiving { here, of } => {
            let of = of.unwrap_or(0) >> 20;
            task.at(
                here >> 20,
                of,
                &format!("{} of {of} MiB of Linux {RELEASE}", here >> 20),
            );
        }
        fetch::Progress::Waiting { why, wait } => {
            task.at(
                0,
                0,
                &format!("{why}; trying again in {} s", wait.as_secs()),
            );
        }
    };
    fetch::kernel_tarball(
        fetch::KERNEL_ORG,
        RELEASE,
        &choice.download(),
        stop,
        &mut show,
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_wanted_only_for_the_lab_s_own_tree() {
        let cache = tempfile::tempdir().unwrap();
        let mut choice = Choice {
            cache: cache.path().into(),
            ..Choice::default()
        };
        assert!(wants_source(&choice));
        choice.tarballs = vec![cache.path().join("x.tar.xz")];
        std::fs::write(&choice.tarballs[0], "x").unwrap();
        assert!(!wants_source(&choice));
        choice.tarballs.clear();
        choice.option = Some("/somewhere".into());
        assert!(!wants_source(&choice));
    }
}
