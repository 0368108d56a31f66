// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exit codes, safe under `git bisect run`.

use std::process::ExitCode;

/// What the process tells its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// No regression; the command did what it was asked.
    Good,
    /// A regression was found.
    Regression,
    /// Cannot tell: does not build, rig trouble, not enough exposure.
    CannotTell,
    /// The command line, a file or a setting is wrong.
    Usage,
    /// The user stopped it.
    Interrupted,
    /// A fault of the lab itself.
    Internal,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Good => 0,
            Exit::Regression => 1,
            Exit::CannotTell => 125,
            Exit::Usage => 129,
            Exit::Interrupted => 130,
            Exit::Internal => 255,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}
