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
        "BUG: Kernel NULL pointer dereference",
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
    // Older kernels say only the trap's name and the count of oopses.
    trap("int3: ", "int3 in {func}"),
    trap("bounds: ", "bounds in {func}"),
    trap("segment not present: ", "segment not present in {func}"),
    trap("invalid TSS: ", "invalid TSS in {func}"),
    trap("alignment check: ", "alignment check in {func}"),
    trap("control protection", "control protection fault in {func}"),
    // s390 names the program check and the length of the instruction.
    trap(" ilc:", "Oops in {func}").anywhere(),
    Format::new(
        "Internal error: UBSAN: ",
        Class::Ubsan,
        "UBSAN: trap in {func}",
    )
    .source(Source::Pointer),
    Format::new("CFI failure at ", Class::Bug, "CFI failure in {func}")
        .source(Source::Head("CFI failure at "))
        .role(Role::OpensBeforeTrap),
    Format::new("Missing ENDBR: ", Class::Bug, "CFI failure in {func}")
        .source(Source::Head("Missing ENDBR: "))
        .role(Role::OpensBeforeTrap),
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
    Format::new("Kernel BUG at ", Class::Bug, "kernel BUG in {func}")
        .source(Source::Pointer)
        .role(Role::Trap),
    Format::new("Kernel BUG [#", Class::Bug, "kernel BUG in {func}")
        .source(Source::Pointer)
        .role(Role::Follows),
    Format::new("Kernel bug detected[#", Class::Bug, "kernel BUG in {func}")
        .source(Source::Pointer)
        .role(Role::Trap),
    Format::new(
        "Unhandled prefetch abort: ",
        Class::Oops,
        "Unhandled fault in {func}",
    )
    .source(Source::Pointer),
    Format::new("Bad mode in ", Class::Oops, "Bad mode in {func}")
        .also(" handler detected")
        .source(Source::Pointer),
    Format::new("SError Interrupt on CPU", Class::Oops, "SError in {func}").source(Source::Pointer),
    Format::new("invalid opcode: ", Class::Oops, "invalid opcode in {func}")
        .source(Source::Pointer)
        .role(Role::Follows)
        .unless(&[" ip:"]),
    Format::new("Oops", Class::Oops, "Oops in {func}")
        .source(Source::Pointer)
        .role(Role::Follows)
        .also(": "),
    trap("Oops", "Oops in {func}"),
];

/// A trap that some kernels announce by other words before, with the number of this oops: `[#1]`.
const fn trap(head: &'static str, title: &'static str) -> Format {
    Format::new(head, Class::Oops, title)
        .source(Source::Pointer)
        .role(Role::Follows)
        .also("[#")
}
