// SPDX-License-Identifier: MIT OR Apache-2.0
//! Jobs are judged before anything is touched.

use super::*;

fn asked() -> Scenario {
    bench::asked("lookup-storm", 6, 6, 2)
}

#[test]
fn bad_parameters_are_refused_by_name() {
    let refused = |change: fn(&mut Scenario)| {
        let mut scenario = asked();
        change(&mut scenario);
        Entry::find(&scenario).err().unwrap()
    };
    assert!(Entry::find(&asked()).is_ok());
    let threads = refused(|s| s.threads = 0);
    assert_eq!(threads, "threads is 0; 1 to 4096 are possible");
    let threads = refused(|s| s.threads = 1_000_000);
    assert_eq!(threads, "threads is 1000000; 1 to 4096 are possible");
    assert!(refused(|s| s.name = "storm".into()).contains("lookup-storm"));
    assert!(refused(|s| s.fs = "nfs4.2".into()).contains("tmpfs xfs ext4"));
    assert!(refused(|s| s.mix = [("fly".to_owned(), 1)].into()).contains("«fly»"));
}

#[test]
fn every_name_of_the_table_has_its_code_and_a_mix() {
    let trials = misbehave::TRIALS.iter().chain(yardstick::TRIALS);
    let code = SCENARIOS.iter().chain(trials);
    for entry in code.clone() {
        assert!(known(entry.name).is_some(), "{}", entry.name);
        assert!(
            Mix::new(&Default::default(), entry.ops).is_ok(),
            "{}",
            entry.name
        );
    }
    let names: Vec<_> = code.map(|entry| entry.name).collect();
    for known in lab_wire::SCENARIOS.iter().chain(lab_wire::TRIALS) {
        assert!(names.contains(&known.name), "{} has no code", known.name);
    }
}
