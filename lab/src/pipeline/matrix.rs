// SPDX-License-Identifier: MIT OR Apache-2.0
//! One profile from its first build to its part of the verdict.

use super::Corridor;
use super::kernels::said;
use crate::build;
use crate::error::{Error, Result};
use crate::exit::Exit;
use lab_core::job::{BuildOutcome, BuildReport};
use lab_core::outcome::BootOutcome;
use lab_core::profile::Profile;
use lab_core::verdict::{Call, Need, ProfileVerdict, RunRecord, Trouble, judge, need, suspicions};

/// What was gathered of one profile.
pub(super) struct Evidence {
    /// Boots of the base, remembered ones among them.
    pub(super) base: Vec<RunRecord>,
    /// Boots of the whole series.
    pub(super) tip: Vec<RunRecord>,
    /// What kept the lab from telling.
    pub(super) trouble: Vec<Trouble>,
}

impl Corridor<'_> {
    /// Walks one profile. Only a stop is an error; rig trouble stands in what is returned.
    pub(super) async fn walk(&self, profile: &Profile) -> Result<ProfileVerdict> {
        let mut evidence = Evidence {
            base: Vec::new(),
            tip: Vec::new(),
            trouble: Vec::new(),
        };
        if let Err(error) = self.gather(profile, &mut evidence).await {
            evidence.trouble.push(trouble_of(error)?);
        }
        match self.measure(profile).await {
            Ok((base, series)) => {
                evidence.base.extend(base);
                evidence.tip.extend(series);
            }
            Err(error) => evidence.trouble.push(trouble_of(error)?),
        }
        let mut verdict = self.judged(profile, &evidence);
        if let Err(error) = self
            .name_first_bad(profile, &evidence, &mut verdict.findings)
            .await
        {
            verdict.trouble.push(trouble_of(error)?);
        }
        match self.warnings(profile).await {
            Ok(warnings) => verdict.warnings = warnings,
            Err(error) => verdict.trouble.push(trouble_of(error)?),
        }
        Ok(verdict)
    }

    async fn gather(&self, profile: &Profile, evidence: &mut Evidence) -> Result<()> {
        let options = &self.manifest().options;
        let key = build::key(&self.build_job(profile, 0), &self.stop).await?;
        evidence.base = self.controls(profile, &key)?;
        if let Some(control) = evidence.base.last() {
            self.ui.say(&format!(
                "base, {}: {} boots remembered, the last from {}",
                profile.name,
                evidence.base.len(),
                control.remembered.as_deref().unwrap_or("here")
            ));
        }
        let (remembered, mut base_boots) = (evidence.base.len() as u32, 0);
        if !self.first_looks(profile, evidence, &mut base_boots).await? {
            return Ok(());
        }
        if options.each {
            self.build_each(profile, evidence).await?;
        }
        loop {
            let (tip, base) = (refs(&evidence.tip), refs(&evidence.base));
            let most = options.most_runs.max(options.runs);
            match need(
                &tip,
                &base,
                options.runs,
                most + remembered,
                options.confidence,
            ) {
                Need::Nothing => return Ok(()),
                Need::Base => {
                    base_boots += 1;
                    let built = self.built(profile, 0, evidence).await?;
                    let Some(built) = built else { return Ok(()) };
                    let record = self.boot(profile, 0, &built, base_boots, false).await?;
                    evidence.base.push(record);
                }
                Need::Tip => {
                    let number = evidence.tip.len() as u32 + 1;
                    let record = self.boot_tip(profile, evidence, number).await?;
                    let Some(record) = record else { return Ok(()) };
                    evidence.tip.push(record);
                }
            }
        }
    }

    /// The first boots of both sides, which are needed whatever they show: the base boots while the
    /// series is being built. False if there is no kernel to go on with.
    async fn first_looks(
        &self,
        profile: &Profile,
        evidence: &mut Evidence,
        base_boots: &mut u32,
    ) -> Result<bool> {
        if !evidence.base.is_empty() {
            return Ok(true);
        }
        let base = async {
            let built = self.kernel(profile, 0).await?;
            if built.outcome != BuildOutcome::Built {
                return Ok((built, None));
            }
            let record = self.boot(profile, 0, &built, 1, false).await?;
            Ok::<_, Error>((built, Some(record)))
        };
        let (base, tip) = tokio::join!(base, self.kernel(profile, self.tip()));
        let (built, record) = base?;
        let _ready = tip?;
        let Some(record) = record else {
            evidence.trouble.push(self.does_not_build(0, &built));
            return Ok(false);
        };
        *base_boots = 1;
        evidence.base.push(record);
        Ok(true)
    }

    async fn boot_tip(
        &self,
        profile: &Profile,
        evidence: &mut Evidence,
        number: u32,
    ) -> Result<Option<RunRecord>> {
        let Some(built) = self.built(profile, self.tip(), evidence).await? else {
            return Ok(None);
        };
        // Where the base has findings of its own, the first hit may be one of those: the run goes on.
        let base_is_quiet = evidence
            .base
            .iter()
            .all(|run| run.findings().next().is_none());
        self.boot(profile, self.tip(), &built, number, base_is_quiet)
            .await
            .map(Some)
    }

    /// The kernel of a patch; where there is none, the trouble is noted, with the patch that begins it.
    async fn built(
        &self,
        profile: &Profile,
        patch: u32,
        evidence: &mut Evidence,
    ) -> Result<Option<BuildReport>> {
        let report = self.kernel(profile, patch).await?;
        match &report.outcome {
            BuildOutcome::Built => return Ok(Some(report)),
            BuildOutcome::Broken { .. } if patch > 0 => {
                let first = self.first_broken(profile).await?;
                evidence.trouble.push(first);
            }
            _ => evidence.trouble.push(self.does_not_build(patch, &report)),
        }
        Ok(None)
    }

    /// `--each`: every patch must build by itself.
    async fn build_each(&self, profile: &Profile, evidence: &mut Evidence) -> Result<()> {
        for patch in 1..self.tip() {
            let report = self.kernel(profile, patch).await?;
            if report.outcome != BuildOutcome::Built {
                evidence.trouble.push(self.does_not_build(patch, &report));
            }
        }
        Ok(())
    }

    pub(super) fn does_not_build(&self, patch: u32, report: &BuildReport) -> Trouble {
        match &report.outcome {
            BuildOutcome::RigFailed { .. } | BuildOutcome::TimedOut | BuildOutcome::Interrupted => {
                Trouble::Rig {
                    reason: format!("{}: {}", self.label(patch, ""), said(&report.outcome)),
                }
            }
            outcome => Trouble::DoesNotBuild {
                patch,
                subject: self.subject(patch).to_owned(),
                error: said(outcome),
            },
        }
    }

    fn judged(&self, profile: &Profile, evidence: &Evidence) -> ProfileVerdict {
        let (tip, base) = (refs(&evidence.tip), refs(&evidence.base));
        let mut trouble = evidence.trouble.clone();
        trouble.extend(rig_trouble(&tip));
        trouble.extend(rig_trouble(&base));
        trouble.extend(not_run(&tip));
        ProfileVerdict {
            profile: profile.name.clone(),
            findings: judge(&tip, &base, self.manifest().options.confidence),
            suspicions: suspicions(&tip),
            series_seconds: workload_seconds(&tip),
            base_seconds: workload_seconds(&base),
            trouble,
            warnings: Vec::new(),
        }
    }

    /// Walks the series for each regression that came first in some boot.
    async fn name_first_bad(
        &self,
        profile: &Profile,
        evidence: &Evidence,
        findings: &mut [lab_core::verdict::Judged],
    ) -> Result<()> {
        for finding in findings.iter_mut().filter(|f| f.call == Call::Regression) {
            finding.first_bad = self
                .first_bad(profile, evidence, &finding.signature)
                .await?;
        }
        Ok(())
    }
}

