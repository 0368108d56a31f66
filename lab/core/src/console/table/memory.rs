// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages, slabs, stacks (mm/page_alloc.c, mm/slub.c).

use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "BUG: Bad page state",
        Class::Memory,
        "BUG: Bad page state in {func}",
    ),
    Format::new("BUG: Bad page map", Class::Memory, "BUG: Bad page map"),
    Format::new(
        "BUG: Bad rss-counter state",
        Class::Memory,
        "BUG: Bad rss-counter state",
    )
    .source(Source::Nowhere),
    Format::new(
        "BUG: non-zero pgtables_bytes on freeing mm",
        Class::Memory,
        "BUG: non-zero pgtables_bytes on freeing mm",
    )
    .source(Source::Nowhere),
    Format::new(
        "BUG: Bad page cache",
        Class::Memory,
        "BUG: Bad page cache in {func}",
    ),
    Format::new("Slab corruption", Class::Memory, "slab corruption")
        .also("start=")
        .source(Source::Nowhere),
    Format::new("slab error in ", Class::Memory, "slab corruption in {func}").source(Source::Stack),
    Format::new(
        "INFO: Freed in ",
        Class::Memory,
        "slab corruption in {func}",
    )
    .source(Source::Head("Freed in "))
    .role(Role::Follows),
    Format::new(
        "INFO: Allocated in ",
        Class::Memory,
        "slab corruption in {func}",
    )
    .source(Source::Head("Allocated in "))
    .role(Role::Follows),
    Format::new("invoked oom-killer: ", Class::Memory, "out of memory")
        .anywhere()
        .source(Source::Nowhere)
        .suspicion(),
    Format::new("Out of memory: Kill", Class::Memory, "out of memory")
        .source(Source::Nowhere)
        .suspicion(),
    Format::new(
        "stack guard page was hit",
        Class::StackOverflow,
        "BUG: stack guard page was hit in {func}",
    )
    .also("BUG: ")
    .anywhere()
    .source(Source::Entry)
    .alt(&["stack-overflow in {func}"]),
    Format::new(
        "PANIC: double fault",
        Class::StackOverflow,
        "PANIC: double fault in {func}",
    )
    .source(Source::Pointer),
    Format::new(
        "ernel stack overflow",
        Class::StackOverflow,
        "kernel stack overflow in {func}",
    )
    .anywhere()
    .source(Source::Pointer)
    .role(Role::Follows),
    Format::new(
        "Insufficient stack space to handle exception",
        Class::StackOverflow,
        "kernel stack overflow in {func}",
    )
    .source(Source::Pointer),
];
