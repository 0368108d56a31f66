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
    /// The same filesystem as its server sees it, where it is a network filesystem.
    pub(crate) server: Option<PathBuf>,
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
        "overlay" => return prepare_overlay(at),
        "proc" => return Ok(Ready::there(PathBuf::from("/run"))),
        "xfs" | "ext4" | "xfs-ci" => mount_disk(kind, &at)?,
        "nfs4.2" => return prepare_nfs(at),
        other => {
            return Err(Refusal::Absent(format!(
                "the agent knows no filesystem «{other}»"
            )));
        }
    }
    Ok(Ready {
        mounts: vec![at.clone()],
        at,
        server: None,
    })
}

/// An overlay whose layers are folders of one tmpfs.
fn prepare_overlay(at: PathBuf) -> Result<Ready, Refusal> {
    need("overlay")?;
    let layers = Path::new("/mnt/layers");
    mount("tmpfs", "tmpfs", layers, "")?;
    let made = ["lower", "upper", "work"].iter().try_for_each(|name| {
        let folder = layers.join(name);
        std::fs::create_dir(&folder)
            .map_err(|error| Refusal::Failed(format!("mkdir {}: {error}", folder.display())))
    });
    let layers_of =
        "lowerdir=/mnt/layers/lower,upperdir=/mnt/layers/upper,workdir=/mnt/layers/work";
    if let Err(refusal) = made.and_then(|()| mount("overlay", "overlay", &at, layers_of)) {
        // Why there is no overlay is worth more than what this may say.
        let _ = unmount(layers);
        return Err(refusal);
    }
    Ok(Ready {
        mounts: vec![at.clone(), layers.to_owned()],
        at,
        server: None,
    })
}

/// An XFS disk, exported and mounted again through the loop-back device.
fn prepare_nfs(at: PathBuf) -> Result<Ready, Refusal> {
    ["nfsd", "nfs4"].iter().try_for_each(|kind| need(kind))?;
    let export = Path::new(nfs::EXPORT);
    // nfsd waits a little for its client tracking; the disk is mounted meanwhile.
    let started = nfs::server::start_in_background();
    let mounted = mount_disk("xfs", export);
    let started = started.join();
    mounted?;
    let served = started.unwrap_or_else(|_| Err(Refusal::Failed("starting nfsd failed".into())));
    if let Err(refusal) = served.and_then(|()| nfs::mount_client(&at)) {
        // Why there is no client is worth more than what this may say.
        let _ = nfs::server::release_export();
        return Err(refusal);
    }
    Ok(Ready {
        mounts: vec![at.clone(), export.to_owned()],
        at,
        server: Some(export.to_owned()),
    })
}

fn mount_disk(kind: &str, at: &Path) -> Result<(), Refusal> {
    let of = kind.split('-').next().unwrap_or(kind);
    need(of)?;
    let device = disk::find(kind).map_err(Refusal::Failed)?;
    mount(of, &device.to_string_lossy(), at, "")
}

/// Refuses a filesystem that the kernel does not list.
fn need(kind: &str) -> Result<(), Refusal> {
    match std::fs::read_to_string("/proc/filesystems") {
        Ok(list) if !lists(&list, kind) => Err(Refusal::Absent(format!(
            "this kernel has no filesystem {kind}"
        ))),
        // Without the list mount itself tells.
        _ => Ok(()),
    }
}

/// Whether a text like /proc/filesystems names a filesystem.
fn lists(text: &str, kind: &str) -> bool {
    text.lines()
        .any(|line| line.split('\t').next_back() == Some(kind))
}

impl Ready {
    /// A folder that is there already and is left as it is.
    pub(crate) fn there(at: PathBuf) -> Self {
        Self {
            at,
            server: None,
            mounts: Vec::new(),
        }
    }

    /// Unmounts everything, innermost first. Can be tried again: what is gone is not asked for twice.
    ///
    /// # Errors
    /// The first refusal; the rest stays mounted.
    pub(crate) fn remove(&mut self) -> Result<(), String> {
        while let Some(at) = self.mounts.first() {
            if at.as_path() == Path::new(nfs::EXPORT) {
                nfs::server::release_export()?;
            } else if self.server.is_some() {
                nfs::server::release_client(at)?;
            } else {
                unmount(at)?;
            }
            self.mounts.remove(0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_are_looked_up_by_their_whole_name() {
        let text = "nodev\tsysfs\nnodev\tnfs4\n\text4\n";
        assert!(lists(text, "nfs4") && lists(text, "ext4") && lists(text, "sysfs"));
        assert!(!lists(text, "nfs") && !lists(text, "xfs") && !lists(text, "nodev"));
    }

    #[test]
    fn what_the_kernel_or_the_agent_has_not_is_absent_not_failed() {
        assert!(matches!(
            need("no-such-filesystem"),
            Err(Refusal::Absent(_))
        ));
        assert!(matches!(prepare("ntfs"), Err(Refusal::Absent(why)) if why.contains("«ntfs»")));
    }
}
