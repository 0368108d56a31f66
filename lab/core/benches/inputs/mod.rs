// SPDX-License-Identifier: MIT OR Apache-2.0
//! Consoles that try to be slow to read, and how fast one is read.

use lab_core::console::{Options, Reader};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

const BOOT: &[u8] = include_bytes!("../../testdata/console/clean-with-sysrq.log");
const CRASH: &[u8] = include_bytes!("../../testdata/console/sysrq-crash.log");
/// Wanted for ordinary boot log, MB/s.
pub(crate) const ORDINARY: f64 = 500.0;
/// Wanted for anything, MB/s.
pub(crate) const ANYTHING: f64 = 50.0;

/// Name, `len` bytes of console, megabytes a second that are wanted; the ordinary boot log first.
pub(crate) fn inputs(len: usize) -> Vec<(&'static str, Vec<u8>, f64)> {
    let boot = String::from_utf8_lossy(BOOT);
    // The banner would make each repetition a reboot, and the sysrq dump is no ordinary line.
    let ordinary: String = boot
        .lines()
        .filter(|line| !line.contains("Linux version") && !after_init(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let heads = "BUG: x\nWARNING: CPU: 1 at a\nINFO: task a blocked for more than 1\n[ cut here ]\nrcu: INFO: rcu detected stall\n";
    vec![
        (
            "ordinary boot log",
            repeat(ordinary.as_bytes(), len),
            ORDINARY,
        ),
        ("boots, one after another", repeat(BOOT, len), ANYTHING),
        ("boots that crash", repeat(CRASH, len), ANYTHING),
        ("no line ends", vec![b'a'; len], ANYTHING),
        (
            "no line ends, heads",
            repeat(b"BUG: WARNING: ", len),
            ANYTHING,
        ),
        ("only line ends", vec![b'\n'; len], ANYTHING),
        ("heads only", repeat(heads.as_bytes(), len), ANYTHING),
        (
            "almost heads",
            repeat(b"aBUG\nzINFO: \ny panic \ndetected \nlist_\n", len),
            ANYTHING,
        ),
        (
            "almost heads in an open report",
            [
                b"kernel BUG at a!\n".to_vec(),
                repeat(b" a+0x1/0x2\n general protection faultBUG detected \n", len),
            ]
            .concat(),
            ANYTHING,
        ),
        (
            "brackets",
            repeat(
                b"[[[[[[ 1.5][ 1.5][ 1.5][T1][<[<[<detected stall rcu\n",
                len,
            ),
            ANYTHING,
        ),
        (
            "giant lines with heads",
            repeat(
                &[&b"kernel BUG at "[..], &vec![b'['; 1 << 20][..], b"\n"].concat(),
                len,
            ),
            ANYTHING,
        ),
        ("a caller for each head", callers("BUG: x", len), ANYTHING),
        (
            "a caller for each line",
            callers("dput+0x1/0x2", len),
            ANYTHING,
        ),
        (
            "heads that do not fit",
            repeat(
                &[b"-safe -> detected stall".repeat(170), b"\n".to_vec()].concat(),
                len,
            ),
            ANYTHING,
        ),
        (
            "stacks of helpers",
            repeat(
                &[
                    b"BUG: scheduling while atomic: a\nCall Trace:\n".to_vec(),
                    b" __kmem_cache_alloc_lru_noprof+0x1/0x2\n".repeat(400),
                ]
                .concat(),
                len,
            ),
            ANYTHING,
        ),
        (
            "a long report",
            [
                b"kernel BUG at a!\n".to_vec(),
                repeat(b"R10: 0000\n ? f+0x1/0x2\nzzz\n#0: a\n", len),
            ]
            .concat(),
            ANYTHING,
        ),
        (
            "locks",
            [
                b"WARNING: possible circular locking dependency detected\n".to_vec(),
                repeat(
                    b"-> #1 (&a(b(c)#3){+.+.}-{3:3}:\nff (x){, at: f+0x1/0x2\n",
                    len,
                ),
            ]
            .concat(),
            ANYTHING,
        ),
    ]
}

/// From the first program on a boot log is the sysrq dump and the end.
fn after_init(line: &str) -> bool {
    line.contains("sysrq:") || line.contains("NMI") || line.contains("reboot:")
}

/// Lines that each come from another caller.
fn callers(text: &str, len: usize) -> Vec<u8> {
    let line = |caller: usize| format!("[    1.0][ T{}] {text}\n", caller % 100_000);
    let lines = len / line(99_999).len();
    (0..lines).flat_map(|at| line(at).into_bytes()).collect()
}

fn repeat(unit: &[u8], len: usize) -> Vec<u8> {
    unit.iter().copied().cycle().take(len).collect()
}

/// Megabytes a second and how much was heard: the best of three, pushed in the pieces in which a pipe gives them.
pub(crate) fn measure(input: &[u8]) -> (f64, usize) {
    let mut best = (0.0_f64, 0);
    for _ in 0..3 {
        let start = on_cpu();
        let mut reader = Reader::new(Options::default());
        let mut heard = 0;
        for chunk in input.chunks(64 << 10) {
            heard += reader.push(chunk).len();
        }
        heard += reader.finish().len();
        let seconds = (on_cpu() - start).as_secs_f64().max(1e-6);
        best = (best.0.max(input.len() as f64 / 1e6 / seconds), heard);
    }
    best
}

/// Time that this thread had a CPU (proc(5), schedstat), so that a busy machine tells the same; wall time where the kernel
/// does not say.
fn on_cpu() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    // The scheduler adds up when the thread gives way.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split(' ').next().and_then(|first| first.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}
