// SPDX-License-Identifier: MIT OR Apache-2.0
//! Walking, and judging what a walk found.

use super::lane::{Lane, head_of};
use super::model::{LINK, Moment, NOTHING, shown};
use super::step::{E, F, G, H, ONLY, Op, P, TWINS, Way, first};
use super::{Walk, lane_at, tower};
use crate::ops::{self, Answer, tree};
use crate::scenario::fault::{Fault, due, starved};
use crate::scenario::step::Step;
use libc::{O_CREAT, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::Ordering::SeqCst;

/// What a walk that raced with nothing answered other than it must have.
const RACELESS: &str = "a walk that raced with nothing answered wrong";
/// What no state of the components on its way explains.
const IMPOSSIBLE: &str = "a walk answered what was never so";
/// The path of a held directory is not where it is.
const ASTRAY: &str = "the path of a held directory is wrong";

impl Walk {
    /// One walk of a worker that is or is not an ordinary user.
    pub(crate) fn walk(&self, op: Op, step: &Step, ordinary: bool) -> Result<(), Fault> {
        let [number, head, turns, extra] = step.args;
        let (lane, way) = (lane_at(&self.lanes, number), Way::new(head, turns));
        let base = self.base.as_fd();
        let moment = lane.model.now();
        let got = match op {
            Op::Stat => inode(base, way.file(number).as_c()),
            Op::Up => inode(base, way.file_by_up(number).as_c()),
            Op::Open => opened(base, way.file(number).as_c(), O_RDONLY),
            Op::Path => opened(base, way.file(number).as_c(), O_PATH),
            Op::Tip if extra % 2 == 0 => inode(base, first(number, way.head).as_c()),
            Op::Tip => opened(base, first(number, way.head).as_c(), O_PATH | O_NOFOLLOW),
            Op::Touch => opened(base, way.file(number).as_c(), O_RDWR | O_CREAT),
            _ => {
                let name = ops::Name::new("z", extra.into());
                let name = name.as_c().to_str().unwrap_or_default();
                let dir = match op {
                    Op::Linger => way.linger(number),
                    _ => way.dir(number),
                };
                inode(base, dir.then(name).as_c())
            }
        };
        if matches!(got, Err(errno) if starved(errno)) {
            return got.map(drop).map_err(Fault::Answer);
        }
        if op == Op::Tip {
            return tip(lane, &way, moment, got);
        }
        let locked = ordinary && way.head == P && lane.model.locked.load(SeqCst);
        let expected = match lane.model.expected(&way) {
            _ if locked => Err(libc::EACCES),
            Ok(_) if missing(op) => Err(libc::ENOENT),
            other => other,
        };
        // What was read of the model is true only if nothing has changed until now.
        let wrong = if lane.model.still(moment) {
            (got != expected).then_some(RACELESS)
        } else {
            (!possible(lane, &way, op, ordinary, got)).then_some(IMPOSSIBLE)
        };
        match wrong {
            Some(RACELESS) => {
                let seen = format!("{}, due was {}", shown(got), shown(expected));
                Err(Fault::Wrong(RACELESS, seen))
            }
            Some(oracle) => Err(Fault::Wrong(oracle, shown(got))),
            None => got.map(drop).map_err(Fault::Answer),
        }
    }

    /// The path of a held directory leads to it.
    pub(crate) fn locate(&self, step: &Step) -> Result<(), Fault> {
        let [number, _, _, extra] = step.args;
        let lane = lane_at(&self.lanes, number);
        let (node, fd) = &lane.held[extra as usize % lane.held.len()];
        let mut room = [0; 1024];
        let moment = lane.model.now();
        let text = self.path_of(fd.as_fd(), &mut room)?;
        let way = way_of(text, number);
        let found = way.and_then(|way| {
            let head = lane.model.heads[way.head].load(SeqCst);
            (head < LINK).then(|| lane.model.node(&way, 2)).flatten()
        });
        let right = match way {
            None => false,
            Some(_) => !lane.model.still(moment) || found == Some(*node),
        };
        if right {
            return Ok(());
        }
        Err(Fault::wrong(ASTRAY, text))
    }

    /// The path of the lowest floor of a tower is one that it had at some moment.
    pub(crate) fn look_up(&self, step: &Step) -> Result<(), Fault> {
        let lane = lane_at(&self.lanes, step.args[0]);
        let mut room = [0; 1024];
        let text = self.path_of(lane.tower.lowest(), &mut room)?;
        if tower::ever(text) {
            return Ok(());
        }
        Err(Fault::wrong(ASTRAY, text))
    }

    fn path_of<'a>(&self, held: BorrowedFd<'_>, room: &'a mut [u8]) -> Result<&'a str, Fault> {
        let name = ops::Name::new("", held.as_raw_fd() as u64);
        let text = tree::read_link(self.fds.as_fd(), name.as_c(), room);
        let text = text.map_err(due(ASTRAY, "readlink"))?;
        std::str::from_utf8(text).map_err(|_| Fault::wrong(ASTRAY, String::from_utf8_lossy(text)))
    }
}

/// Whether it looks for a name that is nowhere.
fn missing(op: Op) -> bool {
    matches!(op, Op::Missing | Op::Linger)
}

/// A first component itself is there, or is not.
fn tip(lane: &Lane, way: &Way, moment: Moment, got: Answer<u64>) -> Result<(), Fault> {
    let there = lane.model.heads[way.head].load(SeqCst) != NOTHING;
    let comes_and_goes = [F, G, H].contains(&way.head);
    let oracle = match got {
        Ok(_) if there || !lane.model.still(moment) => return Ok(()),
        Err(libc::ENOENT) if comes_and_goes && (!there || !lane.model.still(moment)) => {
            return Err(Fault::Answer(libc::ENOENT));
        }
        _ if lane.model.still(moment) => RACELESS,
        _ => IMPOSSIBLE,
    };
    Err(Fault::Wrong(oracle, shown(got)))
}

/// Whether a walk that may have raced with any change can have answered that.
fn possible(lane: &Lane, way: &Way, op: Op, ordinary: bool, got: Answer<u64>) -> bool {
    match got {
        Ok(ino) => !missing(op) && lane.model.has_file(ino),
        Err(libc::ENOENT) => missing(op) || [E, F, G, H].contains(&way.head),
        Err(libc::ENOTDIR) => way.head == F,
        Err(libc::EACCES) => ordinary && way.head == P,
        Err(_) => false,
    }
}

fn inode(base: BorrowedFd<'_>, path: &CStr) -> Answer<u64> {
    Ok(ops::stat(base, path)?.ino)
}

fn opened(base: BorrowedFd<'_>, path: &CStr, flags: i32) -> Answer<u64> {
    let file = ops::open(base, path, flags)?;
    inode(file.as_fd(), c"")
}

/// The way to a last directory that a path tells; `None` for a path that no lane of that number has.
fn way_of(path: &str, lane: u32) -> Option<Way> {
    let (_, below) = path.split_once(&format!("/l{lane}/"))?;
    let parts: Vec<&str> = below.split('/').collect();
    let [head, ONLY, one, ONLY, two, ONLY] = parts[..] else {
        return None;
    };
    let turn = |part: &str| TWINS.iter().position(|twin| *twin == part);
    let bits = turn(one)? | turn(two)? << 1;
    Some(Way::new(head_of(head)?, bits as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_told_by_the_kernel_is_read_back() {
        for bits in 0..4 {
            let way = Way::new(2, bits);
            let path = format!("/mnt/tmpfs/scenario-0/{}", way.dir(3));
            assert_eq!(way_of(&path, 3), Some(way));
            assert_eq!(way_of(&path, 2), None);
            assert_eq!(way_of(&format!("{path} (deleted)"), 3), None);
        }
    }
}
