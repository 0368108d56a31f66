// SPDX-License-Identifier: MIT OR Apache-2.0
//! A dump of the guest's memory: QEMU writes it into a pipe, and a thread compresses it into a file while it comes.
//!
//! The pipe lives as long as QEMU, so its end does not tell the end of a dump: QEMU's answer does, which it gives when all is
//! in the pipe. The driver passes that word on to the thread through a pipe of its own.

use lab_core::boot::Purpose;
use lab_core::job::DumpRecord;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::sync::oneshot;

/// What the pipe holds, bytes: the most that a user may ask for by default, so that QEMU and the thread run side by side.
const PIPE: i32 = 1 << 20;
/// Bytes taken at once.
const CHUNK: usize = 1 << 20;
/// Of zstd's levels the one that keeps up with QEMU; a guest's memory is mostly nothing, and better ones gain little.
const LEVEL: i32 = 1;
/// Left on the disk for the rest of the record, MiB.
const RESERVE_MIB: u64 = 512;
/// With less room than this a dump is not begun, MiB.
const LEAST_MIB: u64 = 32;
/// What the thread is told: it is all there…
const COMPLETE: u8 = b'c';
/// …or QEMU gave it up itself. An end without a word means that it is not wanted any more.
const REFUSED: u8 = b'r';

/// The lab's end of the pipe for dumps, and QEMU's.
pub(super) fn channel() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC)?;
    // Where that much is not allowed, a smaller pipe is only slower.
    let _ = fcntl(&theirs, FcntlArg::F_SETPIPE_SZ(PIPE));
    Ok((ours, theirs))
}

/// Name of a dump's file.
pub(super) fn file_name(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Failure { .. } => crate::evidence::VMCORE.to_owned(),
        Purpose::Audit { index } => format!("audit-{index:02}.zst"),
    }
}

/// A dump on its way.
#[derive(Debug)]
pub(super) struct Dump {
    pub(super) purpose: Purpose,
    word: Option<OwnedFd>,
    said: Option<String>,
    begun: Instant,
    done: oneshot::Receiver<Stored>,
}

/// How a dump went.
#[derive(Debug)]
pub(super) struct Stored {
    /// The pipe, for the next one; none if it was given up.
    pub(super) pipe: Option<OwnedFd>,
    end: End,
    bytes: u64,
    stored: u64,
}

/// How the thread came to its end.
#[derive(Debug)]
enum End {
    Whole,
    /// At so many bytes.
    Cut(u64),
    Failed(io::Error),
    QemuGone,
    Refused,
    GivenUp,
}

impl Dump {
    /// Begins to take what QEMU is about to write; it may come to `limit` bytes.
    ///
    /// # Errors
    /// When there are no more descriptors or threads.
    pub(super) fn begin(
        purpose: Purpose,
        folder: &Path,
        pipe: OwnedFd,
        limit: u64,
    ) -> io::Result<Self> {
        let (listen, word) = pipe2(OFlag::O_CLOEXEC)?;
        let (give, done) = oneshot::channel();
        let path = folder.join(file_name(&purpose));
        let taker = Taker {
            pipe,
            listen,
            path,
            limit,
        };
        let thread = std::thread::Builder::new().name("dump".into());
        thread.spawn(move || {
            // A driver that is gone does not want to know.
            let _ = give.send(taker.take());
        })?;
        Ok(Self {
            purpose,
            word: Some(word),
            said: None,
            begun: Instant::now(),
            done,
        })
    }

    /// QEMU has answered: all of it is in the pipe, or its error.
    pub(super) fn answered(&mut self, result: Result<String, String>) {
        let word = match result {
            Ok(_) => COMPLETE,
            Err(error) => {
                self.said = Some(error);
                REFUSED
            }
        };
        if let Some(pipe) = self.word.take() {
            // A thread that has ended by itself needs no word.
            let _ = nix::unistd::write(&pipe, &[word]);
        }
    }

    /// It is not wanted any more: QEMU's next write into the pipe fails.
    pub(super) fn give_up(&mut self) {
        self.word = None;
    }

    /// Waits until it is stored. May be cancelled.
    pub(super) async fn stored(&mut self) -> Stored {
        (&mut self.done).await.unwrap_or(Stored {
            pipe: None,
            end: End::Failed(io::Error::other("the thread that took it died")),
            bytes: 0,
            stored: 0,
        })
    }

