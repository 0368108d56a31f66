// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that survive a crash, and files that make wrote, which are not to be trusted.

use crate::error::{Doing, Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Component, Path};

/// Makes a folder's entries durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)?
        .sync_all()
        .doing(|| format!("sync {}", folder.display()))
}

/// Checks that `name` below `folder` is a regular file on a way without symbolic links: make ran code from
/// strangers, which may have put a link to anywhere in place of its output. None when it is not there.
pub(super) fn regular(folder: &Path, name: &str) -> Result<Option<fs::Metadata>> {
    let mut path = folder.to_owned();
    let mut last = None;
    for part in Path::new(name).components() {
        let Component::Normal(part) = part else {
            return Err(Error::internal(format!(
                "`{name}` is no plain relative path"
            )));
        };
        path.push(part);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            return Ok(None);
        };
        if metadata.is_symlink() {
            return Err(Error::rig(format!("{} is a symbolic link", path.display()))
                .hint("the build made it; look at what the series does to the Makefiles"));
        }
        last = Some(metadata);
    }
    Ok(last.filter(fs::Metadata::is_file))
}

/// Reads such a file, at most `limit` bytes of it, as text.
pub(super) fn read_output(folder: &Path, name: &str, limit: u64) -> Result<Option<String>> {
    if regular(folder, name)?.is_none() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(folder.join(name))?
        .take(limit)
        .read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
