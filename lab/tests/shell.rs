// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab shell` on a pseudo-terminal, with a QEMU that is a script: whatever ends it, the terminal is as it was.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers fail by panic, as its functions do"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A guest whose shell echoes, and obeys a few words. A raw terminal ends a line with a carriage return.
const QEMU: &str = r#"#!/bin/bash
case "$*" in --version) echo "QEMU emulator version 0.0 (script)"; exit;; esac
words=("$@")
number() { for word in "${words[@]}"; do case "$word" in socket,id=$1,fd=*) echo "${word##*=}";; esac; done; }
C=$(number console); T=$(number terminal)
printf '[    0.000000] Linux version 6.12\r\n' >&$C
case "$*" in *broken*) printf '[    1.0] Kernel panic - not syncing\r\n' >&$C; exit 0;; esac
printf 'ready\r\n# ' >&$T
while IFS= read -r -d $'\r' line <&$T; do
    case "$line" in
        off) exit 0;;
        die) echo "out of luck" >&2; exit 3;;
        killed) kill -9 $$;;
        kernel) printf 'ls -l' >&$T; sleep 0.3; printf '[    2.0] XFS\e[31m (vda)\r\n' >&$C;;
        evil) printf 'a\e]0;owned\a\e[2Jb\xff\r\n# ' >&$T;;
        *) printf '%s\r\nyou said %s\r\n# ' "$line" "$line" >&$T;;
    esac
done
"#;

struct Session {
    home: tempfile::TempDir,
    lab: Child,
    ours: File,
    theirs: OwnedFd,
    said: Arc<Mutex<Vec<u8>>>,
    before: Modes,
}

type Modes = (u32, u32, u32, u32);

fn modes(terminal: &OwnedFd) -> Modes {
    // SAFETY: a zeroed termios is valid, and the kernel fills it.
    unsafe {
        let mut modes: libc::termios = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(terminal.as_raw_fd(), &raw mut modes), 0);
        (modes.c_iflag, modes.c_oflag, modes.c_cflag, modes.c_lflag)
    }
}

