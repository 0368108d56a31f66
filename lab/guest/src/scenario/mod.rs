// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of scenarios, and what each of them has to bring.

#[cfg(test)]
pub(crate) mod bench;
pub(crate) mod caches;
mod ci_lookup;
pub(crate) mod fault;
mod fsnotify;
mod handles;
mod lockref;
mod misbehave;
mod mixed;
mod negative;
mod nfs_open;
mod nfs_unlink;
pub(crate) mod place;
mod press;
mod proc_walk;
mod rcu_walk;
mod rename_web;
pub(crate) mod rounds;
mod rt_dirseq;
mod shrink;
pub(crate) mod step;
pub(crate) mod storm;
pub(crate) mod worker;
mod yardstick;

pub(crate) use place::Place;

use crate::fs::mount::Refusal;
use lab_wire::{Scenario, known};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use step::{Mix, OpInfo, Step};
use worker::{Shared, Slot, Worker};

/// A scenario's code; its name, filesystems and defaults are in [`lab_wire::SCENARIOS`].
pub(crate) struct Entry {
    /// Its name in jobs.
    pub(crate) name: &'static str,
    /// Its operations, by the numbers of its steps.
    pub(crate) ops: &'static [OpInfo],
    /// Prepares its state on a mounted filesystem.
    pub(crate) set_up: SetUp,
}

/// Makes a scenario's state on a mounted filesystem.
pub(crate) type SetUp = fn(&Place, &Scenario) -> Result<Box<dyn Stage>, Refusal>;

/// The state of a scenario that its workers share, and what they do with it.
pub(crate) trait Stage: Send + Sync {
    /// Lives as one worker until told to stop. Everything that counts goes through [`Worker::step`].
    fn work(&self, worker: &mut Worker<'_>);

    /// How a step reads in a history, e.g. `rename d0/n3 d1/n4`.
    fn show(&self, step: &Step) -> String;

    /// How long one of its steps may last before all are told to stop, where that is not as long as usual. It ends
    /// the work early and is no finding: who does not stop then, is.
    fn patience(&self) -> Option<Duration> {
        None
    }

    /// What must be so now that all workers have stopped and nothing is unmounted yet: violated oracles, each with
    /// what was seen.
    fn settle(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Measurements of its own, beside the speed and latency of each operation.
    fn numbers(&self) -> Vec<Number> {
        Vec::new()
    }

    /// Takes away what it has mounted or keeps open, before its filesystem is unmounted.
    ///
    /// # Errors
    /// Says what cannot be taken away.
    fn clear(self: Box<Self>) -> Result<(), String> {
        Ok(())
    }
}

/// A measurement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Number {
    /// What, e.g. `rounds`.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// Unit: `1/s`, `us`, `count`…
    pub(crate) unit: &'static str,
}

impl Number {
    /// A count of things.
    pub(crate) fn count(name: &str, value: f64) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: "count",
        }
    }

    /// So many a second.
    pub(crate) fn per_second(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            unit: "1/s",
        }
    }
}

/// All scenarios that look for bugs.
pub(crate) const SCENARIOS: &[Entry] = &[
    Entry {
        name: "lookup-storm",
        ops: storm::step::Op::INFO,
        set_up: storm::set_up,
    },
    Entry {
        name: "rename-web",
        ops: rename_web::step::Op::INFO,
        set_up: rename_web::set_up,
    },
    Entry {
        name: "rcu-walk",
        ops: rcu_walk::step::Op::INFO,
        set_up: rcu_walk::set_up,
    },
    Entry {
        name: "lockref",
        ops: lockref::Op::INFO,
        set_up: lockref::set_up,
    },
    Entry {
        name: "handles",
        ops: handles::Op::INFO,
        set_up: handles::set_up,
    },
    Entry {
        name: "nfs-open",
        ops: nfs_open::Op::INFO,
        set_up: nfs_open::set_up,
    },
    Entry {
        name: "ci-lookup",
        ops: ci_lookup::Op::INFO,
        set_up: ci_lookup::set_up,
    },
    Entry {
        name: "fsnotify",
        ops: fsnotify::Op::INFO,
        set_up: fsnotify::set_up,
    },
    Entry {
        name: "nfs-unlink",
        ops: nfs_unlink::Op::INFO,
        set_up: nfs_unlink::set_up,
    },
    Entry {
        name: "rt-dirseq",
        ops: rt_dirseq::Op::INFO,
        set_up: rt_dirseq::set_up,
    },
    Entry {
        name: "shrink",
        ops: shrink::Op::INFO,
        set_up: shrink::set_up,
    },
    Entry {
        name: "negative",
        ops: negative::Op::INFO,
        set_up: negative::set_up,
    },
    Entry {
        name: "proc-walk",
        ops: proc_walk::Op::INFO,
        set_up: proc_walk::set_up,
    },
    Entry {
        name: mixed::NAME,
        ops: mixed::PARTS,
        set_up: mixed::set_up,
    },
];

