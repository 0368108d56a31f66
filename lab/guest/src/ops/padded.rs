// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names long enough to be kept outside of their dentry, on the stack like the short ones.

use std::ffi::CStr;
use std::fmt;

/// Bytes of a long name: more than a dentry keeps inside of itself (`DNAME_INLINE_LEN`, 40 at most).
const LONG: usize = 48;

/// A short tag and a number, padded to [`LONG`] bytes where it is asked to be long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Padded {
    bytes: [u8; LONG + 1],
}

impl Padded {
    /// `tag` and `number`, e.g. `f3`, and with `long` dots after it.
    pub(crate) fn new(tag: u8, number: u32, long: bool) -> Self {
        let mut bytes = [0; LONG + 1];
        bytes[0] = tag;
        let (mut left, mut end) = (number, 1);
        loop {
            bytes[end] = b'0' + (left % 10) as u8;
            left /= 10;
            end += 1;
            if left == 0 {
                break;
            }
        }
        bytes[1..end].reverse();
        if long {
            bytes[end..LONG].fill(b'.');
        }
        Self { bytes }
    }

    /// As the kernel wants it.
    pub(crate) fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"?")
    }
}

impl fmt::Display for Padded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_c().to_str().unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tag_number_and_padding() {
        assert_eq!(Padded::new(b'f', 0, false).to_string(), "f0");
        assert_eq!(Padded::new(b'f', 1_090, false).to_string(), "f1090");
        let long = Padded::new(b'x', u32::MAX, true).to_string();
        assert_eq!(long.len(), LONG);
        assert!(long.starts_with("x4294967295..") && long.ends_with('.'));
    }
}
