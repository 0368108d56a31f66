// SPDX-License-Identifier: MIT OR Apache-2.0
//! A capsule: one boot as an archive that another machine can boot again with QEMU alone.
//!
//! The same run gives the same bytes: names are sorted, times and owners fixed. It is compressed while it is written, and
//! has its name only when it is whole.

mod pattern;
mod readme;
mod script;
#[cfg(test)]
mod tests;

pub use script::quoted;

use crate::error::{Doing, Error, Result};
use crate::replay::boot_of;
use crate::store::{RunAt, file};
use crate::{image, listen, vm};
use lab_core::finding::{Finding, Weight};
use lab_core::job::{BootJob, Recording};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Time of every file in a capsule: 2000-01-01. (tar complains of 1970.)
const TIME: u64 = 946_684_800;
/// Stronger ones take much longer and save little: most of it is a compressed kernel and empty disks.
const LEVEL: i32 = 6;

/// What else goes in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// The kernel with its debugging information.
    pub vmlinux: bool,
    /// Dumps of the guest's memory.
    pub dump: bool,
}

/// What a capsule holds under one name.
#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    Script(Vec<u8>),
    File(PathBuf),
}

/// A run with all that a capsule of it tells.
struct Told {
    name: String,
    job: BootJob,
    recording: Option<Recording>,
    findings: Vec<Finding>,
    kernel_version: String,
    series: Option<String>,
}

/// Writes the capsule of a run; gives its size.
///
/// # Errors
/// When the run's kernel is gone, a disk image cannot be made, or the archive cannot be written.
pub fn write(run: &RunAt, options: Options, to: &Path) -> Result<u64> {
    let told = told(run)?;
    let contents = contents(run, &told, options)?;
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let doing = || format!("write the capsule {}", to.display());
    let mut temporary = (tempfile::Builder::new().prefix(".new-"))
        .tempfile_in(folder)
        .doing(doing)?;
    pack(&told.name, &contents, temporary.as_file_mut()).map_err(|e| e.doing(doing()))?;
    temporary.as_file().sync_all().doing(doing)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(temporary.path(), mode).doing(doing)?;
    let file = temporary
        .persist(to)
        .map_err(|e| Error::from(e.error))
        .doing(doing)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .doing(doing)?;
    Ok(file.metadata().doing(doing)?.len())
}

fn told(run: &RunAt) -> Result<Told> {
    let mut job = boot_of(run)?;
    // Nobody is there to let the guest go on, or to debug it.
    job.guest.hold = false;
    job.gdb = None;
    if !job.kernel.join("bzImage").is_file() {
        let words = format!(
            "the kernel of {} is no longer at {}",
            run.id,
            job.kernel.display()
        );
        return Err(Error::rig(words).hint("`lab replay` builds it again where its set says how"));
    }
    let recording: Option<Recording> = file::read_json(&run.folder.join("recording.json"))?;
    let mut known = BTreeSet::new();
    let mut findings = match &recording {
        Some(recording) => listen::findings(&run.folder, &job, recording)?.findings,
        None => Vec::new(),
    };
    findings.retain(|f| f.weight == Weight::Finding && known.insert(f.signature.clone()));
    let manifest = run.set.as_ref().map(|set| set.manifest());
    Ok(Told {
        name: manifest.map_or(run.id.clone(), |m| format!("{}-{}", m.set, run.id)),
        series: manifest.map(|m| format!("{} v{}", m.series, m.version)),
        kernel_version: (recording.as_ref().and_then(|r| r.release.clone()))
            .unwrap_or_else(|| "unknown".into()),
        job,
        recording,
        findings,
    })
}

fn contents(run: &RunAt, told: &Told, options: Options) -> Result<BTreeMap<String, Content>> {
    let mut all = BTreeMap::new();
    let kernel = |name: &str| Content::File(told.job.kernel.join(name));
    all.insert("bzImage".to_owned(), kernel("bzImage"));
    for name in ["config", "System.map"] {
        if told.job.kernel.join(name).is_file() {
            all.insert(name.to_owned(), kernel(name));
        }
    }
    if options.vmlinux {
        all.insert("vmlinux".to_owned(), kernel("vmlinux"));
    }
    let initramfs = image::initramfs(&told.job.guest)?;
    all.insert("initramfs.cpio".to_owned(), Content::Bytes(initramfs));
    for (n, disk) in told.job.machine.disks.iter().enumerate() {
        let image = image::disk(&told.job.cache, disk)?;
        all.insert(script::disk(n), Content::File(image));
    }
    all.insert(
        "kvm-probe.img".to_owned(),
        Content::Bytes(vm::probe_sector().to_vec()),
    );
    let looks = pattern::looks(&run.folder, &told.findings)?;
    let script = script::script(&told.job, &looks);
    all.insert("run.sh".to_owned(), Content::Script(script.into_bytes()));
    records(run, options, &mut all)?;
    let readme = readme::readme(told, all.keys());
    all.insert("README".to_owned(), Content::Bytes(readme.into_bytes()));
    Ok(all)
}

/// What the lab recorded of the run, and the series of its set.
fn records(run: &RunAt, options: Options, all: &mut BTreeMap<String, Content>) -> Result<()> {
    let entries = fs::read_dir(&run.folder).doing(|| format!("read {}", run.folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_dump = name.ends_with(".zst");
        if path.is_file() && !name.starts_with('.') && (options.dump || !is_dump) {
            all.insert(format!("recorded/{name}"), Content::File(path.clone()));
        }
    }
    for name in ["series.mbox", "manifest.json"] {
        let path = run.set.as_ref().map(|set| set.folder().join(name));
        if let Some(path) = path.filter(|path| path.is_file()) {
            all.insert(name.to_owned(), Content::File(path));
        }
    }
    Ok(())
}

/// Everything below one folder, as tar in zstd.
fn pack(folder: &str, contents: &BTreeMap<String, Content>, to: impl Write) -> Result<()> {
    let mut zstd = zstd::stream::Encoder::new(to, LEVEL)?;
    zstd.include_checksum(true)?;
    let mut tar = tar::Builder::new(zstd);
    for (name, content) in contents {
        let path = format!("{folder}/{name}");
        match content {
            Content::Bytes(bytes) => append(&mut tar, &path, 0o644, bytes.len() as u64, &**bytes),
            Content::Script(bytes) => append(&mut tar, &path, 0o755, bytes.len() as u64, &**bytes),
            Content::File(from) => File::open(from).and_then(|file| {
                let size = file.metadata()?.len();
                append(&mut tar, &path, 0o644, size, file)
            }),
        }
        .doing(|| format!("put {name} into it"))?;
    }
    tar.into_inner()?.finish()?;
    Ok(())
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    size: u64,
    from: impl Read,
) -> std::io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(TIME);
    header.set_uid(0);
    header.set_gid(0);
    // A file that grows meanwhile is taken as long as it was; one that shrinks is an error.
    let mut counted = Counted(from.take(size), 0);
    tar.append_data(&mut header, path, &mut counted)?;
    match counted.1 == size {
        true => Ok(()),
        false => Err(std::io::Error::other("it became shorter while it was read")),
    }
}

struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1 += n as u64;
        Ok(n)
    }
}