/// The table as text, for somebody who starts the agent by hand.
pub(crate) fn table() -> String {
    let rows = |all: &'static [lab_wire::Known]| {
        all.iter().map(|known| {
            let (on, reaches) = (known.filesystems.join(" "), known.reaches.join(" "));
            format!(
                "{}: {}\n  on {on}\n  reaches {reaches}\n",
                known.name, known.about
            )
        })
    };
    let trials = "The lab's own trials, which end a guest badly on purpose:\n".to_owned();
    rows(lab_wire::SCENARIOS)
        .chain([trials])
        .chain(rows(lab_wire::TRIALS))
        .collect()
}

/// Most workers that a scenario may have.
const MAX_THREADS: u32 = 4096;

impl Entry {
    /// The scenario of a job, found and its parameters judged, before anything is touched.
    ///
    /// # Errors
    /// Says which parameter is bad, and what would be good.
    pub(crate) fn find(asked: &Scenario) -> Result<&'static Self, String> {
        let trials = misbehave::TRIALS.iter().chain(yardstick::TRIALS);
        let mut all = SCENARIOS.iter().chain(trials);
        let entry = all.find(|entry| entry.name == asked.name);
        let (Some(entry), Some(known)) = (entry, known(&asked.name)) else {
            let known: Vec<_> = SCENARIOS.iter().map(|entry| entry.name).collect();
            return Err(format!(
                "no scenario «{}»; known: {}",
                asked.name,
                known.join(" ")
            ));
        };
        if !known.filesystems.contains(&asked.fs.as_str()) {
            let on = known.filesystems.join(" ");
            return Err(format!(
                "{} does not run on «{}», but on: {on}",
                entry.name, asked.fs
            ));
        }
        let limits = [
            ("threads", asked.threads, MAX_THREADS),
            ("names", asked.names, 1 << 24),
            ("dirs", asked.dirs, 512),
            ("seconds", asked.seconds, 7 * 24 * 3600),
        ];
        for (what, value, most) in limits {
            if value == 0 || value > most {
                return Err(format!("{what} is {value}; 1 to {most} are possible"));
            }
        }
        Mix::new(&asked.mix, entry.ops)?;
        Ok(entry)
    }

    /// The scenario's parts, ready to begin: one, for all that are no mixture.
    ///
    /// # Errors
    /// As [`Entry::share`], of any part.
    pub(crate) fn parts(
        &'static self,
        asked: &Scenario,
        place: &Place,
        stop: &Arc<AtomicBool>,
    ) -> Result<Vec<Arc<Shared>>, Refusal> {
        if self.name == mixed::NAME {
            return mixed::parts(asked, place, stop);
        }
        Ok(vec![self.share(asked, place, stop)?])
    }

    /// Everything that the workers of a part share, ready to begin.
    ///
    /// # Errors
    /// When the mix is bad, or the scenario cannot prepare itself on that filesystem.
    pub(crate) fn share(
        &'static self,
        asked: &Scenario,
        place: &Place,
        stop: &Arc<AtomicBool>,
    ) -> Result<Arc<Shared>, Refusal> {
        let mix = Mix::new(&asked.mix, self.ops).map_err(Refusal::Failed)?;
        Ok(Arc::new(Shared {
            entry: self,
            stage: (self.set_up)(place, asked)?,
            asked: asked.clone(),
            mix,
            stop: Arc::clone(stop),
            slots: (0..asked.threads)
                .map(|_| Slot::new(self.ops.len()))
                .collect(),
        }))
    }
}

#[cfg(test)]
mod tests;
