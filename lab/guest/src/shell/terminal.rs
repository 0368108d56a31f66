// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shell's terminal: the machine's second serial port, as a controlling terminal in cooked mode.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The first serial port is the kernel's console.
const DEVICE: &str = "/dev/ttyS1";

/// Makes the port this process's terminal and its standard descriptors.
pub(super) fn take(rows: u16, columns: u16) -> io::Result<()> {
    // SAFETY: no memory is handed over.
    check(unsafe { libc::setsid() })?;
    let port = File::options().read(true).write(true).open(DEVICE)?;
    let fd = port.as_raw_fd();
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the descriptor is open; the kernel reads and fills values of this frame.
    unsafe {
        check(libc::ioctl(fd, libc::TIOCSCTTY, 0))?;
        let mut modes: libc::termios = std::mem::zeroed();
        check(libc::tcgetattr(fd, &raw mut modes))?;
        modes.c_iflag = libc::ICRNL | libc::IUTF8;
        modes.c_oflag = libc::OPOST | libc::ONLCR;
        modes.c_cflag = libc::B115200 | libc::CS8 | libc::CREAD | libc::CLOCAL | libc::HUPCL;
        modes.c_lflag = libc::ISIG | libc::ICANON | libc::IEXTEN | ECHOES;
        check(libc::tcsetattr(fd, libc::TCSANOW, &raw const modes))?;
        // A size is a comfort: nothing here depends on it.
        let _unknown = libc::ioctl(fd, libc::TIOCSWINSZ, &raw const size);
        for standard in 0..3 {
            check(libc::dup2(fd, standard))?;
        }
    }
    Ok(())
}

/// What is typed is shown, controls as `^C`, and erased visibly.
const ECHOES: libc::tcflag_t =
    libc::ECHO | libc::ECHOE | libc::ECHOK | libc::ECHOCTL | libc::ECHOKE;

fn check(answer: libc::c_int) -> io::Result<()> {
    match answer {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// What was typed: a line, Ctrl-D at its beginning (none), or a signal before there was any.
pub(super) fn read_line() -> io::Result<Option<String>> {
    // A line that the kernel edits is never longer.
    let mut buffer = [0u8; 4096];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::read(0, buffer.as_mut_ptr().cast(), buffer.len()) };
    match usize::try_from(got) {
        Ok(0) => Ok(None),
        Ok(got) => Ok(Some(String::from_utf8_lossy(&buffer[..got]).into_owned())),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
