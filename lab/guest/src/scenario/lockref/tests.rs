// SPDX-License-Identifier: MIT OR Apache-2.0
//! References on this host, and a folder that was tampered with.

use super::*;
use crate::scenario::bench;
use std::path::PathBuf;

fn asked() -> Scenario {
    bench::asked("lockref", 2, 2, 1)
}

fn folder(case: &str) -> PathBuf {
    bench::folder(&format!("lockref-{case}"))
}

#[test]
fn it_measures_its_curve_and_finds_nothing_wrong() {
    let base = folder("run");
    let cwd = std::env::current_dir().unwrap();
    let time = Duration::from_millis(1_600);
    let shared = bench::run(&asked(), &Place::folder(base.clone()), time);
    let numbers = shared.stage.numbers();
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    assert!(
        numbers.iter().all(|number| number.value > 100.0),
        "{numbers:?}"
    );
    assert_eq!(std::env::current_dir().unwrap(), cwd);
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn oracles_fire_on_a_folder_that_was_tampered_with() {
    let base = folder("oracles");
    let path = CString::new(base.to_str().unwrap()).unwrap();
    let mut all = References::make(ops::open_dir(&path).unwrap(), &asked()).unwrap();
    // The working directory here is that of all tests.
    all.own_cwd = false;
    let act = |op: Op| all.fight(0, &Step::new(op as u8, [0, 0, 1, 0]));
    for op in Op::ALL {
        assert!(!matches!(act(*op), Err(Fault::Wrong(..))), "{op:?}");
    }
    assert_eq!(all.walk(), Ok(()));
    let oracle = |answer| match answer {
        Err(Fault::Wrong(oracle, _)) => oracle,
        other => panic!("{other:?}"),
    };
    for name in ["h0", "z1"] {
        std::fs::write(base.join("d0").join(name), "").unwrap();
    }
    assert_eq!(oracle(act(Op::Ghost)), "an own name went wrong");
    assert_eq!(oracle(act(Op::Missing)), "a missing name is there");
    std::fs::remove_dir_all(base.join("k/k/k")).unwrap();
    assert_eq!(oracle(all.walk()), "a stable path is lost");
    std::fs::remove_dir_all(&base).unwrap();
}
