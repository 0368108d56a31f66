// SPDX-License-Identifier: MIT OR Apache-2.0
//! A dump as a plain core again: decompressed beside its run, sparse, and gone when it is no longer wanted.

use crate::error::{Doing, Error, Result};
use nix::sys::statvfs::statvfs;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Space that is left to everybody else on the disk, bytes.
const RESERVE: u64 = 256 << 20;
/// What is written between two looks at the space, bytes.
const LOOK_EVERY: u64 = 64 << 20;
/// Read at once.
const BLOCK: usize = 1 << 20;
/// Pages that hold nothing but zeros are not written.
const PAGE: usize = 4096;
/// Beginning of the names of unpacked cores.
const PREFIX: &str = ".core-";

/// A core, unpacked; its file goes with this value.
#[derive(Debug)]
pub(crate) struct Core {
    path: TempPath,
    /// Why it ends early, if it does.
    pub(crate) cut: Option<String>,
}

impl Core {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the file, under this name.
    ///
    /// # Errors
    /// It cannot be renamed there.
    pub(crate) fn keep(self, path: &Path) -> Result<()> {
        let kept = self.path.persist(path).map_err(|error| error.error);
        kept.doing(|| format!("write {}", path.display()))
    }
}

/// Unpacks a dump into `folder`. A dump that ends in the middle is unpacked as far as it goes.
///
/// # Errors
/// The dump cannot be read, or the disk has no room for it.
pub(crate) fn unpack(dump: &Path, folder: &Path) -> Result<Core> {
    let doing = || format!("unpack {}", dump.display());
    let file = File::open(dump).doing(doing)?;
    let stored = file.metadata().doing(doing)?.len();
    room(folder, stored).map_err(|error| error.doing(doing()))?;
    let temporary = (tempfile::Builder::new().prefix(PREFIX).suffix(".elf"))
        .tempfile_in(folder)
        .doing(|| format!("make a file in {}", folder.display()))?;
    let mut decoder = zstd::Decoder::new(file).doing(doing)?;
    // A writer may have used a window wider than the decoder's default.
    decoder.window_log_max(31).doing(doing)?;
    let cut = copy(&mut decoder, temporary.as_file(), folder);
    Ok(Core {
        cut: cut.map_err(|error| error.doing(doing()))?,
        path: temporary.into_temp_path(),
    })
}

/// Removes cores that a killed lab left in a run's folder.
pub(super) fn sweep(folder: &Path) {
    let left: Vec<PathBuf> = (fs::read_dir(folder).into_iter().flatten().flatten())
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(PREFIX.as_bytes())
        })
        .map(|entry| entry.path())
        .collect();
    for path in left {
        // One that cannot be removed is in nobody's way but the disk's.
        let _ = fs::remove_file(path);
    }
}

/// Copies what is not zero to its place. Gives why the source ended early, if it did.
fn copy(source: &mut impl Read, core: &File, folder: &Path) -> Result<Option<String>> {
    let mut block = vec![0; BLOCK];
    let (mut at, mut since_look) = (0_u64, 0_u64);
    let cut = loop {
        let (len, cut) = fill(source, &mut block);
        let written = write_pages(core, at, &block[..len])?;
        (at, since_look) = (at + len as u64, since_look + written);
        if since_look >= LOOK_EVERY {
            since_look = 0;
            room(folder, 0)?;
        }
        if cut.is_some() || len < BLOCK {
            break cut;
        }
    };
    // The last pages may be zeros that were not written.
    core.set_len(at)?;
    match at {
        0 => Err(Error::rig(
            cut.unwrap_or_else(|| "the dump is empty".to_owned()),
        )),
        _ => Ok(cut),
    }
}

