// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a step ends when it does not end well, and the checks that many scenarios share.

use crate::ops::{self, errno_name};
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// How a step went otherwise than well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call answered with an errno that may be: another thread was first, or memory ran out.
    Answer(i32),
    /// An oracle was violated: its name, and what was seen.
    Wrong(&'static str, String),
}

impl Fault {
    /// A violated oracle.
    pub(crate) fn wrong(oracle: &'static str, seen: impl Into<String>) -> Self {
        Self::Wrong(oracle, seen.into())
    }
}

/// Whether an errno means that memory, space or descriptors ran out: nobody's fault.
pub(crate) fn starved(errno: i32) -> bool {
    use libc::{EDQUOT, EMFILE, ENFILE, ENOMEM, ENOSPC};
    [ENOMEM, ENOSPC, EMFILE, ENFILE, EDQUOT].contains(&errno)
}

/// An errno where none is due: starvation stays what it is, the rest violates the oracle.
pub(crate) fn due(oracle: &'static str, call: &'static str) -> impl Fn(i32) -> Fault {
    move |errno| match errno {
        errno if starved(errno) => Fault::Answer(errno),
        errno => Fault::Wrong(oracle, format!("{call} gave {}", errno_name(errno))),
    }
}

/// An errno of a call that may end with one of `expected`; any other is wrong.
pub(crate) fn may(call: &'static str, expected: &'static [i32]) -> impl Fn(i32) -> Fault {
    move |errno| match errno {
        errno if starved(errno) || expected.contains(&errno) => Fault::Answer(errno),
        errno => Fault::Wrong(
            "unexpected errno",
            format!("{call} gave {}", errno_name(errno)),
        ),
    }
}

/// What was written is read again.
pub(crate) fn content(
    file: BorrowedFd<'_>,
    wanted: &[u8],
    oracle: &'static str,
) -> Result<(), Fault> {
    let mut bytes = [0; 32];
    let got = ops::read_at_0(file, &mut bytes).map_err(due(oracle, "read"))?;
    if &bytes[..got] == wanted {
        return Ok(());
    }
    let seen = String::from_utf8_lossy(&bytes[..got]);
    Err(Fault::Wrong(oracle, format!("{got} bytes: {seen:?}")))
}

/// A name that must not be there is not there.
pub(crate) fn gone(dir: BorrowedFd<'_>, name: &CStr, oracle: &'static str) -> Result<(), Fault> {
    match ops::stat(dir, name) {
        Err(libc::ENOENT) => Ok(()),
        Err(errno) => Err(due(oracle, "stat")(errno)),
        Ok(meta) => Err(Fault::Wrong(
            oracle,
            format!("stat finds inode {}", meta.ino),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starvation_is_nobodys_fault_and_other_errnos_are_judged() {
        assert_eq!(due("x", "open")(libc::ENOSPC), Fault::Answer(libc::ENOSPC));
        assert_eq!(
            due("x", "open")(libc::EIO),
            Fault::wrong("x", "open gave EIO")
        );
        let judged = may("unlink", &[libc::ENOENT]);
        assert_eq!(judged(libc::ENOENT), Fault::Answer(libc::ENOENT));
        assert_eq!(
            judged(libc::EIO),
            Fault::wrong("unexpected errno", "unlink gave EIO")
        );
    }
}
