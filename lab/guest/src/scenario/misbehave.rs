// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lab's own trials: scenarios that make a guest end badly, or try to. They say nothing of a kernel; they
//! show that the lab tells each such end for what it is.
//!
//! One worker misbehaves after a moment of ordinary work; the others work on.

use super::step::Step;
use super::storm::Storm;
use super::storm::arena::Arena;
use super::storm::step::Op;
use super::worker::Worker;
use super::{Entry, Stage};
use crate::fs::mount::Refusal;
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
/// A storm in which the worker of number 0 misbehaves after a moment.
struct Misbehaviour {
    storm: Storm,
    act: fn(&Storm, &Worker<'_>),
}

impl Stage for Misbehaviour {
    fn work(&self, worker: &mut Worker<'_>) {
        if worker.number == 0 {
            std::thread::sleep(MOMENT);
            (self.act)(&self.storm, worker);
        }
        // The others, and it if it comes back, just work.
        self.storm.alone(worker);
    }

    fn show(&self, step: &Step) -> String {
        self.storm.show(step)
    }
}

/// A trial: its name, and what its first worker does.
macro_rules! trial {
    ($name:literal, $act:expr) => {
        Entry {
            name: $name,
            ops: Op::INFO,
            set_up: |place, asked| {
                let arena = Arena::make(&place.base, asked.dirs, false);
                let storm = Storm::new(arena.map_err(Refusal::Failed)?, asked.threads);
                Ok(Box::new(Misbehaviour { storm, act: $act }))
            },
        }
    };
}

/// All trials. They stand apart from the scenarios that look for bugs: who wants one names it.
pub(crate) const TRIALS: &[Entry] = &[
    trial!("misbehave-panic", |_, _| panic_kernel()),
    trial!("misbehave-hang", |_, _| spin_everywhere()),
    trial!("misbehave-mute", |_, _| port::mute()),
    trial!("misbehave-reset", |_, _| reboot(libc::RB_AUTOBOOT)),
    trial!("misbehave-off", |_, _| reboot(libc::RB_POWER_OFF)),
    trial!("misbehave-flood", |_, worker| flood(worker)),
    trial!("misbehave-full", fill),
    trial!("misbehave-stuck", |storm, _| freeze(storm)),
    trial!("misbehave-die", |_, _| panic!("misbehave-die")),
    trial!("misbehave-fault", |_, _| fault()),
];

fn write_to(path: &str, text: &str) {
    // A guest that cannot do it ends well, and its trial tells.
    let _ = std::fs::write(path, text);
}

fn panic_kernel() {
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
fn fill(storm: &Storm, worker: &Worker<'_>) {
    let flags = libc::O_WRONLY | libc::O_CREAT;
    let Ok(file) = ops::open(storm.arena.dir(0).fd(), c"filling", flags) else {
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
fn freeze(storm: &Storm) {
    let fd = storm.arena.dir(0).fd();
    // SAFETY: the descriptor is open; the argument is not looked at.
    unsafe { libc::ioctl(fd.as_raw_fd(), FIFREEZE as _, 0) };
    // If the filesystem cannot be frozen this is an ordinary file.
    let _ = ops::open(fd.as_fd(), c"frozen", libc::O_WRONLY | libc::O_CREAT);
}

fn fault() {
    // SAFETY: none; that it ends in SIGSEGV is what is wanted.
    unsafe { std::ptr::null::<u8>().wrapping_add(1).read_volatile() };
}
