// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine room's door: a kernel and a profile in, one line of the ledger out.

use super::{Corridor, doors};
use crate::error::{Error, Result};
use crate::symbols;
use crate::ui::harmless;
use crate::{evidence, listen};
use lab_core::job::{BootJob, BuildReport};
use lab_core::profile::Profile;
use lab_core::verdict::{Line, RunName, RunRecord};
use std::path::Path;

/// Findings of a boot that are told when it ends; the rest is in the results.
const TOLD: usize = 3;

impl Corridor<'_> {
    /// The job that boots a kernel for the `number`th time.
    pub(super) fn boot_job(
        &self,
        profile: &Profile,
        patch: u32,
        kernel: &Path,
        number: u32,
        until_hit: bool,
    ) -> BootJob {
        let options = &self.manifest().options;
        let seed = seed_of(options.seed, &profile.name, number);
        let limits = profile.limits();
        BootJob {
            kernel: kernel.to_owned(),
            cache: self.cache.to_owned(),
            label: self.label(patch, &profile.name),
            machine: profile.machine(self.manifest().host.accel),
            append: profile.kernel_args.clone(),
            guest: doors::guest_job(profile, profile.scenarios(seed, options.seconds)),
            limits,
            until_hit,
            evidence: profile.evidence.clone(),
            gdb: None,
        }
    }

    /// Boots, or takes what an earlier attempt left.
    pub(super) async fn boot(
        &self,
        profile: &Profile,
        patch: u32,
        built: &BuildReport,
        number: u32,
        until_hit: bool,
    ) -> Result<RunRecord> {
        self.go_on()?;
        let kernel = built
            .kernel
            .as_deref()
            .ok_or_else(|| Error::internal("a kernel that was not built cannot be booted"))?;
        let name = RunName {
            id: format!("{}-{patch:04}-{number:02}", profile.name),
            profile: profile.name.clone(),
            patch,
            key: built.key.clone(),
        };
        let out = self.set.run_folder(&name.id);
        let boot = self.boot_job(profile, patch, kernel, number, until_hit);
        let label = format!("boot {} #{number}", self.label(patch, &profile.name));
        doors::boot(self.exec, &out, &boot, &label).await?;
        self.go_on()?;
        let record = listen::record(&out, name, &boot)?;
        for sighting in record.findings().take(TOLD) {
            self.ui.say(&format!("  {}", harmless(&sighting.title)));
        }
        self.remember(&Line::Run(record.clone()))?;
        // Evidence for people: without it every finding and verdict is the same.
        if let Err(error) = symbols::decode_run(Some(self.manifest()), patch, &out, &boot) {
            self.ui.say(&format!("  not decoded: {error}"));
        }
        self.keep_first_dump(&out, profile)?;
        if patch == 0 {
            self.keep_control(&boot, &record)?;
        }
        Ok(record)
    }

    /// Keeps the dump of a run in the ledger, or removes it, as the profile wants it.
    fn keep_first_dump(&self, out: &Path, profile: &Profile) -> Result<()> {
        let runs = out.parent().unwrap_or(out);
        evidence::keep_first(out, evidence::runs_in(runs)?, profile.evidence.dump).map(drop)
    }
}

/// A boot's own seed: the same for every patch, so that the `number`th boots of two kernels are given
/// the same operations; another for each boot, so that boots are not copies of each other.
pub(crate) fn seed_of(seed: u64, profile: &str, number: u32) -> u64 {
    let mut mixed = seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in profile.bytes() {
        mixed = (mixed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // JSON readers keep 53 bits of a number whole; the seed stays within them.
    mixed & ((1 << 53) - 1)
}
