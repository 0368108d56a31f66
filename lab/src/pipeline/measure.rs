// SPDX-License-Identifier: MIT OR Apache-2.0
//! Speeds compared: boots of base and series in turns, and what their agents measured.

use super::Corridor;
use crate::error::Result;
use crate::listen;
use crate::store::{Set, file};
use lab_core::job::{BuildOutcome, BuildReport};
use lab_core::measure::{Boot, Measures, gather};
use lab_core::profile::Profile;
use lab_core::verdict::RunRecord;
use std::path::PathBuf;

/// Boots that are measured have numbers of their own, from here on: the same for both kernels, so that both are
/// given the same operations.
const FIRST: u32 = 101;

impl Corridor<'_> {
    /// Boots both kernels in turns, as often as asked; gives what they showed, the base's first. The order changes
    /// from pair to pair, so that neither always comes second.
    pub(super) async fn measure(
        &self,
        profile: &Profile,
    ) -> Result<(Vec<RunRecord>, Vec<RunRecord>)> {
        let (mut base, mut series) = (Vec::new(), Vec::new());
        let pairs = self.manifest().options.measure;
        if pairs == 0 {
            return Ok((base, series));
        }
        let kernels = [
            self.kernel(profile, 0).await?,
            self.kernel(profile, self.tip()).await?,
        ];
        let built = |report: &BuildReport| report.outcome == BuildOutcome::Built;
        if !kernels.iter().all(built) {
            return Ok((base, series));
        }
        for pair in 0..pairs {
            let turns = if pair % 2 == 0 { [0, 1] } else { [1, 0] };
            for side in turns {
                let patch = if side == 0 { 0 } else { self.tip() };
                let number = FIRST + pair;
                let record = self
                    .boot(profile, patch, &kernels[side], number, false)
                    .await?;
                [&mut base, &mut series][side].push(record);
            }
        }
        let (was, is) = (self.told(profile, 0)?, self.told(profile, self.tip())?);
        let measures = gather(&profile.name, &boots(&was), &boots(&is));
        file::write_json(&file_of(self.set, &profile.name), &measures)?;
        Ok((base, series))
    }

    fn told(&self, profile: &Profile, patch: u32) -> Result<Vec<listen::Told>> {
        let pairs = self.manifest().options.measure;
        (FIRST..FIRST + pairs)
            .map(|number| format!("{}-{patch:04}-{number:02}", profile.name))
            .map(|id| listen::told(&self.set.run_folder(&id)))
            .collect()
    }
}

fn boots(told: &[listen::Told]) -> Vec<Boot<'_>> {
    told.iter()
        .map(|told| Boot {
            job: &told.job,
            events: &told.events,
        })
        .collect()
}

/// The measures of a set, by profile; empty where none were asked for.
///
/// # Errors
/// When one cannot be read.
pub fn measures(set: &Set) -> Result<Vec<Measures>> {
    let mut all = Vec::new();
    for profile in &set.manifest().profiles {
        all.extend(file::read_json::<Measures>(&file_of(set, &profile.name))?);
    }
    Ok(all)
}

fn file_of(set: &Set, profile: &str) -> PathBuf {
    set.folder().join(format!("measures-{profile}.json"))
}
