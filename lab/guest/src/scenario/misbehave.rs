// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's own trials: scenarios that make a guest end badly, or try to. They say nothing of a kernel; they
//! show that the lab tells each such end for what it is.
//!
//! One worker misbehaves after a moment of ordinary work; the others work on.

use super::worker::Worker;
use super::{Entry, arena::Dir};
use crate::{ops, port};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Ordinary work before it.
const MOMENT: Duration = Duration::from_secs(1);
/// A flood ends here even if nobody stops it, bytes.
const FLOOD: u64 = 4 << 30;
/// `FIFREEZE` of `linux/fs.h`: `_IOWR('X', 119, int)`.
const FIFREEZE: libc::c_ulong = 0xc004_5877;
/// Everything that mounts without a disk.
const TMPFS: &[&str] = &["tmpfs"];
/// Filesystems on a disk.
const DISKS: &[&str] = &["xfs", "ext4"];

const fn trial(
    name: &'static str,
    about: &'static str,
    filesystems: &'static [&'static str],
    work: fn(&mut Worker<'_>),
) -> Entry {
    Entry {
        name,
        about,
        reaches: &[],
        filesystems,
        mix: super::STORM,
        work,
    }
}

/// All trials. They stand apart from the scenarios that look for bugs: who wants one names it.
pub(crate) const TRIALS: &[Entry] = &[
    trial(
        "misbehave-panic",
        "the kernel panics, by SysRq",
        TMPFS,
        |worker| first(worker, panic_kernel),
    ),
    trial(
        "misbehave-hang",
        "real-time threads spin on every CPU, above all others",
        TMPFS,
        |worker| first(worker, |_| spin_everywhere()),
    ),
    trial(
        "misbehave-mute",
        "the agent says no more",
        TMPFS,
        |worker| first(worker, |_| port::mute()),
    ),
    trial("misbehave-reset", "the machine is reset", TMPFS, |worker| {
        first(worker, |_| reboot(libc::RB_AUTOBOOT))
    }),
    trial(
        "misbehave-off",
        "the machine is switched off before the work is done",
        TMPFS,
        |worker| first(worker, |_| reboot(libc::RB_POWER_OFF)),
    ),
    trial(
        "misbehave-flood",
        "the console is flooded, at most 4 GiB",
        TMPFS,
        |worker| first(worker, flood),
    ),
    trial(
        "misbehave-full",
        "the filesystem is filled to the last block; the work goes on",
        &["tmpfs", "xfs", "ext4"],
        |worker| first(worker, fill),
    ),
    trial(
        "misbehave-stuck",
        "the filesystem is frozen for good, and what writes to it waits",
        DISKS,
        |worker| first(worker, freeze),
    ),
    trial("misbehave-die", "the agent itself fails", TMPFS, |worker| {
        first(worker, |_| panic!("misbehave-die"))
    }),
    trial(
        "misbehave-fault",
        "the agent touches memory that is not there",
        TMPFS,
        |worker| first(worker, |_| fault()),
    ),
];

/// Lets the worker of number 0 misbehave after a moment; the others, and it if it comes back, just work.
fn first(worker: &mut Worker<'_>, misbehave: fn(&Worker<'_>)) {
    if worker.number == 0 {
        std::thread::sleep(MOMENT);
        misbehave(worker);
    }
    worker.storm();
}

fn write_to(path: &str, text: &str) {
    // A guest that cannot do it ends well, and its trial tells.
    let _ = std::fs::write(path, text);
}

fn panic_kernel(_worker: &Worker<'_>) {
    write_to("/proc/sys/kernel/sysrq", "1");
    write_to("/proc/sysrq-trigger", "c");
}

fn reboot(how: libc::c_int) {
    // SAFETY: no memory is handed over; the machine is gone afterwards.
    unsafe { libc::reboot(how) };
}

/// A thread on each CPU that gives way to nobody. They inherit the priority of their maker, which no equal
/// preempts, so all of them get started.
fn spin_everywhere() {
    write_to("/proc/sys/kernel/sched_rt_runtime_us", "-1");
    let param = libc::sched_param { sched_priority: 98 };
    // SAFETY: 0 is this thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 1..cpus {
        std::thread::spawn(spin);
    }
    spin();
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}

fn flood(worker: &Worker<'_>) {
    write_to("/proc/sys/kernel/printk_devkmsg", "on\n");
    write_to("/proc/sys/kernel/printk", "8\n");
    let open = |path| File::options().write(true).open(path);
    // The log drops what the console is too slow for; the terminal does not.
    let (Ok(mut kmsg), Ok(mut terminal)) = (open("/dev/kmsg"), open("/dev/console")) else {
        return;
    };
    let line = format!("<4>flood: {}\n", "all work and no play ".repeat(40));
    let mut written = 0;
    while written < FLOOD && !worker.stopped() {
        let both = [&mut kmsg, &mut terminal].map(|to| to.write(line.as_bytes()));
        match both {
            [Ok(log), Ok(terminal)] => written += (log + terminal) as u64,
            _ => return,
        }
    }
}

/// A file as large as the filesystem lets it be: first in large pieces, then in small ones.
fn fill(worker: &Worker<'_>) {
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let Ok(file) = ops::open(dir(worker).fd(), c"filling", flags) else {
        return;
    };
    let (fd, mut at) = (file.as_raw_fd(), 0);
    for size in [1 << 20, 4096] {
        // SAFETY: the descriptor is open for as long as the file is.
        while !worker.stopped() && unsafe { libc::fallocate(fd, 0, at, size) } == 0 {
            at += size;
        }
    }
}

/// Freezes the filesystem and goes on: whoever writes, waits where no signal is heard.
fn freeze(worker: &Worker<'_>) {
    let fd = dir(worker).fd();
    // SAFETY: the descriptor is open; the argument is not looked at.
    unsafe { libc::ioctl(fd.as_raw_fd(), FIFREEZE as _, 0) };
    // If the filesystem cannot be frozen this is an ordinary file.
    let _ = ops::open(fd.as_fd(), c"frozen", libc::O_WRONLY | libc::O_CREAT);
}

fn fault() {
    // SAFETY: none; that it ends in SIGSEGV is what is wanted.
    unsafe { std::ptr::null::<u8>().wrapping_add(1).read_volatile() };
}

fn dir<'a>(worker: &Worker<'a>) -> &'a Dir {
    worker.shared.arena.dir(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_stand_apart_and_say_so_in_their_names() {
        let scenarios = super::super::SCENARIOS;
        assert!(scenarios.iter().all(|s| !s.name.starts_with("misbehave-")));
        assert!(TRIALS.iter().all(|t| t.name.starts_with("misbehave-")));
    }
}
