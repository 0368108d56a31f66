// SPDX-License-Identifier: MIT OR Apache-2.0
//! What evidence is taken, when, in which order, and what happens when it cannot be had.

use super::*;

fn failure(log: &[String]) -> Vec<&str> {
    log.iter()
        .filter_map(|line| line.split_once(' ').map(|(_, action)| action))
        .collect()
}

/// The dump that was asked for, with its time.
fn dumps(log: &[String]) -> Vec<&str> {
    let dump = |line: &&String| line.contains("Gather(Dump");
    log.iter().filter(dump).map(String::as_str).collect()
}

const PANIC_DUMP: &str = "5.2 Gather(Dump(Failure { why: \"panicked\" }))";

#[test]
fn a_panic_is_dumped_while_it_is_paused_and_then_prints_its_rest() {
    let script = after(
        running(),
        vec![
            (5.0, Event::Qmp(Qmp::Panicked)),
            (5.8, printed()),
            (6.0, Event::Mark(Mark::LastWords)),
        ],
    );
    let (log, _) = check(&evident(job(1)), script, BootOutcome::Panicked);
    assert_eq!(
        log,
        [
            "5.2 Gather(Registers)",
            PANIC_DUMP,
            "5.2 Gather(Resume)",
            // Nobody waits for the reboot.
            "6.3 Quit"
        ]
    );
}

#[test]
fn a_rest_that_never_comes_is_not_waited_for_long() {
    let script = after(running(), vec![(5.0, Event::Qmp(Qmp::Panicked))]);
    let (log, _) = check(&evident(job(1)), script, BootOutcome::Panicked);
    assert_eq!(log.last().unwrap(), "11.2 Quit");
}

#[test]
fn without_dumps_the_rest_of_the_evidence_is_taken() {
    let script = after(running(), vec![(5.0, stuck())]);
    let (log, _) = check(&job(1), script, BootOutcome::ThreadsStuck { threads: 1 });
    assert!(dumps(&log).is_empty(), "{log:?}");
    assert!(log.contains(&"8.0 SendAgent(State)".to_owned()), "{log:?}");
}

#[test]
fn stuck_threads_are_asked_by_all_means_and_dumped_last() {
    let script = after(
        running(),
        vec![(5.0, stuck()), (8.5, printed()), (8.9, printed())],
    );
    let job = evident(job(1));
    let (log, _) = check(&job, script, BootOutcome::ThreadsStuck { threads: 1 });
    assert_eq!(
        log,
        [
            "8.0 Gather(Registers)",
            "8.0 SendAgent(State)",
            "8.0 Gather(SysRq('l'))",
            // Its answer ended at 8.9, and the next key has none.
            "9.6 Gather(SysRq('w'))",
            "11.6 Remark(\"the kernel does not answer to SysRq keys\")",
            "11.6 Gather(Dump(Failure { why: \"1 threads never stopped\" }))",
            "11.6 Quit"
        ]
    );
}

#[test]
fn a_lost_agent_is_not_asked_for_its_state() {
    let (log, _) = check(&evident(job(1)), running(), BootOutcome::AgentLost);
    assert!(!log.iter().any(|line| line.contains("State")), "{log:?}");
    assert_eq!(dumps(&log).len(), 1);
}

#[test]
fn a_kernel_that_prints_on_and_on_cannot_hold_up_the_dump() {
    let flood = (0..400).map(|n| (9.0 + f64::from(n) / 5.0, printed()));
    let script = after(running(), vec![(5.0, stuck())]);
    let script = after(script, flood.collect());
    let job = evident(job(1));
    let (log, _) = check(&job, script, BootOutcome::ThreadsStuck { threads: 1 });
    // All keys have 30 s together.
    assert!(dumps(&log)[0].starts_with("38.0 "), "{log:?}");
    let keys = log.iter().filter(|line| line.contains("SysRq")).count();
    assert_eq!(keys, 1, "{log:?}");
}

#[test]
fn a_boot_that_never_got_an_agent_or_never_went_is_dumped() {
    let job = evident(job(1));
    let script = vec![(0.0, Event::Spawned), (1.0, printed())];
    let (log, _) = check(&job, script, BootOutcome::AgentNeverUp);
    assert_eq!(dumps(&log).len(), 1, "{log:?}");
    let script = after(running(), vec![(6.0, end(0, Ended::Done))]);
    let script = after(script, vec![(6.1, told(Told::Bye))]);
    let (log, _) = check(&job, script, BootOutcome::NeverOff);
    assert_eq!(dumps(&log).len(), 1, "{log:?}");
    let (log, _) = check(&job, vec![(0.0, Event::Spawned)], BootOutcome::NoKernel);
    assert_eq!(dumps(&log).len(), 0, "{log:?}");
}

