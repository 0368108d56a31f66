// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a crash costs: from the kernel's panic until the guest is gone, with its memory of 1 GiB dumped in between.
//!
//! `cargo bench --bench dump -- KERNEL [REPEATS [tcg]]`; KERNEL is a folder with a bzImage that has pvpanic, such as one of the
//! lab's cache. Exits with 1 when the median is longer than wanted, or a dump is not whole.
#![allow(clippy::print_stdout)]

use lab::{stop, vm};
use lab_core::boot::{Said, read_records};
use lab_core::job::{
    Accel, BootJob, DumpPolicy, DumpRecord, EvidencePlan, Limits, Machine, Recording,
};
use lab_wire::{GuestJob, PROTOCOL, Scenario};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// At most this many seconds.
const WANTED: f64 = 3.0;
/// Memory of the guest, MiB.
const MEMORY: u32 = 1024;

fn main() -> Result<ExitCode> {
    // cargo bench adds an argument of its own.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [kernel] => measure(Path::new(kernel), 5, None),
        [kernel, repeats] => measure(Path::new(kernel), repeats.parse()?, None),
        [kernel, repeats, "tcg"] => measure(Path::new(kernel), repeats.parse()?, Some(Accel::Tcg)),
        _ => {
            println!("usage: cargo bench --bench dump -- KERNEL [REPEATS [tcg]]");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn measure(kernel: &Path, repeats: usize, accel: Option<Accel>) -> Result<ExitCode> {
    let home = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let accel = match accel {
        Some(accel) => accel,
        None => {
            runtime
                .block_on(vm::probe(home.path(), stop::never()))?
                .accel
        }
    };
    let job = job(&kernel.canonicalize()?, home.path(), accel);
    println!("{accel:?}, {MEMORY} MiB: seconds from panic to gone, of that the dump; MiB stored");
    let mut all = Vec::new();
    for n in 0..repeats.max(1) {
        let out = home.path().join(n.to_string());
        let ran = runtime.block_on(vm::run(&job, &out, stop::never(), |_| ()))?;
        let dump = whole(&ran)?;
        let seconds = ran.seconds - panicked_at(&out)?;
        let stored = dump.stored as f64 / f64::from(1 << 20);
        println!("{seconds:8.3} {:8.3} {stored:8.1}", dump.seconds);
        all.push(seconds);
    }
    all.sort_by(f64::total_cmp);
    let median = all[all.len() / 2];
    let good = median <= WANTED;
    let verdict = if good { "" } else { "   MISSED" };
    println!("median {median:.3} s, wanted at most {WANTED}{verdict}");
    Ok(ExitCode::from(u8::from(!good)))
}

fn whole(ran: &Recording) -> Result<&DumpRecord> {
    let dump = ran.dumps.iter().find(|dump| dump.whole);
    Ok(dump.ok_or_else(|| format!("{:?} without a whole dump: {:?}", ran.outcome, ran.remarks))?)
}

/// Seconds from QEMU's start until it told of the panic.
fn panicked_at(out: &Path) -> Result<f64> {
    let text = std::fs::read_to_string(out.join("events.jsonl"))?;
    let (records, _) = read_records(&text);
    let panic = records.iter().find(
        |record| matches!(&record.what, Said::Qmp(value) if value["event"] == "GUEST_PANICKED"),
    );
    let panic = panic.ok_or("QEMU told of no panic")?;
    Ok(panic.host_ms as f64 / 1e3)
}

fn job(kernel: &Path, cache: &Path, accel: Accel) -> BootJob {
    let scenario = Scenario {
        name: "misbehave-panic".into(),
        fs: "tmpfs".into(),
        threads: 4,
        names: 8,
        dirs: 2,
        seconds: 10,
        seed: 1,
        pause_us: 0,
        mix: Default::default(),
    };
    BootJob {
        kernel: kernel.to_owned(),
        cache: cache.to_owned(),
        label: "bench".into(),
        machine: Machine {
            cpus: 2,
            memory_mib: MEMORY,
            accel,
            disks: Vec::new(),
        },
        append: ["oops=panic", "panic=1", "mitigations=off"]
            .map(str::to_owned)
            .to_vec(),
        guest: GuestJob {
            protocol: PROTOCOL,
            scenarios: vec![scenario],
            sysctl: Default::default(),
            drain_seconds: 10,
            hold: false,
        },
        limits: Limits {
            firmware: 60,
            kernel: 300,
            agent: 60,
            scenario_extra: 60,
            settle: 5,
            drain: 60,
            console_mib: 1,
        },
        until_hit: false,
        evidence: EvidencePlan {
            dump: DumpPolicy::First,
            ..EvidencePlan::default()
        },
        gdb: None,
    }
}
