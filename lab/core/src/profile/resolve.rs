// SPDX-License-Identifier: MIT OR Apache-2.0
//! From files to a resolved profile: `extends` followed, fragments read, gaps filled.

use super::file::{self, LimitsFile, LoadFile, MachineFile, ProfileFile, Whole};
use super::fragment;
use super::{Load, Profile};
use crate::job::{ConfigRequest, DumpPolicy, EvidencePlan, Limits};
use crate::yaml::{YamlError as ProfileError, did_you_mean};
use lab_wire::Known;
use std::collections::BTreeMap;

/// Names a shipped profile or fragment even where one of the same name lies in front of it.
const SHIPPED: &str = "shipped/";

/// Texts of profiles and fragments: the user's own in front of those that ship with the lab.
#[derive(Debug, Clone, Default)]
pub struct Library {
    own: Layer,
    shipped: Layer,
}

#[derive(Debug, Clone, Default)]
struct Layer {
    profiles: BTreeMap<String, Text>,
    fragments: BTreeMap<String, Text>,
}

#[derive(Debug, Clone)]
struct Text {
    file: String,
    text: String,
    /// Why it could not be read, if it could not.
    fault: Option<String>,
}

impl Text {
    fn readable(&self) -> Result<&Self, ProfileError> {
        match &self.fault {
            Some(why) => Err(ProfileError::new(&self.file, None, why)),
            None => Ok(self),
        }
    }
}

