// SPDX-License-Identifier: MIT OR Apache-2.0
//! What VFS people ask: file handles, watches, dentries.

use super::files::{each, some};
use super::{Answer, of, say, shown};
use crate::ops::{handle, watch as inotify};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Names of inotify's bits, `linux/inotify.h`.
const EVENTS: &[(u32, &str)] = &[
    (libc::IN_ACCESS, "ACCESS"),
    (libc::IN_MODIFY, "MODIFY"),
    (libc::IN_ATTRIB, "ATTRIB"),
    (libc::IN_CLOSE_WRITE, "CLOSE_WRITE"),
    (libc::IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"),
    (libc::IN_OPEN, "OPEN"),
    (libc::IN_MOVED_FROM, "MOVED_FROM"),
    (libc::IN_MOVED_TO, "MOVED_TO"),
    (libc::IN_CREATE, "CREATE"),
    (libc::IN_DELETE, "DELETE"),
    (libc::IN_DELETE_SELF, "DELETE_SELF"),
    (libc::IN_MOVE_SELF, "MOVE_SELF"),
    (libc::IN_UNMOUNT, "UNMOUNT"),
    (libc::IN_Q_OVERFLOW, "Q_OVERFLOW"),
    (libc::IN_IGNORED, "IGNORED"),
    (libc::IN_ISDIR, "ISDIR"),
];

fn error(number: i32) -> std::io::Error {
    std::io::Error::from_raw_os_error(number)
}

pub(super) fn handles(args: &[String], out: &mut dyn Write) -> Answer {
    each(some("handles", &args[1..])?, out, |path, out| {
        let failed = |number| of(path)(error(number));
        let file = File::open(path).map_err(of(path))?;
        let handle = handle::handle(file.as_fd(), c"").map_err(failed)?;
        let (kind, data) = handle.parts();
        let bytes: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        say(
            out,
            format!("{path}: type {kind:#x}, {} bytes: {bytes}", data.len()),
        )?;
        let (was, _) = handle::node(file.as_fd()).map_err(failed)?;
        // The handle must find it without the help of an open file.
        drop(file);
        let folder = Path::new(path).parent().filter(|p| *p != Path::new(""));
        let mount = File::open(folder.unwrap_or(Path::new("."))).map_err(of(path))?;
        let opened = handle::open(mount.as_fd(), &handle, libc::O_RDONLY).map_err(failed)?;
        let (is, _) = handle::node(opened.as_fd()).map_err(failed)?;
        let mut buffer = [0; libc::PATH_MAX as usize];
        let at = handle::path_of(opened.as_fd(), &mut buffer).map_err(failed)?;
        let same = if is == was {
            "the same inode"
        } else {
            "ANOTHER INODE"
        };
        say(
            out,
            format!(
                "  opens {same}, {}, at {}",
                is.ino,
                shown(OsStr::from_bytes(at))
            ),
        )
    })
}

pub(super) fn watch(args: &[String], out: &mut dyn Write) -> Answer {
    let instance = inotify::inotify().map_err(|n| of("inotify")(error(n)))?;
    let mut watches = Vec::new();
    for path in some("watch", &args[1..])? {
        let name = CString::new(path.as_str()).map_err(|_| format!("{path}: it has a NUL"))?;
        let number = inotify::add_watch(instance.as_fd(), &name, libc::IN_ALL_EVENTS);
        watches.push((number.map_err(|n| of(path)(error(n)))?, path));
    }
    say(
        out,
        format!("watching {}; Ctrl-C ends", args[1..].join(" ")),
    )?;
    let mut buffer = [0; 4096];
    loop {
        let mut wait = libc::pollfd {
            fd: instance.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd.
        unsafe { libc::poll(&raw mut wait, 1, -1) };
        let got = inotify::read_ready(instance.as_fd(), &mut buffer)
            .map_err(|n| of("inotify")(error(n)))?;
        for event in inotify::events(&buffer[..got]) {
            let at = watches.iter().find(|(number, _)| *number == event.watch);
            let at = at.map_or("", |(_, path)| path);
            say(out, event_line(at, &event))?;
        }
    }
}

fn event_line(at: &str, event: &inotify::Event<'_>) -> String {
    let names: Vec<&str> = (EVENTS.iter().filter(|(bit, _)| event.mask & bit != 0))
        .map(|(_, name)| *name)
        .collect();
    let mut line = format!("{at}: {}", names.join("|"));
    if !event.name.is_empty() {
        line += &format!(" {}", shown(OsStr::from_bytes(event.name)));
    }
    if event.cookie != 0 {
        line += &format!(" cookie {}", event.cookie);
    }
    line
}

pub(super) fn dentry_state(_: &[String], out: &mut dyn Write) -> Answer {
    const FILE: &str = "/proc/sys/fs/dentry-state";
    let text = std::fs::read_to_string(FILE).map_err(of(FILE))?;
    let names = ["all", "unused", "age limit", "wanted pages", "negative"];
    for (name, value) in names.iter().zip(text.split_ascii_whitespace()) {
        say(out, format!("{name:14}{value:>10}"))?;
    }
    Ok(())
}

pub(super) fn drop_caches(args: &[String], _: &mut dyn Write) -> Answer {
    const FILE: &str = "/proc/sys/vm/drop_caches";
    match args {
        [_, what] if ["1", "2", "3"].contains(&what.as_str()) => {
            std::fs::write(FILE, what).map_err(of(FILE))
        }
        _ => Err("drop 1|2|3: page cache, dentries and inodes, or both".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_by_its_bits() {
        let event = inotify::Event {
            watch: 1,
            mask: libc::IN_MOVED_TO | libc::IN_ISDIR,
            cookie: 7,
            name: b"a\x1bb",
        };
        assert_eq!(
            event_line("/mnt", &event),
            "/mnt: MOVED_TO|ISDIR a\\u{1b}b cookie 7"
        );
    }
}
