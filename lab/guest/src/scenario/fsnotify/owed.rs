// SPDX-License-Identifier: MIT OR Apache-2.0
//! The events that are owed to an inotify instance, held against those that came.
//!
//! An instance belongs to one thread, and what it watches is touched by that thread alone (or by others in ways
//! that the mask leaves out). The kernel queues an event within the call that causes it, so that after the call
//! everything must be there: exactly that, in that order.

use crate::ops::{
    self, Answer, errno_name,
    watch::{self, Event, events},
};
use crate::scenario::fault::{Fault, due};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An event that must come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owed {
    watch: i32,
    mask: u32,
    /// Which rename of this sequence it belongs to; 0: none.
    pair: usize,
    name: &'static CStr,
}

impl Owed {
    fn is(&self, event: &Event<'_>) -> bool {
        (self.watch, self.mask, self.name.to_bytes()) == (event.watch, event.mask, event.name)
    }
}

/// An inotify instance, and what is owed to it.
#[derive(Debug)]
pub(super) struct Ear {
    fd: OwnedFd,
    buffer: Vec<u8>,
    owed: Vec<Owed>,
    pairs: usize,
}

/// Most renames whose events one reading can compare.
const PAIRS: usize = 8;

impl Ear {
    /// A new instance.
    ///
    /// # Errors
    /// The errno of inotify_init1(2).
    pub(super) fn new() -> Answer<Self> {
        Ok(Self {
            fd: watch::inotify()?,
            buffer: vec![0; 32 << 10],
            owed: Vec::with_capacity(64),
            pairs: 0,
        })
    }

    /// The instance itself.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Watches a name of a directory, `.` for the directory.
    pub(super) fn watch(&self, dir: BorrowedFd<'_>, name: &CStr, mask: u32) -> Result<i32, Fault> {
        const LOST: &str = "own watch refused";
        watch::go_to(dir).map_err(due(LOST, "fchdir"))?;
        watch::add_watch(self.fd(), name, mask).map_err(due(LOST, "inotify_add_watch"))
    }

    /// Ends a watch: it owes one last event.
    pub(super) fn unwatch(&mut self, watch: i32) -> Result<(), Fault> {
        watch::rm_watch(self.fd(), watch).map_err(due("own watch lost", "inotify_rm_watch"))?;
        self.owe(watch, libc::IN_IGNORED, c"");
        Ok(())
    }

    /// Something was done that owes this event.
    pub(super) fn owe(&mut self, watch: i32, mask: u32, name: &'static CStr) {
        self.owed.push(Owed {
            watch,
            mask,
            pair: 0,
            name,
        });
    }

