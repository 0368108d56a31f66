// SPDX-License-Identifier: MIT OR Apache-2.0
//! Profiles: what a kernel is configured with, the machine it boots on, and the work it is given.
//!
//! Three shapes: the file ([`Library`] holds their texts; every key optional, unknown ones refused), the
//! resolved [`Profile`] (`extends` followed, no options left), and the ready values that jobs take
//! ([`Profile::config_request`], [`Profile::machine`], [`Profile::limits`], [`Profile::scenarios`]).
//!
//! How a profile meets those it extends, from the first named to itself: `config` is appended (a later option of
//! one name wins), `kernel_args` are appended, `sysctl` is merged by key, each key of `machine`, `limits` and
//! `suites`, the `time_factor`, `dump` and `audit` replace what was there, `description` is not inherited.

mod file;
mod fragment;
mod resolve;
mod show;

pub use crate::yaml::YamlError as ProfileError;
pub use fragment::parse as parse_fragment;
pub use resolve::Library;

use crate::job::{Accel, ConfigOption, ConfigRequest, Disk, EvidencePlan, Limits, Machine};
use lab_wire::Scenario;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// A profile with nothing left open.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// One sentence for lists.
    pub description: String,
    /// Files it was made from, the first extended first, itself last.
    pub lineage: Vec<String>,
    /// Requested configuration.
    pub config: ConfigRequest,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Size of the scratch disk, MiB, made when a scenario wants one.
    pub disk_mib: u32,
    /// Kernel arguments, in order.
    pub kernel_args: Vec<String>,
    /// Values below /proc/sys, by path (`kernel/panic`).
    pub sysctl: BTreeMap<String, String>,
    /// The bundled workload's share.
    pub workload: Vec<Load>,
    /// Limits before the time factor.
    pub base_limits: Limits,
    /// Seconds a build may take; not stretched by the factor, which is about slow guests.
    pub build_seconds: u64,
    /// How much slower than an undebugged kernel its guests run.
    pub time_factor: f64,
    /// What is kept of a boot besides its console.
    pub evidence: EvidencePlan,
}

/// One scenario on one filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Scenario's name.
    pub scenario: String,
    /// Filesystem.
    pub fs: String,
    /// Worker threads.
    pub threads: u32,
    /// Names fought over.
    pub names: u32,
    /// Directories.
    pub dirs: u32,
    /// Seconds of work.
    pub seconds: u32,
    /// Pause between two operations of a thread, microseconds.
    pub pause_us: u32,
    /// Weight of each operation; empty: the scenario's own.
    pub mix: BTreeMap<String, u32>,
}

impl Load {
    /// A scenario on a filesystem with its own defaults.
    pub fn usual(known: &lab_wire::Known, fs: &str) -> Self {
        let lab_wire::Defaults {
            threads,
            names,
            dirs,
            seconds,
        } = known.defaults;
        Self {
            scenario: known.name.to_owned(),
            fs: fs.to_owned(),
            threads,
            names,
            dirs,
            seconds,
            pause_us: 0,
            mix: BTreeMap::new(),
        }
    }

    /// Every scenario on each of its usual filesystems, that many seconds each.
    pub fn every(seconds: u32) -> Vec<Self> {
        let on_each = |known: &'static lab_wire::Known| {
            let usual = known.filesystems[..known.usual].iter();
            usual.map(move |fs| Self {
                seconds,
                ..Self::usual(known, fs)
            })
        };
        lab_wire::SCENARIOS.iter().flat_map(on_each).collect()
    }
}

impl Profile {
    /// The same profile with another workload.
    #[must_use]
    pub fn with_workload(&self, workload: Vec<Load>) -> Self {
        Self {
            workload,
            ..self.clone()
        }
    }

