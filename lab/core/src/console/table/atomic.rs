// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sleeping where one must not (kernel/sched/core.c).

use super::super::skip;
use super::Format;
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "BUG: sleeping function called from invalid context",
        Class::AtomicSleep,
        "BUG: sleeping function called from invalid context in {func}",
    ),
    Format::new(
        "BUG: scheduling while atomic",
        Class::AtomicSleep,
        "BUG: scheduling while atomic in {func}",
    )
    .skip(&[skip::MESSENGERS, skip::WAITS]),
    Format::new(
        "BUG: scheduling in a non-blocking section",
        Class::AtomicSleep,
        "BUG: scheduling in a non-blocking section in {func}",
    )
    .skip(&[skip::MESSENGERS, skip::WAITS]),
    Format::new(
        "BUG: assuming atomic context",
        Class::AtomicSleep,
        "BUG: assuming atomic context in {func}",
    ),
    Format::new(
        "BUG: assuming non migratable context",
        Class::AtomicSleep,
        "BUG: assuming non migratable context in {func}",
    ),
];