    /// What goes into the recording, and what went wrong, for people.
    pub(super) fn record(&self, stored: &Stored) -> (Option<DumpRecord>, Option<String>) {
        let file = file_name(&self.purpose);
        let trouble = match &stored.end {
            End::Whole | End::GivenUp => None,
            End::Cut(limit) => Some(format!(
                "{file} is not whole: it was cut at {} MiB (limits.dump_mib, or what the disk had room for)",
                limit >> 20
            )),
            End::Failed(error) => Some(format!(
                "no {file}: it could not be written: {error}; free some space"
            )),
            End::QemuGone => Some(format!("no {file}: QEMU went while it wrote the dump")),
            End::Refused => {
                let said = self.said.as_deref().unwrap_or_default();
                Some(format!("no {file}: QEMU gave no dump: {said}"))
            }
        };
        let whole = matches!(stored.end, End::Whole);
        let there = whole || matches!(stored.end, End::Cut(_));
        let (why, scenario) = match &self.purpose {
            Purpose::Failure { why } => (why.clone(), None),
            Purpose::Audit { index } => ("end of the scenario".to_owned(), Some(*index)),
        };
        let record = there.then(|| DumpRecord {
            file,
            why,
            scenario,
            bytes: stored.bytes,
            stored: stored.stored,
            seconds: self.begun.elapsed().as_secs_f64(),
            whole,
        });
        (record, trouble)
    }
}

/// How many bytes a dump may come to in that folder.
pub(super) fn room(folder: &Path, dump_mib: u32) -> Result<u64, String> {
    let free =
        nix::sys::statvfs::statvfs(folder).map(|fs| fs.blocks_available() * fs.fragment_size());
    match free {
        Ok(free) => room_of(free >> 20, dump_mib.into())
            .map_err(|why| format!("no dump in {}: {why}", folder.display())),
        // A filesystem that does not tell may still have room.
        Err(_) => Ok(u64::from(dump_mib) << 20),
    }
}

fn room_of(free_mib: u64, dump_mib: u64) -> Result<u64, String> {
    let room = free_mib.saturating_sub(RESERVE_MIB).min(dump_mib);
    if room < LEAST_MIB.min(dump_mib) {
        return Err(format!(
            "{free_mib} MiB are free, and {RESERVE_MIB} MiB are left for all else; free some space"
        ));
    }
    Ok(room << 20)
}

/// The thread's side.
struct Taker {
    pipe: OwnedFd,
    listen: OwnedFd,
    path: PathBuf,
    limit: u64,
}

impl Taker {
    fn take(self) -> Stored {
        let new = new_name(&self.path);
        let mut bytes = 0;
        let mut sink = Sink::create(&new, self.limit);
        let end = self.copy(&mut sink, &mut bytes);
        let (end, stored) = match (end, sink) {
            (End::Whole, Ok(sink)) => match sink.finish(&new, &self.path) {
                Ok((None, stored)) => (End::Whole, stored),
                Ok((Some(limit), stored)) => (End::Cut(limit), stored),
                Err(error) => (End::Failed(error), 0),
            },
            (End::Whole, Err(error)) => (End::Failed(error), 0),
            (end, _) => (end, 0),
        };
        if !matches!(end, End::Whole | End::Cut(_)) {
            // What is left is of no use, and the room is wanted.
            let _ = fs::remove_file(&new);
        }
        let keep = !matches!(end, End::GivenUp | End::QemuGone);
        Stored {
            pipe: keep.then_some(self.pipe),
            end,
            bytes,
            stored,
        }
    }

