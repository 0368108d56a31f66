// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can happen to a boot, and what can be done about it.

use crate::finding::{Class, Weight};
use lab_wire::{FromGuest, ToGuest};

/// Something that happened, as the driver saw it.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// QEMU was started.
    Spawned,
    /// The guest printed.
    ConsoleBytes {
        /// How many bytes.
        n: u64,
    },
    /// A line of the console that says something about the machine itself.
    Mark(Mark),
    /// The console reader saw a report.
    Report {
        /// Suspicion or finding.
        weight: Weight,
        /// What kind.
        class: Class,
    },
    /// The agent said something.
    Agent(FromGuest),
    /// The agent's port gave a line that is no message.
    AgentGarbage,
    /// QEMU told of the machine.
    Qmp(Qmp),
    /// A piece of evidence is in, or cannot be had.
    Gathered {
        /// Which.
        evidence: Evidence,
        /// What went wrong with it, for people.
        trouble: Option<String>,
    },
    /// QEMU is gone, and all that it and its guest said was read.
    Exited(QemuEnd),
    /// Time passed.
    Tick,
    /// The user wants an end in order.
    StopOrderly,
    /// The user wants an end at once.
    StopNow,
    /// The lab cannot keep what it hears (disk full), or cannot go on.
    StoreFailed {
        /// Why, and what to try.
        reason: String,
    },
}

/// A console line about the machine, found by [`super::Marks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `Linux version …`: a kernel begins.
    Banner,
    /// `Kernel panic - not syncing: …`.
    Panic,
    /// `Kernel Offset: …` or `Rebooting in … seconds`: nothing of interest follows in a panic. A PREEMPT_RT kernel never
    /// prints the second.
    LastWords,
}

/// What QEMU's monitor tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qmp {
    /// GUEST_PANICKED: pvpanic was written; the guest is paused.
    Panicked,
    /// SHUTDOWN.
    Shutdown(ShutdownCause),
    /// RESET.
    Reset {
        /// The guest asked for it.
        guest: bool,
    },
    /// STOP: the virtual CPUs stand.
    Stopped,
}

/// Why a machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownCause {
    /// The guest powered off.
    PowerOff,
    /// The guest asked for a reset, which is a power-off in this machine.
    Reset,
    /// The guest panicked.
    Panic,
    /// The lab told QEMU to quit.
    Quit,
    /// A signal from outside told QEMU to quit.
    Signal,
    /// Any other reason.
    Other,
}

/// How QEMU ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QemuEnd {
    /// Exit code, if it exited.
    pub code: Option<i32>,
    /// Signal, if one killed it.
    pub signal: Option<i32>,
    /// The end of what it printed to its standard error.
    pub said: String,
}

/// A piece of evidence that only a living machine can give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// Registers of each virtual CPU, from QEMU.
    Registers,
    /// What the kernel says of itself in /proc, from the agent.
    State,
    /// The kernel's own answer, on its console, to a magic SysRq key.
    SysRq(char),
    /// The guest's memory, from QEMU, which stops the guest meanwhile.
    Dump(Purpose),
    /// The rest of a panic: the guest goes on, prints what it still holds back, and reboots. A PREEMPT_RT kernel prints
    /// its report from a thread, and pvpanic pauses it before that has run.
    Resume,
}

/// What a dump is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Something failed. A later one of a boot takes the place of an earlier one.
    Failure {
        /// What, for people.
        why: String,
    },
    /// To audit the kernel's caches at the end of a scenario.
    Audit {
        /// Which.
        index: u32,
    },
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Say this to the agent; if its port does not take it, forget it.
    SendAgent(ToGuest),
    /// Keep this in the record, for people.
    Remark(String),
    /// Get this, then send [`Event::Gathered`].
    Gather(Evidence),
    /// It is not waited for any longer: nothing of it may go on.
    GiveUp(Evidence),
    /// Ask QEMU to quit.
    Quit,
    /// Kill QEMU.
    Kill,
}
