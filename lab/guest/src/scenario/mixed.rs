// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other scenarios side by side on one filesystem, each in a folder of its own: what none of them alone drives
//! is how they meet.
//!
//! A mix names scenarios here, and its weights share out the threads.

use super::step::{Mix, OpInfo};
use super::worker::Shared;
use super::{Entry, Place, SCENARIOS, Stage};
use crate::fs::mount::Refusal;
use lab_wire::{Scenario, known};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Name of the mixture.
pub(super) const NAME: &str = "mixed";
/// Fewest threads of a part: one alone meets nobody.
const FEWEST: u32 = 2;

/// A part with its share of the threads.
const fn part(name: &'static str, weight: u32) -> OpInfo {
    OpInfo { name, weight }
}

/// The parts. Who measures speed wants to be alone, and who runs at real-time priority leaves the others no time.
pub(super) const PARTS: &[OpInfo] = &[
    part("lookup-storm", 3),
    part("rename-web", 2),
    part("rcu-walk", 2),
    part("negative", 1),
    part("shrink", 2),
    part("nfs-open", 2),
    part("nfs-unlink", 2),
    part("handles", 2),
    part("fsnotify", 2),
];

/// A mixture is made of its parts; it has no work of its own.
///
/// # Errors
/// Always.
pub(super) fn set_up(_place: &Place, _asked: &Scenario) -> Result<Box<dyn Stage>, Refusal> {
    Err(Refusal::Failed("a mixture has no work of its own".into()))
}

/// All parts that run on that filesystem, ready to begin. One that this kernel cannot do is left out.
///
/// # Errors
/// When a part cannot prepare itself, or none can run.
pub(super) fn parts(
    asked: &Scenario,
    place: &Place,
    stop: &Arc<AtomicBool>,
) -> Result<Vec<Arc<Shared>>, Refusal> {
    let (mut parts, mut absent) = (Vec::new(), Vec::new());
    for (entry, asked) in shares(asked).map_err(Refusal::Failed)? {
        match entry.share(&asked, &place.part(entry.name)?, stop) {
            Ok(part) => parts.push(part),
            Err(Refusal::Absent(why)) => absent.push(why),
            Err(Refusal::Failed(why)) => {
                let why = format!("{}: {why}", entry.name);
                return Err(Refusal::Failed(
                    undo(parts).map_or(why.clone(), |more| format!("{why}; {more}")),
                ));
            }
        }
    }
    if parts.is_empty() {
        return Err(Refusal::Absent(format!(
            "no part runs here: {}",
            absent.join("; ")
        )));
    }
    Ok(parts)
}

/// Takes away what parts have made that never began; what could not be taken away.
fn undo(parts: Vec<Arc<Shared>>) -> Option<String> {
    let stages = parts.into_iter().filter_map(Arc::into_inner);
    stages
        .filter_map(|shared| shared.stage.clear().err())
        .next()
}

/// The parts of a mixture with their own parameters.
fn shares(asked: &Scenario) -> Result<Vec<(&'static Entry, Scenario)>, String> {
    let weights = Mix::weights(&asked.mix, PARTS)?;
    let usable = |(name, weight): (&'static str, u32)| {
        let known = known(name).filter(|known| known.filesystems.contains(&asked.fs.as_str()))?;
        let entry = SCENARIOS.iter().find(|entry| entry.name == name)?;
        Some((entry, known.defaults, weight))
    };
    let usable: Vec<_> = weights.into_iter().filter_map(usable).collect();
    let sum: u64 = usable.iter().map(|(.., weight)| u64::from(*weight)).sum();
    let own =
        |(place, (entry, defaults, weight)): (u64, (&'static Entry, lab_wire::Defaults, u32))| {
            let share = u64::from(asked.threads) * u64::from(weight) / sum.max(1);
            let part = Scenario {
                name: entry.name.to_owned(),
                threads: (share as u32).max(FEWEST),
                names: defaults.names,
                dirs: defaults.dirs,
                // Equal seeds would let the parts move in step.
                seed: asked.seed.wrapping_add(place),
                mix: BTreeMap::new(),
                ..asked.clone()
            };
            (entry, part)
        };
    Ok((0..).zip(usable).map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fs: &str, mix: &[(&str, u32)]) -> Scenario {
        Scenario {
            fs: fs.into(),
            mix: mix
                .iter()
                .map(|(name, weight)| ((*name).to_owned(), *weight))
                .collect(),
            ..crate::scenario::bench::asked(NAME, 16, 8, 2)
        }
    }

    #[test]
    fn parts_are_those_that_run_there_with_their_own_parameters() {
        let parts = shares(&asked("tmpfs", &[])).unwrap();
        let names: Vec<_> = parts.iter().map(|(entry, _)| entry.name).collect();
        assert!(names.contains(&"shrink") && !names.contains(&"nfs-unlink"));
        assert!(
            parts
                .iter()
                .all(|(_, part)| part.threads >= FEWEST && part.mix.is_empty())
        );
        let seeds: std::collections::BTreeSet<_> =
            parts.iter().map(|(_, part)| part.seed).collect();
        assert_eq!(seeds.len(), parts.len());
        let nfs = shares(&asked("nfs4.2", &[])).unwrap();
        assert!(nfs.iter().any(|(entry, _)| entry.name == "nfs-unlink"));
    }

    #[test]
    fn a_mix_names_parts_and_shares_out_the_threads() {
        let parts = shares(&asked("tmpfs", &[("lookup-storm", 3), ("shrink", 1)])).unwrap();
        let threads: Vec<_> = parts
            .iter()
            .map(|(entry, part)| (entry.name, part.threads))
            .collect();
        assert_eq!(threads, [("lookup-storm", 12), ("shrink", 4)]);
        assert!(Entry::find(&asked("tmpfs", &[("rt-dirseq", 1)])).is_err());
    }
}
