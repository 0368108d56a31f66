// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any bytes: no panic, positions in order and within, and the same findings in any chunking.
#![no_main]

use lab_core::console::{Options, Reader, complete, excerpt, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first byte says how large the pieces are.
    let Some((size, log)) = data.split_first() else { return };
    let whole = read(log);
    let mut reader = Reader::new(Options::default());
    let mut pieces = Vec::new();
    for chunk in log.chunks(usize::from(*size).max(1)) {
        pieces.extend(complete(reader.push(chunk)));
    }
    pieces.extend(reader.finish());
    pieces.sort_by_key(|finding| (finding.start, finding.end));
    assert_eq!(whole, pieces);
    for finding in &whole {
        assert!(finding.start < finding.end && finding.end <= log.len() as u64);
        excerpt(log, finding, 8);
    }
    assert!(whole.windows(2).all(|pair| pair[0].start <= pair[1].start));
});
