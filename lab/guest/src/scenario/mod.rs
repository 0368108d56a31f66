// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of scenarios.

pub(crate) mod act;
pub(crate) mod arena;
mod misbehave;
pub(crate) mod rounds;
pub(crate) mod step;
pub(crate) mod worker;

use lab_wire::Scenario;
use rounds::Rounds;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use step::{Mix, Op};
use worker::{Shared, Slot, Worker};

/// A scenario as the table has it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name in jobs.
    pub(crate) name: &'static str,
    /// What it does, for people.
    pub(crate) about: &'static str,
    /// Kernel functions it reaches.
    pub(crate) reaches: &'static [&'static str],
    /// Filesystems it runs on.
    pub(crate) filesystems: &'static [&'static str],
    /// Its own mix.
    pub(crate) mix: &'static [(Op, u32)],
    /// What a worker does until told to stop.
    pub(crate) work: fn(&mut Worker<'_>),
}

/// What a storm does, by weight.
const STORM: &[(Op, u32)] = &[
    (Op::Open, 200),
    (Op::List, 40),
    (Op::Create, 120),
    (Op::Stat, 200),
    (Op::Unlink, 120),
    (Op::Rename, 100),
    (Op::Link, 50),
    (Op::Readdir, 30),
    (Op::Mkdir, 40),
    (Op::Rmdir, 40),
    (Op::Keep, 20),
    (Op::Absent, 20),
    (Op::Own, 20),
    (Op::Ghost, 20),
    (Op::Over, 10),
    (Op::Drop, 1),
];

/// All scenarios that look for bugs.
pub(crate) const SCENARIOS: &[Entry] = &[
    Entry {
        name: "lookup-storm",
        about: "parallel lookups of cold, fresh and negative names against create, unlink, rename, link",
        reaches: &[
            "d_alloc_parallel",
            "d_wait_lookup",
            "d_splice_alias",
            "__d_add",
            "__d_move",
        ],
        filesystems: &["tmpfs", "xfs", "ext4"],
        mix: STORM,
        work: |worker| worker.work(),
    },
    Entry {
        name: "nfs-unlink",
        about: "silly renames and renames over open files on an NFS loop-back mount, with lookups meanwhile",
        reaches: &[
            "nfs_sillyrename",
            "nfs_call_unlink",
            "nfs_async_unlink_done",
            "nfs_atomic_open",
            "d_alloc_parallel",
        ],
        filesystems: &["nfs4.2"],
        mix: &[
            (Op::Open, 150),
            (Op::List, 30),
            (Op::Create, 100),
            (Op::Stat, 120),
            (Op::Unlink, 120),
            (Op::Rename, 80),
            (Op::Link, 30),
            (Op::Readdir, 20),
            (Op::Mkdir, 20),
            (Op::Rmdir, 20),
            (Op::Keep, 20),
            (Op::Absent, 20),
            (Op::Own, 20),
            (Op::Ghost, 180),
            (Op::Over, 80),
            (Op::Drop, 2),
        ],
        work: |worker| worker.work(),
    },
];

/// The table as text, for somebody who starts the agent by hand.
pub(crate) fn table() -> String {
    let mut text = String::new();
    for entry in SCENARIOS {
        let (on, reaches) = (entry.filesystems.join(" "), entry.reaches.join(" "));
        text += &format!(
            "{}: {}\n  on {on}\n  reaches {reaches}\n",
            entry.name, entry.about
        );
    }
    text += "The lab's own trials, which end a guest badly on purpose:\n";
    for entry in misbehave::TRIALS {
        let on = entry.filesystems.join(" ");
        text += &format!("{}: {}\n  on {on}\n", entry.name, entry.about);
    }
    text
}

/// Most workers that a scenario may have.
const MAX_THREADS: u32 = 4096;

