// SPDX-License-Identifier: MIT OR Apache-2.0
//! Small filesystems mounted and unmounted while others look into them.
//!
//! Each worker has two places of its own. Of one it is known exactly who uses it, so unmounting it must succeed as
//! soon as nobody does. The other's folder may be removed from another mount namespace, and the mount with it.

use super::tree;
use crate::fs::mount::{Refusal, mount};
use crate::ops::{self, Answer, Name, errno_name};
use crate::run::patiently;
use crate::scenario::Number;
use crate::scenario::fault::{Fault, due, may, starved};
use libc::{AT_REMOVEDIR, EBUSY, EEXIST, EINVAL, ENOENT, ENOTDIR, O_DIRECTORY, O_RDONLY};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Set in a place's count of users when it is closed to new ones.
const CLOSED: u32 = 1 << 31;

/// The places of all workers.
#[derive(Debug)]
pub(super) struct Mounts {
    base: PathBuf,
    root: OwnedFd,
    users: Vec<AtomicU32>,
    unmounted: AtomicU64,
    snatched: AtomicU64,
}

impl Mounts {
    /// Places for that many workers below `base`.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn new(base: &Path, workers: u32) -> Result<Self, String> {
        let path = CString::new(base.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
        let root = ops::open_dir(&path);
        Ok(Self {
            base: base.to_owned(),
            root: root
                .map_err(|errno| format!("open {}: {}", base.display(), errno_name(errno)))?,
            users: (0..workers).map(|_| AtomicU32::new(CLOSED)).collect(),
            unmounted: AtomicU64::new(0),
            snatched: AtomicU64::new(0),
        })
    }

    /// Mounts, fills and unmounts the worker's strict place.
    pub(super) fn strict(&self, own: u32, names: u32, stop: &AtomicBool) -> Result<(), Fault> {
        let name = Name::new("m", own.into());
        // A mount that was given up for somebody who hangs in it keeps its folder.
        ops::mkdir(self.root.as_fd(), name.as_c()).map_err(may("mkdir", &[EEXIST]))?;
        let at = self.base.join(name.to_string());
        let mounted = mount("tmpfs", "shrink", &at, "").map_err(starving);
        let filled = mounted.and_then(|()| {
            let users = &self.users[own as usize];
            users.store(0, Ordering::Release);
            let filled = self.fill(own, "m", names, stop);
            users.fetch_or(CLOSED, Ordering::AcqRel);
            if !left(users) {
                return Err(Fault::Answer(EBUSY));
            }
            self.unmount_unused(&at).and(filled)
        });
        if filled == Err(Fault::Answer(EBUSY)) {
            return filled;
        }
        ops::unlink(self.root.as_fd(), name.as_c(), AT_REMOVEDIR)
            .map_err(due("folder busy after its unmount", "rmdir"))?;
        filled
    }

