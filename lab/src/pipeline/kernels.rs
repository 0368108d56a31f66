// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forge's door: a patch and a profile in, a kernel or the reason why not out.

use super::{Corridor, doors};
use crate::error::Result;
use lab_core::job::{BuildJob, BuildOutcome, BuildReport};
use lab_core::profile::Profile;
use lab_core::verdict::{BuildRecord, LEDGER_FORMAT, Line};
use std::collections::BTreeSet;
use std::path::PathBuf;

impl Corridor<'_> {
    /// The job that builds a patch (0: the base) under a profile.
    pub(super) fn build_job(&self, profile: &Profile, patch: u32) -> BuildJob {
        let manifest = self.manifest();
        // Each build looks at the files of the whole series, the base's too: what it has there is not new.
        let touched: BTreeSet<&String> = manifest.patches.iter().flat_map(|p| &p.touched).collect();
        BuildJob {
            tree: manifest.tree.clone(),
            commit: self.commit(patch).to_owned(),
            label: self.label(patch, &profile.name),
            profile: profile.name.clone(),
            config: profile.config_request(),
            touched: touched.into_iter().cloned().collect(),
            cache: self.cache.to_owned(),
            cores: self.exec.cores(),
            no_sandbox: manifest.options.no_sandbox,
            limit_seconds: profile.build_seconds,
        }
    }

    /// Where a build leaves its report.
    pub(super) fn report_file(&self, profile: &Profile, patch: u32) -> PathBuf {
        let id = format!("{}-{patch:04}", profile.name);
        self.set.build_folder(&id).join("build.json")
    }

    /// Builds, or takes what an earlier attempt left.
    pub(super) async fn kernel(&self, profile: &Profile, patch: u32) -> Result<BuildReport> {
        self.go_on()?;
        let id = format!("{}-{patch:04}", profile.name);
        let out = self.set.build_folder(&id);
        let label = format!("build {}", self.label(patch, &profile.name));
        let job = self.build_job(profile, patch);
        let report = doors::build(self.exec, &out, &job, &label).await?;
        self.go_on()?;
        self.remember_build(&id, profile, patch, &report)?;
        for lost in &report.lost_options {
            self.ui.say(&format!("  {lost}"));
        }
        Ok(report)
    }

    fn remember_build(
        &self,
        id: &str,
        profile: &Profile,
        patch: u32,
        report: &BuildReport,
    ) -> Result<()> {
        self.remember(&Line::Build(BuildRecord {
            format: LEDGER_FORMAT,
            id: id.to_owned(),
            profile: profile.name.clone(),
            patch,
            commit: self.commit(patch).to_owned(),
            key: report.key.clone(),
            outcome: said(&report.outcome),
            built: report.outcome == BuildOutcome::Built,
            reused: report.reused,
            seconds: report.seconds,
        }))
    }
}

/// How a build ended, in a few words.
pub(crate) fn said(outcome: &BuildOutcome) -> String {
    match outcome {
        BuildOutcome::Built => "built".into(),
        BuildOutcome::Broken { error } => format!(
            "does not build: {}{}",
            error
                .file
                .as_ref()
                .map(|file| format!("{file}:{}: ", error.line.unwrap_or(0)))
                .unwrap_or_default(),
            error.message
        ),
        BuildOutcome::ConfigLost { options } => {
            format!("requested options did not survive: {}", options.join("; "))
        }
        BuildOutcome::RigFailed { reason } => reason.clone(),
        BuildOutcome::TimedOut => "took longer than its limit".into(),
        BuildOutcome::Interrupted => "stopped on request".into(),
    }
}
