// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the scratch disk that holds a filesystem, by its superblock: the order of disks in the
//! machine does not matter.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where a filesystem's superblock says what it is: offset and bytes.
/// XFS: `sb_magicnum` in `xfs_format.h`; ext4: `s_magic` at 0x38 of the block at 1024, `fs/ext4/ext4.h`.
fn magic(kind: &str) -> Option<(u64, &'static [u8])> {
    match kind {
        "xfs" | "xfs-ci" => Some((0, b"XFSB")),
        "ext4" => Some((1024 + 0x38, &[0x53, 0xef])),
        _ => None,
    }
}

/// The block device that holds a `kind`.
///
/// # Errors
/// When no disk of the machine has it; says which disks were looked at.
pub(crate) fn find(kind: &str) -> Result<PathBuf, String> {
    let disks: Vec<PathBuf> = (b'a'..=b'z')
        .map(|letter| Path::new("/dev").join(format!("vd{}", char::from(letter))))
        .take_while(|disk| disk.exists())
        .collect();
    let found = disks.iter().find(|disk| holds(disk, kind)).cloned();
    found.ok_or_else(|| {
        format!(
            "none of the machine's {} disks holds a formatted {kind}",
            disks.len()
        )
    })
}

fn holds(disk: &Path, kind: &str) -> bool {
    let (Some((offset, magic)), Ok(disk)) = (magic(kind), File::open(disk)) else {
        return false;
    };
    let mut bytes = vec![0; magic.len()];
    let is = disk.read_exact_at(&mut bytes, offset).is_ok() && bytes == magic;
    is && folds_case(&disk) == (kind == "xfs-ci")
}

/// Whether an XFS takes `a` and `A` for one name: bit 14 (`XFS_SB_VERSION_BORGBIT`) of the big-endian
/// `sb_versionnum` at 100, `fs/xfs/libxfs/xfs_format.h`. Never so for what is no XFS.
fn folds_case(disk: &File) -> bool {
    let mut head = [0; 102];
    disk.read_exact_at(&mut head, 0).is_ok() && &head[..4] == b"XFSB" && head[100] & 0x40 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superblocks_are_told_apart() {
        let path = std::env::temp_dir().join(format!("lab-disk-{}", std::process::id()));
        let mut image = vec![0; 4096];
        image[..4].copy_from_slice(b"XFSB");
        std::fs::write(&path, &image).unwrap();
        assert!(holds(&path, "xfs") && !holds(&path, "ext4") && !holds(&path, "tmpfs"));
        image[100] |= 0x40;
        std::fs::write(&path, &image).unwrap();
        assert!(holds(&path, "xfs-ci") && !holds(&path, "xfs"));
        image[1024 + 0x38..][..2].copy_from_slice(&[0x53, 0xef]);
        image[0] = 0;
        std::fs::write(&path, &image).unwrap();
        assert!(!holds(&path, "xfs") && holds(&path, "ext4"));
        std::fs::write(&path, "short").unwrap();
        assert!(!holds(&path, "ext4"));
        std::fs::remove_file(&path).unwrap();
    }
}
