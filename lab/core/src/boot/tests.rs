// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots as little scripts of time and event, and what holds for all of them.

use super::*;
use crate::finding::Class;
use crate::job::{Accel, BootJob, DumpPolicy, EvidencePlan, Limits as JobLimits, Machine};
use lab_wire::{Ended, Event as Told, FromGuest, PROTOCOL, ToGuest};
use lab_wire::{GuestJob, Scenario};
use proptest::prelude::*;

mod evidence;

fn job(scenarios: usize) -> BootJob {
    let scenario = Scenario {
        name: "lookup-storm".into(),
        fs: "tmpfs".into(),
        threads: 4,
        names: 8,
        dirs: 1,
        seconds: 10,
        seed: 1,
        pause_us: 0,
        mix: Default::default(),
    };
    BootJob {
        kernel: "/k".into(),
        cache: "/c".into(),
        label: "base".into(),
        machine: Machine {
            cpus: 2,
            memory_mib: 512,
            accel: Accel::Tcg,
            disks: Vec::new(),
        },
        append: Vec::new(),
        guest: GuestJob {
            protocol: PROTOCOL,
            scenarios: vec![scenario; scenarios],
            sysctl: Default::default(),
            drain_seconds: 5,
            hold: false,
        },
        limits: JobLimits {
            firmware: 10,
            kernel: 30,
            agent: 8,
            scenario_extra: 5,
            settle: 3,
            drain: 4,
            console_mib: 1,
        },
        until_hit: false,
        evidence: Default::default(),
        gdb: None,
    }
}

/// The same job with dumps and audits.
fn evident(mut job: BootJob) -> BootJob {
    job.evidence = EvidencePlan {
        dump: DumpPolicy::First,
        dump_mib: 64,
        audit: true,
    };
    job.guest.hold = true;
    job
}

fn told(event: Told) -> Event {
    Event::Agent(FromGuest { t_ms: 0, event })
}
fn hello() -> Event {
    told(Told::Hello {
        protocol: PROTOCOL,
        release: "6.12.0".into(),
        cpus: 2,
        mem_kib: 1,
    })
}
fn begin(index: u32) -> Event {
    told(Told::Begin {
        index,
        name: "lookup-storm".into(),
        fs: "tmpfs".into(),
    })
}
fn progress(ran_ms: u64) -> Event {
    told(Told::Progress {
        index: 0,
        ops: 1,
        ran_ms,
    })
}
fn end(index: u32, how: Ended) -> Event {
    told(Told::End {
        index,
        how,
        ops: 10,
        ran_ms: 10_000,
    })
}
fn stuck() -> Event {
    told(Told::Stuck {
        index: 0,
        tid: 7,
        comm: "worker".into(),
        state: 'D',
        op: "unlink".into(),
        since_ms: 0,
        wchan: "d_alloc_parallel".into(),
        stack: Vec::new(),
    })
}
fn printed() -> Event {
    Event::ConsoleBytes { n: 100 }
}
fn report(weight: Weight, class: Class) -> Event {
    Event::Report { weight, class }
}
fn off(cause: ShutdownCause) -> Event {
    Event::Qmp(Qmp::Shutdown(cause))
}
fn gathered(evidence: Evidence) -> Event {
    Event::Gathered {
        evidence,
        trouble: None,
    }
}
fn exited() -> Event {
    Event::Exited(QemuEnd {
        code: Some(0),
        signal: None,
        said: String::new(),
    })
}

/// Plays a script (seconds, event), then lets time pass and answers like a driver whose guest has nothing to add.
/// Gives each action with its time, and the boot at its end.
fn play(job: &BootJob, script: Vec<(f64, Event)>) -> (Vec<String>, Boot) {
    let mut boot = Boot::new(job);
    let mut log = Vec::new();
    let mut script: std::collections::VecDeque<_> = script
        .into_iter()
        .map(|(at, event)| (Duration::from_secs_f64(at), event))
        .collect();
    for _ in 0..1000 {
        let due = boot.next_deadline().unwrap_or(Duration::MAX);
        let (now, event) = match script.front() {
            Some((at, _)) if *at <= due => script.pop_front().unwrap(),
            _ if boot.outcome().is_some() || due == Duration::MAX => break,
            _ => (due, Event::Tick),
        };
        for action in boot.step(event, now) {
            log.push(format!("{:.1} {action:?}", now.as_secs_f64()));
            match action {
                Action::Gather(evidence) => script.push_front((now, gathered(evidence))),
                Action::Quit | Action::Kill => script.push_front((now, exited())),
                Action::SendAgent(ToGuest::State) => script.push_front((now, told(Told::StateEnd))),
                Action::SendAgent(_) | Action::Remark(_) | Action::GiveUp(_) => {}
            }
        }
    }
    (log, boot)
}

