// SPDX-License-Identifier: MIT OR Apache-2.0
//! The corridor: opens the rooms' doors in order, for each profile, until the verdict is reached.
//!
//! Every build and boot has a fixed name in its set, and what a finished one left is taken from the shelf
//! instead of doing it again. So a run that goes on after a crash is the same code as a run that begins.

mod boots;
mod controls;
pub mod doors;
mod judge;
mod kernels;
mod matrix;
mod measure;
mod search;
mod warnings;

pub(crate) use boots::seed_of;
pub use judge::{Counted, Judgement, judge_again};
pub(crate) use kernels::said;
pub use measure::measures;

use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::stop::{Level, Stop};
use crate::store::{Manifest, Set, file};
use crate::ui::Ui;
use lab_core::profile::Profile;
use lab_core::verdict::{Line, ProfileVerdict, Verdict};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

/// What every door needs to know.
pub struct Corridor<'a> {
    set: &'a Set,
    exec: &'a Executor,
    ui: &'a Ui,
    cache: &'a Path,
    stop: Stop,
    /// What the ledger says, by identifier, so that a job taken from the shelf is not written twice.
    known: Mutex<BTreeMap<String, Line>>,
}

impl<'a> Corridor<'a> {
    /// A corridor over one set.
    ///
    /// # Errors
    /// When the set's ledger cannot be read.
    pub fn new(
        set: &'a Set,
        exec: &'a Executor,
        ui: &'a Ui,
        cache: &'a Path,
        stop: Stop,
    ) -> Result<Self> {
        let (lines, torn) = set.ledger()?;
        if torn > 0 {
            ui.say(&format!(
                "{torn} torn lines of the ledger skipped; what they told is read again"
            ));
        }
        let known = lines
            .into_iter()
            .map(|line| (line.id().to_owned(), line))
            .collect();
        Ok(Self {
            set,
            exec,
            ui,
            cache,
            stop,
            known: Mutex::new(known),
        })
    }

    /// Walks every profile and writes `verdict.json`.
    ///
    /// # Errors
    /// When the lab was stopped or the set cannot be written. A kernel that does not build or a rig that
    /// fails is no error: it stands in the verdict.
    pub async fn run(&self, profiles: &[Profile]) -> Result<Verdict> {
        let walks = profiles.iter().map(|profile| self.walk(profile));
        let mut judged: Vec<ProfileVerdict> = Vec::new();
        for walked in futures_util::future::join_all(walks).await {
            judged.push(walked?);
        }
        let verdict = judge::verdict(self.manifest(), judged);
        file::write_json(&self.set.folder().join("verdict.json"), &verdict)?;
        Ok(verdict)
    }

    fn manifest(&self) -> &Manifest {
        self.set.manifest()
    }

    /// Number of the last patch.
    fn tip(&self) -> u32 {
        self.manifest().patches.len() as u32
    }

    /// Commit of a patch; 0 is the base.
    fn commit(&self, patch: u32) -> &str {
        match patch.checked_sub(1) {
            Some(index) => &self.manifest().patches[index as usize].commit,
            None => &self.manifest().base_commit,
        }
    }

    fn subject(&self, patch: u32) -> &str {
        patch.checked_sub(1).map_or("base", |index| {
            &self.manifest().patches[index as usize].subject
        })
    }

    /// `base rt` or `patch 3/4 rt`.
    fn label(&self, patch: u32, profile: &str) -> String {
        match patch {
            0 => format!("base, {profile}"),
            n => format!("patch {n}/{}, {profile}", self.tip()),
        }
    }

    /// Appends to the ledger what is not in it yet, or went otherwise this time.
    fn remember(&self, line: &Line) -> Result<()> {
        let mut known = self
            .known
            .lock()
            .map_err(|_| Error::internal("the ledger's index is poisoned"))?;
        if known
            .get(line.id())
            .is_some_and(|known| known.tells_same(line))
        {
            return Ok(());
        }
        known.insert(line.id().to_owned(), line.clone());
        self.set.append(line)
    }

    fn go_on(&self) -> Result<()> {
        if self.stop.level() > Level::Run {
            Err(Error::interrupted())
        } else {
            Ok(())
        }
    }
}
