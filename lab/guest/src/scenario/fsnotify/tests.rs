// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenario on this host.

use super::*;
use crate::scenario::SCENARIOS;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

#[test]
fn it_watches_a_second_and_finds_nothing_wrong() {
    let base = std::env::temp_dir().join(format!("lab-fsnotify-{}", std::process::id()));
    std::fs::create_dir(&base).unwrap();
    let asked = Scenario {
        name: "fsnotify".into(),
        fs: "tmpfs".into(),
        threads: 4,
        names: 500,
        dirs: 2,
        seconds: 1,
        seed: 42,
        pause_us: 0,
        mix: Default::default(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let entry = SCENARIOS
        .iter()
        .find(|entry| entry.name == "fsnotify")
        .unwrap();
    let shared = entry
        .share(&asked, &Place::folder(base.clone()), &stop)
        .unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let shared = &shared;
            scope.spawn(move || shared.stage.work(&mut Worker::new(shared, number)));
        }
        std::thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
    });
    for slot in &shared.slots {
        assert_eq!(slot.take_told().wrongs, []);
        assert!(slot.ops.load(Ordering::Relaxed) > 0);
    }
    let numbers = shared.stage.numbers();
    assert!(numbers[0].value > 0.0, "{numbers:?}");
    std::fs::remove_dir_all(&base).unwrap();
}
