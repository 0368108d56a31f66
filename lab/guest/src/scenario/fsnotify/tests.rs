// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenario on this host.

use super::*;
use crate::scenario::bench;
use std::time::Duration;

#[test]
fn it_watches_a_second_and_finds_nothing_wrong() {
    let base = bench::folder("fsnotify");
    let asked = bench::asked("fsnotify", 4, 500, 2);
    let shared = bench::run(&asked, &Place::folder(base.clone()), Duration::from_secs(1));
    assert!(bench::all_worked(&shared));
    let numbers = shared.stage.numbers();
    assert!(numbers[0].value > 0.0, "{numbers:?}");
    std::fs::remove_dir_all(&base).unwrap();
}
