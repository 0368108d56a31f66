// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wardrobe: what a guest wears when it boots. An initramfs with the agent and its job, and
//! formatted scratch disks, for there is no mkfs in the guest.

mod cpio;
mod disk;
mod loops;

pub use disk::disk;

use crate::error::{Error, Result};
use cpio::Archive;
use lab_core::job::Disk;
use lab_wire::{GuestJob, JOB_PATH};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The guest's PID 1: a static program for x86-64.
pub static AGENT: &[u8] = include_bytes!(env!("LAB_AGENT"));
/// Format of [`GuestImage`].
pub const IMAGE_FORMAT: u32 = 1;

/// What a guest is made of: `image.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestImage {
    /// [`IMAGE_FORMAT`].
    pub format: u32,
    /// SHA-256 of the agent, hexadecimal.
    pub agent_sha256: String,
    /// Bytes of the agent.
    pub agent_bytes: u64,
    /// SHA-256 of the whole initramfs, hexadecimal.
    pub initramfs_sha256: String,
    /// Bytes of the whole initramfs.
    pub initramfs_bytes: u64,
    /// The scratch disks, in the machine's order.
    pub disks: Vec<Disk>,
}

/// The initramfs of a guest: a constant archive (the agent, the console's node, empty folders) and
/// a small one with the job. Not compressed: unpacking takes longer than reading from memory.
///
/// # Errors
/// When the job cannot be written as JSON.
pub fn initramfs(job: &GuestJob) -> Result<Vec<u8>> {
    let json = serde_json::to_vec_pretty(job)
        .map_err(|error| Error::internal(error.to_string()).doing("write the guest's job"))?;
    let path = JOB_PATH.trim_start_matches('/');
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut bytes = bare(AGENT);
    bytes.extend(Archive::new().dir(folder).file(path, 0o644, &json).finish());
    Ok(bytes)
}

/// Describes an initramfs and its disks for the record.
pub fn describe(initramfs: &[u8], disks: &[Disk]) -> GuestImage {
    GuestImage {
        format: IMAGE_FORMAT,
        agent_sha256: hex(&Sha256::digest(AGENT)),
        agent_bytes: AGENT.len() as u64,
        initramfs_sha256: hex(&Sha256::digest(initramfs)),
        initramfs_bytes: initramfs.len() as u64,
        disks: disks.to_vec(),
    }
}

/// The constant archive, with any static program as PID 1.
pub fn bare(init: &[u8]) -> Vec<u8> {
    // The kernel opens /dev/console for PID 1 before anything is mounted.
    let archive = Archive::new().dir("dev").device("dev/console", 0o600, 5, 1);
    let archive = ["proc", "sys", "run", "mnt"]
        .iter()
        .fold(archive, |archive, name| archive.dir(name));
    archive.file("init", 0o755, init).finish()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn job(seed: u64) -> GuestJob {
        let text = format!(
            r#"{{"protocol": 3, "drain_seconds": 5, "scenarios": [{{"name": "lookup-storm", "fs": "tmpfs",
            "threads": 4, "names": 4, "dirs": 1, "seconds": 1, "seed": {seed}}}]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    /// What the host's cpio lists of the first archive in `bytes`.
    fn listed(bytes: &[u8]) -> Option<String> {
        let mut cpio = Command::new("cpio");
        cpio.args(["--list", "--verbose", "--numeric-uid-gid", "--quiet"]);
        cpio.stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .env("TZ", "UTC");
        let mut child = match cpio.spawn() {
            Ok(child) => child,
            Err(error) => {
                eprintln!("NOT CHECKED with cpio, which does not run here: {error}");
                return None;
            }
        };
        // cpio stops reading at the end of the first archive.
        let _ = child.stdin.take().unwrap().write_all(bytes);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        Some(String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn the_agent_is_a_static_program() {
        assert_eq!(&AGENT[..4], b"\x7fELF");
        let interpreter = b"/lib64/ld-linux";
        assert!(
            !AGENT.windows(interpreter.len()).any(|at| at == interpreter),
            "it needs a loader"
        );
        assert!(AGENT.len() < 3 << 20, "{} bytes", AGENT.len());
    }

    #[test]
    fn cpio_reads_both_archives() {
        let bytes = initramfs(&job(1)).unwrap();
        let (Some(first), Some(second)) = (listed(&bytes), listed(&bytes[bare(AGENT).len()..]))
        else {
            return;
        };
        let names = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| line.rsplit(' ').next().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            names(&first),
            ["dev", "dev/console", "proc", "sys", "run", "mnt", "init"]
        );
        assert!(
            first
                .lines()
                .any(|line| line.starts_with("crw-------") && line.contains("5,   1")),
            "{first}"
        );
        assert!(
            first
                .lines()
                .any(|line| line.starts_with("-rwxr-xr-x") && line.ends_with("init")),
            "{first}"
        );
        assert_eq!(names(&second), ["lab", "lab/job.json"]);
    }

    #[test]
    fn only_the_small_archive_depends_on_the_job() {
        let (one, two) = (initramfs(&job(1)).unwrap(), initramfs(&job(2)).unwrap());
        let base = bare(AGENT).len();
        assert_eq!(one[..base], two[..base]);
        assert_ne!(one, two);
        assert!(one.len() - base < 2048);
        let (one, two) = (describe(&one, &[]), describe(&two, &[]));
        assert_eq!(one.agent_sha256, two.agent_sha256);
        assert_ne!(one.initramfs_sha256, two.initramfs_sha256);
    }
}
