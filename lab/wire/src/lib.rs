// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol between the lab and the agent in its guest.
//!
//! Transport: a virtio-serial port named [`PORT`], one JSON object a line, both ways.
//! The guest's console stays the kernel's own. The job comes in the initramfs as [`JOB_PATH`].
//! A line longer than [`MAX_LINE`] is cut by the reader and counted as damaged.

mod lines;
mod scenarios;

pub use lines::{Lines, decode, encode};
pub use scenarios::{Defaults, Known, SCENARIOS, TRIALS, known};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of everything in this crate; both sides refuse another one, by name.
pub const PROTOCOL: u32 = 3;
/// Name of the virtio-serial port, as in `/sys/class/virtio-ports/*/name`.
pub const PORT: &str = "org.lab.agent";
/// Where the agent finds its [`GuestJob`] in the initramfs.
pub const JOB_PATH: &str = "/lab/job.json";
/// Kernel argument (`NAME=ROWSxCOLUMNS`, handed to PID 1 as a variable) that asks for a shell on the second serial port
/// instead of the job.
pub const SHELL_ARGUMENT: &str = "lab_shell";
/// Longest line either side accepts, in bytes.
pub const MAX_LINE: usize = 64 * 1024;

/// What one boot is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestJob {
    /// [`PROTOCOL`] of the lab that wrote it.
    pub protocol: u32,
    /// Scenarios, run one after the other.
    pub scenarios: Vec<Scenario>,
    /// `path = value` pairs written below /proc/sys before the first scenario, e.g.
    /// `kernel/hung_task_timeout_secs`. A missing file is noted, not fatal.
    #[serde(default)]
    pub sysctl: BTreeMap<String, String>,
    /// Seconds that threads get to stop after they were told to, before they count as stuck.
    pub drain_seconds: u32,
    /// At the end of each scenario, when its threads have stopped and its filesystem is still mounted, say
    /// [`Event::Settled`] and wait for [`ToGuest::Go`], so that the lab can look at the kernel's memory.
    #[serde(default)]
    pub hold: bool,
}

/// One scenario with all its parameters; equal values give the same operations again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Name in the agent's table, e.g. `lookup-storm`.
    pub name: String,
    /// Filesystem: `tmpfs`, `xfs`, `ext4`, `nfs4.2`…
    pub fs: String,
    /// Number of worker threads.
    pub threads: u32,
    /// Number of names the threads fight over.
    pub names: u32,
    /// Number of directories.
    pub dirs: u32,
    /// Seconds of work.
    pub seconds: u32,
    /// Seed of every random choice.
    pub seed: u64,
    /// Pause between two operations of a thread, microseconds.
    #[serde(default)]
    pub pause_us: u32,
    /// Weight of each operation; empty: the scenario's own.
    #[serde(default)]
    pub mix: BTreeMap<String, u32>,
}

/// Lab to guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "say")]
pub enum ToGuest {
    /// Stop all scenarios now, report, power off.
    Stop,
    /// Tell what the kernel says of itself: an [`Event::State`] for each file that can be read, then
    /// [`Event::StateEnd`].
    State,
    /// Go on after [`Event::Settled`].
    Go {
        /// Index of the scenario.
        index: u32,
    },
    /// Answer with [`Event::Pong`].
    Ping {
        /// Comes back in the answer.
        n: u64,
    },
}

/// Guest to lab: one event with the guest's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FromGuest {
    /// Milliseconds since the guest booted (CLOCK_BOOTTIME).
    pub t_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What a guest reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "say")]
