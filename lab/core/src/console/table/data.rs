// SPDX-License-Identifier: MIT OR Apache-2.0
//! Damaged data: lists, reference counts, user copies, debug objects, leaks (lib/list_debug.c, lib/refcount.c, mm/usercopy.c, lib/debugobjects.c).

use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "list_add corruption",
        Class::ListCorruption,
        "BUG: corrupted list in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap)
    .alt(&["list_add corruption in {func}"]),
    Format::new(
        "list_add double add",
        Class::ListCorruption,
        "BUG: corrupted list in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "list_del corruption",
        Class::ListCorruption,
        "BUG: corrupted list in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap)
    .alt(&["list_del corruption in {func}"]),
    Format::new(
        "refcount_t: ",
        Class::Refcount,
        "WARNING: refcount bug in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "refcount_t ",
        Class::Refcount,
        "WARNING: refcount bug in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap)
    .also("uid/euid: "),
    Format::new("usercopy: ", Class::Usercopy, "BUG: bad usercopy in {func}")
        .source(Source::Pointer)
        .role(Role::OpensBeforeTrap)
        .also("attempt detected"),
    Format::new(
        "Bad or missing usercopy whitelist",
        Class::Usercopy,
        "WARNING: bad usercopy in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "detected buffer overflow",
        Class::Bug,
        "kernel BUG in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "detected field-spanning ",
        Class::Warning,
        "WARNING in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "ODEBUG: ",
        Class::ObjectDebug,
        "WARNING: ODEBUG bug in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap)
    .also("object type: "),
    Format::new("Leaked locks on dev=", Class::Leak, "leaked file locks").source(Source::Nowhere),
    Format::new("Leaked ", Class::Leak, "leaked file locks")
        .also(" lock on dev=")
        .source(Source::Nowhere)
        .role(Role::Follows),
    Format::new("BUG: memory leak", Class::Leak, "memory leak in {func}")
        .role(Role::OpensBeforeTrap),
    Format::new("unreferenced object ", Class::Leak, "memory leak in {func}").role(Role::Trap),
    Format::new("new suspected memory leaks", Class::Leak, "memory leak")
        .anywhere()
        .source(Source::Nowhere),
];
