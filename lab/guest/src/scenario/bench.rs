// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a scenario is tried on this host: parameters, a folder, and its threads for a moment.

use super::worker::{Shared, Worker};
use super::{Place, SCENARIOS};
use lab_wire::Scenario;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Parameters on tmpfs.
pub(crate) fn asked(name: &str, threads: u32, names: u32, dirs: u32) -> Scenario {
    Scenario {
        name: name.into(),
        fs: "tmpfs".into(),
        threads,
        names,
        dirs,
        seconds: 1,
        seed: 42,
        pause_us: 0,
        mix: Default::default(),
    }
}

/// A new folder for temporary files.
pub(crate) fn folder(case: &str) -> PathBuf {
    let base = std::env::temp_dir().join(format!("lab-{case}-{}", std::process::id()));
    std::fs::create_dir(&base).unwrap();
    base
}

/// Runs all threads of a scenario for that long; none of them may have seen anything wrong.
pub(crate) fn run(asked: &Scenario, place: &Place, time: Duration) -> Arc<Shared> {
    let stop = Arc::new(AtomicBool::new(false));
    let entry = SCENARIOS.iter().find(|entry| entry.name == asked.name);
    let shared = entry.unwrap().share(asked, place, &stop).unwrap();
    std::thread::scope(|scope| {
        for number in 0..asked.threads {
            let shared = &shared;
            scope.spawn(move || shared.stage.work(&mut Worker::new(shared, number)));
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    for slot in &shared.slots {
        assert_eq!(slot.take_told().wrongs, []);
    }
    shared
}

/// Whether each thread did something.
pub(crate) fn all_worked(shared: &Shared) -> bool {
    let mut slots = shared.slots.iter();
    slots.all(|slot| slot.ops.load(Ordering::Relaxed) > 0)
}