    /// Copies until the driver says that all is there. What cannot be stored is still taken, for QEMU, and the guest with
    /// it, stands until it is rid of its bytes.
    fn copy(&self, sink: &mut io::Result<Sink>, bytes: &mut u64) -> End {
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.wait() {
                Ok(Next::Bytes) => {}
                Ok(Next::End(end)) => return end,
                Err(error) => return End::Failed(error),
            }
            let n = match nix::unistd::read(&self.pipe, &mut chunk) {
                Ok(0) => return End::QemuGone,
                Ok(n) => n,
                Err(Errno::EINTR) => continue,
                Err(errno) => return End::Failed(errno.into()),
            };
            *bytes += n as u64;
            if let Ok(open) = sink
                && let Err(error) = open.write(&chunk[..n])
            {
                *sink = Err(error);
            }
        }
    }

    /// Waits for bytes or a word; bytes come before the word that they are all.
    fn wait(&self) -> io::Result<Next> {
        let mut fds = [
            PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listen.as_fd(), PollFlags::POLLIN),
        ];
        while let Err(errno) = poll(&mut fds, PollTimeout::NONE) {
            if errno != Errno::EINTR {
                return Err(errno.into());
            }
        }
        let has =
            |fd: &PollFd<'_>, flag| fd.revents().is_some_and(|events| events.intersects(flag));
        let word = has(&fds[1], PollFlags::POLLIN);
        if !word && has(&fds[1], PollFlags::POLLHUP) {
            return Ok(Next::End(End::GivenUp));
        }
        if has(&fds[0], PollFlags::POLLIN) {
            return Ok(Next::Bytes);
        }
        if word {
            return self.word().map(Next::End);
        }
        Ok(Next::End(End::QemuGone))
    }

    fn word(&self) -> io::Result<End> {
        let mut word = [0];
        File::from(self.listen.try_clone()?).read_exact(&mut word)?;
        Ok(match word[0] {
            COMPLETE => End::Whole,
            _ => End::Refused,
        })
    }
}

enum Next {
    Bytes,
    End(End),
}

/// The name of a file while it is being written.
fn new_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// A compressed file of bounded size.
struct Sink {
    encoder: zstd::Encoder<'static, Counted>,
    limit: u64,
    /// What came after the limit was dropped.
    cut: bool,
}

impl Sink {
    fn create(path: &Path, limit: u64) -> io::Result<Self> {
        let file = Counted {
            file: File::create(path)?,
            written: 0,
        };
        Ok(Self {
            encoder: zstd::Encoder::new(file, LEVEL)?,
            limit,
            cut: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.cut |= self.encoder.get_ref().written >= self.limit;
        match self.cut {
            true => Ok(()),
            false => self.encoder.write_all(bytes),
        }
    }

    /// Puts the whole file in its place; where it was cut, if it was, and its size.
    fn finish(self, new: &Path, path: &Path) -> io::Result<(Option<u64>, u64)> {
        let Counted { file, written } = self.encoder.finish()?;
        file.sync_all()?;
        fs::rename(new, path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok((self.cut.then_some(self.limit), written))
    }
}

struct Counted {
    file: File,
    written: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_keeps_its_reserve() {
        assert_eq!(room_of(10_000, 300), Ok(300 << 20));
        assert_eq!(room_of(RESERVE_MIB + 100, 300), Ok(100 << 20));
        let refused = room_of(RESERVE_MIB + LEAST_MIB - 1, 300).unwrap_err();
        assert!(refused.starts_with("543 MiB are free"), "{refused}");
        assert_eq!(room_of(RESERVE_MIB + 1, 1), Ok(1 << 20));
        assert!(room(Path::new("/"), 1).is_ok());
    }

    #[tokio::test]
    async fn a_dump_that_is_given_up_lets_its_writer_go() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = channel().unwrap();
        let mut writer = File::from(theirs);
        let purpose = Purpose::Audit { index: 0 };
        let mut dump = Dump::begin(purpose, folder.path(), ours, 1 << 20).unwrap();
        writer.write_all(b"the beginning").unwrap();
        dump.give_up();
        let stored = dump.stored().await;
        assert!(stored.pipe.is_none());
        let error = writer.write_all(b"the rest").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        let (record, trouble) = dump.record(&stored);
        assert!(
            record.is_none() && trouble.is_none(),
            "{record:?} {trouble:?}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn files_are_named_by_what_they_are_for() {
        let failure = Purpose::Failure { why: "x".into() };
        assert_eq!(file_name(&failure), "vmcore.zst");
        assert_eq!(file_name(&Purpose::Audit { index: 3 }), "audit-03.zst");
        let new = new_name(Path::new("/a/vmcore.zst"));
        assert_eq!(new, Path::new("/a/.vmcore.zst.new"));
    }
}
