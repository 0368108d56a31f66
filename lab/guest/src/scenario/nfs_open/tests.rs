// SPDX-License-Identifier: MIT OR Apache-2.0
//! The oracles, on plain folders that show every change at once.

use super::doors::{FRESH, SERVER, USUAL};
use super::*;
use std::path::PathBuf;

fn stage(tag: &str) -> (PathBuf, Opens) {
    let temp = std::env::temp_dir().join(format!("lab-opens-{tag}-{}", std::process::id()));
    std::fs::create_dir(&temp).unwrap();
    let doors = Doors::folders(&temp, 3);
    (temp, Opens::new(doors, 2, 1, 4))
}

fn round(kind: Kind) -> Round {
    let mut rounds = (0..).map(|number| Round::new(3, number, 1));
    rounds
        .find(|round| round.kind == kind && !round.racing && round.maker == SERVER)
        .unwrap()
}

#[test]
fn a_round_that_goes_well_violates_nothing() {
    let (temp, stage) = stage("well");
    for kind in [Kind::File, Kind::Directory] {
        let round = round(kind);
        let ops = [Op::FreshOpen, Op::FreshList, Op::FreshStat, Op::Make];
        let made = [Op::MadeOpen, Op::MadeStat, Op::Remove, Op::GoneStat];
        for op in ops.into_iter().chain(made) {
            assert_eq!(stage.act(&round, op, FRESH, 1), Ok(()), "{op:?}");
        }
    }
    for (place, _) in Op::INFO[..Op::FreshOpen as usize].iter().enumerate() {
        let step = Step::new(place as u8, [USUAL, 2, 0, 1]);
        let fault = act::meddle(&stage.doors, &step).err();
        assert!(!matches!(fault, Some(Fault::Wrong(..))), "{fault:?}");
    }
    assert_eq!(stage.settle(), []);
    std::fs::remove_dir_all(&temp).unwrap();
}

#[test]
fn tampering_is_noticed() {
    let (temp, stage) = stage("bad");
    let round = round(Kind::File);
    let oracle = |op, door| match stage.act(&round, op, door, 1) {
        Err(Fault::Wrong(oracle, _)) => oracle,
        other => panic!("{op:?}: {other:?}"),
    };
    let path = temp.join("d0").join(round.name().to_string());
    std::fs::write(&path, "other").unwrap();
    assert_eq!(oracle(Op::FreshOpen, USUAL), "absent name opened");
    assert_eq!(oracle(Op::FreshStat, USUAL), "absent name seen");
    assert_eq!(oracle(Op::FreshList, USUAL), "absent name is not ENOENT");
    assert_eq!(oracle(Op::GoneStat, SERVER), "removed name still there");
    let stale = "what was written before the open is not read";
    assert_eq!(oracle(Op::MadeOpen, SERVER), stale);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        oracle(Op::MadeStat, round.maker),
        "name made by this client not found"
    );
    std::fs::remove_file(temp.join("d1/keep")).unwrap();
    assert!(stage.settle().iter().any(|(o, _)| *o == "stable name lost"));
    std::fs::remove_dir_all(&temp).unwrap();
}
