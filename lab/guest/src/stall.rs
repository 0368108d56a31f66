// SPDX-License-Identifier: MIT OR Apache-2.0
//! A monitor for each CPU: the most urgent thread there, which sleeps a little, again and again, and notices when it
//! was not woken.
//!
//! A guest's CPU is a thread of its host, and a busy host does not always run it. So each monitor also keeps what the
//! kernel has counted of this CPU's time. That count goes by the timer's ticks: where the guest itself kept the CPU, it
//! was ticking; where the host did not run it, or interrupts were off, it was not.

use crate::init::boot_ms;
use crate::ops::{self, sched};
use crate::port::Port;
use lab_wire::Event;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// More urgent than the threads that speak with the lab.
const PRIORITY: i32 = 20;
/// Between two looks.
const SLEEP: Duration = Duration::from_millis(20);
/// A gap from here on is told, milliseconds.
const GAP: u64 = 100;
/// Between two readings of the kernel's count, milliseconds: it formats every CPU's line.
const READING: u64 = 200;
/// Gaps told in a job in which the kernel was at work.
const TOLD: u32 = 50;
/// Gaps told that are the host's; after those, only much longer ones.
const TOLD_HOST: u32 = 20;
/// The kernel's count is shown in steps of this, milliseconds: so much may be of another time.
const ROUNDING: u64 = 10;
/// Where the kernel counts.
const STAT: &str = "/proc/stat";

/// Starts a monitor on each CPU, for as long as the agent lives.
pub(crate) fn start(port: &Port) {
    let told = Arc::new(Told::default());
    for cpu in 0..sched::cpus() {
        let (port_of_it, told) = (port.clone(), Arc::clone(&told));
        let thread = std::thread::Builder::new()
            .name(format!("stall{cpu}"))
            .stack_size(64 << 10);
        let started = thread.spawn(move || {
            if let Some(monitor) = Monitor::new(cpu) {
                monitor.watch(&port_of_it, &told);
            }
        });
        if let Err(error) = started {
            port.note(format!("CPU {cpu} has no stall monitor: {error}"));
        }
    }
}

/// What was told by all monitors. A busy host makes gaps without end: they must not use up the room for others.
#[derive(Debug, Default)]
struct Told {
    kernel: AtomicU32,
    host: AtomicU32,
    longest: AtomicU64,
}

impl Told {
    /// Whether this gap is worth telling; counts it then.
    fn takes(&self, gap_ms: u64, worked_ms: u64) -> bool {
        if 2 * worked_ms > gap_ms {
            return self.kernel.fetch_add(1, Ordering::Relaxed) < TOLD;
        }
        let longest = self.longest.load(Ordering::Relaxed);
        if self.host.fetch_add(1, Ordering::Relaxed) >= TOLD_HOST && gap_ms < 2 * longest {
            return false;
        }
        self.longest.fetch_max(gap_ms, Ordering::Relaxed);
        true
    }
}

/// The watch over one CPU.
struct Monitor {
    cpu: usize,
    stat: File,
    /// When the kernel's count was read, and what it was, milliseconds.
    read: (u64, Option<u64>),
}

impl Monitor {
    /// The calling thread becomes the monitor of that CPU, if the kernel lets it.
    fn new(cpu: usize) -> Option<Self> {
        sched::pin(cpu).and_then(|()| sched::fifo(PRIORITY)).ok()?;
        let stat = File::open(STAT).ok()?;
        let mut monitor = Self {
            cpu,
            stat,
            read: (0, None),
        };
        monitor.read = (boot_ms(), monitor.worked());
        Some(monitor)
    }

    fn watch(mut self, port: &Port, told: &Told) {
        let mut last = boot_ms();
        loop {
            std::thread::sleep(SLEEP);
            let now = boot_ms();
            let gap_ms = now.saturating_sub(last + SLEEP.as_millis() as u64);
            if gap_ms >= GAP {
                let worked_ms = self.worked_in(gap_ms);
                if told.takes(gap_ms, worked_ms) {
                    port.tell(Event::Stall {
                        cpu: self.cpu as u32,
                        gap_ms,
                        worked_ms,
                    });
                }
            } else if now.saturating_sub(self.read.0) >= READING {
                self.read = (now, self.worked());
            }
            // What this look itself took is no gap.
            last = boot_ms();
        }
    }

    /// How much of the gap that ended just now the kernel counted as work: no more than it can have been, since
    /// some of what was counted since the last reading may have been before the gap.
    fn worked_in(&mut self, gap_ms: u64) -> u64 {
        let before = self.read;
        self.read = (boot_ms(), self.worked());
        let (Some(then), Some(now)) = (before.1, self.read.1) else {
            return 0;
        };
        let earlier = self.read.0.saturating_sub(before.0 + gap_ms) + ROUNDING;
        now.saturating_sub(then).saturating_sub(earlier).min(gap_ms)
    }

    /// Milliseconds that the kernel has counted itself, and who runs on it, at work on this CPU.
    fn worked(&self) -> Option<u64> {
        let mut bytes = [0; 4096];
        let got = ops::read_at_0(self.stat.as_fd(), &mut bytes).ok()?;
        worked(&String::from_utf8_lossy(&bytes[..got]), self.cpu)
    }
}

/// Of a text like /proc/stat: all of a CPU's time but idle, waiting for I/O, and stolen, in milliseconds.
fn worked(text: &str, cpu: usize) -> Option<u64> {
    // The kernel shows hundredths of a second, whatever its own tick is.
    const TICK_MS: u64 = 10;
    let line = text.lines().find_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        (name.strip_prefix("cpu")? == cpu.to_string()).then_some(rest)
    })?;
    let fields = line.split_ascii_whitespace().map(|n| n.parse::<u64>().ok());
    let [user, nice, system, _, _, irq, softirq] = fields
        .take(7)
        .collect::<Option<Vec<_>>>()?
        .try_into()
        .ok()?;
    Some((user + nice + system + irq + softirq) * TICK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_all_but_idle_and_stolen_time() {
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\ncpu1 10 20 30 4000 500 1 2 77 0 0\n";
        assert_eq!(worked(text, 1), Some(630));
        assert_eq!(worked(text, 2), None);
        assert_eq!(worked("cpu0 1 2\n", 0), None);
    }

    #[test]
    fn gaps_of_the_host_leave_room_for_those_of_the_kernel() {
        let told = Told::default();
        let host = (0..1_000).filter(|_| told.takes(300, 10)).count();
        assert_eq!(host, TOLD_HOST as usize);
        assert!(told.takes(600, 10) && !told.takes(700, 10));
        let kernel = (0..1_000).filter(|_| told.takes(300, 290)).count();
        assert_eq!(kernel, TOLD as usize);
    }

    #[test]
    fn what_was_before_the_gap_is_not_counted_to_it() {
        let mut monitor = Monitor::new(0).unwrap();
        let worked = monitor.worked().unwrap();
        // Read 400 ms ago; then 300 ms of gap, in which all that was counted may be explained by the 100 before.
        monitor.read = (boot_ms() - 400, Some(worked.saturating_sub(100)));
        assert!(monitor.worked_in(300) <= 50);
        monitor.read = (boot_ms() - 400, Some(worked.saturating_sub(5_000)));
        assert_eq!(monitor.worked_in(300), 300);
        monitor.read.1 = None;
        assert_eq!(monitor.worked_in(300), 0);
    }
}
