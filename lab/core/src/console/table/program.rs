// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of the guest that crash on the console: not the kernel's doing for certain, and not to be overlooked.

use super::{Format, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new("runtime stack:", Class::Panic, "go runtime error")
        .source(Source::Nowhere)
        .suspicion(),
    Format::new("fatal error: ", Class::Panic, "go runtime error")
        .source(Source::Nowhere)
        .suspicion(),
    Format::new("' panicked at ", Class::Panic, "program panicked")
        .also("thread '")
        .anywhere()
        .source(Source::Nowhere)
        .suspicion(),
];
