// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios driven on the host, with threads that hang and files that were tampered with.

use super::*;
use crate::scenario::step::Step;
use crate::scenario::{SCENARIOS, Stage};
use lab_wire::{FromGuest, decode};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// A storm whose second worker never stops.
struct Deaf(Box<dyn Stage>);

impl Stage for Deaf {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number == 1 {
            std::thread::sleep(Duration::from_secs(3600));
        }
        self.0.work(worker);
    }

    fn show(&self, step: &Step) -> String {
        self.0.show(step)
    }
}

static DEAF: Entry = Entry {
    set_up: |place, asked| Ok(Box::new(Deaf((SCENARIOS[0].set_up)(place, asked)?))),
    ..SCENARIOS[0]
};

fn asked() -> Scenario {
    Scenario {
        name: "lookup-storm".into(),
        fs: "tmpfs".into(),
        threads: 3,
        names: 4,
        dirs: 1,
        seconds: 1,
        seed: 5,
        pause_us: 10,
        mix: [("keep".to_owned(), 1)].into(),
    }
}

/// Runs a scenario in a folder of this host; `meddle` gets the folder before it starts.
fn run(case: &str, entry: &'static Entry, stop: bool, meddle: fn(PathBuf)) -> (Done, Vec<Event>) {
    run_held(case, entry, stop, false, meddle)
}

/// The same; held at its end, it may go on at once.
fn run_held(
    case: &str,
    entry: &'static Entry,
    stop: bool,
    hold: bool,
    meddle: fn(PathBuf),
) -> (Done, Vec<Event>) {
    let base = std::env::temp_dir().join(format!("lab-run-{case}-{}", std::process::id()));
    let (guest, host) = UnixStream::pair().unwrap();
    let port = Port::start(File::from(OwnedFd::from(guest))).unwrap();
    let drain = Duration::from_millis(300);
    let asked = asked();
    let run = Run {
        index: 4,
        asked: &asked,
        drain,
        hold,
        port: &port,
    };
    std::fs::create_dir(&base).unwrap();
    let halt = Arc::new(AtomicBool::new(false));
    let parts = entry.parts(&asked, &Place::folder(base.clone()), &halt);
    let parts = parts.ok().unwrap();
    meddle(base.join("d0"));
    if stop {
        port.stop.set();
    }
    port.gate.open(4);
    let done = run.work(Prepared {
        parts,
        stop: halt,
        ready: Ready::there(base.clone()),
        before: Counts::take(),
    });
    port.tell(Event::Bye);
    let lines = BufReader::new(host).lines().map(|line| line.unwrap());
    let events = lines.map(|line| decode::<FromGuest>(line.as_bytes()).unwrap().event);
    let events = events.take_while(|event| *event != Event::Bye).collect();
    std::fs::remove_dir_all(&base).unwrap();
    (done, events)
}

#[test]
fn a_thread_that_does_not_stop_is_named_with_what_it_does() {
    let (done, events) = run("deaf", &DEAF, false, |_| ());
    assert_eq!(done.how, Ended::Stuck { threads: 1 });
    assert!(done.poisoned);
    let stuck: Vec<_> = events
        .iter()
        .filter(|e| matches!(e, Event::Stuck { .. }))
        .collect();
    let [
        Event::Stuck {
            index: 4,
            comm,
            state: 'S',
            op,
            ..
        },
    ] = stuck.as_slice()
    else {
        panic!("{stuck:?}");
    };
    assert_eq!((comm.as_str(), op.as_str()), ("w1", "start"));
}

#[test]
fn a_clean_run_measures_and_tells_nothing_else() {
    let (done, events) = run("clean", &SCENARIOS[0], false, |_| ());
    assert_eq!((&done.how, done.poisoned), (&Ended::Done, false));
    assert!(done.ops > 0 && done.ran_ms >= 1000, "{done:?}");
    assert!(matches!(&events[0], Event::Begin { index: 4, .. }));
    let rate = events.iter().find_map(|event| match event {
        Event::Measure { name, value, .. } if name == "keep.per-second" => Some(*value),
        _ => None,
    });
    assert!(rate.unwrap() > 0.0);
    let quiet = |e: &Event| {
        matches!(
            e,
            Event::Begin { .. }
                | Event::Progress { .. }
                | Event::Measure { .. }
                | Event::Latencies { .. }
        )
    };
    assert!(events.iter().all(quiet), "{events:?}");
}

#[test]
fn a_scenario_that_is_held_says_so_when_its_threads_have_stopped() {
    let settled = |events: &[Event]| {
        events
            .iter()
            .position(|e| *e == Event::Settled { index: 4 })
    };
    let (done, events) = run_held("held", &SCENARIOS[0], false, true, |_| ());
    assert_eq!(done.how, Ended::Done);
    let measured = |e: &Event| matches!(e, Event::Measure { .. });
    assert!(
        settled(&events) > events.iter().rposition(measured),
        "{events:?}"
    );
    // One that hangs has failed, which is looked at otherwise; one that was stopped is in a hurry.
    let (_, events) = run_held("held-deaf", &DEAF, false, true, |_| ());
    assert_eq!(settled(&events), None);
    let (_, events) = run_held("held-stop", &SCENARIOS[0], true, true, |_| ());
    assert_eq!(settled(&events), None);
}

#[test]
fn threads_that_would_not_fit_are_refused() {
    assert_eq!(enough_memory(4096, Some(1 << 20)), Ok(()));
    assert_eq!(enough_memory(4096, None), Ok(()));
    let refused = enough_memory(600, Some(100_000)).unwrap_err();
    assert_eq!(
        refused,
        "no memory for 600 threads: 100000 KiB are free, enough for 520"
    );
}

#[test]
fn stop_ends_it_before_its_time() {
    let (done, _) = run("stop", &SCENARIOS[0], true, |_| ());
    assert_eq!(done.how, Ended::Stopped);
    assert!(done.ran_ms < 900, "{done:?}");
}

#[test]
fn a_violated_oracle_is_told_with_its_history() {
    let (done, events) = run("wrong", &SCENARIOS[0], false, |dir| {
        std::fs::write(dir.join("keep"), "tampered").unwrap();
    });
    assert_eq!(done.how, Ended::Done);
    let wrongs: Vec<_> = events
        .iter()
        .filter(|e| matches!(e, Event::Wrong { .. }))
        .collect();
    assert!(
        (1..=24).contains(&wrongs.len()),
        "three workers tell eight each, not {}",
        wrongs.len()
    );
    let Event::Wrong {
        oracle, history, ..
    } = wrongs[0]
    else {
        unreachable!()
    };
    assert_eq!(oracle, "stable content changed");
    assert_eq!(history[0], "keep d0 = wrong");
}
