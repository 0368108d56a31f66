// SPDX-License-Identifier: MIT OR Apache-2.0
//! The doors to one export: mounts with dentries and attribute caches of their own, and the server's own side.

use crate::fs::mount::{Refusal, unmount};
use crate::nfs;
use crate::ops::handle::{Node, node};
use crate::ops::{self, Name, errno_name};
use crate::run::patiently;
use crate::scenario::Place;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The name that always exists.
pub(crate) const KEEP: &CStr = c"keep";
/// What is in it.
pub(crate) const KEEP_CONTENT: &[u8] = b"always here\n";
/// The name that never exists.
pub(crate) const ABSENT: &CStr = c"never";

/// The usual mount, with the usual caches.
pub(crate) const USUAL: u32 = 0;
/// A mount that asks for a directory's attributes each time, and trusts its dentries as long as those stay.
pub(crate) const FRESH: u32 = 1;
/// A mount that trusts no dentry at all.
pub(crate) const STRICT: u32 = 2;
/// The server's own side.
pub(crate) const SERVER: u32 = 3;

/// Names and options of the mounts that are made beside the usual one.
const APART: [(&str, &str); 2] = [
    (
        "fresh",
        "acregmin=0,acregmax=0,acdirmin=0,acdirmax=0,lookupcache=all",
    ),
    (
        "strict",
        "acregmin=0,acregmax=0,acdirmin=0,acdirmax=0,lookupcache=none",
    ),
];

/// One way to the directories.
#[derive(Debug)]
pub(crate) struct Door {
    name: &'static str,
    dirs: Vec<OwnedFd>,
}

/// All ways to the directories.
#[derive(Debug)]
pub(crate) struct Doors {
    doors: Vec<Door>,
    mounts: Vec<PathBuf>,
    /// The stable file of each directory.
    pub(crate) keeps: Vec<Node>,
}

impl Doors {
    /// Makes `dirs` directories on the server and opens them through every door.
    ///
    /// # Errors
    /// When the place is no NFS mount, or a mount or a directory cannot be made.
    pub(crate) fn make(place: &Place, dirs: u32) -> Result<Self, Refusal> {
        let outside = || Refusal::Failed("this scenario needs an export and its server".into());
        let server = place.server.as_deref().ok_or_else(outside)?;
        let inside = server.strip_prefix(nfs::EXPORT).map_err(|_| outside())?;
        let keeps = furnish(server, dirs).map_err(Refusal::Failed)?;
        let mut doors = Self {
            doors: Vec::new(),
            mounts: Vec::new(),
            keeps,
        };
        let made = doors.open_all(place, server, inside, dirs);
        match made {
            Ok(()) => Ok(doors),
            Err(refusal) => {
                // The first reason is the one to tell.
                let _ = doors.close();
                Err(refusal)
            }
        }
    }

    fn open_all(
        &mut self,
        place: &Place,
        server: &Path,
        inside: &Path,
        dirs: u32,
    ) -> Result<(), Refusal> {
        self.add("usual", &place.base, dirs)
            .map_err(Refusal::Failed)?;
        for (name, options) in APART {
            let flat = inside.as_os_str().to_string_lossy().replace('/', "-");
            let at = Path::new("/mnt").join(format!("{name}-{flat}"));
            nfs::mount_apart(&at, options)?;
            self.mounts.push(at.clone());
            self.add(name, &at.join(inside), dirs)
                .map_err(Refusal::Failed)?;
        }
        self.add("server", server, dirs).map_err(Refusal::Failed)
    }

    fn add(&mut self, name: &'static str, base: &Path, dirs: u32) -> Result<(), String> {
        let dirs = open_dirs(base, dirs)?;
        self.doors.push(Door { name, dirs });
        Ok(())
    }

    /// The directory `dir` through a door; numbers past the end start again.
    pub(crate) fn dir(&self, door: u32, dir: u32) -> BorrowedFd<'_> {
        let dirs = &self.doors[door as usize % self.doors.len()].dirs;
        dirs[dir as usize % dirs.len()].as_fd()
    }

    /// The name of a door.
    pub(crate) fn name(&self, door: u32) -> &'static str {
        self.doors[door as usize % self.doors.len()].name
    }

    /// Lets go of the directories and unmounts what was mounted here.
    ///
    /// # Errors
    /// Says what stays busy.
    pub(crate) fn close(self) -> Result<(), String> {
        drop(self.doors);
        self.mounts
            .iter()
            .try_for_each(|at| patiently(|| unmount(at)))
    }

    /// Plain folders as doors, for tests on a host.
    #[cfg(test)]
    pub(crate) fn folders(base: &Path, dirs: u32) -> Self {
        let mut doors = Self {
            doors: Vec::new(),
            mounts: Vec::new(),
            keeps: furnish(base, dirs).unwrap(),
        };
        for name in ["usual", "fresh", "strict", "server"] {
            doors.add(name, base, dirs).unwrap();
        }
        doors
    }
}

fn open(path: &Path) -> Result<OwnedFd, String> {
    let shown = path.display();
    let path = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
    ops::open_dir(&path).map_err(|errno| format!("open {shown}: {}", errno_name(errno)))
}

fn open_dirs(base: &Path, dirs: u32) -> Result<Vec<OwnedFd>, String> {
    let name = |dir: u32| Name::new("d", dir.into()).to_string();
    (0..dirs).map(|dir| open(&base.join(name(dir)))).collect()
}

/// Makes the directories and the stable file in each, on the server's side.
fn furnish(server: &Path, dirs: u32) -> Result<Vec<Node>, String> {
    let root = open(server)?;
    let make = |dir: u32| {
        let name = Name::new("d", dir.into());
        ops::mkdir(root.as_fd(), name.as_c())?;
        let fd = ops::open(
            root.as_fd(),
            name.as_c(),
            libc::O_RDONLY | libc::O_DIRECTORY,
        )?;
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL;
        let file = ops::open(fd.as_fd(), KEEP, flags)?;
        ops::write_at_0(file.as_fd(), KEEP_CONTENT)?;
        Ok(node(file.as_fd())?.0)
    };
    (0..dirs)
        .map(|dir| make(dir).map_err(|errno: i32| format!("making d{dir}: {}", errno_name(errno))))
        .collect()
}
