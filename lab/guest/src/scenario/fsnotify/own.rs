// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a thread does in directories of its own, with an inotify instance of its own: known sequences, whose
//! events are known too.

use super::owed::{Ear, pin, refused};
use crate::ops::{self, Answer, watch};
use crate::scenario::fault::{Fault, due};
use libc::{
    IN_ACCESS, IN_ATTRIB, IN_CLOSE_NOWRITE, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_DELETE_SELF,
    IN_IGNORED, IN_ISDIR, IN_MODIFY, IN_MOVE_SELF, IN_MOVED_FROM, IN_MOVED_TO, IN_OPEN, O_CREAT,
    O_EXCL, O_RDONLY, O_RDWR,
};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Children of the directory that others touch.
pub(super) const CHILDREN: u64 = 8;
/// A name that does not fit into a dentry.
pub(super) const LONG: &CStr = c"a-name-that-is-too-long-to-be-kept-within-the-dentry-itself";
const LOST: &str = "own name lost";
const TAKEN: &str = "own name not free";
/// Events of the entries of a directory.
const ENTRIES: u32 = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
/// Those and what happens to files below it.
const ALL: u32 =
    ENTRIES | IN_ACCESS | IN_ATTRIB | IN_MODIFY | IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE;
/// Events of the watched file itself.
const SELF: u32 = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

/// Directories and instance of one thread.
#[derive(Debug)]
pub(super) struct Own {
    /// Made anew after each sequence that did not end well.
    ear: Option<Ear>,
    a: OwnedFd,
    b: OwnedFd,
    touched: OwnedFd,
    /// `a` as the server sees it.
    served: Option<OwnedFd>,
    /// The name of files, and that of files renamed.
    names: [&'static CStr; 2],
}

/// A new, closed file.
fn create(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    ops::open(dir, name, O_RDWR | O_CREAT | O_EXCL)
        .map_err(due(TAKEN, "create"))
        .map(drop)
}

/// Opens and closes a file.
fn touch(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    ops::open(dir, name, O_RDONLY)
        .map_err(due(LOST, "open"))
        .map(drop)
}

fn unlink(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    ops::unlink(dir, name, 0).map_err(due(LOST, "unlink"))
}

fn rename(from: (BorrowedFd<'_>, &CStr), to: (BorrowedFd<'_>, &CStr)) -> Result<(), Fault> {
    ops::rename(from, to).map_err(due(LOST, "rename"))
}

fn chmod(dir: BorrowedFd<'_>, name: &CStr) -> Result<(), Fault> {
    watch::chmod(dir, name, 0o600).map_err(due(LOST, "chmod"))
}

impl Own {
    /// Opens the directories that are there below `base`.
    ///
    /// # Errors
    /// The errno of open.
    pub(super) fn open(base: BorrowedFd<'_>, served: Option<BorrowedFd<'_>>) -> Answer<Self> {
        let dir = |base, name| ops::open(base, name, O_RDONLY | libc::O_DIRECTORY);
        Ok(Self {
            ear: None,
            a: dir(base, c"a")?,
            b: dir(base, c"b")?,
            touched: dir(base, c"t")?,
            served: served.map(|base| dir(base, c"a")).transpose()?,
            names: [c"x", c"y"],
        })
    }

    /// Does a sequence with short or long names; afterwards the directories are as they were before.
    pub(super) fn run(
        &mut self,
        long: bool,
        sequence: impl FnOnce(&mut Self, &mut Ear) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.names = if long { [LONG, c"y"] } else { [c"x", LONG] };
        let mut ear = match self.ear.take() {
            Some(ear) => ear,
            None => Ear::new().map_err(due("no inotify instance", "inotify_init1"))?,
        };
        let outcome = sequence(self, &mut ear);
        match outcome {
            Ok(()) => self.ear = Some(ear),
            Err(_) => self.tidy(),
        }
        outcome
    }

    /// Removes what a broken sequence may have left.
    fn tidy(&self) {
        for dir in [self.a.as_fd(), self.b.as_fd()] {
            for name in [c"x", c"y", LONG] {
                // What is not there needs no removal.
                let _ = ops::unlink(dir, name, 0);
                let _ = ops::unlink(dir, name, libc::AT_REMOVEDIR);
            }
        }
    }