pub enum Event {
    /// First line of all.
    Hello {
        /// [`PROTOCOL`] of the agent.
        protocol: u32,
        /// Kernel release (uname -r).
        release: String,
        /// Online CPUs.
        cpus: u32,
        /// Memory, KiB.
        mem_kib: u64,
    },
    /// Answer to [`ToGuest::Ping`].
    Pong {
        /// As asked.
        n: u64,
    },
    /// A scenario's preparations (mkfs, mount, directories) are done; its first operation comes now.
    Begin {
        /// Index in [`GuestJob::scenarios`].
        index: u32,
        /// Its name.
        name: String,
        /// Its filesystem.
        fs: String,
    },
    /// About once a second while a scenario runs.
    Progress {
        /// Index of the scenario.
        index: u32,
        /// Operations done so far by all threads.
        ops: u64,
        /// Milliseconds since Begin.
        ran_ms: u64,
    },
    /// A number measured.
    Measure {
        /// Index of the scenario.
        index: u32,
        /// What, e.g. `ops-per-second` or `open.p99`.
        name: String,
        /// How much.
        value: f64,
        /// Unit: `1/s`, `us`, `count`…
        unit: String,
    },
    /// How long one kind of operation took: the whole distribution.
    Latencies {
        /// Index of the scenario.
        index: u32,
        /// Which operation.
        op: String,
        /// Upper bound of a bucket, nanoseconds, and how many fell into it; rising, empty buckets left out.
        buckets: Vec<(u64, u64)>,
    },
    /// An operation took far longer than its kind usually does.
    Slow {
        /// Index of the scenario.
        index: u32,
        /// Its kind.
        op: String,
        /// The operation itself, as the workload names it.
        step: String,
        /// How long, milliseconds.
        took_ms: u64,
        /// The median of its kind, microseconds.
        median_us: f64,
    },
    /// A CPU did not run its most urgent thread for a while.
    Stall {
        /// Which CPU.
        cpu: u32,
        /// How long, milliseconds.
        gap_ms: u64,
        /// Milliseconds of it in which the kernel counted itself at work on this CPU: where that is most of the gap, the
        /// guest's kernel kept the CPU; where it is little, the host did not run it, or interrupts were off.
        worked_ms: u64,
    },
    /// An oracle was violated: the kernel gave a wrong answer.
    Wrong {
        /// Index of the scenario.
        index: u32,
        /// Which oracle, a short fixed phrase that may be part of a signature.
        oracle: String,
        /// What was seen, with values.
        detail: String,
        /// The operations that led there, oldest first.
        history: Vec<String>,
    },
    /// A thread that was told to stop and did not.
    Stuck {
        /// Index of the scenario.
        index: u32,
        /// Task id in the guest.
        tid: i32,
        /// Task name.
        comm: String,
        /// Scheduler state letter of /proc/PID/stat.
        state: char,
        /// The operation it was in, as the workload names it.
        op: String,
        /// /proc/PID/wchan.
        wchan: String,
        /// Milliseconds since boot when that operation began: when the thread got stuck. 0 where that is not known.
        #[serde(default)]
        since_ms: u64,
        /// /proc/PID/stack, one frame an entry, innermost first.
        stack: Vec<String>,
    },
    /// A file of /proc as it read when [`ToGuest::State`] asked.
    State {
        /// Its path.
        path: String,
        /// What it held, cut to what a line takes.
        text: String,
    },
    /// All of it was told.
    StateEnd,
    /// A scenario's threads have stopped, its filesystem is still mounted; see [`GuestJob::hold`].
    Settled {
        /// Index of the scenario.
        index: u32,
    },
    /// A scenario is over.
    End {
        /// Index of the scenario.
        index: u32,
        /// How.
        how: Ended,
        /// Operations done by all threads.
        ops: u64,
        /// Milliseconds from Begin to here: the exposure.
        ran_ms: u64,
    },
    /// Anything worth keeping in the record that is no result.
    Note {
        /// The words.
        text: String,
    },
    /// The agent's own code failed (a panic of Rust, not a signal, which a kernel may cause): the guest powers off.
    Fault {
        /// What it said of itself.
        reason: String,
    },
    /// Last line of all: the guest powers off now.
    Bye,
}

/// How a scenario ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "as")]
pub enum Ended {
    /// Ran its time; all threads stopped.
    Done,
    /// The lab said stop before its time was over.
    Stopped,
    /// Ran, but some threads never stopped (see [`Event::Stuck`]).
    Stuck {
        /// How many.
        threads: u32,
    },
    /// Not run: this kernel or guest has not what it needs.
    Skipped {
        /// Why.
        reason: String,
    },
    /// The scenario itself failed (mkfs, mount, no memory, bad parameter).
    Failed {
        /// Why.
        reason: String,
    },
}
