// SPDX-License-Identifier: MIT OR Apache-2.0
//! Filesystems for scenarios: mounted before, unmounted after, with no userland at all.

pub(crate) mod disk;
pub(crate) mod mount;

use crate::nfs;
use mount::{Refusal, mount, unmount};
use std::path::{Path, PathBuf};

/// A filesystem ready for a scenario.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Where the scenario may work.
    pub(crate) at: PathBuf,
    /// It is a network filesystem.
    pub(crate) remote: bool,
    mounts: Vec<PathBuf>,
}

/// Mounts the filesystem of that name.
///
/// # Errors
/// When the kernel has it not, or there is no disk with it, or the mount fails.
pub(crate) fn prepare(kind: &str) -> Result<Ready, Refusal> {
    let at = Path::new("/mnt").join(kind);
    match kind {
        "tmpfs" => mount("tmpfs", "tmpfs", &at, "")?,
        "xfs" | "ext4" => mount_disk(kind, &at)?,
        "nfs4.2" => {
            let started = nfs::server::start_in_background();
            let export = Path::new(nfs::EXPORT);
            let mounted = mount_disk("xfs", export);
            started
                .join()
                .map_err(|_| Refusal::Failed("starting nfsd failed".into()))??;
            mounted?;
            if let Err(refusal) = nfs::mount_client(&at) {
                // The reason why there is no client is worth more than what this may say.
                let _ = unmount(export);
                return Err(refusal);
            }
            return Ok(Ready {
                mounts: vec![at.clone(), export.to_owned()],
                at,
                remote: true,
            });
        }
        other => {
            return Err(Refusal::Absent(format!(
                "the agent knows no filesystem «{other}»"
            )));
        }
    }
    Ok(Ready {
        mounts: vec![at.clone()],
        at,
        remote: false,
    })
}

fn mount_disk(kind: &str, at: &Path) -> Result<(), Refusal> {
    if !supported(kind) {
        return Err(Refusal::Absent(format!(
            "this kernel has no filesystem {kind}"
        )));
    }
    let device = disk::find(kind).map_err(Refusal::Failed)?;
    mount(kind, &device.to_string_lossy(), at, "")
}

fn supported(kind: &str) -> bool {
    let list = std::fs::read_to_string("/proc/filesystems");
    // Without the list mount itself tells.
    list.map_or(true, |list| {
        list.lines()
            .any(|line| line.split('\t').next_back() == Some(kind))
    })
}

impl Ready {
    /// Unmounts everything, innermost first.
    ///
    /// # Errors
    /// The first refusal; the rest stays mounted.
    pub(crate) fn remove(self) -> Result<(), String> {
        for at in &self.mounts {
            if at.as_path() == Path::new(nfs::EXPORT) {
                nfs::server::release_export()?;
            } else {
                unmount(at)?;
            }
        }
        Ok(())
    }
}
