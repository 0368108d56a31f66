// SPDX-License-Identifier: MIT OR Apache-2.0
//! The web on this host, and one that was tampered with.

use super::step::{Op, movable};
use super::*;
use crate::scenario::bench;
use crate::scenario::fault::Fault;
use std::path::PathBuf;
use std::time::Duration;

fn asked() -> Scenario {
    bench::asked("rename-web", 8, 4, 2)
}

fn folder(case: &str) -> PathBuf {
    bench::folder(&format!("web-{case}"))
}

#[test]
fn it_weaves_a_second_and_a_tree_is_left() {
    let base = folder("run");
    let mut place = Place::folder(base.clone());
    // What is below this host's folder for temporary files may not count links.
    place.fs = "overlay".into();
    let shared = bench::run(&asked(), &place, Duration::from_secs(1));
    assert!(bench::all_worked(&shared));
    assert_eq!(shared.stage.settle(), []);
    assert!(shared.stage.numbers()[0].value > 4.0);
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn oracles_fire_on_a_web_that_was_tampered_with() {
    let base = folder("oracles");
    let mut place = Place::folder(base.clone());
    place.fs = "overlay".into();
    let weave = Weave::make(&place, &asked()).unwrap();
    let oracle = |op: Op, args| match weave.act(0, &Step::new(op as u8, args)) {
        Err(Fault::Wrong(oracle, _)) => oracle,
        other => panic!("{op:?}: {other:?}"),
    };
    for op in Op::ALL.iter().filter(|op| (**op as u8) < Op::Fresh as u8) {
        let answer = weave.act(0, &Step::new(*op as u8, [0, 1, 1, 0]));
        assert!(
            !matches!(answer, Err(Fault::Wrong(..))),
            "{op:?}: {answer:?}"
        );
    }
    assert_eq!(weave.inspect(), []);
    let d0 = base.join("d0");
    std::fs::remove_file(d0.join("e0")).unwrap();
    assert_eq!(oracle(Op::Look, [0; 4]), "an exchange did not exchange");
    std::fs::remove_file(d0.join("v0")).unwrap();
    let replaced = "a name was not there while it was replaced";
    assert_eq!(oracle(Op::Look, [0, 0, 0, 2]), replaced);
    let name = movable(3).to_string();
    let from = [d0.join(&name), base.join("d1").join(&name)];
    let from = from.iter().find(|path| path.exists()).unwrap();
    std::fs::rename(from, base.with_extension("taken")).unwrap();
    let wrongs: Vec<_> = weave
        .inspect()
        .into_iter()
        .map(|(oracle, _)| oracle)
        .collect();
    assert!(
        wrongs.contains(&"a directory is not in the tree once"),
        "{wrongs:?}"
    );
    assert!(
        wrongs.contains(&"a name is not in the tree once"),
        "{wrongs:?}"
    );
    std::fs::remove_file(base.with_extension("taken").join("keep")).unwrap();
    let kept = "a stable name was lost while directories moved";
    assert_eq!(oracle(Op::Keep, [3, 0, 0, 0]), kept);
    std::fs::remove_dir_all(base.with_extension("taken")).unwrap();
    std::fs::remove_dir_all(&base).unwrap();
}