impl Entry {
    /// The scenario of a job, found and its parameters judged, before anything is touched.
    ///
    /// # Errors
    /// Says which parameter is bad, and what would be good.
    pub(crate) fn find(asked: &Scenario) -> Result<&'static Self, String> {
        let mut all = SCENARIOS.iter().chain(misbehave::TRIALS);
        let entry = all.find(|entry| entry.name == asked.name);
        let entry = entry.ok_or_else(|| {
            let known: Vec<_> = SCENARIOS.iter().map(|entry| entry.name).collect();
            format!("no scenario «{}»; known: {}", asked.name, known.join(" "))
        })?;
        if !entry.filesystems.contains(&asked.fs.as_str()) {
            let known = entry.filesystems.join(" ");
            return Err(format!(
                "{} does not run on «{}», but on: {known}",
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
        Mix::new(&asked.mix, entry.mix)?;
        Ok(entry)
    }
}

/// Everything that the workers of a scenario share.
///
/// # Errors
/// When the mix is bad.
pub(crate) fn share(
    asked: &Scenario,
    entry: &Entry,
    arena: arena::Arena,
) -> Result<Shared, String> {
    // With few threads there are none to spare for a team.
    let team = if asked.threads < 4 {
        0
    } else {
        asked.threads / 2
    };
    Ok(Shared {
        arena,
        seed: asked.seed,
        names: asked.names,
        pause: Duration::from_micros(asked.pause_us.into()),
        mix: Mix::new(&asked.mix, entry.mix)?,
        round_mix: Mix::new(&Default::default(), rounds::MIX)?,
        rounds: Rounds::new(team),
        stop: AtomicBool::new(false),
        slots: (0..asked.threads).map(|_| Slot::new()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    fn asked() -> Scenario {
        Scenario {
            name: "lookup-storm".into(),
            fs: "tmpfs".into(),
            threads: 6,
            names: 6,
            dirs: 2,
            seconds: 1,
            seed: 42,
            pause_us: 0,
            mix: Default::default(),
        }
    }

    #[test]
    fn bad_parameters_are_refused_by_name() {
        let refused = |change: fn(&mut Scenario)| {
            let mut scenario = asked();
            change(&mut scenario);
            Entry::find(&scenario).unwrap_err()
        };
        assert!(Entry::find(&asked()).is_ok());
        assert_eq!(
            refused(|s| s.threads = 0),
            "threads is 0; 1 to 4096 are possible"
        );
        assert_eq!(
            refused(|s| s.threads = 1_000_000),
            "threads is 1000000; 1 to 4096 are possible"
        );
        assert!(refused(|s| s.name = "storm".into()).contains("lookup-storm nfs-unlink"));
        assert!(refused(|s| s.fs = "nfs4.2".into()).contains("tmpfs xfs ext4"));
        assert!(refused(|s| s.mix = [("fly".to_owned(), 1)].into()).contains("«fly»"));
    }

    #[test]
    fn the_table_says_what_each_scenario_is() {
        for entry in SCENARIOS {
            assert!(
                !entry.about.is_empty() && !entry.reaches.is_empty(),
                "{}",
                entry.name
            );
            assert!(
                Mix::new(&Default::default(), entry.mix).is_ok(),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn the_storm_runs_a_second_on_this_host_and_finds_nothing_wrong() {
        let base = std::env::temp_dir().join(format!("lab-storm-{}", std::process::id()));
        let arena = arena::Arena::make(&base, 2, false).unwrap();
        let shared = share(&asked(), &SCENARIOS[0], arena).unwrap();
        std::thread::scope(|scope| {
            for number in 0..6 {
                let shared = &shared;
                scope.spawn(move || (SCENARIOS[0].work)(&mut Worker::new(shared, number)));
            }
            std::thread::sleep(Duration::from_secs(1));
            shared.stop.store(true, Ordering::Relaxed);
        });
        for slot in &shared.slots {
            assert_eq!(*slot.wrongs.lock().unwrap(), []);
            assert!(slot.ops.load(Ordering::Relaxed) > 0);
            assert!(slot.step().is_some());
        }
        std::fs::remove_dir_all(&base).unwrap();
    }
}