fn home(append: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::write(at("qemu"), QEMU).unwrap();
    fs::set_permissions(at("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(at("kernel")).unwrap();
    fs::create_dir_all(at("run")).unwrap();
    fs::write(at("kernel/bzImage"), "").unwrap();
    let job = serde_json::json!({
        "format": 2, "out": at("run"), "job": "boot", "kernel": at("kernel"), "cache": at("cache"), "label": "try",
        "machine": {"cpus": 1, "memory_mib": 64, "accel": "tcg", "disks": []}, "append": [append],
        "guest": {"protocol": 3, "scenarios": [], "drain_seconds": 1},
        "limits": {"firmware": 1, "kernel": 1, "agent": 1, "scenario_extra": 1, "settle": 1, "drain": 1, "console_mib": 1},
        "until_hit": false,
    });
    fs::write(at("run/job.json"), job.to_string()).unwrap();
    home
}

fn lab(home: &tempfile::TempDir) -> Command {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    lab.args(["shell", "run", "--log", "log"])
        .current_dir(home.path())
        .env("LAB_QEMU", home.path().join("qemu"))
        .env("LAB_CACHE", home.path().join("cache"));
    lab
}

impl Session {
    /// Starts it.
    fn new(append: &str) -> Self {
        let home = home(append);
        let size = libc::winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let (mut ours, mut theirs) = (0, 0);
        let none = std::ptr::null_mut();
        // SAFETY: both descriptors are written when the answer is 0, and are then ours alone.
        let (ours, theirs) = unsafe {
            let none_too = std::ptr::null();
            assert_eq!(
                libc::openpty(
                    &raw mut ours,
                    &raw mut theirs,
                    none,
                    none_too,
                    &raw const size
                ),
                0
            );
            (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
        };
        let before = modes(&theirs);
        let end = || Stdio::from(theirs.try_clone().unwrap());
        let mut command = lab(&home);
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: only async-signal-safe calls between fork and exec.
        unsafe {
            command.pre_exec(|| {
                let taken = libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0;
                taken
                    .then_some(())
                    .ok_or_else(std::io::Error::last_os_error)
            });
        }
        let session = Self {
            lab: command.spawn().unwrap(),
            home,
            said: Arc::default(),
            ours,
            theirs,
            before,
        };
        let (said, mut from) = (Arc::clone(&session.said), session.ours.try_clone().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(got @ 1..) = from.read(&mut buffer) {
                said.lock().unwrap().extend_from_slice(&buffer[..got]);
            }
        });
        session
    }

    /// Starts it, and waits for the shell.
    fn ready() -> Self {
        let session = Self::new("x");
        session.hears("ready\r\n# ");
        assert_eq!(
            modes(&session.theirs).3 & (libc::ICANON | libc::ECHO | libc::ISIG),
            0
        );
        session
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn hears(&self, text: &str) {
        let begun = Instant::now();
        while !self.said().contains(text) {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "no {text:?} in {:?}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn types(&mut self, text: &str) {
        self.ours.write_all(text.as_bytes()).unwrap();
    }

    fn signal(&self, signal: i32) {
        let id = i32::try_from(self.lab.id()).unwrap();
        // SAFETY: a signal to a child of this test that has not been waited for.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// It ends so, with these words, and the terminal is as it was.
    #[track_caller]
    fn ends(mut self, code: i32, words: &str) {
        let begun = Instant::now();
        let status = loop {
            match self.lab.try_wait().unwrap() {
                Some(status) => break status,
                None if begun.elapsed() > Duration::from_secs(20) => {
                    self.lab.kill().unwrap();
                    panic!("it does not end: {:?}", self.said());
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        assert_eq!(modes(&self.theirs), self.before, "{:?}", self.said());
        self.hears(words);
        assert_eq!(status.code(), Some(code), "{:?}", self.said());
    }
}

#[test]
fn the_escape_key_leaves() {
    let mut session = Session::ready();
    session.hears("Ctrl-] quits");
    session.types("hello\r");
    session.hears("you said hello\r\n# ");
    session.types("x\x1dy");
    session.ends(0, "left; the guest is gone");
}

#[test]
fn a_guest_that_powers_off_ends_it() {
    let mut session = Session::ready();
    session.types("off\r");
    session.ends(0, "the guest is off");
}

#[test]
fn a_qemu_that_fails_is_told_with_its_words() {
    let mut session = Session::ready();
    session.types("die\r");
    session.ends(125, "QEMU died: exit status: 3 out of luck");
}

#[test]
fn a_qemu_that_is_killed_gives_the_terminal_back() {
    let mut session = Session::ready();
    session.types("killed\r");
    session.ends(125, "QEMU died: signal: 9");
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let session = Session::ready();
        session.signal(signal);
        session.ends(130, "stopped on request");
    }
}

#[test]
fn a_terminal_that_hangs_up_ends_it() {
    let mut session = Session::ready();
    let elsewhere = File::open("/dev/null").unwrap();
    // The thread that reads holds the other end, so it is the signal that tells, as a terminal would send it.
    session.signal(libc::SIGHUP);
    session.ours = elsewhere;
    let status = session.lab.wait().unwrap();
    assert_eq!(status.code(), Some(130));
}

#[test]
fn a_guest_that_never_comes_to_its_shell_is_told_with_its_console() {
    Session::new("broken").ends(125, "Kernel panic - not syncing");
}

#[test]
fn what_a_guest_prints_is_text_and_the_kernel_spoils_no_line() {
    let mut session = Session::ready();
    session.types("evil\r");
    session.hears("a\\u{1b}]0;owned\\u{7}\\u{1b}[2Jb\\xff\r\n# ");
    session.types("kernel\r");
    session.hears("\r\x1b[J[    2.0] XFS\\u{1b}[31m (vda)\r\n# ls -l");
    // The log is what the kernel printed, as it is.
    let log = fs::read_to_string(session.home.path().join("log")).unwrap();
    assert!(log.contains("XFS\x1b[31m (vda)\r\n"), "{log:?}");
    session.types("\x1d");
    session.ends(0, "left");
}

#[test]
fn without_a_terminal_it_is_refused() {
    let home = home("x");
    let output = lab(&home).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(129));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("a shell needs a terminal"), "{said}");
}
