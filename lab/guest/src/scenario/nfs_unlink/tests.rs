// SPDX-License-Identifier: MIT OR Apache-2.0
//! The oracles, on plain folders.

use super::*;

fn stage(tag: &str) -> Unlinks {
    let temp = std::env::temp_dir().join(format!("lab-unlinks-{tag}-{}", std::process::id()));
    std::fs::create_dir(&temp).unwrap();
    Unlinks::new(Doors::folders(&temp, 2), temp, 2, 3)
}

fn round(kind: Kind) -> Round {
    let mut rounds = (0..).map(|number| Round::new(3, number, 1));
    rounds.find(|round| round.kind == kind).unwrap()
}

#[test]
fn a_round_that_goes_well_violates_nothing() {
    let stage = stage("well");
    for kind in [Kind::Unlink, Kind::Over, Kind::Anew, Kind::Under] {
        let round = round(kind);
        assert_eq!(team::make(&stage.doors, &round), Ok(()));
        let held = team::grasp(&stage.doors, &round).unwrap();
        assert_eq!(team::strike(&stage.doors, &round), Ok(()));
        assert_eq!(team::read(held.as_fd(), &round), Ok(()), "{kind:?}");
        assert_eq!(team::check(&stage.doors, &round), Ok(()), "{kind:?}");
        assert_eq!(team::clean(&stage.doors, &round), Ok(()));
    }
    let mut kept = None;
    for op in &Op::ALL[..Op::Make as usize] {
        let step = Step::new(*op as u8, [USUAL, 1, 0, 1]);
        let fault = stage.act(&step, 7, &mut kept).err();
        assert!(!matches!(fault, Some(Fault::Wrong(..))), "{fault:?}");
    }
    assert_eq!(stage.settle(), []);
    std::fs::remove_dir_all(&stage.base).unwrap();
}

#[test]
fn tampering_is_noticed() {
    let stage = stage("bad");
    let oracle = |result: Result<(), Fault>| match result {
        Err(Fault::Wrong(oracle, _)) => oracle,
        other => panic!("{other:?}"),
    };
    let unlinked = round(Kind::Unlink);
    let path = stage.base.join("d0").join(unlinked.name().to_string());
    std::fs::write(&path, "other").unwrap();
    let check = oracle(team::check(&stage.doors, &unlinked));
    assert_eq!(check, "unlinked name still there");
    let held = team::grasp(&stage.doors, &unlinked).unwrap();
    let read = oracle(team::read(held.as_fd(), &unlinked));
    assert_eq!(read, "unlinked open file lost");
    let check = oracle(team::check(&stage.doors, &round(Kind::Over)));
    assert_eq!(check, "own name lost");
    let d1 = stage.doors.dir(USUAL, 1);
    std::fs::write(stage.base.join("d1/og7"), "").unwrap();
    assert_eq!(oracle(own::ghost(d1, 7)), "own name not free");
    std::fs::create_dir(stage.base.join("d1/inner")).unwrap();
    let silly = stage.base.join("d1/.nfs0001");
    std::fs::write(&silly, "").unwrap();
    assert_eq!(team::silly(d1).unwrap().to_str(), Ok(".nfs0001"));
    std::fs::remove_dir_all(&stage.base).unwrap();
}
