// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formatted scratch disks, made once by the host's mkfs and kept in the cache. A guest gets one
//! with `snapshot=on`, so nobody ever writes to it.

use super::{hex, loops};
use crate::error::{Doing, Error, Result};
use lab_core::job::Disk;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// Changes when the way in which disks are made does.
const RECIPE: &str = "disk-1";

/// mkfs's prototype, and what is done to the image afterwards.
type Content = (&'static str, fn(&Path) -> Result<()>);

/// How to make one filesystem.
struct Maker {
    fs: &'static str,
    program: &'static str,
    package: &'static str,
    args: &'static [&'static str],
    /// What the filesystem shall hold; none: nothing.
    content: Option<Content>,
    /// Smallest disk that the program accepts, MiB.
    least_mib: u32,
}

/// A program that makes or changes a filesystem.
pub(super) struct Program {
    /// Its name.
    pub(super) name: &'static str,
    /// The package that has it.
    pub(super) package: &'static str,
    /// The filesystem that it is wanted for.
    pub(super) fs: &'static str,
}

const MAKERS: &[Maker] = &[
    Maker {
        fs: "xfs",
        program: "mkfs.xfs",
        package: "xfsprogs",
        args: &[
            "-q",
            "-f",
            "-m",
            "uuid=6c616200-0000-4000-8000-000000000001",
        ],
        content: None,
        least_mib: 300,
    },
    Maker {
        fs: "xfs-ci",
        program: "mkfs.xfs",
        package: "xfsprogs",
        args: &[
            "-q",
            "-f",
            "-n",
            "version=ci",
            "-m",
            "uuid=6c616200-0000-4000-8000-000000000004",
        ],
        content: Some((loops::PROTOTYPE, loops::bend)),
        least_mib: 300,
    },
    Maker {
        fs: "ext4",
        program: "mkfs.ext4",
        package: "e2fsprogs",
        // All tables are written here, or the guest's kernel would do it during the workload.
        args: &[
            "-q",
            "-F",
            "-U",
            "6c616200-0000-4000-8000-000000000002",
            "-E",
            "lazy_itable_init=0,lazy_journal_init=0,hash_seed=6c616200-0000-4000-8000-000000000003",
        ],
        content: None,
        least_mib: 16,
    },
];

/// The image of a scratch disk, made if the cache has it not; gives its path.
///
/// # Errors
/// An unknown filesystem, a disk too small for it, a missing or failing mkfs, a full disk.
pub fn disk(cache: &Path, disk: &Disk) -> Result<PathBuf> {
    let Some(fs) = &disk.fs else {
        return made(cache, disk, "empty", |_| Ok(()));
    };
    let maker = maker(fs)?;
    if disk.mib < maker.least_mib {
        let (mib, least) = (disk.mib, maker.least_mib);
        return Err(
            Error::usage(format!("a disk of {mib} MiB is too small for {fs}")).hint(format!(
                "give it {least} MiB or more; it takes no space before it is written to"
            )),
        );
    }
    // Another mkfs may lay the filesystem out differently.
    let version = run(&maker.program(), Command::new(maker.program).arg("-V"))?;
    let version = [version.stdout, version.stderr].concat();
    let mut recipe = format!("{}{:?}", String::from_utf8_lossy(&version), maker.args);
    if let Some((prototype, _)) = maker.content {
        recipe.push_str(prototype);
    }
    made(cache, disk, &recipe, |path| format(maker, path))
}

fn maker(fs: &str) -> Result<&'static Maker> {
    MAKERS.iter().find(|maker| maker.fs == fs).ok_or_else(|| {
        let known: Vec<_> = MAKERS.iter().map(|maker| maker.fs).collect();
        Error::usage(format!("the lab cannot make a disk with «{fs}»"))
            .hint(format!("known are: {}", known.join(", ")))
    })
}

fn made(
    cache: &Path,
    disk: &Disk,
    recipe: &str,
    fill: impl Fn(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let fs = disk.fs.as_deref().unwrap_or("empty");
    let key = hex(&Sha256::digest(format!(
        "{RECIPE} {fs} {} {recipe}",
        disk.mib
    )));
    let folder = cache.join("images");
    let path = folder.join(format!("{fs}-{}M-{}.img", disk.mib, &key[..16]));
    if path.is_file() {
        // Whoever frees space goes by the time of the last use. Where that cannot be noted, nothing is freed.
        let _not_ours = File::options()
            .append(true)
            .open(&path)
            .and_then(|f| f.set_modified(SystemTime::now()));
        return Ok(path);
    }
    let doing = || format!("make the disk image {}", path.display());
    std::fs::create_dir_all(&folder).doing(doing)?;
    // Whoever is killed here leaves a temporary file, never half an image.
    let temporary = tempfile::Builder::new()
        .prefix(".new-")
        .tempfile_in(&folder)
        .doing(doing)?;
    temporary
        .as_file()
        .set_len(u64::from(disk.mib) << 20)
        .doing(doing)?;
    fill(temporary.path()).map_err(|error| error.doing(doing()))?;
    // mkfs wrote through a descriptor of its own; this one syncs the same file.
    temporary.as_file().sync_all().doing(doing)?;
    temporary
        .persist(&path)
        .map_err(|error| Error::from(error.error))
        .doing(doing)?;
    File::open(&folder)
        .and_then(|folder| folder.sync_all())
        .doing(doing)?;
    Ok(path)
}

fn format(maker: &Maker, path: &Path) -> Result<()> {
    let mut command = Command::new(maker.program);
    command.args(maker.args);
    let prototype = maker.content.map(|(text, _)| prototype(text)).transpose()?;
    if let Some(file) = &prototype {
        command.arg("-p").arg(file.path());
    }
    let output = run(&maker.program(), command.arg(path))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or_default();
        return Err(Error::rig(format!(
            "{} ended with {}: {last}",
            maker.program, output.status
        )));
    }
    match maker.content {
        Some((_, change)) => change(path),
        None => Ok(()),
    }
}