    /// The same profile with these scenarios only: `NAME` on its usual filesystems, or `NAME/FS`. What the profile
    /// says of one of them is kept. With none asked, the profile as it is.
    ///
    /// # Errors
    /// Names a scenario or filesystem that there is not, and what there is.
    pub fn only(&self, asked: &[String]) -> Result<Self, String> {
        if asked.is_empty() {
            return Ok(self.clone());
        }
        let mut workload: Vec<Load> = Vec::new();
        for wanted in asked {
            let (name, fs) = match wanted.split_once('/') {
                Some((name, fs)) => (name, Some(fs)),
                None => (wanted.as_str(), None),
            };
            let known = lab_wire::known(name).ok_or_else(|| {
                let names: Vec<_> = lab_wire::SCENARIOS.iter().map(|k| k.name).collect();
                format!("no scenario {name}; there are: {}", names.join(", "))
            })?;
            let on = match fs {
                Some(fs) => vec![fs],
                None => known.filesystems[..known.usual].to_vec(),
            };
            for fs in on {
                if !known.filesystems.contains(&fs) {
                    let all = known.filesystems.join(", ");
                    return Err(format!("{name} does not run on {fs}, but on: {all}"));
                }
                let own = |load: &&Load| load.scenario == name && load.fs == fs;
                let own = self.workload.iter().find(own).cloned();
                workload.push(own.unwrap_or_else(|| Load::usual(known, fs)));
            }
        }
        Ok(self.with_workload(workload))
    }

    /// The configuration to build.
    pub fn config_request(&self) -> ConfigRequest {
        self.config.clone()
    }

    /// The machine to boot on, with a formatted scratch disk for each filesystem that the workload wants one of.
    pub fn machine(&self, accel: Accel) -> Machine {
        let wanted: BTreeSet<&str> = self
            .workload
            .iter()
            .filter_map(|load| disk_of(&load.fs))
            .collect();
        let disk = |fs: &str| Disk {
            mib: self.disk_mib,
            fs: Some(fs.to_owned()),
        };
        Machine {
            cpus: self.cpus,
            memory_mib: self.memory_mib,
            accel,
            disks: wanted.into_iter().map(disk).collect(),
        }
    }

    /// Limits of a boot, seconds stretched by the time factor and rounded up.
    pub fn limits(&self) -> Limits {
        let stretch = |seconds: u32| (f64::from(seconds) * self.time_factor).ceil() as u32;
        Limits {
            firmware: stretch(self.base_limits.firmware),
            kernel: stretch(self.base_limits.kernel),
            agent: stretch(self.base_limits.agent),
            scenario_extra: stretch(self.base_limits.scenario_extra),
            settle: stretch(self.base_limits.settle),
            drain: stretch(self.base_limits.drain),
            console_mib: self.base_limits.console_mib,
        }
    }

    /// The scenarios of one boot. Each gets a seed of its own out of `seed` and its place, so that one number
    /// repeats the whole boot; `seconds` replaces every scenario's own time.
    pub fn scenarios(&self, seed: u64, seconds: Option<u32>) -> Vec<Scenario> {
        let with_seed = |(index, load): (usize, &Load)| Scenario {
            name: load.scenario.clone(),
            fs: load.fs.clone(),
            threads: load.threads,
            names: load.names,
            dirs: load.dirs,
            seconds: seconds.unwrap_or(load.seconds),
            seed: split_mix(seed, index as u64),
            pause_us: load.pause_us,
            mix: load.mix.clone(),
        };
        self.workload.iter().enumerate().map(with_seed).collect()
    }

    /// Digest of all that changes a kernel, a boot or a judgement (not the words of descriptions and origins):
    /// SHA-256 in hex.
    pub fn digest(&self) -> String {
        let config: Vec<_> = effective(&self.config)
            .into_iter()
            .map(|option| (option.name.as_str(), option.value.as_str(), option.optional))
            .collect();
        let all = serde_json::json!([
            [self.config.start, config],
            [self.cpus, self.memory_mib, self.disk_mib],
            self.kernel_args,
            self.sysctl,
            self.workload,
            self.base_limits,
            self.build_seconds,
            self.time_factor,
            self.evidence,
        ]);
        hex(&Sha256::digest(all.to_string().as_bytes()))
    }
}

/// The filesystem of the disk that stands behind a scenario's filesystem: an NFS export lies on XFS.
fn disk_of(fs: &str) -> Option<&str> {
    match fs {
        "tmpfs" | "overlay" | "proc" => None,
        nfs if nfs.starts_with("nfs") => Some("xfs"),
        disk => Some(disk),
    }
}

/// The options that count: the last of each name, in the order of names.
pub fn effective(request: &ConfigRequest) -> Vec<&ConfigOption> {
    let last: BTreeMap<&str, &ConfigOption> = request
        .options
        .iter()
        .map(|option| (option.name.as_str(), option))
        .collect();
    last.into_values().collect()
}

/// The SplitMix64 generator's value at `index` for `seed` (Steele, Lea and Flood, OOPSLA 2014).
fn split_mix(seed: u64, index: u64) -> u64 {
    let step = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut z = seed.wrapping_add(step);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
