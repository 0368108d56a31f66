// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent's life: hello, the job's scenarios one after the other, bye, power off.

use crate::init;
use crate::port::Port;
use crate::run::{Done, Run};
use crate::stall;
use lab_wire::{Ended, Event, GuestJob, JOB_PATH, PORT, PROTOCOL};
use std::time::Duration;

/// Longest wait for the lab to read the last events.
const FLUSH: Duration = Duration::from_secs(5);

/// A kernel in which something hangs is kept for the lab to look at, which then ends the machine. This is for one that
/// does not; the clock stands while the lab takes the memory.
const HELD: Duration = Duration::from_secs(120);

/// Lives as PID 1 and never returns.
pub(crate) fn live() -> ! {
    let missing = init::furnish();
    init::catch_own_faults();
    match init::open_port(PORT).map(Port::start) {
        Some(Ok(port)) => {
            missing.into_iter().for_each(|why| port.note(why));
            if serve(&port) {
                std::thread::sleep(HELD);
            }
            port.tell(Event::Bye);
            port.flush(FLUSH);
        }
        Some(Err(error)) => init::console(&format!("the port «{PORT}» cannot be used: {error}")),
        None => init::console(&format!(
            "this is the agent of a lab, and there is no virtio-serial port «{PORT}» to speak with it"
        )),
    }
    init::power_off()
}

/// Does the job; whether something was left hanging in the kernel.
fn serve(port: &Port) -> bool {
    port.tell(hello());
    match read_job() {
        Ok(job) => run_all(&job, port),
        Err(why) => {
            port.note(why);
            false
        }
    }
}

fn hello() -> Event {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let memory = read("/proc/meminfo");
    let mem_kib = memory
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok());
    Event::Hello {
        protocol: PROTOCOL,
        release: read("/proc/sys/kernel/osrelease").trim_end().to_owned(),
        cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
        mem_kib: mem_kib.unwrap_or_default(),
    }
}

fn read_job() -> Result<GuestJob, String> {
    let text = std::fs::read(JOB_PATH).map_err(|error| format!("no job in {JOB_PATH}: {error}"))?;
    parse_job(&text)
}

/// The job, of this agent's protocol.
fn parse_job(text: &[u8]) -> Result<GuestJob, String> {
    let value: serde_json::Value =
        serde_json::from_slice(text).map_err(|error| format!("the job is no JSON: {error}"))?;
    // The version comes first: another one may have other fields.
    match value.get("protocol").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(PROTOCOL) => {}
        version => {
            let version = version.map_or("none".into(), |version| version.to_string());
            return Err(format!(
                "the job is of protocol {version}, this agent speaks {PROTOCOL}"
            ));
        }
    }
    serde_json::from_value(value).map_err(|error| format!("the job is not understood: {error}"))
}

/// Sets what the job asks of /proc/sys and runs nothing; gives what went wrong.
pub(crate) fn settle_in() -> Vec<String> {
    read_job().map_or_else(|why| vec![why], |job| set_sysctl(&job))
}

fn set_sysctl(job: &GuestJob) -> Vec<String> {
    let set = |(path, value): (&String, &String)| {
        let file = format!("/proc/sys/{path}");
        let error = std::fs::write(&file, value).err()?;
        Some(format!("{file} was not set to {value}: {error}"))
    };
    job.sysctl.iter().filter_map(set).collect()
}

/// Runs the scenarios of a job and tells of them; whether something was left hanging in the kernel.
pub(crate) fn run_all(job: &GuestJob, port: &Port) -> bool {
    set_sysctl(job).into_iter().for_each(|why| port.note(why));
    stall::start(port);
    let drain = Duration::from_secs(job.drain_seconds.into());
    let mut poisoned = false;
    for (index, asked) in (0..).zip(&job.scenarios) {
        let skipped = |reason: &str| Done {
            how: Ended::Skipped {
                reason: reason.into(),
            },
            ops: 0,
            ran_ms: 0,
            poisoned,
        };
        let done = if poisoned {
            skipped("a scenario before it left something hanging in the kernel")
        } else if port.stop.wait(Duration::ZERO) {
            skipped("the lab said stop before it began")
        } else {
            Run {
                index,
                asked,
                drain,
                hold: job.hold,
                port,
            }
            .go()
        };
        poisoned |= done.poisoned;
        let Done {
            how, ops, ran_ms, ..
        } = done;
        port.tell(Event::End {
            index,
            how,
            ops,
            ran_ms,
        });
    }
    poisoned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_another_protocol_are_refused_by_name() {
        let refused = |text: &str| parse_job(text.as_bytes()).unwrap_err();
        let other = refused(r#"{"protocol": 9, "unheard": 1}"#);
        assert_eq!(
            other,
            format!("the job is of protocol 9, this agent speaks {PROTOCOL}")
        );
        assert!(refused("{}").contains("protocol none"));
        assert!(refused("{").contains("no JSON"));
        assert!(refused(r#"{"protocol": 3, "scenarios": []}"#).contains("drain_seconds"));
        assert!(parse_job(br#"{"protocol": 3, "scenarios": [], "drain_seconds": 5}"#).is_ok());
    }
}
