// SPDX-License-Identifier: MIT OR Apache-2.0
//! One profile from its first build to its part of the verdict.

use super::Corridor;
use super::judge::{Counted, Evidence, refs};
use super::kernels::said;
use crate::build;
use crate::error::{Error, Result};
use crate::exit::Exit;
use lab_core::job::{BuildOutcome, BuildReport};
use lab_core::profile::Profile;
use lab_core::verdict::{Call, Need, ProfileVerdict, RunRecord, Trouble, need};

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
        let confidence = self.manifest().options.confidence;
        let mut findings = evidence.judged(confidence);
        let named = self.name_first_bad(profile, &evidence, &mut findings).await;
        if let Err(error) = named {
            evidence.trouble.push(trouble_of(error)?);
        }
        let warnings = match self.warnings(profile).await {
            Ok(warnings) => warnings,
            Err(error) => {
                evidence.trouble.push(trouble_of(error)?);
                Vec::new()
            }
        };
        Counted::of(&evidence).keep(self.set, &profile.name)?;
        Ok(evidence.verdict(&profile.name, findings, warnings))
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

/// A rig's failure is part of the verdict; a stop, a wrong input or a fault of the lab ends the run.
fn trouble_of(error: Error) -> Result<Trouble> {
    match error.exit() {
        Exit::CannotTell => Ok(Trouble::Rig {
            reason: error.to_string(),
        }),
        _ => Err(error),
    }
}
