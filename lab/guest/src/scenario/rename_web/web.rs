// SPDX-License-Identifier: MIT OR Apache-2.0
//! The web: directories that stay, directories that move, and what each worker has of its own.

use super::step::{movable, name};
use crate::ops::{self, Answer};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The file that is in every directory.
pub(crate) const KEEP: &CStr = c"keep";
/// The directory in every movable directory; it has its own [`KEEP`].
pub(crate) const SUB: &CStr = c"sub";

/// The file that is passed between the directories of a pair.
pub(crate) const FILE: &CStr = c"passed";

/// A directory, held.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    /// Its inode.
    pub(crate) ino: u64,
    /// The inode of its [`KEEP`].
    pub(crate) keep: u64,
}

impl Dir {
    /// The held directory.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn make(at: BorrowedFd<'_>, name: &CStr) -> Answer<Self> {
        ops::mkdir(at, name)?;
        let fd = ops::open(at, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        let ino = ops::stat(fd.as_fd(), c"")?.ino;
        let keep = create(fd.as_fd(), KEEP)?;
        Ok(Self { fd, ino, keep })
    }
}

/// A worker's own files. Nobody else changes them; others look.
#[derive(Debug)]
pub(crate) struct Own {
    /// Inode of the file that is passed around.
    pub(crate) token: u64,
    /// Where that is: twice the number of its place, and 1 for the long name.
    pub(crate) at: AtomicU32,
    /// Inodes of the two files that change places.
    pub(crate) pair: [u64; 2],
    /// Odd when they have changed places.
    pub(crate) turns: AtomicU32,
    /// Inode of what is renamed onto fresh names.
    pub(crate) dart: u64,
}

/// The web.
#[derive(Debug)]
pub(crate) struct Web {
    /// Where the roots are.
    pub(crate) base: OwnedFd,
    /// Directories that stay, then those that move, then what is in those that move.
    pub(crate) dirs: Vec<Dir>,
    /// How many stay.
    pub(crate) roots: u32,
    /// Place in which the name of each movable directory was seen last.
    pub(crate) seen: Vec<AtomicU32>,
    /// One for each worker.
    pub(crate) own: Vec<Own>,
    /// Two directories for each pair of the team, each with one below it.
    pub(crate) duels: Vec<[[Dir; 2]; 2]>,
}

impl Web {
    /// Makes all of it in an empty directory.
    ///
    /// # Errors
    /// The errno of what could not be made.
    pub(crate) fn make(base: OwnedFd, roots: u32, movables: u32, workers: u32) -> Answer<Self> {
        let mut dirs = Vec::new();
        for number in 0..roots {
            dirs.push(Dir::make(base.as_fd(), name("d", number, false).as_c())?);
        }
        let root = |number: u32| (number % roots) as usize;
        for number in 0..movables {
            dirs.push(Dir::make(dirs[root(number)].fd(), movable(number).as_c())?);
        }
        for number in 0..movables {
            let above = &dirs[(roots + number) as usize];
            let sub = Dir::make(above.fd(), SUB)?;
            dirs.push(sub);
        }
        let seen = (0..movables).map(|n| AtomicU32::new(n % roots)).collect();
        let own: Answer<Vec<_>> = (0..workers)
            .map(|worker| make_own(&dirs, worker, roots))
            .collect();
        let duel = |number: u32, letter: &str| -> Answer<[Dir; 2]> {
            let outer = Dir::make(dirs[root(number)].fd(), name(letter, number, false).as_c())?;
            let inner = Dir::make(outer.fd(), SUB)?;
            create(outer.fd(), FILE)?;
            Ok([outer, inner])
        };
        let duels: Answer<Vec<_>> = (0..workers / 2)
            .map(|number| Ok([duel(number, "u")?, duel(number, "w")?]))
            .collect();
        let (own, duels) = (own?, duels?);
        Ok(Self {
            base,
            dirs,
            roots,
            seen,
            own,
            duels,
        })
    }

    /// How many directories move.
    pub(crate) fn movables(&self) -> u32 {
        self.seen.len() as u32
    }

    /// How many places there are: all directories but those of the duels.
    pub(crate) fn places(&self) -> u32 {
        self.dirs.len() as u32
    }

    /// The directory of a place.
    pub(crate) fn place(&self, number: u32) -> &Dir {
        &self.dirs[number as usize % self.dirs.len()]
    }

    /// A directory that stays.
    pub(crate) fn root(&self, number: u32) -> &Dir {
        &self.dirs[(number % self.roots) as usize]
    }

    /// A directory that moves, by the name under which it was made.
    pub(crate) fn moving(&self, number: u32) -> &Dir {
        &self.dirs[(self.roots + number % self.movables()) as usize]
    }

    /// The directory in one that moves.
    pub(crate) fn sub(&self, number: u32) -> &Dir {
        &self.dirs[(self.roots + self.movables() + number % self.movables()) as usize]
    }

    /// Where the name of a movable directory was seen last, and that place.
    pub(crate) fn around(&self, number: u32) -> BorrowedFd<'_> {
        let place = self.seen[number as usize % self.seen.len()].load(Relaxed);
        self.place(place).fd()
    }
}

/// The directories and the forms of a worker's two files that change places; those of each third worker are in one
/// directory, where the kernel takes another way.
pub(crate) fn pair(worker: u32) -> [(u32, crate::ops::route::Route); 2] {
    let long = worker % 2 == 1;
    [
        (worker, name("e", worker, long)),
        (
            worker + u32::from(!worker.is_multiple_of(3)),
            name("f", worker, worker % 4 > 1),
        ),
    ]
}

fn make_own(dirs: &[Dir], worker: u32, roots: u32) -> Answer<Own> {
    let root = |number: u32| dirs[(number % roots) as usize].fd();
    let [(d0, n0), (d1, n1)] = pair(worker);
    create(root(worker), name("v", worker, false).as_c())?;
    Ok(Own {
        token: create(root(worker), name("t", worker, false).as_c())?,
        at: AtomicU32::new(worker % roots * 2),
        pair: [create(root(d0), n0.as_c())?, create(root(d1), n1.as_c())?],
        turns: AtomicU32::new(0),
        dart: create(root(worker), name("n", worker, false).as_c())?,
    })
}

/// Makes a new file; its inode.
pub(crate) fn create(at: BorrowedFd<'_>, name: &CStr) -> Answer<u64> {
    let file = ops::open(at, name, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL)?;
    Ok(ops::stat(file.as_fd(), c"")?.ino)
}
