// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the server's caches ask userland, and the answers: everything is allowed to 127.0.0.1.
//! The formats are those of `net/sunrpc/svcauth_unix.c` and `fs/nfsd/export.c`.

use super::EXPORT;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;

/// The caches that ask.
pub(super) const CHANNELS: &[&str] = &["auth.unix.ip", "auth.unix.gid", "nfsd.export", "nfsd.fh"];
/// When an answer expires: never.
const NEVER: &str = "9999999999";
/// `NFSEXP_INSECURE_PORT | NFSEXP_NOSUBTREECHECK | NFSEXP_FSID`: writable, root stays root.
const FLAGS: u32 = 0x2 | 0x400 | 0x2000;

/// The answer to a question of a cache, both with their newline; `None` for one that makes no sense.
pub(super) fn answer(channel: &str, question: &str) -> Option<String> {
    let words: Vec<&str> = question.split_ascii_whitespace().collect();
    Some(match (channel, words.as_slice()) {
        ("auth.unix.ip", [class, address]) => format!("{class} {address} {NEVER} *\n"),
        ("auth.unix.gid", [user]) => format!("{user} {NEVER} 0\n"),
        ("nfsd.fh", [domain, kind, id]) => format!("{domain} {kind} {id} {NEVER} {EXPORT}\n"),
        ("nfsd.export", [domain, EXPORT]) => {
            format!("{domain} {EXPORT} {NEVER} {FLAGS} 65534 65534 0\n")
        }
        // Not exported: an answer without options says so.
        ("nfsd.export", [domain, path]) => format!("{domain} {path} {NEVER}\n"),
        _ => return None,
    })
}

/// Answers a channel's questions for as long as the machine lives.
pub(super) fn serve(channel: &'static str, mut file: File) {
    let mut buffer = [0; 8192];
    loop {
        wait(&file);
        let Ok(got) = file.read(&mut buffer) else {
            continue;
        };
        for question in String::from_utf8_lossy(&buffer[..got]).lines() {
            if let Some(line) = answer(channel, question) {
                // A refused answer leaves the question open; the server asks again.
                let _ = file.write_all(line.as_bytes());
            }
        }
    }
}

fn wait(file: &File) {
    let mut poll = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&raw mut poll, 1, 1000) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(channel: &str, question: &str, wanted: &str) {
        assert_eq!(answer(channel, question).as_deref(), Some(wanted));
    }

    #[test]
    fn each_cache_gets_its_line() {
        check(
            "auth.unix.ip",
            "nfsd 127.0.0.1\n",
            "nfsd 127.0.0.1 9999999999 *\n",
        );
        check("auth.unix.gid", "0\n", "0 9999999999 0\n");
        check(
            "nfsd.fh",
            "* 1 \\x00000000\n",
            "* 1 \\x00000000 9999999999 /export\n",
        );
        check(
            "nfsd.export",
            "* /export\n",
            "* /export 9999999999 9218 65534 65534 0\n",
        );
        check("nfsd.export", "* /etc\n", "* /etc 9999999999\n");
    }

    #[test]
    fn nonsense_gets_no_answer() {
        assert_eq!(answer("nfsd.fh", "* 1\n"), None);
        assert_eq!(answer("auth.unix.ip", ""), None);
        assert_eq!(answer("other", "a b"), None);
    }
}
