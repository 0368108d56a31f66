// SPDX-License-Identifier: MIT OR Apache-2.0
//! At the end the web must be a tree, and the same one once the caches were dropped.

use super::Weave;
use super::step::movable;
use super::web::Web;
use crate::ops::{self, Answer, errno_name};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};

/// What is wrong with the tree.
type Wrong = (&'static str, String);
/// Directories deeper than that are a loop: the web has far fewer.
const DEEPEST: usize = 512;

/// What was found below the roots.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Paths and inodes.
    entries: BTreeMap<String, u64>,
    wrongs: Vec<Wrong>,
}

impl Weave {
    /// Looks at everything, twice where the caches can be dropped.
    pub(super) fn inspect(&self) -> Vec<Wrong> {
        let mut found = look(&self.web, self.counts_links);
        let wrongs = &mut found.wrongs;
        wrongs.extend(missing(&self.web, &found.entries));
        if let Some(caches) = &self.caches {
            // A refusal was told by the workload already.
            let _ = caches.drop_dentries();
            let cold = look(&self.web, self.counts_links);
            if cold.entries != found.entries {
                let seen = difference(&found.entries, &cold.entries);
                wrongs.push(("the tree is another one without its cache", seen));
            }
        }
        found.wrongs
    }
}

fn look(web: &Web, counts_links: bool) -> Found {
    let mut found = Found::default();
    if let Err(errno) = descend(web.base.as_fd(), "", 0, counts_links, &mut found) {
        let why = format!("looking at all: {}", errno_name(errno));
        // Descriptors or memory can run out; anything else is wrong.
        if !crate::scenario::fault::starved(errno) {
            found.wrongs.push(("the tree cannot be read", why));
        }
    }
    found
}

fn descend(
    dir: BorrowedFd<'_>,
    path: &str,
    depth: usize,
    counts_links: bool,
    found: &mut Found,
) -> Answer<()> {
    if depth > DEEPEST {
        let seen = format!("{} and so on", &path[..path.len().min(200)]);
        found.wrongs.push(("the tree has no end", seen));
        return Ok(());
    }
    let mut names: Vec<CString> = Vec::new();
    ops::read_dir(dir, |name| names.push(name.to_owned()))?;
    names.retain(|name| ![c".", c".."].contains(&name.as_c_str()));
    names.sort();
    let all = names.len();
    names.dedup();
    if names.len() < all {
        found
            .wrongs
            .push(("a name is listed twice", path.to_owned()));
    }
    let own = ops::stat(dir, c"")?;
    let mut below = 0;
    for name in &names {
        let here = format!("{path}/{}", name.to_string_lossy());
        let Ok(meta) = ops::stat(dir, name) else {
            found
                .wrongs
                .push(("a listed name cannot be looked up", here));
            continue;
        };
        if let Ok(sub) = ops::open(dir, name, libc::O_RDONLY | libc::O_DIRECTORY) {
            below += 1;
            check_above(sub.as_fd(), own.ino, &here, found);
            descend(sub.as_fd(), &here, depth + 1, counts_links, found)?;
        }
        found.entries.insert(here, meta.ino);
    }
    if counts_links && own.links != below + 2 {
        let seen = format!("{path}: {} links, {below} directories", own.links);
        found
            .wrongs
            .push(("the links of a directory are miscounted", seen));
    }
    Ok(())
}

fn check_above(sub: BorrowedFd<'_>, above: u64, path: &str, found: &mut Found) {
    let up: &CStr = c"..";
    let seen = match ops::stat(sub, up) {
        Ok(meta) if meta.ino == above => return,
        Ok(meta) => format!("{path}/..: inode {}, not {above}", meta.ino),
        Err(errno) => format!("{path}/..: {}", errno_name(errno)),
    };
    found
        .wrongs
        .push(("a directory has another one above it", seen));
}

/// Directories and names that must be there once each, and are not.
fn missing(web: &Web, entries: &BTreeMap<String, u64>) -> Vec<Wrong> {
    let duels = web.duels.iter().flatten().flatten();
    let dirs = web.dirs.iter().chain(duels).filter_map(|dir| {
        let times = entries.values().filter(|ino| **ino == dir.ino).count();
        let seen = format!("the directory of inode {} is found {times} times", dir.ino);
        (times != 1).then_some(("a directory is not in the tree once", seen))
    });
    let names = (0..web.movables()).filter_map(|number| {
        let end = format!("/{}", movable(number));
        let times = entries.keys().filter(|path| path.ends_with(&end)).count();
        let seen = format!("{end} is found {times} times");
        (times != 1).then_some(("a name is not in the tree once", seen))
    });
    dirs.chain(names).collect()
}

fn difference(one: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>) -> String {
    let only = |a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>| {
        let mut only = a.iter().filter(|(path, ino)| b.get(*path) != Some(ino));
        only.next()
            .map(|(path, ino)| format!("{path} (inode {ino})"))
    };
    format!(
        "only with it {:?}, only without {:?}",
        only(one, other),
        only(other, one)
    )
}
