// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that ends badly, on a real kernel: panics, hangs, falls silent, resets, floods its console, fills its disk.
//! Each is a job of its own, run by `lab job FILE` as a scheduler runs it, and must be told for what it is, in bounded
//! time, memory and disk. What dies or hangs leaves a dump of its memory.
//!
//! The kernel is one of the lab's cache (`LAB_CACHE`, `XDG_CACHE_HOME/lab`, `~/.cache/lab`) on which a control ran clean, as
//! `real_kernel` leaves one. All trials are one test, because the machine has room for one guest.

#![cfg(test)]

use lab_core::boot::Boot;
use lab_core::finding::{Class, Finding};
use lab_core::job::{
    Accel, BootJob, Disk, DumpPolicy, EvidencePlan, JOB_FORMAT, Job, Limits, Machine, Recording,
    Work,
};
use lab_core::outcome::{Blame, BootOutcome};
use lab_core::verdict::RunRecord;
use lab_wire::{GuestJob, PROTOCOL, Scenario};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// What is kept of a flooded console at most, bytes: a translated kernel with lockdep prints some 20 kB a second, so the
/// flood's limit is the smallest that there is, which keeps one line of the head, the mark, and one of the tail.
const FLOODED: u64 = 400;
/// What `lab job` may take for itself at its peak, KiB; a debug build, whatever the guest prints.
const MEMORY_KIB: u64 = 128 << 10;
/// A guest's memory, MiB.
const MEMORY_MIB: u32 = 512;

/// What a trial left.
struct Left {
    recording: Recording,
    findings: Vec<Finding>,
    console: String,
    events: String,
    out: PathBuf,
}

impl Left {
    fn found(&self, class: Class, words: &str) -> bool {
        let is = |finding: &Finding| finding.class == class && finding.title.contains(words);
        self.findings.iter().any(is)
    }

    /// There is a dump of all of the guest's memory, and nothing else of the sort.
    fn dumped(&self) -> bool {
        let [dump] = self.recording.dumps.as_slice() else {
            return false;
        };
        let file = std::fs::File::open(self.out.join("vmcore.zst")).unwrap();
        let mut core = zstd::Decoder::new(file).unwrap();
        let mut magic = [0; 4];
        core.read_exact(&mut magic).unwrap();
        let rest = std::io::copy(&mut core, &mut std::io::sink()).unwrap();
        println!("       {dump:?}");
        dump.whole
            && magic == *b"\x7fELF"
            && rest + 4 == dump.bytes
            && rest >= u64::from(MEMORY_MIB) << 20
    }

    /// The kernel showed its tasks when it was asked.
    fn showed_tasks(&self) -> bool {
        self.console.contains("sysrq: Show Blocked State")
            && self.console.contains("sysrq: Show State")
    }
}

struct Trial {
    name: &'static str,
    fs: &'static str,
    /// Seconds of its scenario.
    seconds: u32,
    blame: Blame,
    is: fn(&Left) -> bool,
}

const fn trial(name: &'static str, seconds: u32, blame: Blame, is: fn(&Left) -> bool) -> Trial {
    Trial {
        name,
        fs: "tmpfs",
        seconds,
        blame,
        is,
    }
}

