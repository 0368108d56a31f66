// SPDX-License-Identifier: MIT OR Apache-2.0
//! When all is quiet, every door shows what the server has.

use super::act;
use super::doors::{ABSENT, Doors, FRESH, SERVER, STRICT};
use crate::ops::{self, errno_name};
use crate::scenario::fault::Fault;
use std::collections::BTreeMap;

/// What is wrong in the directories, now that nobody works in them.
pub(crate) fn all(doors: &Doors, quiet: u32, busy: u32) -> Vec<(&'static str, String)> {
    let mut wrongs = Vec::new();
    for dir in 0..quiet + busy {
        for door in [super::doors::USUAL, FRESH, STRICT, SERVER] {
            let fd = doors.dir(door, dir);
            let checks = [
                act::keep(doors, door, dir),
                act::absent(fd, ABSENT, libc::O_RDONLY),
            ];
            wrongs.extend(checks.into_iter().filter_map(told));
        }
        for door in [FRESH, STRICT] {
            // The clock's tick may hide a last change from the client: one more shows all.
            act::change_visibly(doors, dir, 0, act::changed(doors, dir));
            wrongs.extend(told(same_names(doors, door, dir, dir < quiet)));
        }
    }
    wrongs
}

fn told(result: Result<(), Fault>) -> Option<(&'static str, String)> {
    match result {
        Err(Fault::Wrong(oracle, seen)) => Some((oracle, seen)),
        _ => None,
    }
}

/// A client lists the same names as the server, each once; and `with_inodes` each has the server's inode. Where
/// other mounts of the same client removed names, a delegation may keep the inode that a name had.
fn same_names(doors: &Doors, door: u32, dir: u32, with_inodes: bool) -> Result<(), Fault> {
    const ORACLE: &str = "client lists other names than the server";
    let mut last = String::new();
    let seen = act::seen(doors, (dir, 0), act::Owed::Later, ORACLE, || {
        let (server, client) = (
            names(doors, SERVER, dir, with_inodes)?,
            names(doors, door, dir, with_inodes)?,
        );
        Ok(server == client)
    });
    if let Err(Fault::Wrong(..)) = seen {
        let count = |door| {
            names(doors, door, dir, false)
                .map_or_else(errno_name, |names| format!("{}", names.len()))
        };
        last = format!("{} and {} names", count(door), count(SERVER));
    }
    seen.map_err(|fault| match fault {
        Fault::Wrong(oracle, seen) => Fault::Wrong(oracle, format!("{seen}: {last}")),
        other => other,
    })
}

/// The names that a door lists, with how often, and with the inode that a stat finds if it is asked for. What the server keeps for a client
/// that renamed it out of the way may go at any time.
fn names(
    doors: &Doors,
    door: u32,
    dir: u32,
    with_inodes: bool,
) -> Result<BTreeMap<String, (u32, u64)>, i32> {
    let fd = doors.dir(door, dir);
    let mut names = BTreeMap::new();
    ops::read_dir(fd, |name| {
        let name = name.to_string_lossy();
        if !name.starts_with('.') {
            names.entry(name.into_owned()).or_insert((0, 0)).0 += 1;
        }
    })?;
    for (name, (_, ino)) in names.iter_mut().filter(|_| with_inodes) {
        let name = std::ffi::CString::new(name.as_str()).map_err(|_| libc::EINVAL)?;
        *ino = ops::stat(fd, &name)?.ino;
    }
    Ok(names)
}
