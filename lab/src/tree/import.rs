// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel tarball becomes a bare repository with one commit, in one pass and one pack.
//!
//! One thread unpacks, some hash and compress, one writes; what waits between them is bounded. The repository is made
//! under a temporary name and renamed when it is whole, under a lock that a second lab waits for.

use super::directory::{DIR, EXEC, FILE, LINK};
use super::pack::{Kind, PackFile, entry, object_id};
use super::unpack::{Member, unpack};
use super::version::kernel_version;
use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use git2::{Oid, Repository};
use nix::fcntl::{Flock, FlockArg};
use sha2::Digest;
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another lab imports the same tree; this one waits for it.
    Waiting,
    /// Bytes of the archive read, of how many, and files stored so far.
    Unpacking {
        /// Bytes read.
        read: u64,
        /// Size of the archive, bytes.
        of: u64,
        /// Files.
        files: usize,
    },
}

/// Makes the bare repository `into` from a kernel tarball, unless it is there already.
///
/// # Errors
/// An archive that is damaged or no kernel's, a full disk, a stop on request. Nothing is left under `into` then.
pub fn import(
    archive: &Path,
    into: &Path,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let parent = into.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).doing(|| format!("create {}", parent.display()))?;
    let _lock = lock(into, stop, progress)?;
    if into.exists() {
        return Ok(());
    }
    let temporary = tempfile::Builder::new()
        .prefix(".import-")
        .tempdir_in(parent)
        .doing(|| format!("make a folder in {}", parent.display()))?;
    fill(temporary.path(), archive, stop, progress)
        .map_err(|error| error.doing(format!("import {}", archive.display())))?;
    let made = temporary.keep();
    fs::rename(&made, into).doing(|| format!("rename {}", made.display()))?;
    Ok(File::open(parent)?.sync_all()?)
}

/// Waits for the lock beside `into`; it is let go when the value is dropped, or when the process dies.
fn lock(into: &Path, stop: &Stop, progress: &mut dyn FnMut(Progress)) -> Result<Flock<File>> {
    let path = into.with_extension("lock");
    let mut file = File::create(&path).doing(|| format!("create {}", path.display()))?;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((file, nix::errno::Errno::EWOULDBLOCK)) => file,
            Err((_, errno)) => {
                return Err(std::io::Error::from(errno))
                    .doing(|| format!("lock {}", path.display()));
            }
        };
        progress(Progress::Waiting);
        halted(stop)?;
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

pub(super) fn halted(stop: &Stop) -> Result<()> {
    match stop.level() {
        Level::Run => Ok(()),
        Level::Orderly | Level::Now => Err(Error::interrupted()),
    }
}

fn fill(
    git_dir: &Path,
    archive: &Path,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let repo = Repository::init_bare(git_dir)?;
    let mut pack = PackFile::create(&git_dir.join("objects/pack"))?;
    let read = store_files(archive, &mut pack, stop, progress)?;
    let makefile = read.makefile.as_deref().and_then(kernel_version);
    let version = makefile.filter(|_| read.has_kconfig).ok_or_else(|| {
        Error::usage("it is not a kernel: no Makefile with a version, or no Kconfig")
    })?;
    let tree = read.root.write(&mut pack)?;
    let commit = commit_bytes(tree, &version, &read);
    let id = object_id(Kind::Commit, &commit)?;
    pack.add(id, &entry(Kind::Commit, &commit)?)?;
    pack.finish()?;
    repo.odb()?.refresh()?;
    let why = "lab: import";
    repo.reference(&format!("refs/tags/v{version}"), id, true, why)?;
    repo.reference("refs/heads/main", id, true, why)?;
    Ok(repo.set_head("refs/heads/main")?)
}

/// The same archive always gives the same commit: nothing in it comes from this host or this day.
fn commit_bytes(tree: Oid, version: &str, read: &Unpacked) -> Vec<u8> {
    let who = format!("lab <lab@localhost> {} +0000", read.newest);
    format!(
        "tree {tree}\nauthor {who}\ncommitter {who}\n\nLinux {version}\n\nImported from a tarball with SHA-256\n{}\n",
        read.sha256
    )
    .into_bytes()
}

/// What an archive held.
struct Unpacked {
    root: Folder,
    makefile: Option<Vec<u8>>,
    has_kconfig: bool,
    newest: u64,
    sha256: String,
}

/// A directory in memory.
#[derive(Default)]
struct Folder(BTreeMap<Vec<u8>, Node>);

enum Node {
    Leaf(u32, Oid),
    Folder(Folder),
}