const TRIALS: &[Trial] = &[
    trial("panic", 30, Blame::Kernel, |left| {
        left.recording.outcome == BootOutcome::Panicked
            && left.found(Class::Panic, "sysrq triggered crash")
            && left.console.contains("Kernel panic")
            && left.out.join("registers.txt").exists()
            && left.dumped()
    }),
    trial("hang", 60, Blame::Kernel, |left| {
        left.recording.outcome == BootOutcome::AgentLost
            && !left.findings.is_empty()
            && left.out.join("registers.txt").exists()
            && left.dumped()
    }),
    trial("mute", 60, Blame::Kernel, |left| {
        left.recording.outcome == BootOutcome::AgentLost
            && left.found(Class::Silence, "guest went silent")
            && left.showed_tasks()
            && left.dumped()
    }),
    trial("reset", 30, Blame::Kernel, |left| {
        left.recording.outcome == BootOutcome::Reset
            && left.found(Class::Reboot, "unexpected kernel reboot")
    }),
    trial("off", 30, Blame::Kernel, |left| {
        left.recording.outcome == BootOutcome::EarlyPowerOff
            && left.found(Class::Reboot, "unexpected power off")
    }),
    trial("flood", 12, Blame::Nobody, |left| {
        let kept = left.out.join("console.log").metadata().unwrap().len();
        left.recording.outcome == BootOutcome::Completed
            && left.recording.console_cut > 100_000
            && kept <= FLOODED
            && left.console.starts_with("[    0.000000]")
            && left.console.contains("bytes of console cut here")
            // Printing that much keeps a CPU from everybody else, which may be suspected and no more.
            && left.findings.iter().all(|f| f.class == Class::Slow)
    }),
    Trial {
        fs: "ext4",
        ..trial("full", 10, Blame::Nobody, |left| {
            left.recording.outcome == BootOutcome::Completed
                && measured(left, "starved") > 0.0
                && left.findings.is_empty()
        })
    },
    Trial {
        fs: "ext4",
        ..trial("stuck", 5, Blame::Kernel, |left| {
            matches!(left.recording.outcome, BootOutcome::ThreadsStuck { threads } if threads > 0)
                && left.found(Class::HungTask, "hung")
                && left.showed_tasks()
                && std::fs::read_to_string(left.out.join("state.txt"))
                    .is_ok_and(|state| state.contains("/proc/meminfo"))
                && left.dumped()
        })
    },
    trial("die", 30, Blame::Rig, |left| {
        matches!(&left.recording.outcome, BootOutcome::RigFailed { reason }
            if reason.contains("the agent itself failed") && reason.contains("misbehave-die"))
            && left.findings.is_empty()
    }),
    trial("fault", 30, Blame::Kernel, |left| {
        left.recording.outcome == BootOutcome::EarlyPowerOff
            && left.events.contains("died of a signal")
            && left.found(Class::Reboot, "unexpected power off")
    }),
];

/// The sum of what the guest measured under that name.
fn measured(left: &Left, name: &str) -> f64 {
    left.events
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|record| record["said"]["name"] == name)
        .filter_map(|record| record["said"]["value"].as_f64())
        .sum()
}

fn cache() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    set("LAB_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|home| home.join("lab")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/lab")))
}

/// A kernel without findings of its own: one that a remembered control in the cache ran clean on, the newest such.
fn kernel(cache: &Path) -> Result<PathBuf, String> {
    let controls = cache.join("controls");
    let missing = || {
        format!(
            "no clean kernel is known in {}; the test real_kernel makes one",
            controls.display()
        )
    };
    let mut files: Vec<(SystemTime, PathBuf)> = std::fs::read_dir(&controls)
        .map_err(|_| missing())?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    files
        .iter()
        .rev()
        .find_map(|(_, file)| clean_kernel(cache, file))
        .ok_or_else(missing)
}

fn clean_kernel(cache: &Path, control: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(control).ok()?;
    text.lines().rev().find_map(|line| {
        let run: RunRecord = serde_json::from_str(line).ok()?;
        let folder = cache.join("kernels").join(&run.key);
        (run.sightings.is_empty() && folder.join("bzImage").is_file()).then_some(folder)
    })
}

fn job(trial: &Trial, kernel: &Path, cache: &Path) -> BootJob {
    let scenario = Scenario {
        name: format!("misbehave-{}", trial.name),
        fs: trial.fs.into(),
        threads: 4,
        names: 8,
        dirs: 2,
        seconds: trial.seconds,
        seed: 7,
        pause_us: 0,
        mix: Default::default(),
    };
    let disk = Disk {
        mib: 64,
        fs: Some("ext4".into()),
    };
    let sysctl = [
        ("kernel/hung_task_timeout_secs", "5"),
        ("kernel/hung_task_check_interval_secs", "2"),
        ("kernel/sysrq", "1"),
    ];
    let append = ["oops=panic", "panic=1", "mitigations=off"];
    BootJob {
        kernel: kernel.to_owned(),
        cache: cache.to_owned(),
        label: trial.name.into(),
        machine: Machine {
            cpus: 2,
            memory_mib: MEMORY_MIB,
            accel: Accel::Tcg,
            disks: if trial.fs == "ext4" {
                vec![disk]
            } else {
                Vec::new()
            },
        },
        append: append.map(str::to_owned).to_vec(),
        guest: GuestJob {
            protocol: PROTOCOL,
            scenarios: vec![scenario],
            sysctl: sysctl.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            drain_seconds: 8,
            hold: false,
        },
        limits: Limits {
            firmware: 60,
            kernel: 180,
            agent: 10,
            scenario_extra: 40,
            settle: 3,
            drain: 60,
            console_mib: u32::from(trial.name != "flood"),
        },
        until_hit: false,
        evidence: EvidencePlan {
            dump: DumpPolicy::First,
            ..EvidencePlan::default()
        },
        gdb: None,
    }
}

