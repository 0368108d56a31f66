// SPDX-License-Identifier: MIT OR Apache-2.0
//! Controls remembered: what the base did is true for the next series on that base, too.
//!
//! A control is known by the kernel (its key), the workload but for its seed, the machine, the agent and
//! QEMU's version. Any other of these is another experiment.

use super::Corridor;
use crate::error::{Error, Result};
use crate::store::file;
use crate::{image, vm};
use lab_core::job::BootJob;
use lab_core::profile::Profile;
use lab_core::verdict::RunRecord;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

impl Corridor<'_> {
    /// Remembers a control, if the rig did not spoil it.
    pub(super) fn keep_control(&self, boot: &BootJob, record: &RunRecord) -> Result<()> {
        if !record.counts() {
            return Ok(());
        }
        let path = self.control_file(&record.key, boot)?;
        let name = format!("{}/{}", self.manifest().set, record.id);
        let (known, _) = file::read_lines::<RunRecord>(&path)?;
        if known.iter().any(|k| k.remembered.as_deref() == Some(&name)) {
            return Ok(());
        }
        file::append_json(
            &path,
            &RunRecord {
                remembered: Some(name),
                ..record.clone()
            },
        )
    }

    /// Controls of earlier sets for this base under this profile, newest last. `key` is the base
    /// kernel's, known without building it.
    pub(super) fn controls(&self, profile: &Profile, key: &str) -> Result<Vec<RunRecord>> {
        let boot = self.boot_job(profile, 0, &PathBuf::new(), 0, false);
        let (mut known, _) = file::read_lines::<RunRecord>(&self.control_file(key, &boot)?)?;
        let own = format!("{}/", self.manifest().set);
        known.retain(|k| {
            k.remembered
                .as_deref()
                .is_none_or(|from| !from.starts_with(&own))
        });
        Ok(known)
    }

    fn control_file(&self, key: &str, boot: &BootJob) -> Result<PathBuf> {
        let mut same = boot.clone();
        same.kernel = PathBuf::new();
        same.cache = PathBuf::new();
        same.label.clear();
        same.until_hit = false;
        same.evidence = Default::default();
        same.guest.hold = false;
        for scenario in &mut same.guest.scenarios {
            scenario.seed = 0;
        }
        let text = serde_json::to_string(&same).map_err(|e| Error::internal(e.to_string()))?;
        let mut digest = Sha256::new();
        digest.update(key);
        digest.update(text);
        digest.update(image::AGENT);
        digest.update(vm::MACHINE);
        for tool in &self.manifest().host.tools {
            digest.update(tool);
        }
        let folder = self.cache.join("controls");
        std::fs::create_dir_all(&folder)?;
        let name: String = digest
            .finalize()
            .iter()
            .take(16)
            .map(|b| format!("{b:02x}"))
            .collect();
        Ok(folder.join(format!("{name}.jsonl")))
    }
}
