// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chains of directories with leaves at their ends, and the handles of all of them.

use crate::ops::handle::{Handle, Node, handle, node};
use crate::ops::padded::Padded;
use crate::ops::{self, Answer, errno_name};
use libc::{O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Names beside the one that leads on, in each directory of a chain. With so many, the name is found in another
/// block than the one in which reconnecting has just read it: so its lookup waits for the disk, and others for it.
const BESIDE: u32 = 96;
/// The file in each leaf.
pub(crate) const KEEP: &CStr = c"keep";
/// What is in it.
pub(crate) const KEEP_CONTENT: &[u8] = b"always here\n";

/// An object that exists all the time, and what it must be found to be.
#[derive(Debug)]
pub(crate) struct Known {
    /// Its handle.
    pub(crate) handle: Handle,
    /// Its inode.
    pub(crate) node: Node,
    /// Its path below the root of the tree.
    pub(crate) path: CString,
}

/// A chain: a directory below the root, others below it, and leaves below the last.
#[derive(Debug)]
pub(crate) struct Chain {
    /// Its directories, outermost first.
    pub(crate) levels: Vec<Known>,
    /// The leaves.
    pub(crate) leaves: Vec<Known>,
    /// The file in the first leaf.
    pub(crate) file: Known,
}

/// All chains.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The root, held open.
    pub(crate) root: OwnedFd,
    /// Where the root is.
    pub(crate) at: PathBuf,
    /// The chains.
    pub(crate) chains: Vec<Chain>,
}

impl Tree {
    /// Makes the chains below the empty folder `at`.
    ///
    /// # Errors
    /// Says what cannot be made; `Err(None)` where the kernel or the filesystem has no handles.
    pub(crate) fn make(
        at: &Path,
        chains: u32,
        depth: u32,
        leaves: u32,
    ) -> Result<Self, Option<String>> {
        let failed = |what: &str, errno: i32| match errno {
            libc::EOPNOTSUPP | libc::ENOSYS => None,
            errno => Some(format!("{what}: {}", errno_name(errno))),
        };
        let path = CString::new(at.as_os_str().as_encoded_bytes()).map_err(|_| None)?;
        let root = ops::open_dir(&path).map_err(|errno| failed("open the root", errno))?;
        file(root.as_fd(), c"beside", b"").map_err(|errno| failed("make a file", errno))?;
        let chains = (0..chains)
            .map(|chain| make_chain(root.as_fd(), chain, depth, leaves))
            .collect::<Answer<_>>()
            .map_err(|errno| failed("make a chain", errno))?;
        Ok(Self {
            root,
            at: at.to_owned(),
            chains,
        })
    }

    /// The chain of that number; numbers past the end start again.
    pub(crate) fn chain(&self, number: u32) -> &Chain {
        &self.chains[number as usize % self.chains.len()]
    }
}

impl Chain {
    /// A directory of the chain; past its end one of the leaves.
    pub(crate) fn dir(&self, level: u32, leaf: u32) -> &Known {
        let leaf = leaf as usize % self.leaves.len();
        self.levels
            .get(level as usize)
            .unwrap_or(&self.leaves[leaf])
    }
}

fn make_chain(root: BorrowedFd<'_>, number: u32, depth: u32, leaves: u32) -> Answer<Chain> {
    let mut path = String::new();
    let mut levels = Vec::new();
    let mut dir = ops::open(root, c".", O_RDONLY | O_DIRECTORY)?;
    for level in 0..depth {
        // The second directory of each chain has a long name.
        let name = Padded::new(
            b'c',
            if level == 0 { number } else { level },
            level % 2 == 1,
        );
        let next = make_dir(dir.as_fd(), name.as_c())?;
        beside(root, next.as_fd())?;
        levels.push(known(next.as_fd(), &mut path, &name.to_string())?);
        dir = next;
    }
    let leaf = |leaf: u32| {
        let name = Padded::new(b't', leaf, leaf % 4 == 3);
        let fd = make_dir(dir.as_fd(), name.as_c())?;
        let mut path = path.clone();
        let leaf = known(fd.as_fd(), &mut path, &name.to_string())?;
        let keep = file(fd.as_fd(), KEEP, KEEP_CONTENT)?;
        Ok((leaf, known(keep.as_fd(), &mut path, "keep")?))
    };
    let made: Vec<_> = (0..leaves.max(1)).map(leaf).collect::<Answer<_>>()?;
    let (leaves, files): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    let file = files.into_iter().next().ok_or(libc::EINVAL)?;
    Ok(Chain {
        levels,
        leaves,
        file,
    })
}

fn make_dir(dir: BorrowedFd<'_>, name: &CStr) -> Answer<OwnedFd> {
    ops::mkdir(dir, name)?;
    ops::open(dir, name, O_RDONLY | O_DIRECTORY)
}

/// Makes a file with that content.
pub(crate) fn file(dir: BorrowedFd<'_>, name: &CStr, content: &[u8]) -> Answer<OwnedFd> {
    let file = ops::open(dir, name, O_RDWR | O_CREAT | O_EXCL)?;
    ops::write_at_0(file.as_fd(), content)?;
    Ok(file)
}

fn beside(root: BorrowedFd<'_>, dir: BorrowedFd<'_>) -> Answer<()> {
    (0..BESIDE).try_for_each(|number| {
        let name = Padded::new(b'x', number, true);
        ops::link((root, c"beside"), (dir, name.as_c()))
    })
}

fn known(object: BorrowedFd<'_>, path: &mut String, name: &str) -> Answer<Known> {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(name);
    Ok(Known {
        handle: handle(object, c"")?,
        node: node(object)?.0,
        path: CString::new(path.as_str()).map_err(|_| libc::EINVAL)?,
    })
}
