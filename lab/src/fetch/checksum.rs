// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of checksums, as `sha256sum` writes them, plain or clear-signed (`sha256sums.asc`).

/// The SHA-256 that a list gives for `file`: 64 lower-case hex digits. The signature of the list is not checked; where the
/// list came from is what is trusted.
pub fn find_checksum(list: &str, file: &str) -> Option<String> {
    list.lines().find_map(|line| {
        let (sum, name) = line.split_once([' ', '\t'])?;
        let name = name.trim().trim_start_matches('*');
        let hex = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        (hex && name == file).then(|| sum.to_ascii_lowercase())
    })
}
