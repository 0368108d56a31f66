// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tower: directories in each other that get higher numbers for names, one after the other, from the lowest up; at
//! each rename they also go from one of two directories into the other.
//!
//! So a path of the lowest one that was put together from two moments shows: an odd number in the directory for even
//! ones, or a number that is ahead of one below it.

use crate::ops::route::Route;
use crate::ops::{self, Answer, Name};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

/// Directories in each other.
const FLOORS: usize = 5;
/// The directories of even and of odd names on each floor.
const SIDES: [&str; 2] = ["even", "odd"];
/// What makes every other name too long to be kept within a dentry.
const LONG: &str = "-with-a-name-too-long-for-the-dentry-itself";

/// A tower.
#[derive(Debug)]
pub(crate) struct Tower {
    /// The two directories of each floor.
    sides: Vec<[OwnedFd; 2]>,
    lowest: OwnedFd,
    /// Names given so far.
    given: AtomicU32,
    /// Somebody gives one.
    busy: AtomicBool,
}

impl Tower {
    /// Builds it in a directory.
    ///
    /// # Errors
    /// The errno of what could not be made.
    pub(crate) fn make(base: BorrowedFd<'_>, at: Route) -> Answer<Self> {
        let mut lowest = made(base, at)?;
        let mut sides = Vec::new();
        for _ in 0..FLOORS {
            let [even, odd] = SIDES.map(|side| made(lowest.as_fd(), Route::new(side)));
            let both = [even?, odd?];
            lowest = made(both[0].as_fd(), name(0))?;
            sides.push(both);
        }
        Ok(Self {
            sides,
            lowest,
            given: AtomicU32::new(0),
            busy: AtomicBool::new(false),
        })
    }

    /// Gives the next floor its next name. One at a time: while another one does, nothing is done.
    ///
    /// # Errors
    /// The errno of the rename.
    pub(crate) fn rename(&self) -> Answer<()> {
        if self.busy.swap(true, SeqCst) {
            return Ok(());
        }
        let given = self.given.load(SeqCst);
        let (floor, number) = (FLOORS - 1 - given as usize % FLOORS, given / FLOORS as u32);
        let [from, to] = [number, number + 1].map(|number| {
            let side = &self.sides[floor][number as usize % 2];
            (side.as_fd(), name(number))
        });
        let answer = ops::rename((from.0, from.1.as_c()), (to.0, to.1.as_c()));
        if answer.is_ok() {
            self.given.store(given + 1, SeqCst);
        }
        self.busy.store(false, SeqCst);
        answer
    }

    /// The lowest floor.
    pub(crate) fn lowest(&self) -> BorrowedFd<'_> {
        self.lowest.as_fd()
    }
}

/// Whether the tower ever had the names on a path of its lowest floor.
pub(crate) fn ever(path: &str) -> bool {
    let mut numbers = [0; FLOORS];
    let mut parts = path.rsplit('/');
    for number in numbers.iter_mut().rev() {
        let Some(read) = parts.next().and_then(number_of) else {
            return false;
        };
        if parts.next() != Some(SIDES[read as usize % 2]) {
            return false;
        }
        *number = read;
    }
    numbers.is_sorted() && numbers[FLOORS - 1] - numbers[0] <= 1
}

fn made(at: BorrowedFd<'_>, name: Route) -> Answer<OwnedFd> {
    ops::mkdir(at, name.as_c())?;
    ops::open(at, name.as_c(), libc::O_RDONLY | libc::O_DIRECTORY)
}

fn name(number: u32) -> Route {
    let short = Name::new("t", number.into());
    let route = Route::new(short.as_c().to_str().unwrap_or_default());
    if number.is_multiple_of(2) {
        route
    } else {
        route.and(LONG)
    }
}

fn number_of(part: &str) -> Option<u32> {
    let digits = part.strip_suffix(LONG).unwrap_or(part).strip_prefix('t')?;
    let number = digits.parse().ok()?;
    (name(number).as_c().to_bytes() == part.as_bytes()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_path_of_two_moments_shows() {
        let path = |numbers: [u32; FLOORS]| {
            let names = numbers.map(|it| format!("{}/{}", SIDES[it as usize % 2], name(it)));
            format!("/mnt/l0/tower/{}", names.join("/"))
        };
        assert!(ever(&path([3, 3, 3, 3, 3])) && ever(&path([3, 3, 3, 4, 4])));
        assert!(!ever(&path([3, 3, 3, 4, 5])) && !ever(&path([3, 3, 4, 3, 3])));
        assert!(!ever(&path([3; FLOORS]).replacen("odd", "even", 1)));
        assert!(!ever("/mnt/l0/tower") && !ever(&format!("{} (deleted)", path([3; FLOORS]))));
    }

    #[test]
    fn its_path_is_one_that_it_had_after_each_rename() {
        let base = std::env::temp_dir().join(format!("lab-tower-{}", std::process::id()));
        std::fs::create_dir(&base).unwrap();
        let path = std::ffi::CString::new(base.to_str().unwrap()).unwrap();
        let fd = ops::open_dir(&path).unwrap();
        let tower = Tower::make(fd.as_fd(), Route::new("tower")).unwrap();
        for _ in 0..40 {
            let own = format!("/proc/self/fd/{}", tower.lowest().as_raw_fd());
            let path = std::fs::read_link(own).unwrap();
            assert!(ever(path.to_str().unwrap()), "{path:?}");
            tower.rename().unwrap();
        }
        std::fs::remove_dir_all(&base).unwrap();
    }
}
