// SPDX-License-Identifier: MIT OR Apache-2.0
//! The beginning of a boot: a second one is a reboot (init/main.c, start_kernel).

use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new("Linux version ", Class::Reboot, "unexpected kernel reboot")
        .source(Source::Nowhere)
        .role(Role::Banner),
    Format::new(
        "SeaBIOS (version ",
        Class::Reboot,
        "unexpected kernel reboot",
    )
    .source(Source::Nowhere)
    .role(Role::Firmware),
    Format::new("------------[ cut here ]", Class::Warning, "")
        .anywhere()
        .role(Role::Cut),
];