    /// Nobody uses it: what the kernel still holds, it holds for a moment only.
    fn unmount_unused(&self, at: &Path) -> Result<(), Fault> {
        patiently(|| unmount(at).map_err(errno_name)).map_err(|why| {
            let seen = format!("umount gave {why}");
            Fault::wrong("unused mount cannot be unmounted", seen)
        })?;
        self.unmounted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn fill(&self, own: u32, prefix: &str, names: u32, stop: &AtomicBool) -> Result<(), Fault> {
        let name = Name::new(prefix, own.into());
        let root = ops::open(self.root.as_fd(), name.as_c(), O_RDONLY | O_DIRECTORY)
            .map_err(may("open of a mount", &[ENOENT]))?;
        match tree::fill(root.as_fd(), names, stop) {
            // A folder that was removed takes no names any more.
            Err(Fault::Wrong(..)) if prefix == "l" => Ok(()),
            filled => filled,
        }
    }

    /// Looks into somebody's strict place, unless it is closed.
    pub(super) fn walk(&self, other: u32, names: u32, salt: u32) -> Result<(), Fault> {
        let users = &self.users[other as usize];
        let entered = users.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
            (count & CLOSED == 0).then_some(count + 1)
        });
        if entered.is_err() {
            return Ok(());
        }
        let walked = tree::walk(self.root.as_fd(), Name::new("m", other.into()), names, salt);
        users.fetch_sub(1, Ordering::AcqRel);
        walked
    }

    /// Mounts on the worker's loose place, which another namespace may remove at any moment.
    pub(super) fn loose(&self, own: u32, names: u32, stop: &AtomicBool) -> Result<(), Fault> {
        let name = Name::new("l", own.into());
        ops::mkdir(self.root.as_fd(), name.as_c()).map_err(may("mkdir", &[EEXIST]))?;
        let at = self.base.join(name.to_string());
        let path = CString::new(at.as_os_str().as_encoded_bytes()).unwrap_or_default();
        let tmpfs = c"tmpfs".as_ptr();
        // SAFETY: all strings end in NUL and outlive the call.
        let mounted = unsafe { libc::mount(tmpfs, path.as_ptr(), tmpfs, 0, std::ptr::null()) };
        let filled = match mounted {
            0 => self.fill(own, "l", names / 4, stop),
            _ => Ok(()),
        };
        // Whatever of it is left goes; a snatched mount went with its folder.
        for answer in [
            unmount(&at),
            ops::unlink(self.root.as_fd(), name.as_c(), AT_REMOVEDIR),
        ] {
            answer
                .map_err(may(
                    "taking a loose mount away",
                    &[EINVAL, ENOENT, EBUSY, ENOTDIR],
                ))
                .or_else(|fault| match fault {
                    Fault::Answer(_) => Ok(()),
                    wrong => Err(wrong),
                })?;
        }
        filled
    }

    /// Removes the folder of somebody's loose place.
    pub(super) fn snatch(&self, other: u32) -> Result<(), Fault> {
        let name = Name::new("l", other.into());
        ops::unlink(self.root.as_fd(), name.as_c(), AT_REMOVEDIR).map_err(may(
            "rmdir of a mount's folder",
            &[ENOENT, EBUSY, libc::ENOTEMPTY],
        ))?;
        self.snatched.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How many were unmounted, and removed from elsewhere.
    pub(super) fn numbers(&self) -> Vec<Number> {
        let count = |name, of: &AtomicU64| Number::count(name, of.load(Ordering::Relaxed) as f64);
        vec![
            count("unmounted", &self.unmounted),
            count("snatched", &self.snatched),
        ]
    }

    /// Unmounts what an early end left.
    ///
    /// # Errors
    /// What cannot be unmounted.
    pub(super) fn clear(&self) -> Result<(), String> {
        for own in 0..self.users.len() as u64 {
            for prefix in ["m", "l"] {
                let at = self.base.join(Name::new(prefix, own).to_string());
                patiently(|| match unmount(&at) {
                    Ok(()) | Err(EINVAL | ENOENT | ENOTDIR) => Ok(()),
                    Err(errno) => Err(format!("umount {}: {}", at.display(), errno_name(errno))),
                })?;
            }
        }
        Ok(())
    }
}

/// Gives this thread a mount namespace of its own; whether the kernel did.
pub(super) fn leave() -> bool {
    // SAFETY: only this thread's view of the mounts changes. A host's threads are left alone.
    std::process::id() == 1 && unsafe { libc::unshare(libc::CLONE_NEWNS) } == 0
}

/// Waits until the users of a closed place have left; whether they did.
fn left(users: &AtomicU32) -> bool {
    patiently(|| match users.load(Ordering::Acquire) {
        CLOSED => Ok(()),
        _ => Err(String::new()),
    })
    .is_ok()
}

fn unmount(at: &Path) -> Answer<()> {
    let path = CString::new(at.as_os_str().as_encoded_bytes()).map_err(|_| EINVAL)?;
    // SAFETY: the path ends in NUL.
    ops::done(unsafe { libc::umount2(path.as_ptr(), libc::UMOUNT_NOFOLLOW) })
}

/// Where there is no memory for a mount, nobody is at fault.
fn starving(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::Absent(why) | Refusal::Failed(why) => {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
            if starved(errno) {
                return Fault::Answer(errno);
            }
            Fault::wrong("tmpfs cannot be mounted", why)
        }
    }
}
