// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundled scenario by hand: the agent's own code, whose events are told as text.

use super::session::interrupted;
use super::{Answer, of, say};
use crate::job;
use crate::port::Port;
use lab_wire::{Event, FromGuest, GuestJob, Lines, PROTOCOL, Scenario, ToGuest, decode, encode};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(200);
/// Seconds that threads get to stop.
const DRAIN: u32 = 8;

pub(super) fn run(args: &[String], out: &mut dyn Write) -> Answer {
    if args.len() == 1 {
        return lab_wire::SCENARIOS.iter().try_for_each(|known| {
            say(
                out,
                format!(
                    "{:14}{}\n{:14}on {}",
                    known.name,
                    known.about,
                    "",
                    known.filesystems.join(" ")
                ),
            )
        });
    }
    let asked = asked(args, SystemTime::now())?;
    say(
        out,
        format!(
            "{} on {}, {} s, seed {}",
            asked.name, asked.fs, asked.seconds, asked.seed
        ),
    )?;
    let (ours, theirs) = UnixStream::pair().map_err(of("run"))?;
    let port = Port::start(File::from(OwnedFd::from(theirs))).map_err(of("run"))?;
    let job = GuestJob {
        protocol: PROTOCOL,
        scenarios: vec![asked],
        sysctl: BTreeMap::new(),
        drain_seconds: DRAIN,
        hold: false,
    };
    let worker = std::thread::Builder::new()
        .name("run".into())
        .spawn(move || {
            job::run_all(&job, &port);
            port.tell(Event::Bye);
            port.flush(Duration::from_secs(5));
        });
    worker.map_err(of("run"))?;
    listen(ours, out)
}

/// The scenario that the words ask for: what they leave open is the scenario's own.
fn asked(args: &[String], now: SystemTime) -> Result<Scenario, String> {
    let known = lab_wire::known(&args[1])
        .ok_or_else(|| format!("{}: there is no such scenario (run lists them)", args[1]))?;
    let fs = args.get(2).map_or(known.filesystems[0], String::as_str);
    if !known.filesystems.contains(&fs) {
        return Err(format!(
            "{} runs on {}",
            known.name,
            known.filesystems.join(", ")
        ));
    }
    let seconds = match args.get(3) {
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text}: not a number of seconds"))?,
        None => known.defaults.seconds,
    };
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Scenario {
        name: known.name.into(),
        fs: fs.into(),
        threads: known.defaults.threads,
        names: known.defaults.names,
        dirs: known.defaults.dirs,
        seconds,
        seed: since.as_millis() as u64,
        pause_us: 0,
        mix: BTreeMap::new(),
    })
}

/// Tells what comes until the last word; passes Ctrl-C on.
fn listen(mut port: UnixStream, out: &mut dyn Write) -> Answer {
    port.set_read_timeout(Some(LOOK)).map_err(of("run"))?;
    let (mut lines, mut buffer, mut stopped) = (Lines::new(), [0; 4096], false);
    let mut wrong = false;
    loop {
        if interrupted() && !std::mem::replace(&mut stopped, true) {
            let stop = encode(&ToGuest::Stop).map_err(|e| e.to_string())?;
            port.write_all(&stop).map_err(of("run"))?;
        }
        let got = match port.read(&mut buffer) {
            Ok(0) => return Err("the scenario ended without a word".into()),
            Ok(got) => got,
            Err(e)
                if [
                    ErrorKind::WouldBlock,
                    ErrorKind::TimedOut,
                    ErrorKind::Interrupted,
                ]
                .contains(&e.kind()) =>
            {
                continue;
            }
            Err(error) => return Err(of("run")(error)),
        };
        let mut events = Vec::new();
        lines.push(&buffer[..got], |line| {
            events.extend(decode::<FromGuest>(line))
        });
        for told in events {
            wrong |= matches!(told.event, Event::Wrong { .. } | Event::Stuck { .. });
            if told.event == Event::Bye {
                return if wrong {
                    Err("the kernel answered wrongly or threads hang: see above".into())
                } else {
                    Ok(())
                };
            }
            for line in told_as(&told.event) {
                say(out, line)?;
            }
        }
    }
}

/// An event as lines.
fn told_as(event: &Event) -> Vec<String> {
    match event {
        Event::Progress { ops, ran_ms, .. } => vec![format!(
            "  {:5.1} s  {ops:>9} operations",
            *ran_ms as f64 / 1e3
        )],
        // Of the rest there is a line for each operation and quantile.
        Event::Measure {
            name, value, unit, ..
        } if !name.contains('.') => vec![format!("  {name} {value:.1} {unit}")],
        Event::Slow {
            op,
            step,
            took_ms,
            median_us,
            ..
        } => {
            vec![format!(
                "  slow {op}: {took_ms} ms (half of them take less than {median_us:.0} us): {step}"
            )]
        }
        Event::Wrong {
            oracle,
            detail,
            history,
            ..
        } => {
            let history = history.iter().map(|step| format!("    {step}"));
            std::iter::once(format!("  WRONG {oracle}: {detail}"))
                .chain(history)
                .collect()
        }
        Event::Stuck {
            tid,
            comm,
            state,
            op,
            wchan,
            stack,
            ..
        } => {
            let stack = stack.iter().map(|frame| format!("    {frame}"));
            std::iter::once(format!("  STUCK {comm} {tid} {state} in {wchan}: {op}"))
                .chain(stack)
                .collect()
        }
        Event::End {
            how, ops, ran_ms, ..
        } => vec![format!(
            "{how:?}: {ops} operations in {:.1} s",
            *ran_ms as f64 / 1e3
        )],
        Event::Note { text } | Event::Fault { reason: text } => vec![format!("  {text}")],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<Scenario, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        asked(&words, SystemTime::UNIX_EPOCH + Duration::from_millis(77))
    }

    #[test]
    fn what_is_not_said_is_the_scenarios_own() {
        let usual = check("run lookup-storm").unwrap();
        assert_eq!((&*usual.fs, usual.seconds, usual.seed), ("tmpfs", 20, 77));
        let asked = check("run lookup-storm xfs 3").unwrap();
        assert_eq!((&*asked.fs, asked.seconds), ("xfs", 3));
        assert!(check("run storm").unwrap_err().contains("no such scenario"));
        assert!(
            check("run nfs-open xfs")
                .unwrap_err()
                .starts_with("nfs-open runs on nfs")
        );
        assert!(
            check("run lookup-storm xfs soon")
                .unwrap_err()
                .contains("soon")
        );
    }

    #[test]
    fn ctrl_c_reaches_the_scenario_and_its_last_word_ends_it() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut said = theirs.try_clone().unwrap();
        let tell = |event| encode(&FromGuest { t_ms: 1, event }).unwrap();
        said.write_all(&tell(Event::Note { text: "hm".into() }))
            .unwrap();
        said.write_all(&tell(Event::Bye)).unwrap();
        let mut out = Vec::new();
        listen(ours, &mut out).unwrap();
        assert_eq!(out, b"  hm\n");
    }
}
