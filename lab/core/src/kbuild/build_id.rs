// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GNU build id of a linked kernel, which its dumps carry, too.

use object::{Object, ReadCache};
use std::io::{Read, Seek};

/// The build id of an ELF file, hexadecimal; none if it has none or is no ELF file. Reads only the parts that matter.
pub fn build_id(elf: impl Read + Seek) -> Option<String> {
    let cache = ReadCache::new(elf);
    let file = object::File::parse(&cache).ok()?;
    let id = file.build_id().ok()??;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// An x86-64 ELF file with nothing but one segment of notes.
    fn elf(notes: &[u8]) -> Vec<u8> {
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        for word in [0u64, 64, 0] {
            elf.extend(word.to_le_bytes());
        }
        elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
        elf.extend([4, 0, 0, 0, 4, 0, 0, 0]);
        let size = notes.len() as u64;
        for word in [120, 0, 0, size, size, 4] {
            elf.extend(u64::to_le_bytes(word));
        }
        elf.extend(notes);
        elf
    }

    fn note(name: &[u8; 4], kind: u32, text: &[u8; 4]) -> Vec<u8> {
        let words = [4u32, 4, kind].map(u32::to_le_bytes).concat();
        [&words[..], name, text].concat()
    }

    #[test]
    fn it_is_found_among_other_notes() {
        let other = note(b"Lnx\0", 257, &[0; 4]);
        let own = note(b"GNU\0", 3, &[0xde, 0xad, 0, 0x0f]);
        let found = |notes: &[u8]| build_id(Cursor::new(elf(notes)));
        assert_eq!(
            found(&[other.clone(), own].concat()).as_deref(),
            Some("dead000f")
        );
        assert_eq!(found(&other), None);
    }

    #[test]
    fn what_is_no_elf_file_has_none() {
        assert_eq!(build_id(Cursor::new(b"MZ".to_vec())), None);
        assert_eq!(build_id(Cursor::new(elf(&[])[..100].to_vec())), None);
    }
}
