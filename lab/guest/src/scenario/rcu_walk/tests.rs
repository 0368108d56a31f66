// SPDX-License-Identifier: MIT OR Apache-2.0
//! The walk on this host, and on lanes that were tampered with.

use super::model::NOTHING;
use super::step::{A, B, G};
use super::*;
use crate::scenario::fault::Fault;
use crate::scenario::{Entry, SCENARIOS};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn asked() -> Scenario {
    Scenario {
        name: "rcu-walk".into(),
        fs: "tmpfs".into(),
        threads: 4,
        names: 4,
        dirs: 2,
        seconds: 1,
        seed: 42,
        pause_us: 0,
        mix: Default::default(),
    }
}

fn folder(case: &str) -> PathBuf {
    let base = std::env::temp_dir().join(format!("lab-walk-{case}-{}", std::process::id()));
    std::fs::create_dir(&base).unwrap();
    base
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
    let entry: &'static Entry = SCENARIOS.iter().find(|e| e.name == "rcu-walk").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let shared = entry
        .share(&asked(), &Place::folder(base.clone()), &stop)
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
