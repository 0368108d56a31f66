// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads the SERIES argument: finds out what it names, fetches the bytes, and hands them to the mail room.

mod file;
mod folder;
mod range;

use crate::error::{Error, Result};
use lab_core::series::{ReadOptions, Series, SeriesError};
use std::path::{Path, PathBuf};

/// What the user said besides the argument.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The version to take where there are several.
    pub version: Option<u32>,
    /// The repository in which a range `REV..REV` is looked up.
    pub tree: Option<PathBuf>,
}

const ACCEPTED: &str = "give an mbox (also .gz), one patch file, a folder with *.patch files, a maildir or a quilt \
     `series` file, - for standard input, or REV..REV together with --tree";

/// Reads a series from a path, from standard input (`-`), or from a range of commits.
///
/// # Errors
/// A usage error that names the place and what to try, when there is nothing to read or not one whole series in it.
pub fn read_series(arg: &str, options: &Options) -> Result<Series> {
    let path = Path::new(arg);
    let read = ReadOptions {
        version: options.version,
        name: None,
    };
    let series = if arg == "-" {
        file::read(std::io::stdin().lock(), "standard input")
            .and_then(|bytes| file::series(&bytes, arg, &read))
    } else if path.is_dir() {
        folder::read(path, &read)
    } else if path.exists() {
        file::open(path).and_then(|bytes| file::series(&bytes, arg, &read))
    } else if arg.contains("..") && !arg.contains('/')
        || range::is_range(arg, options.tree.as_deref())
    {
        range::read(arg, options.tree.as_deref(), &read)
    } else {
        Err(Error::usage(format!("there is no file or folder {arg}")).hint(ACCEPTED))
    };
    series.map_err(|error| error.doing(format!("read the series {arg}")))
}

/// Does the argument name commits, so that a tree is needed to read it? What cannot be a series at all is refused here,
/// before minutes are spent on a tree.
///
/// # Errors
/// There is no such file, and it is no range either.
pub fn needs_tree(arg: &str) -> Result<bool> {
    if arg == "-" || Path::new(arg).exists() {
        return Ok(false);
    }
    if arg.contains("..") {
        return Ok(true);
    }
    Err(Error::usage(format!("there is no file or folder {arg}"))
        .hint(ACCEPTED)
        .doing(format!("read the series {arg}")))
}

/// A refusal of the mail room, for people.
fn refused(error: SeriesError) -> Error {
    let hint = error.hint();
    let told = Error::usage(error.to_string());
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

#[cfg(test)]
mod tests;
