// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of two lengths: such as a dentry holds within itself, and such as it keeps in memory of their own.

use std::ffi::CStr;
use std::fmt;

/// Longest name that a dentry holds within itself, with room to spare: 40 bytes with the NUL in most kernels.
const LONG: usize = 56;

/// A name of one component on the stack, short or long.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    bytes: [u8; LONG + 8],
}

impl Label {
    /// A prefix of at most 3 bytes, a number, and for every fourth number a tail that makes it long.
    pub(crate) fn new(prefix: &str, number: u64) -> Self {
        let mut bytes = [0; LONG + 8];
        let mut at = prefix.len().min(3);
        bytes[..at].copy_from_slice(&prefix.as_bytes()[..at]);
        let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
        let mut left = number;
        for place in (at..at + digits).rev() {
            bytes[place] = b'0' + (left % 10) as u8;
            left /= 10;
        }
        at += digits;
        if number % 4 == 3 {
            bytes[at..LONG].fill(b'-');
        }
        Self { bytes }
    }

    /// As the kernel wants it.
    pub(crate) fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"?")
    }
}

impl fmt::Display for Label {
    /// Without the tail, which says nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.as_c().to_str().unwrap_or("?");
        f.write_str(text.trim_end_matches('-'))
    }
}

impl fmt::Debug for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fourth_name_is_long_and_all_differ() {
        let name = |number| Label::new("n", number).as_c().to_str().unwrap().to_owned();
        assert_eq!((name(0).as_str(), name(10).as_str()), ("n0", "n10"));
        assert_eq!(name(7).len(), LONG);
        assert_eq!(Label::new("n", 7).to_string(), "n7");
        let all: std::collections::BTreeSet<_> = (0..200).map(name).collect();
        assert_eq!(all.len(), 200);
        assert_eq!(name(u64::MAX).len(), LONG);
    }
}
