// SPDX-License-Identifier: MIT OR Apache-2.0
//! KASAN, KFENCE, KMSAN, KCSAN (mm/kasan/report.c and its neighbours), UBSAN (lib/ubsan.c).

use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "BUG: KASAN: ",
        Class::Kasan,
        "KASAN: {kind} {access} in {func}",
    )
    .source(Source::Head(" in "))
    .alt(&["bad-access in {func}"]),
    Format::new(
        "KASAN: null-ptr-deref in range",
        Class::Oops,
        "general protection fault in {func}",
    )
    .source(Source::Pointer)
    .role(Role::Follows),
    Format::new(
        "KASAN: maybe wild-memory-access in range",
        Class::Oops,
        "general protection fault in {func}",
    )
    .source(Source::Pointer)
    .role(Role::Follows),
    Format::new("BUG: KFENCE: ", Class::Kfence, "KFENCE: {kind} in {func}")
        .source(Source::Head(" in "))
        .alt(&["bad-access in {func}"]),
    Format::new("BUG: KMSAN: ", Class::Kmsan, "KMSAN: {kind} in {func}")
        .source(Source::Head(" in "))
        .alt(&["bad-access in {func}"]),
    Format::new("BUG: KCSAN: ", Class::Kcsan, "KCSAN: {kind} in {func}")
        .source(Source::Head(" in ")),
    Format::new(
        "UBSAN: Undefined behaviour in ",
        Class::Ubsan,
        "UBSAN: undefined-behaviour in {func}",
    ),
    Format::new("UBSAN: ", Class::Ubsan, "UBSAN: {kind} in {func}").also(" in "),
];
