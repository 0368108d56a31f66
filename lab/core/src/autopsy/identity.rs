// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel a `vmlinux` and a core are of: the GNU build id in both.

use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, elf};

/// Build id of a `vmlinux`, hexadecimal. `None` where it is no ELF file or was linked without one.
pub fn vmlinux_build_id(elf: &[u8]) -> Option<String> {
    let file = object::File::parse(elf).ok()?;
    Some(hex(file.build_id().ok()??))
}

/// Build id of the kernel in an ELF core, from the note that the kernel left for its dumps (vmcoreinfo). `None` where
/// there is none: the guest had no vmcoreinfo device, or had not come so far.
pub fn core_build_id(elf: &[u8]) -> Option<String> {
    let header = elf::FileHeader64::<Endianness>::parse(elf).ok()?;
    let endian = header.endian().ok()?;
    for segment in header.program_headers(endian, elf).ok()? {
        let Some(mut notes) = segment.notes(endian, elf).ok().flatten() else {
            continue;
        };
        while let Ok(Some(note)) = notes.next() {
            if note.name() == b"VMCOREINFO" {
                let text = String::from_utf8_lossy(note.desc());
                let id = (text.lines()).find_map(|line| line.strip_prefix("BUILD-ID="));
                return id.map(|id| id.trim_matches(['\0', ' ']).to_ascii_lowercase());
            }
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_elf_has_no_identity() {
        for bytes in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0; 4096]] {
            assert_eq!(
                (vmlinux_build_id(bytes), core_build_id(bytes)),
                (None, None)
            );
        }
    }

    #[test]
    fn the_id_stands_in_the_note_for_dumps() {
        let core =
            super::super::tests::core_with("OSRELEASE=6.12.117\nBUILD-ID=00ffA1\nPAGESIZE=4096\n");
        assert_eq!(core_build_id(&core).as_deref(), Some("00ffa1"));
        for cut in 0..core.len() - 1 {
            // A core that was cut short has it or does not; nothing else happens.
            let id = core_build_id(&core[..cut]);
            assert!(id.is_none() || id.as_deref() == Some("00ffa1"), "{cut}");
        }
        let none = super::super::tests::core_with("OSRELEASE=6.12.117\n");
        assert_eq!(core_build_id(&none), None);
    }
}