    /// The life of a file in a watched directory, from its making to its end.
    pub(super) fn life(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, [x, y]) = (self.a.as_fd(), self.names);
        let w = ear.watch(a, c".", ALL)?;
        let file = ops::open(a, x, O_RDWR | O_CREAT | O_EXCL).map_err(due(TAKEN, "create"))?;
        ear.owe(w, IN_CREATE, x);
        ear.owe(w, IN_OPEN, x);
        ops::write_at_0(file.as_fd(), b"content").map_err(due(LOST, "write"))?;
        ear.owe(w, IN_MODIFY, x);
        ops::read_at_0(file.as_fd(), &mut [0; 4]).map_err(due(LOST, "read"))?;
        ear.owe(w, IN_ACCESS, x);
        watch::truncate(file.as_fd(), 1).map_err(due(LOST, "ftruncate"))?;
        ear.owe(w, IN_MODIFY, x);
        drop(file);
        ear.owe(w, IN_CLOSE_WRITE, x);
        chmod(a, x)?;
        ear.owe(w, IN_ATTRIB, x);
        rename((a, x), (a, y))?;
        ear.owe_move(Some((w, x)), Some((w, y)), 0);
        touch(a, y)?;
        ear.owe(w, IN_OPEN, y);
        ear.owe(w, IN_CLOSE_NOWRITE, y);
        ops::link((a, y), (a, x)).map_err(due(TAKEN, "link"))?;
        ear.owe(w, IN_CREATE, x);
        unlink(a, y)?;
        ear.owe(w, IN_DELETE, y);
        unlink(a, x)?;
        ear.owe(w, IN_DELETE, x);
        ear.unwatch(w)?;
        ear.hear()
    }

