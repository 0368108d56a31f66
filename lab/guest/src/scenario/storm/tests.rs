// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storm on this host.

use super::*;
use crate::scenario::SCENARIOS;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn it_blows_a_second_and_finds_nothing_wrong() {
    let base = std::env::temp_dir().join(format!("lab-storm-{}", std::process::id()));
    std::fs::create_dir(&base).unwrap();
    let asked = Scenario {
        name: "lookup-storm".into(),
        fs: "tmpfs".into(),
        threads: 6,
        names: 6,
        dirs: 2,
        seconds: 1,
        seed: 42,
        pause_us: 0,
        mix: Default::default(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let shared = SCENARIOS[0].share(&asked, &Place::folder(base.clone()), &stop);
    let shared = shared.unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let shared = &shared;
            scope.spawn(move || shared.stage.work(&mut Worker::new(shared, number)));
        }
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
    });
    for slot in &shared.slots {
        assert_eq!(slot.take_told().wrongs, []);
        assert!(slot.ops.load(Ordering::Relaxed) > 0);
        assert!(slot.step().is_some() && slot.in_step_since().is_none());
    }
    std::fs::remove_dir_all(&base).unwrap();
}
