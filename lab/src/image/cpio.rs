// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writing cpio archives in the «newc» format, as the kernel unpacks them
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

/// An archive being written; the same calls give the same bytes.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

/// What an entry is, beside its name and its bytes.
#[derive(Default)]
struct Node {
    mode: u32,
    major: u32,
    minor: u32,
}

impl Archive {
    /// An empty archive.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a folder, mode 0755.
    pub(super) fn dir(self, name: &str) -> Self {
        let mode = 0o040_755;
        self.entry(
            name,
            &Node {
                mode,
                ..Node::default()
            },
            b"",
        )
    }

    /// Adds a file.
    pub(super) fn file(self, name: &str, permissions: u32, bytes: &[u8]) -> Self {
        let mode = 0o100_000 | permissions;
        self.entry(
            name,
            &Node {
                mode,
                ..Node::default()
            },
            bytes,
        )
    }

    /// Adds a character device.
    pub(super) fn device(self, name: &str, permissions: u32, major: u32, minor: u32) -> Self {
        let mode = 0o020_000 | permissions;
        self.entry(name, &Node { mode, major, minor }, b"")
    }

    /// The archive with its trailer, padded so that another may follow.
    pub(super) fn finish(self) -> Vec<u8> {
        self.entry("TRAILER!!!", &Node::default(), b"").bytes
    }

    fn entry(mut self, name: &str, node: &Node, bytes: &[u8]) -> Self {
        self.entries += 1;
        let Node { mode, major, minor } = *node;
        let (size, name_size) = (bytes.len() as u32, name.len() as u32 + 1);
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            major,
            minor,
            name_size,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08X}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_110_bytes_and_everything_is_aligned() {
        let bytes = Archive::new().file("a", 0o644, b"12345").finish();
        assert_eq!(&bytes[..14], b"07070100000001");
        // 110 of header, "a\0", no padding; then the bytes, padded to 8.
        assert_eq!(&bytes[110..120], b"a\x0012345\0\0\0");
        assert_eq!(&bytes[120..126], b"070701");
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0"));
        assert_eq!(bytes.len() % 4, 0);
    }
}
