// SPDX-License-Identifier: MIT OR Apache-2.0
//! Traps: page faults, protection faults, BUG() (arch/x86/mm/fault.c, arch/x86/kernel/traps.c, arch/arm64/kernel/traps.c).

use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "BUG: unable to handle kernel NULL pointer dereference",
        Class::Oops,
        "BUG: unable to handle kernel NULL pointer dereference in {func}",
    )
    .source(Source::Pointer)
    .alt(&["bad-access in {func}"]),
    Format::new(
        "BUG: kernel NULL pointer dereference",
        Class::Oops,
        "BUG: unable to handle kernel NULL pointer dereference in {func}",
    )
    .source(Source::Pointer)
    .alt(&["bad-access in {func}"]),
    Format::new(
        "nable to handle kernel NULL pointer dereference",
        Class::Oops,
        "BUG: unable to handle kernel NULL pointer dereference in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .alt(&["bad-access in {func}"]),
    Format::new(
        "BUG: unable to handle ",
        Class::Oops,
        "BUG: unable to handle kernel paging request in {func}",
    )
    .source(Source::Pointer)
    .alt(&["bad-access in {func}"]),
    Format::new(
        "nable to handle kernel ",
        Class::Oops,
        "BUG: unable to handle kernel paging request in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .alt(&["bad-access in {func}"]),
    Format::new(
        "general protection fault",
        Class::Oops,
        "general protection fault in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .alt(&["bad-access in {func}"])
    .unless(&[" ip:", "error:0 in", "user space"]),
    Format::new(
        "stack segment: ",
        Class::Oops,
        "stack segment fault in {func}",
    )
    .source(Source::Pointer),
    Format::new("divide error", Class::Oops, "divide error in {func}")
        .source(Source::Pointer)
        .unless(&[" ip:"]),
    Format::new("divide_error: ", Class::Oops, "divide error in {func}").source(Source::Pointer),
    Format::new("Internal error: ", Class::Oops, "Internal error in {func}")
        .source(Source::Pointer)
        .role(Role::Follows),
    Format::new(
        "Unhandled fault: ",
        Class::Oops,
        "Unhandled fault in {func}",
    )
    .source(Source::Pointer),
    Format::new("kernel BUG at ", Class::Bug, "kernel BUG in {func}")
        .source(Source::Pointer)
        .role(Role::Trap),
    Format::new("invalid opcode: ", Class::Oops, "invalid opcode in {func}")
        .source(Source::Pointer)
        .role(Role::Follows)
        .unless(&[" ip:"]),
    Format::new("Oops", Class::Oops, "Oops in {func}")
        .source(Source::Pointer)
        .role(Role::Follows)
        .also(": "),
];
