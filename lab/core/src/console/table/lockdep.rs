// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lock reports (kernel/locking/lockdep.c, kernel/locking/spinlock_debug.c).

use super::{Format, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "possible circular locking dependency detected",
        Class::Lockdep,
        "possible deadlock in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "possible recursive locking detected",
        Class::Lockdep,
        "possible deadlock in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "possible irq lock inversion dependency detected",
        Class::Lockdep,
        "possible deadlock in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new("-safe -> ", Class::Lockdep, "possible deadlock in {func}")
        .also("-unsafe lock order detected")
        .anywhere()
        .source(Source::Aside)
        .by_locks(),
    Format::new(
        "inconsistent lock state",
        Class::Lockdep,
        "inconsistent lock state in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "Invalid wait context",
        Class::Lockdep,
        "WARNING: invalid wait context in {func}",
    )
    .anywhere()
    .also("[ BUG: ")
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "bad unlock balance detected",
        Class::Lockdep,
        "WARNING: bad unlock balance in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "bad contention detected",
        Class::Lockdep,
        "WARNING: bad contention in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "held lock freed!",
        Class::Lockdep,
        "WARNING: held lock freed in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "still has locks held!",
        Class::Lockdep,
        "WARNING: still has locks held in {func}",
    )
    .anywhere()
    .source(Source::HeldAt),
    Format::new(
        "lock held when returning to user space!",
        Class::Lockdep,
        "WARNING: lock held when returning to user space in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "ested lock was not taken",
        Class::Lockdep,
        "WARNING: nested lock was not taken in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "trying to register non-static key",
        Class::Lockdep,
        "INFO: trying to register non-static key in {func}",
    )
    .anywhere(),
    Format::new(
        "BUG: spinlock ",
        Class::Lockdep,
        "BUG: spinlock {rest} in {func}",
    ),
    Format::new(
        "BUG: rwlock ",
        Class::Lockdep,
        "BUG: rwlock {rest} in {func}",
    ),
    Format::new(
        "circular locking deadlock detected",
        Class::Lockdep,
        "possible deadlock in {func}",
    )
    .anywhere()
    .source(Source::LockAt)
    .by_locks(),
    Format::new(
        "lock held at task exit time!",
        Class::Lockdep,
        "WARNING: lock held at task exit in {func}",
    )
    .anywhere()
    .source(Source::HeldAt),
    Format::new(
        "chain_key collision",
        Class::Lockdep,
        "WARNING: chain_key collision in {func}",
    )
    .also("WARNING: ")
    .anywhere(),
    Format::new(
        "BUG: looking up invalid subclass",
        Class::Lockdep,
        "BUG: looking up invalid subclass in {func}",
    ),
    Format::new(
        "BUG: key ",
        Class::Lockdep,
        "BUG: key not registered in {func}",
    ),
    Format::new("BUG: MAX_", Class::Lockdep, "BUG: MAX_{rest}").source(Source::Nowhere),
    Format::new(
        "BUG: using ",
        Class::Lockdep,
        "BUG: using {kind} in preemptible code in {func}",
    )
    .also(" in preemptible ["),
    Format::new(
        "BUG: workqueue leaked lock or atomic",
        Class::Lockdep,
        "BUG: workqueue leaked lock or atomic in {func}",
    )
    .alt(&["BUG: workqueue leaked atomic, lock or RCU in {func}"]),
    Format::new(
        "BUG: workqueue leaked atomic, lock or RCU",
        Class::Lockdep,
        "BUG: workqueue leaked lock or atomic in {func}",
    ),
];