#[test]
fn a_hit_is_dumped_at_once_and_asked_for_more_when_it_fell_quiet() {
    let mut job = evident(job(1));
    job.until_hit = true;
    let script = after(
        running(),
        vec![
            (4.0, report(Weight::Finding, Class::Lockdep)),
            (8.5, end(0, Ended::Stopped)),
            (8.6, off(ShutdownCause::PowerOff)),
            (8.7, exited()),
        ],
    );
    let (log, _) = check(&job, script, BootOutcome::StoppedAtHit);
    assert_eq!(
        failure(&log),
        [
            "Gather(Registers)",
            "Gather(Dump(Failure { why: \"lockdep reported\" }))",
            "SendAgent(State)",
            "Gather(Registers)",
            "Gather(SysRq('l'))",
            "Remark(\"the kernel does not answer to SysRq keys\")",
            "SendAgent(Stop)"
        ]
    );
    assert!(log[1].starts_with("4.0 "), "{log:?}");
}

#[test]
fn a_hit_before_the_agent_is_up_is_dumped_when_it_is() {
    let mut job = evident(job(1));
    job.until_hit = true;
    let early = vec![
        (0.0, Event::Spawned),
        (0.5, printed()),
        (1.0, report(Weight::Finding, Class::AtomicSleep)),
    ];
    let script = after(early.clone(), vec![(2.0, hello())]);
    let (log, boot) = check(&job, script, BootOutcome::StoppedAtHit);
    let dump = "2.0 Gather(Dump(Failure { why: \"atomic-sleep reported\" }))";
    assert_eq!(dumps(&log), [dump], "{log:?}");
    assert_eq!(boot.facts().first_operation, None);
    // A kernel that never gets so far is dumped as it is.
    let (log, _) = check(&job, early.clone(), BootOutcome::StoppedAtHit);
    assert!(dumps(&log)[0].starts_with("35."), "{log:?}");
    // Where no dump is wanted, nobody waits for the agent.
    job.evidence.dump = DumpPolicy::None;
    let (log, _) = check(&job, early, BootOutcome::StoppedAtHit);
    assert!(log.last().unwrap().starts_with("3."), "{log:?}");
}

#[test]
fn a_wrong_answer_is_dumped_like_any_hit() {
    let mut job = evident(job(1));
    job.until_hit = true;
    let wrong = told(Told::Wrong {
        index: 0,
        oracle: "absent".into(),
        detail: String::new(),
        history: Vec::new(),
    });
    let script = after(running(), vec![(4.0, wrong)]);
    let (log, _) = play(&job, script);
    assert!(dumps(&log)[0].contains("wrong-result reported"), "{log:?}");
}

#[test]
fn a_hit_that_becomes_a_panic_is_dumped_at_the_panic() {
    let mut job = evident(job(1));
    job.until_hit = true;
    let oops = report(Weight::Finding, Class::Oops);
    let script = after(
        running(),
        vec![(4.8, oops.clone()), (5.0, Event::Qmp(Qmp::Panicked))],
    );
    let (log, _) = check(&job, script, BootOutcome::Panicked);
    assert_eq!(dumps(&log), [PANIC_DUMP]);
    // One that does not is dumped after all.
    let (log, _) = check(
        &job,
        after(running(), vec![(4.0, oops)]),
        BootOutcome::StoppedAtHit,
    );
    assert_eq!(dumps(&log).len(), 1, "{log:?}");
}

#[test]
fn a_panic_ends_the_wait_for_answers() {
    let mut job = evident(job(1));
    job.until_hit = true;
    let script = after(
        running(),
        vec![
            (3.0, report(Weight::Finding, Class::Lockdep)),
            // Meanwhile the first key is waited for.
            (5.0, Event::Qmp(Qmp::Panicked)),
        ],
    );
    let (log, _) = check(&job, script, BootOutcome::Panicked);
    assert!(
        log.contains(&"3.8 Gather(SysRq('l'))".to_owned()),
        "{log:?}"
    );
    assert_eq!(dumps(&log)[1], PANIC_DUMP);
}

#[test]
fn the_first_lockup_of_a_boot_that_goes_on_is_dumped_and_a_panic_after_it_again() {
    let lockup = || report(Weight::Suspicion, Class::SoftLockup);
    let script = after(
        running(),
        vec![
            (3.0, report(Weight::Suspicion, Class::HungTask)),
            (4.0, lockup()),
            (4.5, lockup()),
            (5.0, Event::Qmp(Qmp::Panicked)),
        ],
    );
    let (log, _) = check(&evident(job(1)), script, BootOutcome::Panicked);
    let lockup = "4.0 Gather(Dump(Failure { why: \"soft-lockup reported\" }))";
    assert_eq!(dumps(&log), [lockup, PANIC_DUMP]);
}

