// SPDX-License-Identifier: MIT OR Apache-2.0
//! Git packs without deltas, written as they come (gitformat-pack(5)).

use crate::error::{Doing, Result};
use flate2::{Compression, Crc, write::ZlibEncoder};
use git2::Oid;
use sha1::{Digest, Sha1};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What an object is, with its number in packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Commit = 1,
    Tree = 2,
    Blob = 3,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Tree => "tree",
            Kind::Blob => "blob",
        }
    }
}

/// The id git gives these bytes.
pub(super) fn object_id(kind: Kind, bytes: &[u8]) -> Result<Oid> {
    let mut hash = Sha1::new();
    hash.update(format!("{} {}\0", kind.name(), bytes.len()));
    hash.update(bytes);
    Ok(Oid::from_bytes(&hash.finalize())?)
}

/// An object as it stands in a pack: type and size, then zlib at its quickest.
pub(super) fn entry(kind: Kind, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() / 3 + 16);
    let mut size = bytes.len();
    let mut head = (kind as u8) << 4 | (size & 0xf) as u8;
    size >>= 4;
    while size > 0 {
        out.push(head | 0x80);
        head = (size & 0x7f) as u8;
        size >>= 7;
    }
    out.push(head);
    let mut zlib = ZlibEncoder::new(out, Compression::fast());
    zlib.write_all(bytes)?;
    zlib.finish()
}

/// The bytes inside an [`entry`].
pub(super) fn content(entry: &[u8]) -> io::Result<Vec<u8>> {
    let head = entry.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(&entry[head..]).read_to_end(&mut out)?;
    Ok(out)
}

/// First bytes of a pack of `count` objects.
pub(super) fn header(count: usize) -> io::Result<[u8; 12]> {
    let count = u32::try_from(count).map_err(io::Error::other)?;
    let mut out = *b"PACK\0\0\0\x02\0\0\0\0";
    out[8..].copy_from_slice(&count.to_be_bytes());
    Ok(out)
}

/// A pack being written into a repository that nobody else uses yet.
pub(super) struct PackFile {
    path: PathBuf,
    file: BufWriter<File>,
    at: u64,
    index: Vec<(Oid, u64, u32)>,
}

impl PackFile {
    /// Begins a pack in `dir`, the repository's `objects/pack`.
    pub(super) fn create(dir: &Path) -> Result<Self> {
        let path = dir.join("tmp_import.pack");
        let file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(&path)
            .doing(|| format!("create {}", path.display()))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(&header(0)?)?;
        Ok(Self {
            path,
            file,
            at: 12,
            index: Vec::new(),
        })
    }

    /// Appends an object that is not in the pack yet.
    pub(super) fn add(&mut self, id: Oid, entry: &[u8]) -> Result<()> {
        let mut crc = Crc::new();
        crc.update(entry);
        self.file.write_all(entry)?;
        self.index.push((id, self.at, crc.sum()));
        self.at += entry.len() as u64;
        Ok(())
    }

    /// Writes count, checksum and index, syncs, and gives both files their names.
    pub(super) fn finish(mut self) -> Result<()> {
        self.file.flush()?;
        let mut file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header(self.index.len())?)?;
        file.seek(SeekFrom::Start(0))?;
        let mut hash = Sha1::new();
        io::copy(&mut file, &mut hash)?;
        let sum = hash.finalize();
        file.write_all(&sum)?;
        file.sync_all()?;
        let named = self.path.with_file_name(format!("pack-{sum:x}.pack"));
        let mut index = File::create(named.with_extension("idx"))?;
        index.write_all(&index_bytes(&mut self.index, &sum))?;
        index.sync_all()?;
        std::fs::rename(&self.path, &named)?;
        Ok(())
    }
}

/// The version 2 index of a pack whose checksum is `sum`.
fn index_bytes(objects: &mut [(Oid, u64, u32)], sum: &[u8]) -> Vec<u8> {
    objects.sort_unstable();
    let mut out = b"\xfftOc\0\0\0\x02".to_vec();
    for first in 0..=255u8 {
        let upto = objects.partition_point(|(id, ..)| id.as_bytes()[0] <= first);
        out.extend((upto as u32).to_be_bytes());
    }
    for (id, ..) in &*objects {
        out.extend(id.as_bytes());
    }
    for (.., crc) in &*objects {
        out.extend(crc.to_be_bytes());
    }
    let mut far = Vec::new();
    for (_, offset, _) in &*objects {
        let near = u32::try_from(*offset).ok().filter(|near| near >> 31 == 0);
        let word = near.unwrap_or_else(|| {
            far.extend(offset.to_be_bytes());
            1 << 31 | (far.len() / 8 - 1) as u32
        });
        out.extend(word.to_be_bytes());
    }
    out.extend(far);
    out.extend(sum);
    let own = Sha1::digest(&out);
    out.extend(own);
    out
}
