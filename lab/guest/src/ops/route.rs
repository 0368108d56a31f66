// SPDX-License-Identifier: MIT OR Apache-2.0
//! Paths of several components, put together on the stack.

use std::ffi::CStr;
use std::fmt;

/// Bytes of a path with its NUL.
const ROOM: usize = 512;

/// A path under way; what does not fit is cut, and the kernel says so.
#[derive(Clone, Copy)]
pub(crate) struct Route {
    bytes: [u8; ROOM],
    len: usize,
}

impl Route {
    /// A path that begins with `start`; may be empty.
    pub(crate) fn new(start: &str) -> Self {
        let mut route = Self {
            bytes: [0; ROOM],
            len: 0,
        };
        route.append(start.as_bytes());
        route
    }

    /// The same with one component more.
    pub(crate) fn then(mut self, component: &str) -> Self {
        if self.len > 0 {
            self.append(b"/");
        }
        self.append(component.as_bytes());
        self
    }

    /// The same with more of the last component.
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.append(text.as_bytes());
        self
    }

    /// As the kernel wants it.
    pub(crate) fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"?")
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = ROOM - 1 - self.len;
        let fits = &bytes[..bytes.len().min(room)];
        self.bytes[self.len..self.len + fits.len()].copy_from_slice(fits);
        self.len += fits.len();
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_c().to_str().unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_joined_and_what_does_not_fit_is_cut() {
        let route = Route::new("").then("l0").then("a").then("x");
        assert_eq!(route.as_c(), c"l0/a/x");
        assert_eq!(route.and("-y").as_c(), c"l0/a/x-y");
        assert_eq!(Route::new("/mnt").then("b").to_string(), "/mnt/b");
        let long = Route::new(&"n".repeat(2 * ROOM));
        assert_eq!(long.as_c().count_bytes(), ROOM - 1);
    }
}
