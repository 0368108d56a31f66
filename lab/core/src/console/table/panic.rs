// SPDX-License-Identifier: MIT OR Apache-2.0
//! Panics (kernel/panic.c).

use super::super::skip;
use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: ",
        Class::StackOverflow,
        "kernel panic: stack is corrupted in {func}",
    )
    .source(Source::Head("corrupted in: ")),
    Format::new(
        "Kernel panic - not syncing: corrupted stack end detected inside scheduler",
        Class::StackOverflow,
        "kernel panic: corrupted stack end in {func}",
    )
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::WAITS])
    .alt(&["stack-overflow in {func}"]),
    Format::new(
        "Kernel panic - not syncing: Attempted to kill init",
        Class::Panic,
        "kernel panic: Attempted to kill init!",
    )
    .source(Source::Nowhere)
    .role(Role::Follows),
    Format::new(
        "Kernel panic - not syncing: Fatal exception",
        Class::Panic,
        "kernel panic: Fatal exception",
    )
    .source(Source::Nowhere)
    .role(Role::Consequence),
    Format::new(
        "Kernel panic - not syncing: panic_on_",
        Class::Panic,
        "kernel panic: panic_on_{rest}",
    )
    .source(Source::Nowhere)
    .role(Role::Consequence),
    Format::new(
        "Kernel panic - not syncing: hung_task",
        Class::Panic,
        "kernel panic: hung_task: blocked tasks",
    )
    .source(Source::Nowhere)
    .role(Role::Consequence),
    Format::new(
        "Kernel panic - not syncing: softlockup",
        Class::Panic,
        "kernel panic: softlockup: hung tasks",
    )
    .source(Source::Nowhere)
    .role(Role::Consequence),
    Format::new(
        "Kernel panic - not syncing: Hard LOCKUP",
        Class::Panic,
        "kernel panic: Hard LOCKUP",
    )
    .source(Source::Nowhere)
    .role(Role::Consequence),
    Format::new(
        "Kernel panic - not syncing: RCU Stall",
        Class::Panic,
        "kernel panic: RCU Stall",
    )
    .source(Source::Nowhere)
    .role(Role::Consequence),
    Format::new(
        "Kernel panic - not syncing: ",
        Class::Panic,
        "kernel panic: {rest}",
    )
    .source(Source::Nowhere)
    .role(Role::Follows),
    Format::new(
        "end Kernel panic - not syncing",
        Class::Panic,
        "kernel panic",
    )
    .anywhere()
    .source(Source::Nowhere)
    .role(Role::Consequence),
    Format::new("panicked at ", Class::Panic, "panicked in {func}")
        .also("rust_kernel: ")
        .anywhere()
        .source(Source::Pointer)
        .role(Role::OpensBeforeTrap),
];