fn check(job: &BootJob, script: Vec<(f64, Event)>, wanted: BootOutcome) -> (Vec<String>, Boot) {
    let (log, boot) = play(job, script);
    assert_eq!(boot.outcome(), Some(&wanted), "{log:#?}");
    (log, boot)
}

/// Up to a running scenario.
fn running() -> Vec<(f64, Event)> {
    vec![
        (0.0, Event::Spawned),
        (0.5, printed()),
        (2.0, hello()),
        (2.5, begin(0)),
    ]
}

fn after(mut script: Vec<(f64, Event)>, more: Vec<(f64, Event)>) -> Vec<(f64, Event)> {
    script.extend(more);
    script
}

#[test]
fn all_scenarios_and_a_power_off_complete_it() {
    let script = after(
        running(),
        vec![
            (6.0, progress(3500)),
            (9.0, progress(6500)),
            (12.5, end(0, Ended::Done)),
            (13.0, begin(1)),
            (16.0, progress(3000)),
            (19.0, progress(6000)),
            (22.0, end(1, Ended::Done)),
            (22.5, told(Told::Bye)),
            (22.6, off(ShutdownCause::PowerOff)),
            (22.7, exited()),
        ],
    );
    let (log, boot) = check(&job(2), script, BootOutcome::Completed);
    assert!(log.is_empty(), "{log:?}");
    let facts = boot.facts();
    assert_eq!(facts.agent_up, Some(Duration::from_secs(2)));
    assert_eq!(facts.first_operation, Some(Duration::from_millis(2500)));
    assert_eq!(facts.exposure, Duration::from_secs(20));
    assert_eq!(facts.release.as_deref(), Some("6.12.0"));
}

#[test]
fn silence_after_power_on_is_no_kernel() {
    let (log, _) = check(&job(1), vec![(0.0, Event::Spawned)], BootOutcome::NoKernel);
    assert_eq!(log, ["10.0 Gather(Registers)", "10.0 Quit"]);
}

#[test]
fn a_kernel_without_agent_is_asked_by_keys() {
    let script = vec![(0.0, Event::Spawned), (1.0, printed())];
    let (log, _) = check(&job(1), script, BootOutcome::AgentNeverUp);
    assert_eq!(
        log,
        [
            "34.0 Gather(Registers)",
            "34.0 Gather(SysRq('l'))",
            "36.0 Remark(\"the kernel does not answer to SysRq keys\")",
            "36.0 Quit"
        ]
    );
}

#[test]
fn a_paused_panic_is_asked_and_then_prints_its_rest() {
    let script = after(
        running(),
        vec![
            (5.0, Event::Qmp(Qmp::Panicked)),
            (5.1, printed()),
            (5.8, printed()),
            (6.0, off(ShutdownCause::Reset)),
            (6.1, exited()),
        ],
    );
    let (log, _) = check(&job(1), script, BootOutcome::Panicked);
    assert_eq!(log, ["5.3 Gather(Registers)", "5.3 Gather(Resume)"]);
}

#[test]
fn a_panic_without_pvpanic_is_seen_on_the_console_and_its_reboot_changes_nothing() {
    let script = after(
        running(),
        vec![
            (4.0, Event::Mark(Mark::Panic)),
            (4.2, off(ShutdownCause::Reset)),
            (4.3, exited()),
        ],
    );
    check(&job(1), script, BootOutcome::Panicked);
    let script = after(running(), vec![(4.0, Event::Mark(Mark::Panic))]);
    check(&job(1), script, BootOutcome::Panicked);
}

#[test]
fn a_crash_beats_a_lost_agent() {
    // Silent from 2.5 on: asked at 6.5, lost at 10.5, and the panic comes while it settles.
    let script = after(running(), vec![(12.0, Event::Qmp(Qmp::Panicked))]);
    let (log, _) = check(&job(1), script, BootOutcome::Panicked);
    assert_eq!(log[0], "6.5 SendAgent(Ping { n: 1 })");
}

