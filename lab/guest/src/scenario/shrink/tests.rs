// SPDX-License-Identifier: MIT OR Apache-2.0
//! Trees and mounts on this host, as far as they need no rights.

use super::*;

#[test]
fn trees_come_and_go_and_oracles_fire_when_somebody_interferes() {
    let temp = std::env::temp_dir().join(format!("lab-shrink-{}", std::process::id()));
    std::fs::create_dir(&temp).unwrap();
    let shrink = Shrink {
        arena: Arena::make(&temp, 1, false).unwrap(),
        threads: 2,
        names: 40,
        mounts: Mounts::new(&temp, 2).unwrap(),
        caches: None,
        press: None,
    };
    let stop = AtomicBool::new(false);
    let act = |op: Op, salt| shrink.act(&Step::new(op as u8, [0, 0, 1, salt]), &stop);
    let quiet = [Op::Hollow, Op::Tree, Op::Shift, Op::Drop, Op::Press];
    for op in quiet {
        assert_eq!(act(op, 5), Ok(()), "{op:?}");
        assert_eq!(act(op, 8), Ok(()), "{op:?}");
    }
    // Nothing is mounted, so who looks into a mount is turned away; a tree that is not there is no fault.
    assert_eq!(act(Op::Walk, 8), Ok(()));
    assert_eq!(act(Op::Walk, 5), Err(Fault::Answer(libc::ENOENT)));
    assert_eq!(shrink.settle(), []);
    let d0 = temp.join("d0");
    for folder in ["h0", "t0", "x0"] {
        std::fs::create_dir(d0.join(folder)).unwrap();
    }
    for op in &quiet[..3] {
        assert!(
            matches!(act(*op, 5), Err(Fault::Wrong("own name not free", _))),
            "{op:?}"
        );
    }
    std::fs::write(d0.join("no7"), "").unwrap();
    std::fs::write(d0.join("no8"), "").unwrap();
    assert_eq!(shrink.settle().len(), 1);
    std::fs::remove_dir_all(&temp).unwrap();
}
