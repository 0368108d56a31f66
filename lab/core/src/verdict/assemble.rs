// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the raw record of one boot to its line in the ledger.

use super::{LEDGER_FORMAT, RunRecord, ScenarioRecord, Sighting};
use crate::console::hung;
use crate::finding::{Class, Finding, Weight};
use crate::job::{BootJob, Recording};
use crate::outcome::BootOutcome;
use lab_wire::{Ended, Event, FromGuest};

/// Names a run in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunName {
    /// Folder below `runs/`.
    pub id: String,
    /// Profile.
    pub profile: String,
    /// Patch its kernel ends with; 0: the base.
    pub patch: u32,
    /// Key of the kernel.
    pub key: String,
}

/// The findings of a boot that no console line tells: threads that never stopped, wrong answers, and an
/// end that is itself the finding.
pub fn beyond_console(
    job: &BootJob,
    outcome: &BootOutcome,
    events: &[FromGuest],
    console: &[Finding],
) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for event in events {
        let finding = match &event.event {
            Event::Stuck {
                comm,
                tid,
                op,
                since_ms,
                stack,
                ..
            } => {
                // The race was lost when the operation began that never ended, not when that was noticed.
                let began = Some(*since_ms).filter(|since| *since > 0);
                stuck(comm, *tid, op, stack, began.unwrap_or(event.t_ms))
            }
            Event::Wrong { index, oracle, .. } => {
                let scenario = scenario_name(job, *index);
                make(
                    Class::WrongResult,
                    format!("wrong result in {scenario}: {oracle}"),
                    None,
                    event.t_ms,
                )
            }
            Event::Slow { index, op, .. } => {
                let scenario = scenario_name(job, *index);
                slow(format!("slow operation in {scenario}: {op}"), event.t_ms)
            }
            // A gap in which the kernel was not at work is the host's, or cannot be told from the host's.
            Event::Stall {
                gap_ms, worked_ms, ..
            } if 2 * worked_ms > *gap_ms => {
                slow("a CPU served nobody else for long".to_owned(), event.t_ms)
            }
            _ => continue,
        };
        if !found.iter().any(|f| f.signature == finding.signature) {
            found.push(finding);
        }
    }
    let told = found
        .iter()
        .chain(console)
        .any(|f| f.weight == Weight::Finding);
    if let Some((class, title)) = silent_end(outcome).filter(|_| !told) {
        found.push(make(
            class,
            title.to_owned(),
            None,
            events.last().map_or(0, |e| e.t_ms),
        ));
    }
    found
}

/// Slowness is worth a look, not a verdict: a busy host makes guests slow.
fn slow(title: String, t_ms: u64) -> Finding {
    Finding {
        weight: Weight::Suspicion,
        ..make(Class::Slow, title, None, t_ms)
    }
}

/// A thread that never stopped: certain, where the console's line on the same task is a suspicion.
fn stuck(comm: &str, tid: i32, op: &str, stack: &[String], t_ms: u64) -> Finding {
    let Some(named) = hung(comm, tid, stack) else {
        return make(
            Class::HungTask,
            format!("INFO: task hung in {op}"),
            None,
            t_ms,
        );
    };
    Finding {
        weight: Weight::Finding,
        start: 0,
        end: 0,
        torn: false,
        time: Some(t_ms as f64 / 1000.0),
        ..named
    }
}

/// An end that is a finding by itself, where nothing else was said.
fn silent_end(outcome: &BootOutcome) -> Option<(Class, &'static str)> {
    use BootOutcome::*;
    match outcome {
        Panicked => Some((Class::Panic, "kernel panicked without a word")),
        Reset => Some((Class::Reboot, "unexpected kernel reboot")),
        AgentNeverUp => Some((Class::Silence, "kernel never reached userspace")),
        AgentLost => Some((Class::Silence, "guest went silent")),
        EarlyPowerOff => Some((Class::Reboot, "unexpected power off")),
        ScenarioOverran { .. } => Some((Class::Silence, "scenario never ended")),
        ThreadsStuck { .. } => Some((Class::HungTask, "threads never stopped")),
        NeverOff => Some((Class::Silence, "guest never powered off")),
        Completed | StoppedAtHit | NoKernel | QemuDied { .. } | RigFailed { .. } | Interrupted => {
            None
        }
    }
}

fn make(class: Class, title: String, function: Option<String>, t_ms: u64) -> Finding {
    let signature = format!("{class} {title}");
    Finding {
        class,
        title,
        function,
        alt: Vec::new(),
        signature,
        weight: Weight::Finding,
        torn: false,
        start: 0,
        end: 0,
        time: Some(t_ms as f64 / 1000.0),
        after_first: false,
    }
}

fn scenario_name(job: &BootJob, index: u32) -> String {
    job.guest.scenarios.get(index as usize).map_or_else(
        || format!("scenario {index}"),
        |s| format!("{}/{}", s.name, s.fs),
    )
}

/// The ledger's line of a boot. `findings` are all of them, in the order of their time.
pub fn run_record(
    name: RunName,
    job: &BootJob,
    recording: &Recording,
    events: &[FromGuest],
    findings: &[Finding],
) -> RunRecord {
    let scenarios = scenarios(job, events);
    let last_event = events.last().map_or(0.0, |e| e.t_ms as f64 / 1000.0);
    let last_finding = findings.iter().filter_map(|f| f.time).fold(0.0, f64::max);
    let mut uptime = last_event.max(last_finding);
    if uptime <= 0.0 {
        uptime = recording.seconds;
    }
    RunRecord {
        format: LEDGER_FORMAT,
        id: name.id,
        profile: name.profile,
        patch: name.patch,
        key: name.key,
        seed: job.guest.scenarios.first().map_or(0, |s| s.seed),
        outcome: recording.outcome.clone(),
        uptime,
        sightings: sightings(findings, &scenarios, uptime),
        scenarios,
        seconds: recording.seconds,
        remembered: None,
    }
}