#[test]
fn an_audit_holds_the_guest_at_each_scenarios_end_and_its_clocks() {
    let job = evident(job(2));
    let mut boot = Boot::new(&job);
    let at = Duration::from_secs;
    for (now, event) in [
        (0, Event::Spawned),
        (1, printed()),
        (2, hello()),
        (3, begin(0)),
        (13, progress(10_000)),
    ] {
        boot.step(event, at(now));
    }
    let audit = Evidence::Dump(Purpose::Audit { index: 0 });
    let settled = || told(Told::Settled { index: 0 });
    let actions = boot.step(settled(), at(14));
    assert_eq!(actions, [Action::Gather(audit.clone())]);
    // The guest stands: neither its silence nor its scenario's limit (23 s) counts.
    assert!(boot.step(Event::Tick, at(30)).is_empty());
    let go = Action::SendAgent(ToGuest::Go { index: 0 });
    assert_eq!(
        boot.step(gathered(audit), at(31)),
        std::slice::from_ref(&go)
    );
    assert_eq!(boot.stage(), Stage::Scenario { index: 0 });
    assert!(boot.next_deadline().unwrap() > at(34));
    // Asked again, or where no audit is wanted, it is let go.
    assert_eq!(boot.step(settled(), at(32)), std::slice::from_ref(&go));
    boot.step(end(0, Ended::Done), at(33));
    assert_eq!(boot.facts().exposure, at(10));
    let mut plain = Boot::new(&super::job(1));
    for (now, event) in [(0, Event::Spawned), (1, hello()), (2, begin(0))] {
        plain.step(event, at(now));
    }
    assert_eq!(plain.step(settled(), at(3)), [go]);
}

#[test]
fn an_audit_that_cannot_be_had_lets_the_guest_go_on() {
    let job = evident(job(1));
    let mut boot = Boot::new(&job);
    for (now, event) in [(0, Event::Spawned), (1, hello()), (2, begin(0))] {
        boot.step(event, Duration::from_secs(now));
    }
    let now = Duration::from_secs(3);
    boot.step(told(Told::Settled { index: 0 }), now);
    let late = boot.next_deadline().unwrap();
    let actions = boot.step(Event::Tick, late);
    assert!(
        matches!(actions[1], Action::GiveUp(Evidence::Dump(_))),
        "{actions:?}"
    );
    assert_eq!(actions[2], Action::SendAgent(ToGuest::Go { index: 0 }));
    assert!(boot.facts().remarks[0].contains("given up"));
}

#[test]
fn trouble_with_evidence_is_remarked_and_the_rest_is_taken() {
    let job = evident(job(1));
    let mut boot = Boot::new(&job);
    for (event, now) in [(Event::Spawned, 0), (printed(), 1)] {
        boot.step(event, Duration::from_secs(now));
    }
    boot.step(Event::Qmp(Qmp::Panicked), Duration::from_secs(2));
    let now = Duration::from_secs(3);
    boot.step(Event::Tick, now);
    let evidence = Evidence::Registers;
    let trouble = Some("QEMU gave no registers: no".to_owned());
    let actions = boot.step(Event::Gathered { evidence, trouble }, now);
    assert!(
        matches!(actions[1], Action::Gather(Evidence::Dump(_))),
        "{actions:?}"
    );
    assert_eq!(boot.facts().remarks, ["QEMU gave no registers: no"]);
}

#[test]
fn a_stop_ends_gathering_and_what_qemu_was_at_is_given_up_when_it_must_leave() {
    let mut job = evident(job(1));
    job.until_hit = true;
    let mut boot = Boot::new(&job);
    for (now, event) in [(0, Event::Spawned), (1, hello()), (2, begin(0))] {
        boot.step(event, Duration::from_secs(now));
    }
    let at = Duration::from_secs;
    let lockdep = report(Weight::Finding, Class::Lockdep);
    boot.step(lockdep, at(3));
    let actions = boot.step(gathered(Evidence::Registers), at(3));
    assert!(
        matches!(actions[0], Action::Gather(Evidence::Dump(_))),
        "{actions:?}"
    );
    assert_eq!(
        boot.step(Event::StopOrderly, at(4)),
        [Action::SendAgent(ToGuest::Stop)]
    );
    let full = Event::StoreFailed {
        reason: "No space left on device".into(),
    };
    let actions = boot.step(full, at(5));
    assert!(matches!(actions[0], Action::GiveUp(_)), "{actions:?}");
    assert_eq!(actions[1], Action::Quit);
}

#[test]
fn a_debugger_may_take_its_time() {
    let mut job = job(1);
    job.gdb = Some(1234);
    let mut boot = Boot::new(&job);
    boot.step(Event::Spawned, Duration::ZERO);
    assert!(boot.next_deadline().unwrap() > Duration::from_secs(3600));
}
