// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening what is known by its handle, by its path, and through a directory that an NFS client holds.

use super::tree::{KEEP, KEEP_CONTENT, Known, Tree};
use crate::ops::handle::{self, node, path_of};
use crate::ops::{self, Name};
use crate::scenario::fault::{Fault, content, due, starved};
use libc::{ESTALE, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long a handle may be refused while directories above it are moved to and fro.
const MOVED: Duration = Duration::from_secs(8);

/// Whether directories are being moved meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Air {
    /// Nothing moves: every answer is owed at once.
    Still,
    /// Something moves: a handle may be refused for the moment, and paths say nothing.
    Moving,
}

/// Opens a known directory by its handle.
pub(crate) fn dir(tree: &Tree, known: &Known, air: Air) -> Result<(), Fault> {
    let opened = open(tree, known, O_RDONLY | O_DIRECTORY, air)?;
    is(opened.as_fd(), known)?;
    match air {
        Air::Still => is_at(opened.as_fd(), tree, known),
        Air::Moving => Ok(()),
    }
}

/// Opens a known file by its handle and reads it.
pub(crate) fn file(tree: &Tree, known: &Known, air: Air) -> Result<(), Fault> {
    let opened = open(tree, known, O_RDONLY, air)?;
    is(opened.as_fd(), known)?;
    content(
        opened.as_fd(),
        KEEP_CONTENT,
        "handle opens a file of other content",
    )
}

fn open(tree: &Tree, known: &Known, flags: i32, air: Air) -> Result<OwnedFd, Fault> {
    const LOST: &str = "handle of an existing object not opened";
    let begun = Instant::now();
    loop {
        match handle::open(tree.root.as_fd(), &known.handle, flags) {
            // The search for a name may have missed it while it moved.
            Err(ESTALE) if air == Air::Moving && begun.elapsed() < MOVED => {
                std::thread::sleep(Duration::from_millis(2));
            }
            answer => return answer.map_err(due(LOST, "open_by_handle_at")),
        }
    }
}

/// Inode number and type are the known ones.
fn is(object: BorrowedFd<'_>, known: &Known) -> Result<(), Fault> {
    let (seen, _) = node(object).map_err(due("opened object cannot be looked at", "fstat"))?;
    if seen == known.node {
        return Ok(());
    }
    let seen = format!("was {:?}, is {seen:?}", known.node);
    Err(Fault::wrong("another object was opened", seen))
}

/// The kernel knows the whole path of a directory that was opened by its handle.
fn is_at(object: BorrowedFd<'_>, tree: &Tree, known: &Known) -> Result<(), Fault> {
    let mut buffer = [0; 1024];
    let seen =
        path_of(object, &mut buffer).map_err(due("opened object has no path", "readlink"))?;
    let right = seen
        .strip_prefix(tree.at.as_os_str().as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(b"/"))
        .is_some_and(|rest| rest == known.path.to_bytes());
    if right {
        return Ok(());
    }
    let seen = format!(
        "{:?} instead of {:?}",
        String::from_utf8_lossy(seen),
        known.path
    );
    Err(Fault::wrong("handle opened at a wrong path", seen))
}

/// Opens a known directory by its path below the root of the tree.
pub(crate) fn path(tree: &Tree, known: &Known, air: Air) -> Result<(), Fault> {
    const LOST: &str = "existing path lost";
    match ops::open(tree.root.as_fd(), &known.path, O_RDONLY | O_DIRECTORY) {
        Ok(opened) => is(opened.as_fd(), known),
        Err(libc::ENOENT) if air == Air::Moving => Err(Fault::Answer(libc::ENOENT)),
        Err(errno) => Err(due(LOST, "open")(errno)),
    }
}

/// Moves the second directory of a chain up to the root and back; the first one, where there is no second, is renamed.
pub(crate) fn to_and_fro(tree: &Tree, number: u32) -> Result<(), Fault> {
    const REFUSED: &str = "existing directory cannot be moved";
    let chain = tree.chain(number);
    let root = tree.root.as_fd();
    let known = chain.levels.get(1).unwrap_or(&chain.levels[0]);
    let (here, there) = (known.path.as_c_str(), Name::new("m", number.into()));
    ops::rename((root, here), (root, there.as_c())).map_err(due(REFUSED, "rename"))?;
    loop {
        match ops::rename((root, there.as_c()), (root, here)) {
            // Everything that comes later counts on its old place, and memory comes back.
            Err(errno) if starved(errno) => std::thread::sleep(Duration::from_millis(20)),
            answer => return answer.map_err(due(REFUSED, "rename back")),
        }
    }
}

/// Stats the stable name in a directory that a client holds.
pub(crate) fn remote_stat(held: BorrowedFd<'_>) -> Result<(), Fault> {
    let answer = ops::stat(held, KEEP).map(drop);
    answer.map_err(due("name in a held directory lost", "stat"))
}

/// Opens the stable name there, and reads it.
pub(crate) fn remote_open(held: BorrowedFd<'_>) -> Result<(), Fault> {
    let file = ops::open(held, KEEP, O_RDONLY);
    let file = file.map_err(due("name in a held directory lost", "open"))?;
    content(
        file.as_fd(),
        KEEP_CONTENT,
        "file in a held directory changed",
    )
}

/// Makes and unlinks a name there; nobody else works in that directory.
pub(crate) fn remote_own(held: BorrowedFd<'_>, member: u32) -> Result<(), Fault> {
    const REFUSED: &str = "held directory takes no name";
    let name = Name::new("o", member.into());
    let made = ops::open(held, name.as_c(), O_RDWR | O_CREAT | O_EXCL);
    made.map(drop).map_err(due(REFUSED, "create"))?;
    ops::unlink(held, name.as_c(), 0).map_err(due(REFUSED, "unlink"))
}
