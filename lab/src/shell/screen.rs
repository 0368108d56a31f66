// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes to the terminal: the shell's text as it comes, and the kernel's lines above the line that is being typed.
//!
//! The only control sequences are made here: back to the beginning of the line (also one that wraps) and erase from there.

/// More of a line than this is not drawn again.
const REDRAWN: usize = 4096;

/// The line at the cursor, and the terminal's width.
#[derive(Debug)]
pub(super) struct Screen {
    columns: usize,
    /// What the shell has put on the present line.
    line: String,
}

impl Screen {
    /// An empty line on a terminal of this width.
    pub(super) fn new(columns: u16) -> Self {
        let mut screen = Self {
            columns: 80,
            line: String::new(),
        };
        screen.resize(columns);
        screen
    }

    /// The terminal has another width now; 0 is one that does not know.
    pub(super) fn resize(&mut self, columns: u16) {
        if columns > 0 {
            self.columns = usize::from(columns);
        }
    }

    /// What the shell says, as the terminal is to have it.
    pub(super) fn shell(&mut self, text: &str) -> String {
        for c in text.chars() {
            match c {
                '\n' => self.line.clear(),
                '\x08' => drop(self.line.pop()),
                c if self.line.len() < REDRAWN => self.line.push(c),
                _ => {}
            }
        }
        text.replace('\n', "\r\n")
    }

    /// A line of the kernel's, put above what is being typed.
    pub(super) fn kernel(&mut self, line: &str) -> String {
        if self.line.is_empty() {
            return format!("{line}\r\n");
        }
        let rows = self.line.chars().count().saturating_sub(1) / self.columns;
        let up = if rows > 0 {
            format!("\x1b[{rows}A")
        } else {
            String::new()
        };
        format!("\r{up}\x1b[J{line}\r\n{}", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_lines_come_above_the_line_being_typed() {
        let mut screen = Screen::new(10);
        assert_eq!(screen.kernel("[1.0] a"), "[1.0] a\r\n");
        assert_eq!(screen.shell("hello\n/mnt# l"), "hello\r\n/mnt# l");
        assert_eq!(screen.shell("x\x08 \x08"), "x\x08 \x08");
        assert_eq!(screen.kernel("[2.0] b"), "\r\x1b[J[2.0] b\r\n/mnt# l");
        // Eleven characters take two rows.
        screen.shell("s -la");
        assert_eq!(screen.kernel("c"), "\r\x1b[1A\x1b[Jc\r\n/mnt# ls -la");
        screen.resize(80);
        assert_eq!(screen.kernel("d"), "\r\x1b[Jd\r\n/mnt# ls -la");
        screen.resize(0);
        screen.shell("\n");
        assert_eq!(screen.kernel("e"), "e\r\n");
    }
}