/// A prototype as a file, for as long as it is wanted.
fn prototype(text: &str) -> Result<tempfile::NamedTempFile> {
    let doing = || "write a prototype for mkfs".to_owned();
    let file = tempfile::NamedTempFile::new().doing(doing)?;
    std::fs::write(file.path(), text).doing(doing)?;
    Ok(file)
}

impl Maker {
    fn program(&self) -> Program {
        Program {
            name: self.program,
            package: self.package,
            fs: self.fs,
        }
    }
}

/// Runs such a program, also where /usr/sbin is not in the path of ordinary users.
pub(super) fn run(program: &Program, command: &mut Command) -> Result<Output> {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    let output = command.env("PATH", path).env("LC_ALL", "C").output();
    output.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::rig(format!(
            "{} is not installed, which a scratch disk with {} needs",
            program.name, program.fs
        ))
        .hint(format!("install the package {}", program.package)),
        _ => Error::rig(format!("{} does not run: {error}", program.name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn wanted(mib: u32, fs: Option<&str>) -> Disk {
        Disk {
            mib,
            fs: fs.map(str::to_owned),
        }
    }

    #[test]
    fn a_disk_is_made_once_sparse_and_with_its_superblock() {
        let cache = tempfile::tempdir().unwrap();
        let path = match disk(cache.path(), &wanted(64, Some("ext4"))) {
            Err(error)
                if error
                    .hint_text()
                    .is_some_and(|hint| hint.contains("e2fsprogs")) =>
            {
                return eprintln!("NOT CHECKED: {error}");
            }
            path => path.unwrap(),
        };
        let first = std::fs::metadata(&path).unwrap();
        assert_eq!(first.len(), 64 << 20);
        assert!(first.blocks() * 512 < 16 << 20, "{} blocks", first.blocks());
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[1024 + 0x38..][..2], [0x53, 0xef]);
        assert_eq!(disk(cache.path(), &wanted(64, Some("ext4"))).unwrap(), path);
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), first.ino());
        assert_eq!(
            std::fs::read_dir(cache.path().join("images"))
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn a_disk_with_loops_folds_case_and_is_bent() {
        let cache = tempfile::tempdir().unwrap();
        let path = match disk(cache.path(), &wanted(300, Some("xfs-ci"))) {
            Err(error)
                if error
                    .hint_text()
                    .is_some_and(|hint| hint.contains("xfsprogs")) =>
            {
                return eprintln!("NOT CHECKED: {error}");
            }
            path => path.unwrap(),
        };
        use std::io::Read;
        let mut head = [0; 102];
        File::open(&path).unwrap().read_exact(&mut head).unwrap();
        // `sb_versionnum` has XFS_SB_VERSION_BORGBIT.
        assert_eq!((&head[..4], head[100] & 0x40), (b"XFSB".as_slice(), 0x40));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 300 << 20);
    }

    #[test]
    fn an_empty_disk_has_its_size_and_no_blocks() {
        let cache = tempfile::tempdir().unwrap();
        let path = disk(cache.path(), &wanted(5, None)).unwrap();
        let meta = std::fs::metadata(path).unwrap();
        assert_eq!((meta.len(), meta.blocks()), (5 << 20, 0));
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        let cache = tempfile::tempdir().unwrap();
        let refused = |mib, fs| {
            let error = disk(cache.path(), &wanted(mib, Some(fs))).unwrap_err();
            (
                error.to_string(),
                error.hint_text().unwrap_or_default().to_owned(),
            )
        };
        let (cause, hint) = refused(300, "zfs");
        assert_eq!(cause, "the lab cannot make a disk with «zfs»");
        assert_eq!(hint, "known are: xfs, xfs-ci, ext4");
        assert_eq!(
            refused(64, "xfs").0,
            "a disk of 64 MiB is too small for xfs"
        );
    }

    #[test]
    fn a_missing_or_failing_mkfs_leaves_no_image() {
        let cache = tempfile::tempdir().unwrap();
        let with = |program| {
            let maker = Maker {
                program,
                ..*maker("ext4").unwrap()
            };
            made(cache.path(), &wanted(16, Some("ext4")), program, |path| {
                format(&maker, path)
            })
            .unwrap_err()
        };
        let missing = with("mkfs.no-such-thing");
        assert!(
            missing.to_string().contains("is not installed"),
            "{missing}"
        );
        assert_eq!(missing.hint_text(), Some("install the package e2fsprogs"));
        assert!(
            with("false")
                .to_string()
                .contains("ended with exit status: 1")
        );
        assert_eq!(
            std::fs::read_dir(cache.path().join("images"))
                .unwrap()
                .count(),
            0
        );
    }
}