/// Runs the job by the binary; gives its peak memory, KiB.
fn run(file: &Path, limit: Duration) -> u64 {
    let begun = Instant::now();
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("job")
        .arg(file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", lab.id());
    let mut peak = 0;
    loop {
        peak = peak.max(high_water(&status).unwrap_or_default());
        if let Some(ended) = lab.try_wait().unwrap() {
            assert!(ended.success(), "{}: {ended}", file.display());
            return peak;
        }
        if begun.elapsed() > limit {
            lab.kill().unwrap();
            lab.wait().unwrap();
            panic!("{}: still there after {limit:?}", file.display());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn high_water(status: &str) -> Option<u64> {
    let text = std::fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Runs one trial; what is wrong with what it left, if anything.
fn attempt(trial: &Trial, folder: &Path, kernel: &Path, cache: &Path) -> Result<(), String> {
    let boot = job(trial, kernel, cache);
    // The boot has its limits; the rest is for the lab to read what it recorded.
    let limit = Boot::longest(&boot) + Duration::from_secs(30);
    let out = folder.join(trial.name);
    let file = folder.join(format!("{}.json", trial.name));
    let whole = Job {
        format: JOB_FORMAT,
        out: out.clone(),
        work: Work::Boot(boot),
    };
    std::fs::write(&file, serde_json::to_vec(&whole).unwrap()).unwrap();
    let peak = run(&file, limit);
    let findings: serde_json::Value = read(&out.join("findings.json"));
    let text = |name| String::from_utf8_lossy(&std::fs::read(out.join(name)).unwrap()).into_owned();
    let left = Left {
        recording: read(&out.join("recording.json")),
        findings: serde_json::from_value(findings["findings"].clone()).unwrap(),
        console: text("console.log"),
        events: text("events.jsonl"),
        out: out.clone(),
    };
    let titles: Vec<_> = left.findings.iter().map(|found| &found.title).collect();
    let (outcome, seconds) = (&left.recording.outcome, left.recording.seconds);
    let first = left.recording.first_operation;
    println!(
        "{:<6} {outcome:?}, {:?}, found {titles:?}; first operation {first:?} s, over {seconds:.1} s, lab's peak {peak} KiB, console {} B",
        trial.name,
        outcome.blame(),
        left.recording.console_bytes,
    );
    let wrong = match () {
        () if first.is_none() => "it never began",
        () if outcome.blame() != trial.blame => "another is to blame",
        () if !(trial.is)(&left) => "it is not told for what it is",
        () if peak > MEMORY_KIB => "the lab took too much memory",
        () => return Ok(()),
    };
    let remarks = &left.recording.remarks;
    Err(format!("{}: {wrong}; remarks: {remarks:?}", trial.name))
}

#[test]
fn a_guest_that_misbehaves_is_told_for_what_it_is() {
    let cache = cache().expect("a HOME");
    let kernel = match kernel(&cache) {
        Ok(kernel) => kernel,
        Err(why) => {
            println!("SKIPPED a_guest_that_misbehaves_is_told_for_what_it_is: {why}");
            return;
        }
    };
    println!("kernel {}", kernel.display());
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let wrong: Vec<String> = TRIALS
        .iter()
        .filter_map(|trial| attempt(trial, folder.path(), &kernel, &cache).err())
        .collect();
    println!("all in {:.0} s", begun.elapsed().as_secs_f64());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
