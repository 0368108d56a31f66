// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab's guest adds to a boot: from starting QEMU to the first operation of a workload, against the same
//! kernel with a PID 1 that does nothing, in turn.
//!
//! `cargo bench --bench boot -- KERNEL [REPEATS]`; KERNEL is a folder with a bzImage, such as one of the lab's cache.
//! The bare QEMU gets the same machine, memory, console and kernel arguments, but none of the lab's devices, and an
//! initramfs with a program of 200 bytes. Exits with 1 when the medians are further apart than wanted.
#![allow(clippy::print_stdout)]

use lab::{image, stop, vm};
use lab_core::job::{Accel, BootJob, Limits, Machine};
use lab_wire::{GuestJob, PROTOCOL, Scenario};
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// At most this many times the bare boot.
const WANTED: f64 = 1.15;
/// What the PID 1 says that does nothing else.
const WORDS: &[u8] = b"PID 1 is here\n";

fn main() -> Result<ExitCode> {
    // cargo bench adds an argument of its own.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [kernel] => compare(Path::new(kernel), 5),
        [kernel, repeats] => compare(Path::new(kernel), repeats.parse()?),
        _ => {
            println!("usage: cargo bench --bench boot -- KERNEL [REPEATS]");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn compare(kernel: &Path, repeats: usize) -> Result<ExitCode> {
    let home = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let accel = runtime
        .block_on(vm::probe(home.path(), stop::never()))?
        .accel;
    let job = job(&kernel.canonicalize()?, home.path(), accel);
    let initrd = home.path().join("nothing.cpio");
    std::fs::write(&initrd, image::bare(&nothing()))?;
    let (mut labs, mut bares) = (Vec::new(), Vec::new());
    println!(
        "{accel:?}, seconds from starting QEMU: the lab's first operation, the bare kernel's PID 1"
    );
    for n in 0..repeats.max(1) {
        let out = home.path().join(n.to_string());
        let ran = runtime.block_on(vm::run(&job, &out, stop::never(), |_| ()))?;
        let lab = (ran.first_operation)
            .ok_or_else(|| format!("the lab's guest never began: {:?}", ran.outcome))?;
        let bare = bare(&ran.argv, &initrd)?;
        println!("{lab:8.3} {bare:8.3}");
        labs.push(lab);
        bares.push(bare);
    }
    let (lab, bare) = (median(&mut labs), median(&mut bares));
    let ratio = lab / bare;
    let good = ratio <= WANTED;
    let verdict = if good { "" } else { "   MISSED" };
    println!("medians {lab:.3} and {bare:.3}: {ratio:.3} times, wanted at most {WANTED}{verdict}");
    Ok(ExitCode::from(u8::from(!good)))
}

fn job(kernel: &Path, cache: &Path, accel: Accel) -> BootJob {
    let scenario = Scenario {
        name: "lookup-storm".into(),
        fs: "tmpfs".into(),
        threads: 4,
        names: 8,
        dirs: 2,
        seconds: 1,
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
            memory_mib: 1024,
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
        evidence: Default::default(),
        gdb: None,
    }
}

/// Boots the bare kernel with what of `argv` makes the machine; seconds until its PID 1 runs.
fn bare(argv: &[String], initrd: &Path) -> Result<f64> {
    const SAME: &[&str] = &[
        "-machine", "-accel", "-cpu", "-smp", "-m", "-kernel", "-append",
    ];
    let same = argv
        .windows(2)
        .filter(|pair| SAME.contains(&pair[0].as_str()))
        .flatten();
    let begun = Instant::now();
    let mut qemu = Command::new(&argv[0])
        .args("-nodefaults -no-user-config -display none -no-reboot -serial stdio".split(' '))
        .args(same)
        .arg("-initrd")
        .arg(initrd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let console = qemu.stdout.take().ok_or("QEMU has no console")?;
    let mut at = None;
    for line in BufReader::new(console).split(b'\n') {
        if line?.starts_with(&WORDS[..WORDS.len() - 1]) {
            at.get_or_insert(begun.elapsed());
        }
    }
    qemu.wait()?;
    Ok(at
        .ok_or("the bare kernel's PID 1 said nothing")?
        .as_secs_f64())
}

/// A static x86-64 program that writes [`WORDS`] to its standard output and switches the machine off.
fn nothing() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    #[rustfmt::skip]
    let code = [
        0xb8, 1, 0, 0, 0,                   // 00  mov  eax, SYS_write
        0xbf, 1, 0, 0, 0,                   // 05  mov  edi, 1
        0x48, 0x8d, 0x35, 34, 0, 0, 0,      // 0a  lea  rsi, [rip + 34]
        0xba, WORDS.len() as u8, 0, 0, 0,   // 11  mov  edx, length
        0x0f, 0x05,                         // 16  syscall
        0xb8, 169, 0, 0, 0,                 // 18  mov  eax, SYS_reboot
        0xbf, 0xad, 0xde, 0xe1, 0xfe,       // 1d  mov  edi, LINUX_REBOOT_MAGIC1
        0xbe, 0x69, 0x19, 0x12, 0x28,       // 22  mov  esi, LINUX_REBOOT_MAGIC2
        0xba, 0xdc, 0xfe, 0x21, 0x43,       // 27  mov  edx, LINUX_REBOOT_CMD_POWER_OFF
        0x0f, 0x05,                         // 2c  syscall
        0xeb, 0xfe, 0x90, 0x90, 0x90,       // 2e  jmp  2e; the words follow at 33
    ];
    let size = HEADERS + (code.len() + WORDS.len()) as u64;
    let mut elf = Vec::new();
    // Writing to memory cannot fail.
    let mut put = |bytes: &[u8]| elf.write_all(bytes).unwrap_or_default();
    put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    put(&[2, 0, 62, 0, 1, 0, 0, 0]); // an executable for x86-64
    for word in [BASE + HEADERS, 64, 0] {
        // entry, program headers, no sections
        put(&word.to_le_bytes());
    }
    put(&[0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]); // sizes: one program header
    put(&[1, 0, 0, 0, 5, 0, 0, 0]); // to load, readable and executable
    for word in [0, BASE, BASE, size, size, 4096] {
        put(&word.to_le_bytes());
    }
    put(&code);
    put(WORDS);
    elf
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
