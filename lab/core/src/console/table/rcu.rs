// SPDX-License-Identifier: MIT OR Apache-2.0
//! RCU: misuse (kernel/locking/lockdep.c, lockdep_rcu_suspicious) and stalls (kernel/rcu/tree_stall.h).

use super::super::skip;
use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "suspicious RCU usage",
        Class::Rcu,
        "WARNING: suspicious RCU usage in {func}",
    )
    .anywhere()
    .unless(&["turned off"]),
    Format::new(
        "suspicious rcu_dereference",
        Class::Rcu,
        "WARNING: suspicious RCU usage in {func}",
    )
    .anywhere()
    .also("usage. ]"),
    Format::new(
        "detected stall",
        Class::RcuStall,
        "INFO: rcu detected stall in {func}",
    )
    .anywhere()
    .also("rcu")
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS])
    .alt(&["stall in {func}"]),
    Format::new(
        "self-detected stall on CPU",
        Class::RcuStall,
        "INFO: rcu detected stall in {func}",
    )
    .anywhere()
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS])
    .alt(&["stall in {func}"]),
    Format::new(
        "detected expedited stalls on CPUs",
        Class::RcuStall,
        "INFO: rcu detected stall in {func}",
    )
    .anywhere()
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS])
    .alt(&["stall in {func}"]),
    Format::new(
        "kthread starved for ",
        Class::RcuStall,
        "INFO: rcu detected stall in {func}",
    )
    .anywhere()
    .also("rcu")
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS])
    .role(Role::Follows),
    Format::new(
        "rcu_tasks detected stalls on tasks",
        Class::RcuStall,
        "INFO: rcu detected stall in {func}",
    )
    .anywhere()
    .source(Source::Entry)
    .skip(&[skip::MESSENGERS, skip::STALL_DETECTORS]),
];
