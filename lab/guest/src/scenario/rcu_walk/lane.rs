// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lanes: trees with two ways at each fork and a file at each end, whichever way their parts are exchanged.

use super::model::{LINK, Model};
use super::step::{A, B, C, E, FILES, G, HEADS, M, ONLY, P, S, TWINS, first};
use super::tower::Tower;
use crate::fs::mount::Refusal;
use crate::ops::route::Route;
use crate::ops::{self, Answer, errno_name, tree};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// One lane.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Its state.
    pub(crate) model: Model,
    /// A last directory of each of the trees that stay on their filesystem, held: the node, and it.
    pub(crate) held: Vec<(u32, OwnedFd)>,
    /// Directories in each other that are renamed in turn.
    pub(crate) tower: Tower,
    /// The two places for mounts; set while somebody changes one.
    pub(crate) mounts: [Mount; 2],
}

/// A place where something is mounted now and then.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Number of its first component.
    pub(crate) head: usize,
    /// What is there without the mount.
    pub(crate) own: u32,
    /// Somebody is changing it.
    pub(crate) busy: AtomicBool,
    /// Something is mounted.
    pub(crate) on: AtomicBool,
}

impl Mount {
    fn new(head: usize, own: u32) -> Self {
        Self {
            head,
            own,
            busy: AtomicBool::new(false),
            on: AtomicBool::new(false),
        }
    }
}

impl Lane {
    /// Makes the lane of that number.
    ///
    /// # Errors
    /// Says what could not be made.
    pub(crate) fn make(base: BorrowedFd<'_>, number: u32, exact: bool) -> Result<Self, Refusal> {
        let failed =
            |errno| Refusal::Failed(format!("making lane {number}: {}", errno_name(errno)));
        let name = ops::Name::new("l", number.into());
        ops::mkdir(base, name.as_c()).map_err(failed)?;
        let mut lane = Self {
            model: Model::new(exact),
            held: Vec::new(),
            tower: Tower::make(
                base,
                Route::new("")
                    .then(name.as_c().to_str().unwrap_or_default())
                    .then("tower"),
            )
            .map_err(failed)?,
            mounts: [Mount::new(M, 0), Mount::new(E, 0)],
        };
        for head in [A, B, C, M, P, E, G] {
            let keep = [A, B, C].contains(&head);
            let node = lane
                .grow(base, first(number, head), 0, keep)
                .map_err(failed)?;
            lane.model.heads[head].store(node, SeqCst);
        }
        for mount in &mut lane.mounts {
            mount.own = lane.model.heads[mount.head].load(SeqCst);
        }
        tree::symlink(c"a", base, first(number, S).as_c()).map_err(failed)?;
        lane.model.heads[S].store(LINK, SeqCst);
        Ok(lane)
    }

    /// Makes a directory, its only directory, and what is in that; gives its number.
    fn grow(&mut self, base: BorrowedFd<'_>, at: Route, level: u32, keep: bool) -> Answer<u32> {
        let inner = at.then(ONLY);
        ops::mkdir(base, at.as_c())?;
        ops::mkdir(base, inner.as_c())?;
        let node = self.model.forks.len();
        self.model
            .forks
            .push([AtomicU32::new(0), AtomicU32::new(0)]);
        for turn in 0..2 {
            let below = if level < 2 {
                self.grow(base, inner.then(TWINS[turn]), level + 1, keep)?
            } else {
                self.file(base, &inner.then(FILES[turn]))?
            };
            self.model.forks[node][turn].store(below, SeqCst);
        }
        if level == 2 && keep {
            let flags = libc::O_PATH | libc::O_DIRECTORY;
            self.held
                .push((node as u32, ops::open(base, inner.as_c(), flags)?));
        }
        Ok(node as u32)
    }

    fn file(&mut self, base: BorrowedFd<'_>, at: &Route) -> Answer<u32> {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let file = ops::open(base, at.as_c(), flags)?;
        self.model.files.push(ops::stat(file.as_fd(), c"")?.ino);
        Ok(self.model.files.len() as u32 - 1)
    }
}

/// Whether a component is one of a lane's first ones, and its number.
pub(crate) fn head_of(component: &str) -> Option<u32> {
    let place = HEADS.iter().position(|head| *head == component)?;
    Some(place as u32)
}
