// SPDX-License-Identifier: MIT OR Apache-2.0
//! The storm on this host.

use super::*;
use crate::scenario::bench;
use std::time::Duration;

#[test]
fn it_blows_a_second_and_finds_nothing_wrong() {
    let base = bench::folder("storm");
    let asked = bench::asked("lookup-storm", 6, 6, 2);
    let shared = bench::run(&asked, &Place::folder(base.clone()), Duration::from_secs(1));
    assert!(bench::all_worked(&shared));
    for slot in &shared.slots {
        assert!(slot.step().is_some() && slot.in_step_since().is_none());
    }
    std::fs::remove_dir_all(&base).unwrap();
}