impl Library {
    /// Adds one of the user's files. `file` is its name for messages; a `.yaml` or `.yml` is a profile, anything
    /// else a fragment.
    pub fn add_own(&mut self, file: &str, text: &str) {
        self.own.add(file, text, None);
    }
    /// Adds one of the user's files that could not be read: it is listed, and whoever needs it is told why.
    pub fn add_unreadable(&mut self, file: &str, why: &str) {
        self.own.add(file, "", Some(why.to_owned()));
    }
    /// Adds a file that ships with the lab.
    pub fn add_shipped(&mut self, file: &str, text: &str) {
        self.shipped.add(file, text, None);
    }
    /// Names of all profiles, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = [&self.own, &self.shipped]
            .into_iter()
            .flat_map(|layer| layer.profiles.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
    fn find(&self, name: &str, of: fn(&Layer) -> &BTreeMap<String, Text>) -> Option<&Text> {
        match name.strip_prefix(SHIPPED) {
            Some(name) => of(&self.shipped).get(name),
            None => of(&self.own)
                .get(name)
                .or_else(|| of(&self.shipped).get(name)),
        }
    }

    /// Resolves the profile of this name.
    ///
    /// # Errors
    /// No such profile, a cycle, or whatever is wrong in a file on the way.
    pub fn resolve(&self, name: &str) -> Result<Profile, ProfileError> {
        let mut draft = Draft::default();
        self.visit(name, None, &mut Vec::new(), &mut draft)?;
        Ok(draft.finish(name))
    }

    /// Adds `name`, after all it extends, to the draft. `path` is the way here; `from` the file and line that
    /// named it.
    fn visit(
        &self,
        name: &str,
        from: Option<&Text>,
        path: &mut Vec<String>,
        draft: &mut Draft,
    ) -> Result<(), ProfileError> {
        let found = self.find(name, |layer| &layer.profiles);
        let text = found
            .ok_or_else(|| self.no_profile(name, from))?
            .readable()?;
        if path.contains(&text.file) {
            path.push(text.file.clone());
            let words = format!("extends: goes in a circle: {}", path.join(" → "));
            let line = from.and_then(|t| line_of(t, name));
            return Err(ProfileError::new(from.map_or("", |t| &t.file), line, words));
        }
        // What two parents share is taken once, where it first stands.
        if draft.lineage.contains(&text.file) {
            return Ok(());
        }
        let file = file::parse(&text.file, &text.text)?;
        path.push(text.file.clone());
        for parent in &file.extends.0 {
            self.visit(parent, Some(text), path, draft)?;
        }
        path.pop();
        self.add(file, text, draft)
    }

    fn add(&self, file: ProfileFile, text: &Text, draft: &mut Draft) -> Result<(), ProfileError> {
        if let Some(factor) = file.time_factor
            && !(0.1..=100.0).contains(&factor)
        {
            let words = format!("time_factor: {factor} is out of bounds; accepted: 0.1 to 100");
            return Err(ProfileError::new(
                &text.file,
                line_of(text, "time_factor"),
                words,
            ));
        }
        for name in &file.config.fragments.0 {
            let fragment = self.find(name, |layer| &layer.fragments);
            let fragment = fragment
                .ok_or_else(|| self.no_fragment(name, text))?
                .readable()?;
            let options = fragment::parse(&fragment.file, &fragment.text)?;
            draft.options.extend(options);
        }
        for mut option in file.config.options.0 {
            let line = line_of(text, &option.name).map_or(String::new(), |n| format!(":{n}"));
            option.origin = format!("{}{line}", text.file);
            draft.options.push(option);
        }
        if let Some(loads) = file.suites.workload {
            let loads: Result<Vec<_>, _> = loads.iter().map(|load| expand(load, text)).collect();
            draft.workload = loads?.concat();
        }
        draft.start = file.config.start.or(draft.start.take());
        draft.machine.overlay(file.machine);
        draft.limits.overlay(file.limits);
        draft.kernel_args.extend(file.kernel_args);
        draft.sysctl.extend(file.sysctl.0);
        draft.time_factor = file.time_factor.or(draft.time_factor);
        draft.dump = file.dump.or(draft.dump);
        draft.audit = file.audit.or(draft.audit);
        draft.description = file.description;
        draft.lineage.push(text.file.clone());
        Ok(())
    }

    fn no_profile(&self, name: &str, from: Option<&Text>) -> ProfileError {
        let names = self.names();
        let words = format!(
            "no profile `{name}`{}; there are: {}",
            did_you_mean(name, names.iter().copied()),
            names.join(", ")
        );
        match from {
            Some(text) => {
                let words = format!("extends: {words}");
                ProfileError::new(&text.file, line_of(text, name), words)
            }
            None => ProfileError::new("profiles", None, words),
        }
    }

    fn no_fragment(&self, name: &str, text: &Text) -> ProfileError {
        let layers = [&self.own, &self.shipped];
        let mut names: Vec<&str> = layers
            .iter()
            .flat_map(|layer| layer.fragments.keys().map(String::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        let words = format!(
            "config.fragments: no fragment `{name}`{}; there are: {}",
            did_you_mean(name, names.iter().copied()),
            names.join(", ")
        );
        ProfileError::new(&text.file, line_of(text, name), words)
    }
}

impl Layer {
    fn add(&mut self, file: &str, text: &str, fault: Option<String>) {
        let base = file.rsplit('/').next().unwrap_or(file);
        let entry = Text {
            file: file.to_owned(),
            text: text.to_owned(),
            fault,
        };
        match base.strip_suffix(".yaml").or(base.strip_suffix(".yml")) {
            Some(name) => self.profiles.insert(name.to_owned(), entry),
            None => self.fragments.insert(base.to_owned(), entry),
        };
    }
}

/// First line that holds the word outside a comment: where an error about it points.
fn line_of(text: &Text, word: &str) -> Option<usize> {
    let holds = |line: &str| {
        line.split('#')
            .next()
            .is_some_and(|code| code.contains(word))
    };
    text.text.lines().position(holds).map(|index| index + 1)
}

/// One entry of `workload`, on each of its filesystems.
fn expand(load: &LoadFile, text: &Text) -> Result<Vec<Load>, ProfileError> {
    let known = lab_wire::known(&load.scenario).ok_or_else(|| {
        let names: Vec<_> = lab_wire::SCENARIOS.iter().map(|known| known.name).collect();
        refuse(text, &load.scenario, "scenario", "scenario", &names)
    })?;
    let asked: Vec<&str> = match load.fs.0.as_slice() {
        [] => known.filesystems[..known.usual].to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    let one = |fs: &str| match known.filesystems.contains(&fs) {
        true => Ok(on_filesystem(load, known, fs)),
        false => {
            let what = format!("filesystem of {}", known.name);
            Err(refuse(text, fs, "fs", &what, known.filesystems))
        }
    };
    asked.into_iter().map(one).collect()
}

fn refuse(text: &Text, given: &str, key: &str, what: &str, accepted: &[&str]) -> ProfileError {
    let words = format!(
        "suites.workload.{key}: `{given}` is no {what}{}; accepted: {}",
        did_you_mean(given, accepted.iter().copied()),
        accepted.join(", ")
    );
    ProfileError::new(&text.file, line_of(text, given), words)
}

fn on_filesystem(load: &LoadFile, known: &Known, fs: &str) -> Load {
    let usual = Load::usual(known, fs);
    Load {
        threads: or(load.threads, usual.threads),
        names: or(load.names, usual.names),
        dirs: or(load.dirs, usual.dirs),
        seconds: or(load.seconds, usual.seconds),
        pause_us: or(load.pause_us, 0),
        mix: load.mix.iter().map(|(op, w)| (op.clone(), w.0)).collect(),
        ..usual
    }
}

fn or<const MIN: u32, const MAX: u32>(given: Option<Whole<MIN, MAX>>, default: u32) -> u32 {
    given.map_or(default, |whole| whole.0)
}

/// A profile while its files are laid over each other.
#[derive(Default)]
struct Draft {
    description: Option<String>,
    lineage: Vec<String>,
    start: Option<String>,
    options: Vec<crate::job::ConfigOption>,
    machine: MachineFile,
    kernel_args: Vec<String>,
    sysctl: BTreeMap<String, String>,
    workload: Vec<Load>,
    limits: LimitsFile,
    time_factor: Option<f64>,
    dump: Option<DumpPolicy>,
    audit: Option<bool>,
}

impl MachineFile {
    fn overlay(&mut self, over: MachineFile) {
        self.cpus = over.cpus.or(self.cpus);
        self.memory = over.memory.or(self.memory);
        self.disk = over.disk.or(self.disk);
    }
}

impl LimitsFile {
    fn overlay(&mut self, over: LimitsFile) {
        self.firmware = over.firmware.or(self.firmware);
        self.kernel = over.kernel.or(self.kernel);
        self.agent = over.agent.or(self.agent);
        self.scenario_extra = over.scenario_extra.or(self.scenario_extra);
        self.settle = over.settle.or(self.settle);
        self.drain = over.drain.or(self.drain);
        self.console_mib = over.console_mib.or(self.console_mib);
        self.dump_mib = over.dump_mib.or(self.dump_mib);
        self.build = over.build.or(self.build);
    }
}

impl Draft {
    fn finish(self, name: &str) -> Profile {
        Profile {
            name: name.to_owned(),
            description: self.description.unwrap_or_default(),
            lineage: self.lineage,
            config: ConfigRequest {
                start: self.start.unwrap_or_else(|| "allnoconfig".to_owned()),
                options: self.options,
            },
            cpus: or(self.machine.cpus, 2),
            memory_mib: or(self.machine.memory, 1024),
            disk_mib: or(self.machine.disk, 512),
            kernel_args: self.kernel_args,
            sysctl: self.sysctl,
            workload: self.workload,
            base_limits: Limits {
                firmware: or(self.limits.firmware, 30),
                kernel: or(self.limits.kernel, 60),
                agent: or(self.limits.agent, 30),
                scenario_extra: or(self.limits.scenario_extra, 30),
                settle: or(self.limits.settle, 10),
                drain: or(self.limits.drain, 30),
                console_mib: or(self.limits.console_mib, 16),
            },
            build_seconds: u64::from(or(self.limits.build, 4 * 3600)),
            time_factor: self.time_factor.unwrap_or(1.0),
            evidence: EvidencePlan {
                dump: self.dump.unwrap_or_default(),
                dump_mib: or(self.limits.dump_mib, 512),
                audit: self.audit.unwrap_or(false),
            },
        }
    }
}