    /// Something was renamed: events of both names where their directories are watched, bound by a cookie.
    pub(super) fn owe_move(
        &mut self,
        from: Option<(i32, &'static CStr)>,
        to: Option<(i32, &'static CStr)>,
        kind: u32,
    ) {
        self.pairs += 1;
        for (side, mask) in [(from, libc::IN_MOVED_FROM), (to, libc::IN_MOVED_TO)] {
            if let Some((watch, name)) = side {
                self.owed.push(Owed {
                    watch,
                    mask: mask | kind,
                    pair: self.pairs,
                    name,
                });
            }
        }
    }

    /// Reads what has come: it must be what is owed.
    pub(super) fn hear(&mut self) -> Result<(), Fault> {
        let read = watch::read_ready(self.fd.as_fd(), &mut self.buffer);
        let got = read.map_err(due("events cannot be read", "read"))?;
        let verdict = judge(&self.owed, &self.buffer[..got]);
        self.owed.clear();
        self.pairs = 0;
        verdict
    }
}

impl Ear {
    /// Reads what an unmount left: for each watch that it was, and then nothing more; watches in any order.
    pub(super) fn hear_unmount(&mut self, watches: &[i32]) -> Result<(), Fault> {
        let read = watch::read_ready(self.fd.as_fd(), &mut self.buffer);
        let got = read.map_err(due("events cannot be read", "read"))?;
        let bytes = &self.buffer[..got];
        if events(bytes).any(|event| event.mask & libc::IN_Q_OVERFLOW != 0) {
            return Err(Fault::Answer(libc::ENOMEM));
        }
        let wanted = [libc::IN_UNMOUNT, libc::IN_IGNORED];
        let told = |watch: &i32| {
            let of = events(bytes).filter(|event| event.watch == *watch);
            of.map(|event| event.mask & !libc::IN_ISDIR).eq(wanted)
        };
        if watches.iter().all(told) && events(bytes).count() == 2 * watches.len() {
            return Ok(());
        }
        Err(Fault::Wrong("unmount is not told", told_seen(bytes)))
    }
}

/// Whether the events in `bytes` are exactly those owed.
fn judge(owed: &[Owed], bytes: &[u8]) -> Result<(), Fault> {
    if events(bytes).any(|event| event.mask & libc::IN_Q_OVERFLOW != 0) {
        // No sequence fills a queue: the kernel says so that it had no memory for an event.
        return Err(Fault::Answer(libc::ENOMEM));
    }
    let same = events(bytes).count() == owed.len()
        && owed
            .iter()
            .zip(events(bytes))
            .all(|(owed, event)| owed.is(&event));
    if same {
        return cookies(owed, bytes);
    }
    let within = |event: &Event<'_>| owed.iter().any(|owed| owed.is(event));
    let came = |owed: &Owed| events(bytes).any(|event| owed.is(&event));
    let oracle = match (owed.iter().all(came), events(bytes).all(|e| within(&e))) {
        (false, true) => "owed event lost",
        (true, false) => "event not owed",
        (false, false) => "another event than owed",
        (true, true) if events(bytes).count() > owed.len() => "event came twice",
        (true, true) if events(bytes).count() < owed.len() => "owed event lost",
        (true, true) => "events out of order",
    };
    Err(Fault::Wrong(oracle, told(owed, bytes)))
}

/// Both events of a rename have its cookie, no other rename has it, and no other event has one.
fn cookies(owed: &[Owed], bytes: &[u8]) -> Result<(), Fault> {
    let mut of = [0; PAIRS + 1];
    for (owed, event) in owed.iter().zip(events(bytes)) {
        let pair = owed.pair.min(PAIRS);
        let good = match (pair, of[pair]) {
            (0, _) => event.cookie == 0,
            (_, 0) => event.cookie != 0 && !of.contains(&event.cookie),
            (_, cookie) => event.cookie == cookie,
        };
        if !good {
            return Err(Fault::Wrong("wrong cookie of a rename", told_seen(bytes)));
        }
        of[pair] = event.cookie;
    }
    Ok(())
}

fn told(owed: &[Owed], bytes: &[u8]) -> String {
    let all: Vec<_> = owed
        .iter()
        .map(|owed| one(owed.watch, owed.mask, owed.name.to_bytes()))
        .collect();
    format!("owed [{}], came [{}]", all.join(", "), told_seen(bytes))
}

fn told_seen(bytes: &[u8]) -> String {
    let all: Vec<_> = events(bytes)
        .map(|event| {
            let text = one(event.watch, event.mask, event.name);
            match event.cookie {
                0 => text,
                cookie => format!("{text} cookie {cookie}"),
            }
        })
        .collect();
    all.join(", ")
}

fn one(watch: i32, mask: u32, name: &[u8]) -> String {
    const NAMES: &[(u32, &str)] = &[
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
        (libc::IN_IGNORED, "IGNORED"),
        (libc::IN_ISDIR, "ISDIR"),
    ];
    let named = NAMES.iter().filter(|(bit, _)| mask & bit != 0);
    let names: Vec<_> = named.map(|(_, name)| *name).collect();
    format!(
        "{watch}:{} {}",
        names.join("|"),
        String::from_utf8_lossy(name)
    )
}

/// That a call is refused, and how.
pub(super) fn refused<T>(
    answer: Answer<T>,
    wanted: i32,
    oracle: &'static str,
) -> Result<(), Fault> {
    match answer {
        Err(errno) if errno == wanted => Ok(()),
        Err(errno) => Err(due(oracle, "the call")(errno)),
        Ok(_) => {
            let seen = format!("it was done, not refused by {}", errno_name(wanted));
            Err(Fault::Wrong(oracle, seen))
        }
    }
}

/// Keeps a file's dentry without any event (O_PATH): nobody else can put its last reference then, so that it is
/// clear when the file goes.
pub(super) fn pin(dir: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Fault> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    ops::open(dir, name, flags).map_err(due("own name lost", "open"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(all: &[(u32, u32, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (mask, cookie, name) in all {
            let padded = if name.is_empty() { 0 } else { 16u32 };
            for word in [1, *mask, *cookie, padded] {
                bytes.extend(word.to_ne_bytes());
            }
            let end = bytes.len() + padded as usize;
            bytes.extend(name.bytes());
            bytes.resize(end, 0);
        }
        bytes
    }

    fn oracle(owed: &[Owed], all: &[(u32, u32, &str)]) -> &'static str {
        match judge(owed, &bytes(all)) {
            Ok(()) => "fine",
            Err(Fault::Wrong(oracle, _)) => oracle,
            Err(Fault::Answer(_)) => "starved",
        }
    }

    #[test]
    fn what_came_is_held_against_what_is_owed() {
        use libc::{IN_CREATE as C, IN_DELETE as D, IN_OPEN as O, IN_Q_OVERFLOW as Q};
        let owed = [(C, c"x"), (O, c"x"), (D, c"x")].map(|(mask, name)| Owed {
            watch: 1,
            mask,
            pair: 0,
            name,
        });
        let check = |all: &[(u32, u32, &str)]| oracle(&owed, all);
        assert_eq!(check(&[(C, 0, "x"), (O, 0, "x"), (D, 0, "x")]), "fine");
        assert_eq!(check(&[(C, 0, "x"), (D, 0, "x")]), "owed event lost");
        assert_eq!(
            check(&[(C, 0, "x"), (O, 0, "x"), (O, 0, "x"), (D, 0, "x")]),
            "event came twice"
        );
        assert_eq!(
            check(&[(C, 0, "x"), (O, 0, "x"), (D, 0, "x"), (D, 0, "y")]),
            "event not owed"
        );
        assert_eq!(
            check(&[(C, 0, "x"), (O, 0, "y"), (D, 0, "x")]),
            "another event than owed"
        );
        assert_eq!(
            check(&[(O, 0, "x"), (C, 0, "x"), (D, 0, "x")]),
            "events out of order"
        );
        assert_eq!(check(&[(C, 0, "x"), (Q, 0, "")]), "starved");
        assert_eq!(
            check(&[(C, 5, "x"), (O, 0, "x"), (D, 0, "x")]),
            "wrong cookie of a rename"
        );
    }

    #[test]
    fn the_events_of_a_rename_share_a_cookie_of_their_own() {
        use libc::{IN_MOVED_FROM as F, IN_MOVED_TO as T};
        let mut ear = Ear::new().unwrap();
        ear.owe_move(Some((1, c"x")), Some((1, c"y")), 0);
        ear.owe_move(Some((1, c"y")), Some((1, c"x")), 0);
        let check = |cookies: [u32; 4]| {
            let [a, b, c, d] = cookies;
            oracle(
                &ear.owed,
                &[(F, a, "x"), (T, b, "y"), (F, c, "y"), (T, d, "x")],
            )
        };
        assert_eq!(check([3, 3, 4, 4]), "fine");
        assert_eq!(check([3, 4, 5, 5]), "wrong cookie of a rename");
        assert_eq!(check([3, 3, 3, 3]), "wrong cookie of a rename");
        assert_eq!(check([0, 0, 4, 4]), "wrong cookie of a rename");
    }
}
