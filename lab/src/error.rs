// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors that reach people: what was being done, to what, and what to try next.

use crate::exit::Exit;
use std::fmt;

/// The result of anything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// An error with its exit code, the chain of what was being done, and a hint.
#[derive(Debug)]
pub struct Error {
    exit: Exit,
    doing: Vec<String>,
    cause: String,
    hint: Option<String>,
}

impl Error {
    /// The input is wrong: command line, series, profile, settings (exit 129).
    pub fn usage(cause: impl Into<String>) -> Self {
        Self::new(Exit::Usage, cause)
    }
    /// The host or the tree does not let the lab work: cannot tell (exit 125).
    pub fn rig(cause: impl Into<String>) -> Self {
        Self::new(Exit::CannotTell, cause)
    }
    /// The user stopped it (exit 130).
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "stopped on request")
    }
    /// A fault of the lab itself (exit 255).
    pub fn internal(cause: impl Into<String>) -> Self {
        Self::new(Exit::Internal, cause)
    }
    fn new(exit: Exit, cause: impl Into<String>) -> Self {
        Self {
            exit,
            doing: Vec::new(),
            cause: cause.into(),
            hint: None,
        }
    }
    /// Adds what was being done; reads as «failed to {doing}».
    #[must_use]
    pub fn doing(mut self, doing: impl Into<String>) -> Self {
        self.doing.push(doing.into());
        self
    }
    /// Adds what to try next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// The exit code it stands for.
    pub fn exit(&self) -> Exit {
        self.exit
    }
    /// What to try next.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for doing in self.doing.iter().rev() {
            write!(f, "failed to {doing}: ")?;
        }
        f.write_str(&self.cause)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::rig(error.to_string())
    }
}

impl From<git2::Error> for Error {
    fn from(error: git2::Error) -> Self {
        Self::rig(error.message().to_owned())
    }
}

/// Adds what was being done to a foreign error.
pub trait Doing<T> {
    /// `doing` reads as «failed to {doing}».
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> Doing<T> for std::result::Result<T, E> {
    fn doing<S: Into<String>>(self, doing: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.into().doing(doing()))
    }
}
