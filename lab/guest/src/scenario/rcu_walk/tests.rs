// SPDX-License-Identifier: MIT OR Apache-2.0
//! The walk on this host, and on lanes that were tampered with.

use super::model::NOTHING;
use super::step::{A, B, G};
use super::*;
use crate::scenario::bench;
use crate::scenario::fault::Fault;
use std::path::PathBuf;

fn asked() -> Scenario {
    bench::asked("rcu-walk", 4, 4, 2)
}

fn folder(case: &str) -> PathBuf {
    bench::folder(&format!("walk-{case}"))
}

fn walk(base: &std::path::Path) -> Walk {
    let path = CString::new(base.to_str().unwrap()).unwrap();
    let fd = ops::open_dir(&path).unwrap();
    Walk {
        lanes: vec![Lane::make(fd.as_fd(), 0, true).unwrap()],
        base: fd,
        at: base.display().to_string(),
        fds: ops::open_dir(c"/proc/self/fd").unwrap(),
        caches: None,
        rounds: Rounds::new(1),
    }
}

#[test]
fn it_walks_a_second_and_finds_nothing_wrong() {
    let base = folder("run");
    let shared = bench::run(
        &asked(),
        &Place::folder(base.clone()),
        Duration::from_secs(1),
    );
    assert!(bench::all_worked(&shared));
    std::fs::remove_dir_all(&base).unwrap();
}

#[test]
fn every_operation_keeps_the_model_true_until_somebody_tampers() {
    let base = folder("model");
    let walk = walk(&base);
    let model = &walk.lanes[0].model;
    let act = |op: Op, args| walk.act(&Step::new(op as u8, args), false);
    for extra in 0..400 {
        for op in Op::ALL {
            let args = [0, extra / 7, extra * 5, extra];
            let answer = act(*op, args);
            assert!(
                !matches!(answer, Err(Fault::Wrong(..))),
                "{op:?} {args:?}: {answer:?}"
            );
        }
    }
    let oracle = |op, args| match act(op, args) {
        Err(Fault::Wrong(oracle, _)) => oracle,
        other => panic!("{op:?}: {other:?}"),
    };
    model.swap_heads(A, B);
    let raceless = "a walk that raced with nothing answered wrong";
    assert_eq!(oracle(Op::Stat, [0, A as u32, 0, 0]), raceless);
    assert_eq!(
        oracle(Op::Where, [0, 0, 0, 0]),
        "the path of a held directory is wrong"
    );
    model.swap_heads(A, B);
    model.heads[G].store(NOTHING, SeqCst);
    model.heads[step::H].store(NOTHING, SeqCst);
    let lost = [G, step::H].map(|head| act(Op::Stat, [0, head as u32, 0, 0]));
    assert!(
        lost.iter()
            .any(|answer| matches!(answer, Err(Fault::Wrong(..))))
    );
    std::fs::rename(base.join("l0/a"), base.join("l0/gone")).unwrap();
    assert_eq!(oracle(Op::Stat, [0, A as u32, 0, 0]), raceless);
    std::fs::remove_dir_all(&base).unwrap();
}
