// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stands still: hung tasks (kernel/hung_task.c), lockups (kernel/watchdog.c), workqueues (kernel/workqueue.c).

use super::super::skip;
use super::{Format, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new("INFO: task ", Class::HungTask, "INFO: task hung in {func}")
        .also(" blocked for more than ")
        .source(Source::Wait)
        .skip(&[skip::MESSENGERS, skip::WAITS])
        .alt(&["hang in {func}"])
        .suspicion(),
    Format::new("INFO: task ", Class::HungTask, "INFO: task hung in {func}")
        .also(" blocked in I/O wait for more than ")
        .source(Source::Wait)
        .skip(&[skip::MESSENGERS, skip::WAITS])
        .alt(&["hang in {func}"])
        .suspicion(),
    Format::new(
        "INFO: task ",
        Class::HungTask,
        "INFO: task can't die in {func}",
    )
    .also(" can't die for more than ")
    .source(Source::Wait)
    .skip(&[skip::MESSENGERS, skip::WAITS])
    .alt(&["hang in {func}"])
    .suspicion(),
    Format::new(
        "BUG: soft lockup - CPU",
        Class::SoftLockup,
        "BUG: soft lockup in {func}",
    )
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS])
    .alt(&["stall in {func}"]),
    Format::new(
        "etected hard LOCKUP",
        Class::HardLockup,
        "BUG: hard lockup in {func}",
    )
    .anywhere()
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS])
    .alt(&["stall in {func}"]),
    Format::new(
        "etected hard lockup on CPU",
        Class::HardLockup,
        "BUG: hard lockup in {func}",
    )
    .anywhere()
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS]),
    Format::new(
        "Hard LOCKUP",
        Class::HardLockup,
        "BUG: hard lockup in {func}",
    )
    .also("CPU ")
    .anywhere()
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS])
    .unless(&["Kernel panic"]),
    Format::new(
        "NMI Watchdog detected LOCKUP",
        Class::HardLockup,
        "BUG: hard lockup in {func}",
    )
    .anywhere()
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS]),
    Format::new(
        "Detected non-responsive CSD lock",
        Class::SoftLockup,
        "non-responsive CSD lock in {func}",
    )
    .anywhere()
    .also("csd")
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS]),
    Format::new(
        "BUG: workqueue lockup",
        Class::WorkqueueLockup,
        "BUG: workqueue lockup",
    )
    .source(Source::Nowhere),
    Format::new(
        "unregister_netdevice: waiting for ",
        Class::Leak,
        "unregister_netdevice: waiting for DEV to become free",
    )
    .also(" to become free")
    .source(Source::Nowhere),
];
