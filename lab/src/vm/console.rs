// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stored console: every byte as it was printed, up to a limit; past it the head and the tail.
//!
//! The file never grows beyond head, one marker line and tail. Once it is full, what follows the marker is a
//! ring; [`ConsoleFile::finish`] turns it so that the file reads in order. A lab that dies before that leaves all the
//! bytes, and a marker that says so.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

/// The marker while the ring is not turned; as long as the final one.
const UNTURNED: &str = "\n[lab: console cut here; the lines below wrap around here]\n";
/// Its length.
const MARK: u64 = UNTURNED.len() as u64;

/// A console file being written.
#[derive(Debug)]
pub(super) struct ConsoleFile {
    file: File,
    /// Size of the head, and of the tail.
    limit: u64,
    total: u64,
}

impl ConsoleFile {
    /// A new file; `limit` bytes are kept from the head and again from the tail.
    pub(super) fn create(path: &Path, limit: u64) -> Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Self {
            file,
            // Smaller ones have no room for the marker.
            limit: limit.max(MARK),
            total: 0,
        })
    }

    /// Bytes printed so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that are not in the file, between head and tail.
    pub(super) fn cut(&self) -> u64 {
        self.past().map_or(0, |past| past + MARK - self.tail(past))
    }

    /// Stores what was printed.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.seek()?;
            let n = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            self.file.write_all(&bytes[..n])?;
            self.total += n as u64;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Bytes that went past head and marker, once both limits were reached.
    fn past(&self) -> Option<u64> {
        (self.total > 2 * self.limit).then(|| self.total - self.limit - MARK)
    }

    /// Of those, how many the ring holds.
    fn tail(&self, past: u64) -> u64 {
        past.min(self.limit)
    }

    /// Goes to where the next byte belongs; says how many fit there.
    fn seek(&mut self) -> Result<u64> {
        if self.total < 2 * self.limit {
            return Ok(2 * self.limit - self.total);
        }
        if self.total == 2 * self.limit {
            // The marker takes the place of the oldest bytes of the tail.
            self.put(self.limit, UNTURNED.as_bytes())?;
        }
        let at = (self.total - self.limit - MARK) % self.limit;
        self.file.seek(SeekFrom::Start(self.limit + MARK + at))?;
        Ok(self.limit - at)
    }

    /// Puts the tail in order and says in the marker how much is missing.
    pub(super) fn finish(&mut self) -> Result<()> {
        if let Some(past) = self.past() {
            let mut tail = vec![0; usize::try_from(self.tail(past)).unwrap_or(usize::MAX)];
            self.file.seek(SeekFrom::Start(self.limit + MARK))?;
            self.file.read_exact(&mut tail)?;
            if past > self.limit {
                tail.rotate_left(usize::try_from(past % self.limit).unwrap_or(0));
            }
            self.put(self.limit + MARK, &tail)?;
            self.put(self.limit, marker(self.cut()).as_bytes())?;
        }
        self.file.sync_all()
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)
    }
}

/// The final marker, as long as [`UNTURNED`].
fn marker(cut: u64) -> String {
    let words = format!("\n[lab: {cut} bytes of console cut here");
    format!("{words:<width$}]\n", width = UNTURNED.len() - 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(limit: u64, chunks: &[Vec<u8>]) -> (Vec<u8>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console.log");
        let mut console = ConsoleFile::create(&path, limit).unwrap();
        for chunk in chunks {
            console.write(chunk).unwrap();
        }
        let bound = 2 * limit + UNTURNED.len() as u64;
        assert!(std::fs::metadata(&path).unwrap().len() <= bound);
        console.finish().unwrap();
        (std::fs::read(&path).unwrap(), console.cut())
    }

    #[test]
    fn a_short_console_is_stored_as_it_is() {
        let (bytes, cut) = stored(10, &[b"ab\0\xff".to_vec(), b"cdefgh".to_vec()]);
        assert_eq!((bytes.as_slice(), cut), (b"ab\0\xffcdefgh".as_slice(), 0));
    }

    #[test]
    fn a_long_one_says_how_much_is_missing() {
        let printed: Vec<u8> = (0..500u32).map(|n| b'a' + (n % 26) as u8).collect();
        let (bytes, cut) = stored(100, std::slice::from_ref(&printed));
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(cut, 300);
        assert!(
            text[100..].starts_with("\n[lab: 300 bytes of console cut here"),
            "{text}"
        );
        assert_eq!(&text.as_bytes()[100 + UNTURNED.len()..], &printed[400..]);
        assert_eq!(marker(u64::MAX).len(), UNTURNED.len());
    }

    #[test]
    fn a_full_disk_is_an_error_not_a_panic() {
        let mut console = ConsoleFile::create(Path::new("/dev/full"), 10).unwrap();
        let error = console.write(b"x").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    proptest! {
        #[test]
        fn head_and_tail_are_those_of_the_stream(
            limit in MARK..90,
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..12),
        ) {
            let all = chunks.concat();
            let (bytes, cut) = stored(limit, &chunks);
            let limit = limit as usize;
            if all.len() <= 2 * limit {
                prop_assert_eq!(&bytes, &all);
            } else {
                let tail = &bytes[limit + UNTURNED.len()..];
                prop_assert_eq!(&bytes[..limit], &all[..limit]);
                prop_assert_eq!(tail, &all[all.len() - tail.len()..]);
                prop_assert_eq!(cut as usize, all.len() - limit - tail.len());
                prop_assert!(tail.len() + UNTURNED.len() >= limit);
            }
        }
    }
}
