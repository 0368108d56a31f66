// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes: no panic, positions in order and within, the same told in any chunking, nothing that a terminal would obey, and a
//! report read again alone gives itself.
#![no_main]

use lab_core::console::{Heard, Options, Reader, excerpt, read};
use lab_core::finding::{Class, Finding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first byte says how large the pieces are.
    let Some((size, log)) = data.split_first() else {
        return;
    };
    assert_eq!(
        in_pieces(log, log.len()),
        in_pieces(log, usize::from(*size))
    );
    let findings = read(log);
    assert!(
        findings
            .windows(2)
            .all(|pair| pair[0].start <= pair[1].start)
    );
    for finding in &findings {
        assert!(finding.start < finding.end && finding.end <= log.len() as u64);
        excerpt(log, finding, 8);
        let harmless = |char: char| char == ' ' || char.is_ascii_graphic();
        assert!(finding.titles().all(|title| title.chars().all(harmless)));
        let alone = read(&log[finding.start as usize..finding.end as usize]);
        let itself = |other: &Finding| {
            (&other.signature, &other.title) == (&finding.signature, &finding.title)
        };
        // A reboot is only one after another boot.
        assert!(
            finding.class == Class::Reboot || alone.iter().any(itself),
            "{finding:#?}\nalone {alone:#?}"
        );
    }
});

fn in_pieces(log: &[u8], size: usize) -> (Vec<Heard>, Vec<Finding>) {
    let mut reader = Reader::new(Options::default());
    let mut heard = Vec::new();
    for chunk in log.chunks(size.max(1)) {
        heard.extend(reader.push(chunk));
    }
    (heard, reader.finish())
}
