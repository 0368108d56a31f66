// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of `audit.json`: what looking at the dentry cache at the end of each scenario showed.

use super::model::{AUTOPSY_FORMAT, Audit, Autopsy, Dentry, Task};
use serde::{Deserialize, Serialize};

/// Format of `audit.json`.
pub const AUDITS_FORMAT: u32 = 1;

/// `audit.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audits {
    /// [`AUDITS_FORMAT`].
    pub format: u32,
    /// In the order in which they were made.
    pub audits: Vec<ScenarioAudit>,
}

/// The audit at the end of one scenario.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScenarioAudit {
    /// Index of the scenario in the job.
    pub scenario: u32,
    /// The dump's file in the run's folder.
    pub file: String,
    /// The dump is kept, because something is wrong in it.
    pub kept: bool,
    /// Kernel time of the dump, seconds since boot.
    pub uptime: f64,
    /// What was looked at and found.
    pub audit: Audit,
    /// Dentries that are part of a violation.
    pub dentries: Vec<Dentry>,
    /// Tasks that are part of a violation.
    pub tasks: Vec<Task>,
    /// What could not be read.
    pub warnings: Vec<String>,
}

impl ScenarioAudit {
    /// What the scripts read of the dump at the end of a scenario. `None` if they made no audit.
    pub fn of(scenario: u32, file: &str, autopsy: Autopsy) -> Option<Self> {
        let audit = autopsy.audit?;
        Some(Self {
            scenario,
            file: file.to_owned(),
            kept: false,
            uptime: autopsy.uptime,
            audit,
            dentries: autopsy.dentries,
            tasks: autopsy.tasks,
            warnings: autopsy.warnings,
        })
    }

    /// As an autopsy of its own, to be shown as one.
    pub fn as_autopsy(&self) -> Autopsy {
        Autopsy {
            format: AUTOPSY_FORMAT,
            uptime: self.uptime,
            audit: Some(self.audit.clone()),
            dentries: self.dentries.clone(),
            tasks: self.tasks.clone(),
            warnings: self.warnings.clone(),
            ..Autopsy::default()
        }
    }
}
