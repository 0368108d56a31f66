// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why one patch stops: its own fault, or the lab's.

use crate::error::Error;
use lab_core::apply::Reason;

/// A patch at fault.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) file: Option<String>,
    pub(super) reason: Reason,
}

/// Applying cannot go on.
#[derive(Debug)]
pub(super) enum Halt {
    /// The patch is at fault.
    Fault(Box<Fault>),
    /// The lab could not do its work.
    Error(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Halt::Error(error.into())
    }
}

pub(super) fn fault(file: &str, reason: Reason) -> Halt {
    Halt::Fault(Box::new(Fault {
        file: (!file.is_empty()).then(|| file.to_owned()),
        reason,
    }))
}

pub(super) fn tree_fault(file: &str, why: &str) -> Halt {
    let why = why.to_owned();
    fault(file, Reason::Tree { why })
}

pub(super) fn hostile(file: &str, why: &str) -> Halt {
    let why = why.to_owned();
    fault(file, Reason::Hostile { why })
}

pub(super) fn unproven(file: &str, why: &str) -> Halt {
    let why = why.to_owned();
    fault(file, Reason::Unproven { why })
}

/// The result of anything that a patch can be at fault for.
pub(super) type Attempt<T> = std::result::Result<T, Halt>;