#[test]
fn a_silent_agent_that_answers_is_not_lost() {
    let script = after(
        running(),
        vec![
            (7.0, told(Told::Pong { n: 1 })),
            (10.0, end(0, Ended::Done)),
            (10.1, off(ShutdownCause::PowerOff)),
            (10.2, exited()),
        ],
    );
    let (log, _) = check(&job(1), script, BootOutcome::Completed);
    assert_eq!(log, ["6.5 SendAgent(Ping { n: 1 })"]);
}

#[test]
fn a_silent_agent_is_lost_after_it_was_asked() {
    let script = after(running(), vec![(5.0, progress(2500))]);
    let (_, boot) = check(&job(1), script, BootOutcome::AgentLost);
    assert_eq!(boot.facts().exposure, Duration::from_millis(2500));
}

#[test]
fn a_reset_is_seen_by_qemu_banner_or_second_hello() {
    for event in [
        off(ShutdownCause::Reset),
        Event::Mark(Mark::Banner),
        hello(),
        Event::Qmp(Qmp::Reset { guest: true }),
    ] {
        let first = vec![(0.6, Event::Mark(Mark::Banner))];
        let mut script = after(running(), vec![(4.0, event)]);
        script.splice(2..2, first);
        check(&job(1), script, BootOutcome::Reset);
    }
}

#[test]
fn an_early_power_off_is_one() {
    let script = after(
        running(),
        vec![(4.0, off(ShutdownCause::PowerOff)), (4.1, exited())],
    );
    check(&job(1), script, BootOutcome::EarlyPowerOff);
}

#[test]
fn a_failure_of_the_agents_own_code_is_the_rigs_unless_the_kernel_panics() {
    let reason = "panicked at x.rs:1".to_owned();
    let fault = told(Told::Fault { reason });
    let ends = vec![
        (4.0, fault),
        (4.1, off(ShutdownCause::PowerOff)),
        (4.2, exited()),
    ];
    let reason = "the agent itself failed: panicked at x.rs:1".to_owned();
    let wanted = BootOutcome::RigFailed { reason };
    let (_, boot) = check(&job(1), after(running(), ends.clone()), wanted);
    assert!(boot.facts().remarks[0].contains("x.rs:1"));
    let mut ends = ends;
    ends.insert(1, (4.05, Event::Mark(Mark::Panic)));
    check(&job(1), after(running(), ends), BootOutcome::Panicked);
}

#[test]
fn stuck_threads_end_the_boot_with_their_number() {
    let script = after(
        running(),
        vec![
            (5.0, stuck()),
            (5.1, stuck()),
            (5.2, end(0, Ended::Stuck { threads: 2 })),
        ],
    );
    let (log, boot) = check(&job(2), script, BootOutcome::ThreadsStuck { threads: 2 });
    assert!(
        log.contains(&"6.0 Gather(SysRq('l'))".to_owned()),
        "{log:?}"
    );
    assert_eq!(boot.facts().exposure, Duration::from_secs(10));
}

/// Progress each second, so that the agent is not silent.
fn chatter(from: u32, to: u32) -> Vec<(f64, Event)> {
    (from..to).map(|s| (f64::from(s), progress(1000))).collect()
}

#[test]
fn an_overrun_asks_the_agent_to_stop_and_a_late_power_off_does_not_hide_it() {
    // 2.5 + 10 s of work + 5 s for threads + 5 s extra.
    let script = after(
        after(running(), chatter(3, 23)),
        vec![
            (25.0, end(0, Ended::Stopped)),
            (25.5, off(ShutdownCause::PowerOff)),
            (25.6, exited()),
        ],
    );
    let (log, _) = check(&job(1), script, BootOutcome::ScenarioOverran { index: 0 });
    // First it is asked what only a guest can tell that still is where it was.
    assert!(log.contains(&"22.5 SendAgent(State)".to_owned()), "{log:?}");
    assert!(log.contains(&"24.5 SendAgent(Stop)".to_owned()), "{log:?}");
    let script = after(after(running(), chatter(3, 23)), vec![(25.0, stuck())]);
    check(&job(1), script, BootOutcome::ThreadsStuck { threads: 1 });
}

#[test]
fn work_without_power_off_is_never_off() {
    let script = after(
        running(),
        vec![
            (6.0, progress(1)),
            (9.0, end(0, Ended::Done)),
            (9.1, told(Told::Bye)),
        ],
    );
    check(&job(1), script, BootOutcome::NeverOff);
}

