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
        "detected buffer overflow in ",
        Class::Usercopy,
        "kernel BUG in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "memcpy: detected field-spanning ",
        Class::Usercopy,
        "WARNING in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "ODEBUG: ",
        Class::ObjectDebug,
        "WARNING: ODEBUG bug in {func}",
    )
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap)
    .unless(&["Out of memory", "ODEBUG: selftest", "ODEBUG: 0 of"]),
    Format::new("BUG: memory leak", Class::Leak, "memory leak in {func}"),
    Format::new("unreferenced object ", Class::Leak, "memory leak in {func}"),
    Format::new("new suspected memory leaks", Class::Leak, "memory leak")
        .anywhere()
        .source(Source::Nowhere),
];
