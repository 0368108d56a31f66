// SPDX-License-Identifier: MIT OR Apache-2.0
//! A directory with very many children: after its watch is taken off, a touch of one child must not pay for all
//! the others.
//!
//! That putting a watch on a full directory walks over its children is known, and no finding. CPU time of the
//! thread is what is compared, the least of several tries: a stall of the machine can only make some of them
//! longer.

use super::Op;
use crate::ops::{self, Answer, Name, watch};
use crate::scenario::Number;
use crate::scenario::fault::{Fault, due, may};
use crate::scenario::step::Step;
use crate::scenario::worker::Worker;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Tries in each directory.
const TRIES: u32 = 8;
/// Children made in one step.
const BATCH: u32 = 256;
/// A touch is too slow if it takes this, nanoseconds, and [`TIMES`] as long as in a small directory.
const FLOOR: u64 = 400_000;
/// See [`FLOOR`].
const TIMES: u64 = 16;
/// The child that is touched.
const CHILD: &CStr = c"child";

/// A full and a small directory.
#[derive(Debug)]
pub(super) struct Full {
    full: OwnedFd,
    small: OwnedFd,
    inotify: OwnedFd,
    wanted: u32,
    /// Children made so far.
    made: AtomicU64,
    /// Least time of a touch in the full and in the small directory, nanoseconds; 0: none yet.
    least: [AtomicU64; 2],
}

/// Makes both directories; children come later.
pub(super) fn make(base: BorrowedFd<'_>, wanted: u32) -> Answer<Full> {
    let dir = |name| -> Answer<OwnedFd> {
        ops::mkdir(base, name)?;
        let dir = ops::open(base, name, libc::O_RDONLY | libc::O_DIRECTORY)?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        ops::open(dir.as_fd(), CHILD, flags)?;
        Ok(dir)
    };
    Ok(Full {
        full: dir(c"full")?,
        small: dir(c"small")?,
        inotify: watch::inotify()?,
        wanted,
        made: AtomicU64::new(0),
        least: Default::default(),
    })
}

/// Opens the children of an owner's directory, one after the other.
pub(super) fn touch_children(dir: BorrowedFd<'_>) -> Result<(), Fault> {
    for child in 0..super::own::CHILDREN {
        let name = Name::new("c", child);
        ops::open(dir, name.as_c(), libc::O_RDONLY).map_err(due("stable name lost", "open"))?;
    }
    Ok(())
}

impl Full {
    /// Fills the directory a little more, or, once it is full, looks how long a touch takes.
    pub(super) fn turn(&self, worker: &mut Worker<'_>, positive: bool) {
        // Names looked up in vain may have been dropped meanwhile: they are looked up again for each turn.
        if !positive {
            self.made.store(0, Ordering::Relaxed);
        }
        while !worker.stopped() {
            let made = self.made.load(Ordering::Relaxed) as u32;
            let step = Step::new(Op::Full as u8, [made, 0, 0, 0]);
            if made >= self.wanted {
                return worker.step(step, || self.compare());
            }
            let batch = BATCH.min(self.wanted - made);
            worker.steps(step, batch, || self.fill(made, batch, positive));
            if self.made.load(Ordering::Relaxed) as u32 == made {
                // There is no room for more: it stays as it is.
                return;
            }
        }
    }

    fn fill(&self, from: u32, count: u32, positive: bool) -> Result<(), Fault> {
        let dir = self.full.as_fd();
        for number in from..from + count {
            let name = Name::new("k", number.into());
            match positive {
                true => ops::link((dir, CHILD), (dir, name.as_c()))
                    .map_err(due("own name not free", "link"))?,
                false => match ops::stat(dir, name.as_c()) {
                    Err(libc::ENOENT) => {}
                    Err(errno) => return Err(may("stat", &[])(errno)),
                    Ok(_) => {
                        return Err(Fault::wrong("absent name is not ENOENT", "stat succeeded"));
                    }
                },
            }
        }
        self.made.store((from + count).into(), Ordering::Relaxed);
        Ok(())
    }

    /// Nanoseconds of CPU that a touch of one child takes once its directory is no longer watched.
    fn touch(&self, dir: BorrowedFd<'_>) -> Result<u64, Fault> {
        const LOST: &str = "own watch refused";
        watch::go_to(dir).map_err(due(LOST, "fchdir"))?;
        let added = watch::add_watch(
            self.inotify.as_fd(),
            c".",
            libc::IN_ATTRIB | libc::IN_MODIFY,
        );
        let number = added.map_err(due(LOST, "inotify_add_watch"))?;
        let removed = watch::rm_watch(self.inotify.as_fd(), number);
        let begun = watch::cpu_time();
        let opened = ops::open(dir, CHILD, libc::O_RDONLY);
        let took = watch::cpu_time().saturating_sub(begun);
        removed.map_err(due("own watch lost", "inotify_rm_watch"))?;
        opened.map_err(due("own name lost", "open"))?;
        Ok(took)
    }

    fn compare(&self) -> Result<(), Fault> {
        const LOST: &str = "events cannot be read";
        let mut least = [u64::MAX; 2];
        for _ in 0..TRIES {
            for (least, dir) in least.iter_mut().zip([&self.full, &self.small]) {
                *least = self.touch(dir.as_fd())?.min(*least);
            }
        }
        let mut told = [0; 1024];
        while watch::read_ready(self.inotify.as_fd(), &mut told).map_err(due(LOST, "read"))? > 0 {}
        for (kept, least) in self.least.iter().zip(least) {
            kept.store(least, Ordering::Relaxed);
        }
        let [full, small] = least;
        if full > FLOOR && full > TIMES * small {
            let children = self.made.load(Ordering::Relaxed);
            let seen = format!(
                "{} us of CPU beside {children} children, {} us beside none",
                full / 1000,
                small / 1000
            );
            return Err(Fault::Wrong("touch of a child pays for all children", seen));
        }
        Ok(())
    }

    /// How many children there are, and how long a touch takes.
    pub(super) fn numbers(&self) -> Vec<Number> {
        let micros = |name: &str, at: usize| Number {
            name: name.to_owned(),
            value: self.least[at].load(Ordering::Relaxed) as f64 / 1e3,
            unit: "us",
        };
        let children = self.made.load(Ordering::Relaxed) as f64;
        vec![
            Number::count("children", children),
            micros("touch-full", 0),
            micros("touch-small", 1),
        ]
    }
}