impl Folder {
    fn insert(&mut self, path: &[u8], mode: u32, id: Oid) -> Result<()> {
        let twice = || Error::usage(format!("{} is there twice", String::from_utf8_lossy(path)));
        let mut folder = self;
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                let old = folder.0.insert(part.to_vec(), Node::Leaf(mode, id));
                return old.map_or(Ok(()), |_| Err(twice()));
            }
            let node = folder.0.entry(part.to_vec());
            match node.or_insert_with(|| Node::Folder(Folder::default())) {
                Node::Folder(next) => folder = next,
                Node::Leaf(..) => return Err(twice()),
            }
        }
        Ok(())
    }

    fn write(&self, pack: &mut PackFile) -> Result<Oid> {
        let mut seen = HashSet::new();
        self.write_once(pack, &mut seen)
    }

    fn write_once(&self, pack: &mut PackFile, seen: &mut HashSet<Oid>) -> Result<Oid> {
        let mut entries = Vec::with_capacity(self.0.len());
        for (name, node) in &self.0 {
            let (mode, id) = match node {
                Node::Leaf(mode, id) => (*mode, *id),
                Node::Folder(folder) => (DIR, folder.write_once(pack, seen)?),
            };
            let name = name.clone();
            entries.push(super::directory::Entry { mode, name, id });
        }
        entries.sort_by(|a, b| super::directory::order((&a.name, a.mode), (&b.name, b.mode)));
        let bytes = super::directory::encode(&entries);
        let id = object_id(Kind::Tree, &bytes)?;
        if seen.insert(id) {
            pack.add(id, &entry(Kind::Tree, &bytes)?)?;
        }
        Ok(id)
    }
}

/// A blob on its way: which member it is, its id, its pack entry.
type Stored = Result<(usize, Oid, Vec<u8>)>;

fn store_files(
    archive: &Path,
    pack: &mut PackFile,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<Unpacked> {
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
    let (to_workers, jobs) = sync_channel::<(usize, Vec<u8>)>(64);
    let (to_writer, stored) = sync_channel::<Stored>(64);
    // The workers own the receiving end: when the last of them goes, the reader's next file is refused.
    let jobs = Arc::new(Mutex::new(jobs));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (jobs, to_writer) = (jobs.clone(), to_writer.clone());
            scope.spawn(move || work(&jobs, &to_writer));
        }
        drop((jobs, to_writer));
        let writer = scope.spawn(move || write_blobs(pack, stored));
        let read = read_members(archive, to_workers, stop, progress);
        let ids = writer
            .join()
            .map_err(|_| Error::internal("the thread that writes the pack panicked"))?;
        // A writer that failed closes the channel under the reader, so its error is the true one.
        let ids = match (ids, &read) {
            (Ok(ids), _) => ids,
            (Err(error), _) => return Err(error),
        };
        build_root(read?, &ids)
    })
}

fn work(jobs: &Mutex<Receiver<(usize, Vec<u8>)>>, to_writer: &SyncSender<Stored>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((index, bytes)) = job else { return };
        let done = object_id(Kind::Blob, &bytes)
            .and_then(|id| Ok((index, id, entry(Kind::Blob, &bytes)?)));
        if to_writer.send(done).is_err() {
            return;
        }
    }
}

fn write_blobs(pack: &mut PackFile, stored: Receiver<Stored>) -> Result<Vec<Option<Oid>>> {
    let mut ids: Vec<Option<Oid>> = Vec::new();
    let mut seen = HashSet::new();
    for blob in stored {
        let (index, id, entry) = blob?;
        if seen.insert(id) {
            pack.add(id, &entry)?;
        }
        if ids.len() <= index {
            ids.resize(index + 1, None);
        }
        ids[index] = Some(id);
    }
    Ok(ids)
}

/// What the reading thread remembers of each member, and of the whole.
struct Listing {
    members: Vec<(Vec<u8>, u32)>,
    makefile: Option<Vec<u8>>,
    newest: u64,
    sha256: String,
}

fn read_members(
    archive: &Path,
    to_workers: SyncSender<(usize, Vec<u8>)>,
    stop: &Stop,
    progress: &mut dyn FnMut(Progress),
) -> Result<Listing> {
    let mut members = Vec::new();
    let mut makefile = None;
    let mut newest = 0;
    let hash = unpack(archive, &mut |member: Member, (read, of)| {
        if members.len() % 256 == 0 {
            halted(stop)?;
            let files = members.len();
            progress(Progress::Unpacking { read, of, files });
        }
        if member.path == b"Makefile" {
            makefile = Some(member.content.clone());
        }
        newest = newest.max(member.time);
        let index = members.len();
        members.push((member.path, member.mode));
        to_workers
            .send((index, member.content))
            .map_err(|_| Error::internal("no thread takes the files any more"))
    })?;
    Ok(Listing {
        members,
        makefile,
        newest,
        sha256: format!("{:x}", hash.finalize()),
    })
}

fn build_root(read: Listing, ids: &[Option<Oid>]) -> Result<Unpacked> {
    let mut root = Folder::default();
    for (index, (path, mode)) in read.members.iter().enumerate() {
        debug_assert!(matches!(*mode, FILE | EXEC | LINK));
        let id = ids.get(index).copied().flatten();
        let id = id.ok_or_else(|| Error::internal("a file was read and not stored"))?;
        root.insert(path, *mode, id)?;
    }
    Ok(Unpacked {
        has_kconfig: root.0.contains_key(b"Kconfig".as_slice()),
        root,
        makefile: read.makefile,
        newest: read.newest,
        sha256: read.sha256,
    })
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