fn refs(runs: &[RunRecord]) -> Vec<&RunRecord> {
    runs.iter().collect()
}

fn workload_seconds(runs: &[&RunRecord]) -> f64 {
    runs.iter()
        .flat_map(|run| &run.scenarios)
        .map(|s| s.seconds)
        .sum()
}

/// Runs that the rig spoilt make the verdict a poorer one; they are said, not swept up.
fn rig_trouble(runs: &[&RunRecord]) -> Vec<Trouble> {
    runs.iter()
        .filter(|run| !run.counts())
        .map(|run| Trouble::Rig {
            reason: format!("run {}: {}", run.id, run.outcome),
        })
        .collect()
}

/// Scenarios that were skipped or failed, but for those that a run ended by its first finding did not come to.
fn not_run(runs: &[&RunRecord]) -> Vec<Trouble> {
    let mut said: Vec<String> = runs
        .iter()
        .filter(|run| run.outcome != BootOutcome::StoppedAtHit)
        .flat_map(|run| &run.scenarios)
        .filter(|s| s.ended.starts_with("skipped") || s.ended.starts_with("failed"))
        .map(|s| format!("{}: {}", s.name, s.ended))
        .collect();
    said.sort();
    said.dedup();
    said.into_iter()
        .map(|reason| Trouble::NotRun { reason })
        .collect()
}

/// A rig's failure is part of the verdict; a stop, a wrong input or a fault of the lab ends the run.
fn trouble_of(error: Error) -> Result<Trouble> {
    match error.exit() {
        Exit::CannotTell => Ok(Trouble::Rig {
            reason: error.to_string(),
        }),
        _ => Err(error),
    }
}
