// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a `.tar.xz` member by member, and refuses what no kernel tarball holds.

use super::directory::{EXEC, FILE, LINK, honest_link, honest_name};
use crate::error::{Doing, Error, Result};
use liblzma::read::XzDecoder;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use tar::EntryType;

/// Largest single file, bytes; the kernel's largest is about 25 MB.
const LARGEST_FILE: u64 = 256 << 20;
/// Most bytes in all; the kernel has about 1.5 GB.
const LARGEST_TREE: u64 = 8 << 30;

/// One file or link of an archive.
pub(super) struct Member {
    /// Path without the first component that all members share.
    pub(super) path: Vec<u8>,
    /// Mode as git has it.
    pub(super) mode: u32,
    /// Bytes, or a link's target.
    pub(super) content: Vec<u8>,
    /// Modification time, seconds since the epoch.
    pub(super) time: u64,
}

/// Bytes of the archive read so far, and its size.
pub(super) type Position = (u64, u64);

/// Calls `each` for every file and link; gives the hash over the whole archive.
pub(super) fn unpack(
    archive: &Path,
    each: &mut dyn FnMut(Member, Position) -> Result<()>,
) -> Result<Sha256> {
    let file = File::open(archive).doing(|| format!("open {}", archive.display()))?;
    let size = file.metadata()?.len();
    let counted = Counted::new(file);
    let seen = counted.seen.clone();
    let xz = XzDecoder::new_multi_decoder(BufReader::with_capacity(1 << 18, counted));
    let mut tar = tar::Archive::new(BufReader::with_capacity(1 << 18, xz));
    let mut root: Option<Vec<u8>> = None;
    let mut total = 0;
    for entry in tar.entries()? {
        let mut entry = entry.doing(|| "read the archive")?;
        total += entry.size();
        if entry.size() > LARGEST_FILE || total > LARGEST_TREE {
            return Err(Error::usage("the archive is larger than any kernel"));
        }
        if let Some(member) = member(&mut entry, &mut root)? {
            let read = seen.borrow().0;
            each(member, (read, size))?;
        }
    }
    // What stands behind the last member belongs to the archive's checksum too.
    let mut rest = tar.into_inner();
    io::copy(&mut rest, &mut io::sink()).doing(|| "read the end of the archive")?;
    let hash = seen.borrow().1.clone();
    Ok(hash)
}

/// `None` for what leaves no trace in git: directories and the archive's own notes.
fn member<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    root: &mut Option<Vec<u8>>,
) -> Result<Option<Member>> {
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::XGlobalHeader) {
        return Ok(None);
    }
    let raw = entry.path_bytes().into_owned();
    let refused = |why: &str| Error::usage(format!("{}: {why}", String::from_utf8_lossy(&raw)));
    let (path, mut honest) = strip(&raw, root);
    honest &= path.is_empty() || path.split(|byte| *byte == b'/').all(honest_name);
    if !honest {
        return Err(refused("no kernel has such a path"));
    }
    let path = path.to_vec();
    let (mode, content) = match kind {
        EntryType::Directory => return Ok(None),
        _ if path.is_empty() => return Err(refused("stands where the kernel's folder should")),
        EntryType::Regular | EntryType::Continuous => {
            let mode = entry.header().mode()?;
            let mut content = Vec::with_capacity(entry.size() as usize);
            entry
                .read_to_end(&mut content)
                .doing(|| "read the archive")?;
            (if mode & 0o100 != 0 { EXEC } else { FILE }, content)
        }
        EntryType::Symlink => {
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            if !honest_link(&path, &target) {
                return Err(refused("the link leaves the tree"));
            }
            (LINK, target)
        }
        _ => return Err(refused("neither file, folder nor symbolic link")),
    };
    let time = entry.header().mtime()?;
    Ok(Some(Member {
        path,
        mode,
        content,
        time,
    }))
}

/// Takes off the first component, which must be the same everywhere.
fn strip<'a>(raw: &'a [u8], root: &mut Option<Vec<u8>>) -> (&'a [u8], bool) {
    let raw = raw.strip_prefix(b"./").unwrap_or(raw);
    let raw = raw.strip_suffix(b"/").unwrap_or(raw);
    let cut = raw.iter().position(|byte| *byte == b'/');
    let (first, rest) = match cut {
        Some(cut) => (&raw[..cut], &raw[cut + 1..]),
        None => (raw, &raw[raw.len()..]),
    };
    let shared = root.get_or_insert_with(|| first.to_vec()).as_slice() == first;
    (rest, shared && honest_name(first))
}

/// Counts and hashes what is read through it.
struct Counted {
    file: File,
    seen: Rc<RefCell<(u64, Sha256)>>,
}

impl Counted {
    fn new(file: File) -> Self {
        let seen = Rc::new(RefCell::new((0, Sha256::new())));
        Self { file, seen }
    }
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let mut seen = self.seen.borrow_mut();
        seen.0 += count as u64;
        seen.1.update(&buffer[..count]);
        Ok(count)
    }
}