fn sightings(findings: &[Finding], scenarios: &[ScenarioRecord], uptime: f64) -> Vec<Sighting> {
    let mut seen: Vec<Sighting> = Vec::new();
    for f in findings {
        let time = f.time.unwrap_or(uptime);
        if let Some(earlier) = seen.iter_mut().find(|s| s.signature == f.signature) {
            // A suspicion that became certain later counts from its first sign.
            earlier.weight = earlier.weight.max(f.weight);
            continue;
        }
        let running = scenarios.iter().position(|s| {
            s.began
                .is_some_and(|began| began <= time && time <= began + s.seconds + SLACK)
        });
        seen.push(Sighting {
            signature: f.signature.clone(),
            class: f.class,
            title: f.title.clone(),
            function: f.function.clone(),
            weight: f.weight,
            time,
            scenario: running.map(|i| i as u32),
            after_first: f.after_first,
        });
    }
    seen
}

/// Seconds after a scenario's end that still belong to it: its threads are being told to stop, and the
/// console's clock and the agent's differ a little.
const SLACK: f64 = 1.0;

fn scenarios(job: &BootJob, events: &[FromGuest]) -> Vec<ScenarioRecord> {
    let mut all: Vec<ScenarioRecord> = (0..job.guest.scenarios.len())
        .map(|i| ScenarioRecord {
            name: scenario_name(job, i as u32),
            began: None,
            seconds: 0.0,
            ops: 0,
            ended: "not reached".into(),
        })
        .collect();
    for event in events {
        match &event.event {
            Event::Begin { index, .. } => {
                if let Some(s) = all.get_mut(*index as usize) {
                    s.began = Some(event.t_ms as f64 / 1000.0);
                    s.ended = "cut off".into();
                }
            }
            Event::Progress { index, ops, ran_ms } => {
                if let Some(s) = all.get_mut(*index as usize) {
                    (s.ops, s.seconds) = (*ops, *ran_ms as f64 / 1000.0);
                }
            }
            Event::End {
                index,
                how,
                ops,
                ran_ms,
            } => {
                if let Some(s) = all.get_mut(*index as usize) {
                    (s.ops, s.seconds) = (*ops, *ran_ms as f64 / 1000.0);
                    s.ended = ended(how);
                }
            }
            _ => {}
        }
    }
    all
}

fn ended(how: &Ended) -> String {
    match how {
        Ended::Done => "done".into(),
        Ended::Stopped => "stopped".into(),
        Ended::Stuck { threads } => format!("{threads} threads stuck"),
        Ended::Skipped { reason } => format!("skipped: {reason}"),
        Ended::Failed { reason } => format!("failed: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Accel, Limits, Machine};
    use lab_wire::{GuestJob, PROTOCOL};

    fn job() -> BootJob {
        BootJob {
            kernel: "k".into(),
            cache: "c".into(),
            label: String::new(),
            machine: Machine {
                cpus: 1,
                memory_mib: 128,
                accel: Accel::Tcg,
                disks: Vec::new(),
            },
            append: Vec::new(),
            guest: GuestJob {
                protocol: PROTOCOL,
                scenarios: Vec::new(),
                sysctl: Default::default(),
                drain_seconds: 1,
                hold: false,
            },
            limits: Limits {
                firmware: 1,
                kernel: 1,
                agent: 1,
                scenario_extra: 1,
                settle: 1,
                drain: 1,
                console_mib: 1,
            },
            until_hit: false,
            evidence: Default::default(),
            gdb: None,
        }
    }

    fn found(t_ms: u64, event: Event) -> Vec<Finding> {
        let told = [FromGuest { t_ms, event }];
        beyond_console(&job(), &BootOutcome::Completed, &told, &[])
    }

    fn stuck_since(since_ms: u64) -> Event {
        Event::Stuck {
            index: 0,
            tid: 71,
            comm: "w3".into(),
            state: 'D',
            op: "unlink d0/n3".into(),
            wchan: "d_alloc_parallel".into(),
            since_ms,
            stack: vec!["d_alloc_parallel+0x3a0/0x6d0".into()],
        }
    }

    #[test]
    fn a_stuck_thread_counts_from_when_it_got_stuck() {
        let hung = found(25_000, stuck_since(2_500));
        assert_eq!(hung[0].time, Some(2.5));
        assert_eq!(hung[0].function.as_deref(), Some("d_alloc_parallel"));
        assert_eq!(found(25_000, stuck_since(0))[0].time, Some(25.0));
    }

    #[test]
    fn slowness_is_a_suspicion_and_the_hosts_stalls_are_nothing() {
        let stall = |worked_ms| Event::Stall {
            cpu: 1,
            gap_ms: 400,
            worked_ms,
        };
        assert_eq!(found(1, stall(150)), []);
        let own = found(1, stall(390));
        assert_eq!(
            (own[0].class, own[0].weight),
            (Class::Slow, Weight::Suspicion)
        );
    }
}
