// SPDX-License-Identifier: MIT OR Apache-2.0
//! The job of one attempt, out of the job of the run that is replayed.

use super::{Options, Summary};
use crate::pipeline::seed_of;
use lab_core::job::BootJob;

/// The job of the `number`th attempt (from 1).
///
/// The first has the run's own seed. So have all others, unless they wait for a hit: a race that one seed has not shown
/// is looked for with the next. A boot that waits for a hit ends at its first finding, as long as that was the wanted one.
pub(super) fn job(boot: &BootJob, options: Options, number: u32, so_far: &Summary) -> BootJob {
    let mut job = boot.clone();
    job.label = format!("replay of {}", so_far.run);
    for scenario in &mut job.guest.scenarios {
        scenario.seconds = options.seconds.unwrap_or(scenario.seconds);
        if options.until_hit && number > 1 {
            scenario.seed = seed_of(scenario.seed, "replay", number);
        }
    }
    if options.until_hit {
        let by_another = |a: &super::Attempt| a.stopped_at_hit && a.again.is_empty();
        job.until_hit = !so_far.attempts.iter().any(by_another);
    }
    if let Some(port) = options.gdb {
        job.gdb = Some(port);
        job.until_hit = false;
        let nokaslr = || "nokaslr".to_owned();
        if !job.append.contains(&nokaslr()) {
            job.append.push(nokaslr());
        }
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{Again, Attempt};
    use lab_core::outcome::BootOutcome;
    use std::path::{Path, PathBuf};

    fn none() -> Summary {
        Summary {
            run: "rt-0003-01".into(),
            wanted: Vec::new(),
            attempts: Vec::new(),
            stopped: false,
        }
    }

    fn seeds(job: &BootJob) -> Vec<u64> {
        job.guest.scenarios.iter().map(|s| s.seed).collect()
    }

    #[test]
    fn a_replay_is_the_same_experiment() {
        let boot = crate::vm::tests::job(Path::new("/k"));
        for number in [1, 2, 7] {
            let job = job(&boot, Options::default(), number, &none());
            let label = job.label.clone();
            assert_eq!(
                job,
                BootJob {
                    label,
                    ..boot.clone()
                }
            );
        }
    }

    #[test]
    fn waiting_for_a_hit_begins_with_the_runs_own_seed() {
        let boot = crate::vm::tests::job(Path::new("/k"));
        let options = Options {
            until_hit: true,
            seconds: Some(77),
            ..Options::default()
        };
        let attempts: Vec<BootJob> = (1..4).map(|n| job(&boot, options, n, &none())).collect();
        assert_eq!(seeds(&attempts[0]), seeds(&boot));
        assert_ne!(seeds(&attempts[1]), seeds(&boot));
        assert_ne!(seeds(&attempts[1]), seeds(&attempts[2]));
        let ready = |job: &BootJob| job.until_hit && job.guest.scenarios[0].seconds == 77;
        assert!(attempts.iter().all(ready));
    }

    #[test]
    fn another_finding_does_not_end_the_next_boot_before_the_wanted_one() {
        let boot = crate::vm::tests::job(Path::new("/k"));
        let options = Options {
            until_hit: true,
            ..Options::default()
        };
        let mut so_far = none();
        so_far.attempts.push(Attempt {
            number: 1,
            seed: 1,
            outcome: BootOutcome::StoppedAtHit,
            seconds: 1.0,
            exposure: 1.0,
            counts: true,
            stopped_at_hit: true,
            again: Vec::new(),
            others: vec!["WARNING in x".into()],
            folder: PathBuf::new(),
        });
        assert!(!job(&boot, options, 2, &so_far).until_hit);
        so_far.attempts[0].again.push(Again {
            signature: "s".into(),
            after_seconds: 1.0,
        });
        assert!(job(&boot, options, 2, &so_far).until_hit);
    }

    #[test]
    fn a_debugged_boot_has_fixed_addresses_and_all_the_time_there_is() {
        let mut boot = crate::vm::tests::job(Path::new("/k"));
        boot.append = vec!["a".into()];
        boot.until_hit = true;
        let options = Options {
            gdb: Some(1234),
            ..Options::default()
        };
        let debugged = job(&boot, options, 1, &none());
        assert_eq!(debugged.append, ["a", "nokaslr"]);
        assert_eq!((debugged.gdb, debugged.until_hit), (Some(1234), false));
        let day = std::time::Duration::from_secs(24 * 3600);
        assert!(lab_core::boot::Boot::longest(&debugged) > 29 * day);
        assert_eq!(job(&debugged, options, 1, &none()).append, debugged.append);
    }
}