    /// A directory is made, watched, moved and removed.
    pub(super) fn tree(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, b, [x, y]) = (self.a.as_fd(), self.b.as_fd(), self.names);
        let (in_a, in_b) = (ear.watch(a, c".", ENTRIES)?, ear.watch(b, c".", ENTRIES)?);
        ops::mkdir(a, x).map_err(due(TAKEN, "mkdir"))?;
        ear.owe(in_a, IN_CREATE | IN_ISDIR, x);
        let pinned = pin(a, x)?;
        let itself = ear.watch(a, x, SELF | ENTRIES | libc::IN_ONLYDIR)?;
        rename((a, x), (b, y))?;
        ear.owe_move(Some((in_a, x)), Some((in_b, y)), IN_ISDIR);
        ear.owe(itself, IN_MOVE_SELF, c"");
        chmod(b, y)?;
        ear.owe(itself, IN_ATTRIB | IN_ISDIR, c"");
        ops::unlink(b, y, libc::AT_REMOVEDIR).map_err(due(LOST, "rmdir"))?;
        ear.owe(in_b, IN_DELETE | IN_ISDIR, y);
        drop(pinned);
        ear.owe(itself, IN_DELETE_SELF, c"");
        ear.owe(itself, IN_IGNORED, c"");
        ear.unwatch(in_a)?;
        ear.unwatch(in_b)?;
        ear.hear()
    }

    /// A file that was known before its directory was watched, moved out of it and into it again, and over another.
    pub(super) fn known(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, b, [x, y]) = (self.a.as_fd(), self.b.as_fd(), self.names);
        create(b, x)?;
        let w = ear.watch(a, c".", IN_OPEN | ENTRIES)?;
        touch(b, x)?;
        rename((b, x), (a, x))?;
        ear.owe_move(None, Some((w, x)), 0);
        touch(a, x)?;
        ear.owe(w, IN_OPEN, x);
        rename((a, x), (b, y))?;
        ear.owe_move(Some((w, x)), None, 0);
        touch(b, y)?;
        rename((b, y), (a, y))?;
        ear.owe_move(None, Some((w, y)), 0);
        touch(a, y)?;
        ear.owe(w, IN_OPEN, y);
        ear.unwatch(w)?;
        // Nobody watches now; then somebody does again, who must hear of the file that was there all the time.
        touch(a, y)?;
        let again = ear.watch(a, c".", IN_OPEN)?;
        touch(a, y)?;
        ear.owe(again, IN_OPEN, y);
        unlink(a, y)?;
        ear.unwatch(again)?;
        ear.hear()
    }

    /// A watched file is renamed over another watched file.
    pub(super) fn over(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, b, [x, y]) = (self.a.as_fd(), self.b.as_fd(), self.names);
        create(a, x)?;
        create(b, y)?;
        let covered = pin(b, y)?;
        let (in_b, moved) = (ear.watch(b, c".", ENTRIES)?, ear.watch(a, x, SELF)?);
        let under = ear.watch(b, y, SELF)?;
        rename((a, x), (b, y))?;
        ear.owe_move(None, Some((in_b, y)), 0);
        ear.owe(under, IN_ATTRIB, c"");
        ear.owe(moved, IN_MOVE_SELF, c"");
        drop(covered);
        ear.owe(under, IN_DELETE_SELF, c"");
        ear.owe(under, IN_IGNORED, c"");
        ear.unwatch(moved)?;
        unlink(b, y)?;
        ear.owe(in_b, IN_DELETE, y);
        ear.unwatch(in_b)?;
        ear.hear()
    }

    /// Two names change places: each moves from and to.
    pub(super) fn exchange(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, b, [x, y]) = (self.a.as_fd(), self.b.as_fd(), self.names);
        create(a, x)?;
        create(b, y)?;
        let (in_a, in_b) = (
            ear.watch(a, c".", ENTRIES)?,
            ear.watch(b, c".", ENTRIES | IN_OPEN)?,
        );
        watch::exchange((a, x), (b, y)).map_err(due(LOST, "renameat2"))?;
        ear.owe_move(Some((in_a, x)), Some((in_b, y)), 0);
        ear.owe_move(Some((in_b, y)), Some((in_a, x)), 0);
        touch(b, y)?;
        ear.owe(in_b, IN_OPEN, y);
        unlink(a, x)?;
        ear.owe(in_a, IN_DELETE, x);
        unlink(b, y)?;
        ear.owe(in_b, IN_DELETE, y);
        ear.unwatch(in_b)?;
        ear.unwatch(in_a)?;
        ear.hear()
    }

    /// A file with two names: only what is done by the name in the watched directory is told there.
    pub(super) fn links(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, b, [x, y]) = (self.a.as_fd(), self.b.as_fd(), self.names);
        create(b, x)?;
        touch(b, x)?;
        ops::link((b, x), (a, y)).map_err(due(TAKEN, "link"))?;
        let (w, itself) = (
            ear.watch(a, c".", IN_OPEN | ENTRIES)?,
            ear.watch(b, x, IN_ATTRIB)?,
        );
        touch(b, x)?;
        touch(a, y)?;
        ear.owe(w, IN_OPEN, y);
        unlink(b, x)?;
        ear.owe(itself, IN_ATTRIB, c"");
        rename((a, y), (a, x))?;
        ear.owe_move(Some((w, y)), Some((w, x)), 0);
        touch(a, x)?;
        ear.owe(w, IN_OPEN, x);
        ear.unwatch(itself)?;
        unlink(a, x)?;
        ear.owe(w, IN_DELETE, x);
        ear.unwatch(w)?;
        ear.hear()
    }

    /// A watch for one event gives one, and is gone with it.
    pub(super) fn oneshot(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        const ALIVE: &str = "watch for one event lives on";
        let (a, [x, y]) = (self.a.as_fd(), self.names);
        let w = ear.watch(a, c".", ENTRIES | IN_OPEN | libc::IN_ONESHOT)?;
        create(a, x)?;
        ear.owe(w, IN_CREATE, x);
        ear.owe(w, IN_IGNORED, c"");
        rename((a, x), (a, y))?;
        let gone = watch::rm_watch(ear.fd(), w);
        refused(gone, libc::EINVAL, ALIVE)?;
        ear.hear()?;
        let next = ear.watch(a, y, IN_OPEN | libc::IN_ONESHOT)?;
        touch(a, y)?;
        ear.owe(next, IN_OPEN, c"");
        ear.owe(next, IN_IGNORED, c"");
        touch(a, y)?;
        unlink(a, y)?;
        ear.hear()
    }

    /// After a watch is taken off it tells nothing more; adding to a mask, and refusing to.
    pub(super) fn off(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, [x, _]) = (self.a.as_fd(), self.names);
        create(a, x)?;
        let w = ear.watch(a, c".", IN_OPEN)?;
        let more = ear.watch(a, c".", IN_ATTRIB | libc::IN_MASK_ADD)?;
        let other = watch::add_watch(ear.fd(), c".", IN_OPEN | libc::IN_MASK_CREATE);
        refused(other, libc::EEXIST, "second watch of one directory")?;
        touch(a, x)?;
        ear.owe(w, IN_OPEN, x);
        chmod(a, x)?;
        ear.owe(more, IN_ATTRIB, x);
        ear.unwatch(w)?;
        chmod(a, x)?;
        touch(a, x)?;
        ear.hear()?;
        unlink(a, x)
    }

    /// A watched file in a watched directory is unlinked, and goes when its last user does.
    pub(super) fn gone(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, [x, _]) = (self.a.as_fd(), self.names);
        create(a, x)?;
        let (w, itself) = (
            ear.watch(a, c".", IN_DELETE | IN_OPEN)?,
            ear.watch(a, x, SELF)?,
        );
        let pinned = pin(a, x)?;
        unlink(a, x)?;
        ear.owe(itself, IN_ATTRIB, c"");
        ear.owe(w, IN_DELETE, x);
        drop(pinned);
        ear.owe(itself, IN_DELETE_SELF, c"");
        ear.owe(itself, IN_IGNORED, c"");
        ear.unwatch(w)?;
        ear.hear()
    }

    /// What is done to an unlinked file its directory hears, unless it asked not to.
    pub(super) fn excluded(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, [x, _]) = (self.a.as_fd(), self.names);
        for exclude in [0, libc::IN_EXCL_UNLINK] {
            let w = ear.watch(a, c".", IN_MODIFY | IN_DELETE | exclude)?;
            let file = ops::open(a, x, O_RDWR | O_CREAT | O_EXCL).map_err(due(TAKEN, "create"))?;
            ops::write_at_0(file.as_fd(), b"one").map_err(due(LOST, "write"))?;
            ear.owe(w, IN_MODIFY, x);
            unlink(a, x)?;
            ear.owe(w, IN_DELETE, x);
            ops::write_at_0(file.as_fd(), b"two").map_err(due(LOST, "write"))?;
            if exclude == 0 {
                ear.owe(w, IN_MODIFY, x);
            }
            ear.unwatch(w)?;
            ear.hear()?;
        }
        Ok(())
    }

    /// Others touch the children all the time, which this watch does not ask for; it hears what this thread does
    /// to each of them, though it was put on at any moment of the others' touching.
    pub(super) fn among(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        const NAMES: [&CStr; CHILDREN as usize] =
            [c"c0", c"c1", c"c2", c"c3", c"c4", c"c5", c"c6", c"c7"];
        let t = self.touched.as_fd();
        let w = ear.watch(t, c".", IN_ATTRIB)?;
        for name in NAMES {
            chmod(t, name)?;
            ear.owe(w, IN_ATTRIB, name);
        }
        ear.unwatch(w)?;
        ear.hear()
    }

    /// What an NFS client makes and removes, a watch on the server's side hears.
    pub(super) fn served(&mut self, ear: &mut Ear) -> Result<(), Fault> {
        let (a, [x, y]) = (self.a.as_fd(), self.names);
        let Some(served) = &self.served else {
            return Ok(());
        };
        let w = ear.watch(served.as_fd(), c".", ENTRIES)?;
        create(a, x)?;
        ear.owe(w, IN_CREATE, x);
        rename((a, x), (a, y))?;
        ear.owe_move(Some((w, x)), Some((w, y)), 0);
        ops::mkdir(a, x).map_err(due(TAKEN, "mkdir"))?;
        ear.owe(w, IN_CREATE | IN_ISDIR, x);
        ops::unlink(a, x, libc::AT_REMOVEDIR).map_err(due(LOST, "rmdir"))?;
        ear.owe(w, IN_DELETE | IN_ISDIR, x);
        unlink(a, y)?;
        ear.owe(w, IN_DELETE, y);
        ear.unwatch(w)?;
        ear.hear()
    }
}
