// SPDX-License-Identifier: MIT OR Apache-2.0
//! WARN() and what has no format of its own (kernel/panic.c, __warn; lib/bug.c).

use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "WARNING: kernel stack ",
        Class::Warning,
        "WARNING: kernel stack {rest}",
    )
    .source(Source::Nowhere),
    Format::new(
        "WARNING: stack recursion",
        Class::Warning,
        "WARNING: stack recursion",
    )
    .source(Source::Nowhere),
    Format::new(
        "WARNING: ",
        Class::Refcount,
        "WARNING: refcount bug in {func}",
    )
    .also("lib/refcount.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::ObjectDebug,
        "WARNING: ODEBUG bug in {func}",
    )
    .also("lib/debugobjects.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::Lockdep,
        "WARNING: locking bug in {func}",
    )
    .also("kernel/locking/lockdep.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::Lockdep,
        "WARNING: locking bug in {func}",
    )
    .also("kernel/locking/")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::Usercopy,
        "WARNING: bad usercopy in {func}",
    )
    .also("mm/usercopy.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::Warning,
        "WARNING: kmalloc bug in {func}",
    )
    .also("mm/slab_common.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::Warning,
        "WARNING: kobject bug in {func}",
    )
    .also("lib/kobject.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::Warning,
        "WARNING: proc registration bug in {func}",
    )
    .also("fs/proc/generic.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new(
        "WARNING: ",
        Class::ListCorruption,
        "BUG: corrupted list in {func}",
    )
    .also("lib/list_debug.c:")
    .source(Source::Pointer)
    .role(Role::Trap),
    Format::new("WARNING: CPU: ", Class::Warning, "WARNING in {func}")
        .source(Source::Pointer)
        .role(Role::Trap),
    Format::new("WARNING: at ", Class::Warning, "WARNING in {func}")
        .source(Source::Pointer)
        .role(Role::Trap),
    // Since 6.19: `WARNING: fs/dcache.c:365 at dput+0x10/0x20, CPU#1: storm/77`.
    Format::new("WARNING: ", Class::Warning, "WARNING in {func}")
        .also(", CPU#")
        .source(Source::Pointer)
        .role(Role::Trap),
    Format::new("BUG: ", Class::Bug, "BUG: {rest}").source(Source::Nowhere),
    Format::new("BUG ", Class::Memory, "BUG: {slab}")
        .also("ainted")
        .source(Source::Nowhere)
        .unless(&["kasan: bad access detected"]),
];
