// SPDX-License-Identifier: MIT OR Apache-2.0
//! Console bytes made fit to show: what a kernel printed must reach no terminal and no page unfiltered.

use crate::finding::Finding;

/// Longest line shown, in characters.
const LONGEST: usize = 240;

/// The lines of a finding, escaped, `max_lines` at most; a line that says how many are left out stands at the end.
pub fn excerpt(console: &[u8], finding: &Finding, max_lines: usize) -> Vec<String> {
    let len = console.len() as u64;
    let start = finding.start.min(len) as usize;
    let end = finding.end.clamp(finding.start.min(len), len) as usize;
    let bytes = console[start..end].trim_ascii_end();
    let mut lines: Vec<String> = bytes
        .split(|byte| *byte == b'\n')
        .take(max_lines)
        .map(printable)
        .collect();
    let all = memchr::memchr_iter(b'\n', bytes).count() + usize::from(!bytes.is_empty());
    if all > max_lines {
        lines.push(format!("… {} more lines", all - max_lines));
    }
    lines
}

/// One line without line end: control bytes, and bytes that are not UTF-8, as `\x1b`.
pub fn printable(line: &[u8]) -> String {
    let mut out = String::new();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut shown = 0;
    'all: for chunk in line.utf8_chunks() {
        for char in chunk.valid().chars() {
            if shown == LONGEST {
                out.push('…');
                break 'all;
            }
            shown += 1;
            match char {
                '\t' => out.push_str("    "),
                char if hidden(char) => out.push_str(&char.escape_unicode().to_string()),
                char => out.push(char),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
            shown += 1;
        }
    }
    out
}

/// Control characters, and those that turn the direction of text or take no room.
fn hidden(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
