// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiler warnings that the series brings, from the reports of all builds of a profile.

use super::Corridor;
use crate::error::Result;
use crate::store::file;
use lab_core::job::{BuildOutcome, BuildReport};
use lab_core::profile::Profile;
use lab_core::verdict::{NewWarning, new_warnings};

impl Corridor<'_> {
    /// What the builds of this set warn of and the base's does not. The base is asked for only when there is
    /// something to compare; where its boots are remembered, its kernel is ready in the cache, too.
    pub(super) async fn warnings(&self, profile: &Profile) -> Result<Vec<NewWarning>> {
        let mut builds = Vec::new();
        for patch in 1..=self.tip() {
            let path = self.report_file(profile, patch);
            let report = file::read_json::<BuildReport>(&path)?;
            if let Some(report) = report.filter(|r| r.outcome == BuildOutcome::Built) {
                builds.push((patch, report.warnings));
            }
        }
        if builds.iter().all(|(_, warnings)| warnings.is_empty()) {
            return Ok(Vec::new());
        }
        let base = self.kernel(profile, 0).await?;
        builds.insert(0, (0, base.warnings));
        let builds: Vec<_> = builds.iter().map(|(n, w)| (*n, w.as_slice())).collect();
        Ok(new_warnings(&builds))
    }
}