#[test]
fn a_hit_ends_the_run_after_it_fell_quiet() {
    let mut job = job(1);
    job.until_hit = true;
    let hit = || report(Weight::Finding, Class::Lockdep);
    let script = after(
        running(),
        vec![
            (3.0, report(Weight::Suspicion, Class::HungTask)),
            (4.0, hit()),
            (4.6, hit()),
            (6.0, progress(3500)),
            (8.5, end(0, Ended::Stopped)),
            (8.6, off(ShutdownCause::PowerOff)),
            (8.7, exited()),
        ],
    );
    let (log, _) = check(&job, script, BootOutcome::StoppedAtHit);
    // Quiet for a quarter of the settling time of 3 s since the last report.
    assert_eq!(log[0], "5.3 Gather(Registers)");
    assert_eq!(log.last().unwrap(), "7.3 SendAgent(Stop)");
    // An oops that becomes a panic is a panic.
    let script = after(
        running(),
        vec![(4.0, hit()), (4.5, Event::Qmp(Qmp::Panicked))],
    );
    check(&job, script, BootOutcome::Panicked);
}

#[test]
fn without_until_hit_a_finding_changes_nothing() {
    let script = after(
        running(),
        vec![
            (4.0, report(Weight::Finding, Class::Warning)),
            (6.0, end(0, Ended::Done)),
            (6.1, off(ShutdownCause::PowerOff)),
            (6.2, exited()),
        ],
    );
    let (log, _) = check(&job(1), script, BootOutcome::Completed);
    assert!(log.is_empty(), "{log:?}");
}

#[test]
fn qemu_that_dies_is_the_rigs_with_its_words() {
    let end = QemuEnd {
        code: Some(1),
        signal: None,
        said: "invalid accelerator\n".into(),
    };
    let reason = "QEMU exited with code 1: invalid accelerator".to_owned();
    check(
        &job(1),
        vec![(0.0, Event::Spawned), (0.1, Event::Exited(end))],
        BootOutcome::QemuDied { reason },
    );
    let killed = QemuEnd {
        code: None,
        signal: Some(9),
        said: String::new(),
    };
    let reason = "QEMU was killed by signal 9".to_owned();
    let script = after(running(), vec![(4.0, Event::Exited(killed))]);
    check(&job(1), script, BootOutcome::QemuDied { reason });
    let (_, boot) = play(
        &job(1),
        after(
            running(),
            vec![(4.0, off(ShutdownCause::Signal)), (4.1, exited())],
        ),
    );
    assert_eq!(boot.outcome().unwrap().blame(), crate::outcome::Blame::Rig);
}

#[test]
fn a_stop_in_order_lets_the_guest_finish_and_a_second_kills() {
    let script = after(
        running(),
        vec![
            (4.0, Event::StopOrderly),
            (5.0, off(ShutdownCause::PowerOff)),
            (5.1, exited()),
        ],
    );
    let (log, _) = check(&job(1), script, BootOutcome::Interrupted);
    assert_eq!(log, ["4.0 SendAgent(Stop)"]);
    let script = after(
        running(),
        vec![(4.0, Event::StopOrderly), (4.5, Event::StopNow)],
    );
    let (log, _) = check(&job(1), script, BootOutcome::Interrupted);
    assert_eq!(log, ["4.0 SendAgent(Stop)", "4.5 Kill"]);
    let script = vec![(0.0, Event::Spawned), (0.5, Event::StopOrderly)];
    let (log, _) = check(&job(1), script, BootOutcome::Interrupted);
    assert_eq!(log, ["0.5 Quit"]);
}

#[test]
fn a_full_disk_is_the_rigs_but_does_not_hide_a_panic() {
    let full = || Event::StoreFailed {
        reason: "No space left on device".into(),
    };
    let script = after(running(), vec![(4.0, full())]);
    let reason = "No space left on device".to_owned();
    check(&job(1), script, BootOutcome::RigFailed { reason });
    let script = after(
        running(),
        vec![(4.0, Event::Qmp(Qmp::Panicked)), (4.1, full())],
    );
    check(&job(1), script, BootOutcome::Panicked);
}