/// Reads until the block is full or the source is over; also tells why it is over, if not by its end.
fn fill(source: &mut impl Read, block: &mut [u8]) -> (usize, Option<String>) {
    let mut len = 0;
    while len < block.len() {
        match source.read(&mut block[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (len, Some(error.to_string())),
        }
    }
    (len, None)
}

/// Writes runs of pages that are not all zero; gives how many bytes that were.
fn write_pages(core: &File, at: u64, block: &[u8]) -> Result<u64> {
    const ZEROS: [u8; PAGE] = [0; PAGE];
    let empty = |page: &[u8]| *page == ZEROS[..page.len()];
    let (mut from, mut written) = (0, 0);
    while from < block.len() {
        let end = |at: usize| (at + PAGE).min(block.len());
        if empty(&block[from..end(from)]) {
            from = end(from);
            continue;
        }
        let mut to = end(from);
        while to < block.len() && !empty(&block[to..end(to)]) {
            to = end(to);
        }
        core.write_all_at(&block[from..to], at + from as u64)?;
        written += (to - from) as u64;
        from = to;
    }
    Ok(written)
}

/// Is there room for this many bytes, and some left over?
fn room(folder: &Path, bytes: u64) -> Result<()> {
    let space = statvfs(folder).map_err(std::io::Error::from)?;
    let free = space.blocks_available() * space.fragment_size();
    if free >= RESERVE + bytes {
        return Ok(());
    }
    let (free, wanted) = (free >> 20, (RESERVE + bytes) >> 20);
    let words = format!(
        "{free} MiB are free in {}, at least {wanted} are wanted",
        folder.display()
    );
    Err(Error::rig(words)
        .hint("make room there (`lab gc` frees old dumps), then `lab autopsy RUN`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn packed(folder: &Path, bytes: &[u8]) -> PathBuf {
        let path = folder.join("vmcore.zst");
        fs::write(&path, zstd::encode_all(bytes, 3).unwrap()).unwrap();
        path
    }

    /// Pages of noise between wide stretches of zeros, with an odd end.
    fn memory() -> Vec<u8> {
        let mut bytes = vec![0; (9 << 20) + 77];
        for page in [0, 3, 4, 700, 2303] {
            (0..PAGE).for_each(|at| bytes[page * PAGE + at] = (at * 7 + page) as u8 | 1);
        }
        bytes
    }

    #[test]
    fn a_core_comes_out_as_it_was_and_zeros_take_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = memory();
        let core = unpack(&packed(folder.path(), &bytes), folder.path()).unwrap();
        assert!(fs::read(core.path()).unwrap() == bytes);
        assert_eq!(core.cut, None);
        let blocks = fs::metadata(core.path()).unwrap().blocks() * 512;
        assert!(blocks < 1 << 20, "{blocks}");
        let path = core.path().to_owned();
        drop(core);
        assert!(!path.exists());
    }

    #[test]
    fn a_dump_that_was_cut_is_unpacked_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let noise: Vec<u8> = (0..3_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let dump = packed(folder.path(), &noise);
        let whole = fs::read(&dump).unwrap();
        fs::write(&dump, &whole[..whole.len() / 2]).unwrap();
        let core = unpack(&dump, folder.path()).unwrap();
        let got = fs::read(core.path()).unwrap();
        assert!(core.cut.is_some() && !got.is_empty() && got.len() < noise.len());
        assert!(noise.starts_with(&got));
    }

    #[test]
    fn what_is_no_dump_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dump = folder.path().join("vmcore.zst");
        assert!(
            unpack(&dump, folder.path())
                .unwrap_err()
                .to_string()
                .contains("vmcore.zst")
        );
        for bytes in [&b""[..], b"no zstd at all"] {
            fs::write(&dump, bytes).unwrap();
            let error = unpack(&dump, folder.path()).unwrap_err().to_string();
            assert!(error.starts_with("failed to unpack"), "{error}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_disk_without_room_is_told_before_it_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let error = room(folder.path(), 1 << 60).unwrap_err();
        assert!(error.to_string().contains("MiB are free"), "{error}");
        assert!(
            error
                .hint_text()
                .is_some_and(|hint| hint.contains("make room"))
        );
    }

    #[test]
    fn cores_of_a_killed_lab_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".core-abc.elf"), "x").unwrap();
        fs::write(folder.path().join("console.log"), "x").unwrap();
        sweep(folder.path());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
