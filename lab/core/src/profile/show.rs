// SPDX-License-Identifier: MIT OR Apache-2.0
//! A resolved profile as YAML that is itself a profile: what it says resolves to the same digest.

use super::{Load, Profile, effective};
use crate::job::DumpPolicy;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Serialize)]
struct Shown<'a> {
    description: &'a str,
    machine: BTreeMap<&'static str, u32>,
    kernel_args: &'a [String],
    sysctl: BTreeMap<String, &'a str>,
    suites: BTreeMap<&'static str, &'a [Load]>,
    limits: BTreeMap<&'static str, u64>,
    time_factor: f64,
    dump: DumpPolicy,
    audit: bool,
}

impl Profile {
    /// The profile as YAML, each option with the place that asked for it.
    pub fn to_yaml(&self) -> String {
        let mut yaml = format!("# {}: {}\n", self.name, self.lineage.join(", "));
        yaml.push_str(&serde_yaml::to_string(&self.shown()).unwrap_or_default());
        let start = serde_yaml::to_string(&self.config.start).unwrap_or_default();
        let _ = write!(yaml, "config:\n  start: {start}  options:\n");
        for option in effective(&self.config) {
            let value = format!("'{}'", option.value.replace('\'', "''"));
            let value = match option.optional {
                true => format!("{{value: {value}, optional: true}}"),
                false => value,
            };
            let _ = writeln!(yaml, "    {}: {value}  # {}", option.name, option.origin);
        }
        yaml
    }

    fn shown(&self) -> Shown<'_> {
        let limits = &self.base_limits;
        let seconds = [
            ("firmware", limits.firmware),
            ("kernel", limits.kernel),
            ("agent", limits.agent),
            ("scenario_extra", limits.scenario_extra),
            ("settle", limits.settle),
            ("drain", limits.drain),
            ("console_mib", limits.console_mib),
        ];
        let mut limits: BTreeMap<_, _> = seconds
            .into_iter()
            .map(|(key, value)| (key, u64::from(value)))
            .collect();
        limits.insert("build", self.build_seconds);
        limits.insert("dump_mib", u64::from(self.evidence.dump_mib));
        Shown {
            description: &self.description,
            machine: BTreeMap::from([
                ("cpus", self.cpus),
                ("memory", self.memory_mib),
                ("disk", self.disk_mib),
            ]),
            kernel_args: &self.kernel_args,
            sysctl: self
                .sysctl
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str()))
                .collect(),
            suites: BTreeMap::from([("workload", self.workload.as_slice())]),
            limits,
            time_factor: self.time_factor,
            dump: self.evidence.dump,
            audit: self.evidence.audit,
        }
    }
}