#[test]
fn an_agent_of_another_protocol_is_refused_by_name() {
    let script = vec![
        (0.0, Event::Spawned),
        (0.5, printed()),
        (
            1.0,
            told(Told::Hello {
                protocol: PROTOCOL + 1,
                release: "6.12".into(),
                cpus: 1,
                mem_kib: 1,
            }),
        ),
    ];
    let (_, boot) = play(&job(1), script);
    let outcome = format!("{:?}", boot.outcome());
    assert!(
        outcome.contains(&format!("protocol {}", PROTOCOL + 1)),
        "{outcome}"
    );
}

fn any_event() -> impl Strategy<Value = Event> {
    let index = 0u32..4;
    prop_oneof![
        Just(Event::Spawned),
        Just(printed()),
        Just(Event::Mark(Mark::Banner)),
        Just(Event::Mark(Mark::Panic)),
        Just(report(Weight::Finding, Class::Oops)),
        Just(report(Weight::Suspicion, Class::HungTask)),
        Just(hello()),
        index.clone().prop_map(begin),
        any::<u64>().prop_map(progress),
        (index.clone(), any::<u64>()).prop_map(|(index, ran_ms)| told(Told::End {
            index,
            how: Ended::Done,
            ops: 1,
            ran_ms
        })),
        index.prop_map(|index| end(index, Ended::Stuck { threads: index })),
        Just(stuck()),
        Just(told(Told::Bye)),
        Just(Event::AgentGarbage),
        Just(Event::Qmp(Qmp::Panicked)),
        Just(Event::Qmp(Qmp::Reset { guest: true })),
        Just(Event::Qmp(Qmp::Stopped)),
        Just(off(ShutdownCause::PowerOff)),
        Just(off(ShutdownCause::Other)),
        Just(gathered(Evidence::SysRq('w'))),
        Just(gathered(Evidence::Registers)),
        Just(gathered(Evidence::Resume)),
        (0u32..4).prop_map(|index| gathered(Evidence::Dump(Purpose::Audit { index }))),
        Just(report(Weight::Suspicion, Class::SoftLockup)),
        Just(told(Told::StateEnd)),
        (0u32..4).prop_map(|index| told(Told::Settled { index })),
        Just(Event::Mark(Mark::LastWords)),
        Just(exited()),
        Just(Event::Tick),
        Just(Event::StopOrderly),
        Just(Event::StopNow),
        Just(Event::StoreFailed {
            reason: String::new()
        }),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_ends_once_and_in_time(
        script in prop::collection::vec((0u64..20_000, any_event()), 0..60),
        until_hit: bool,
        scenarios in 0usize..3,
    ) {
        let mut job = evident(job(scenarios));
        job.until_hit = until_hit;
        let mut boot = Boot::new(&job);
        let mut now = Duration::ZERO;
        let mut kills = 0;
        boot.step(Event::Spawned, now);
        let mut order = 0;
        let mut ended: Option<BootOutcome> = None;
        let mut script = script.into_iter();
        while let Some(due) = boot.next_deadline() {
            let (later, event) = match script.next() {
                Some((wait, event)) => (now + Duration::from_millis(wait), event),
                None => (due.max(now), Event::Tick),
            };
            now = later;
            kills += boot.step(event, now).iter().filter(|action| **action == Action::Kill).count();
            prop_assert!(boot.stage().order() >= order);
            order = boot.stage().order();
            if let Some(outcome) = &ended {
                prop_assert_eq!(Some(outcome), boot.outcome());
            }
            ended = boot.outcome().cloned();
        }
        prop_assert!(boot.outcome().is_some());
        prop_assert!(kills <= 1);
        prop_assert!(boot.facts().remarks.len() <= MAX_REMARKS);
    }

    #[test]
    fn with_time_alone_it_ends_within_the_sum_of_its_limits(
        script in prop::collection::vec((0u64..3_000, any_event()), 0..60),
        until_hit: bool,
        dumps: bool,
    ) {
        let mut job = if dumps { evident(job(2)) } else { job(2) };
        job.until_hit = until_hit;
        let mut boot = Boot::new(&job);
        let mut now = Duration::ZERO;
        boot.step(Event::Spawned, now);
        let mut script = script.into_iter();
        while let Some(due) = boot.next_deadline() {
            // An event never comes later than the tick that was due.
            (now, _) = match script.next() {
                Some((wait, event)) => {
                    let at = due.min(now + Duration::from_millis(wait));
                    (at, boot.step(event, at))
                }
                None => (due, boot.step(Event::Tick, due)),
            };
        }
        prop_assert!(now <= Boot::longest(&job), "{now:?}");
    }
}
