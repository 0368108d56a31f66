// SPDX-License-Identifier: MIT OR Apache-2.0
//! NFSv4.2 over loop-back in one guest: the kernel's server and its client, with this process as
//! all the userland that they ask for.

pub(crate) mod server;
mod tracking;
mod upcall;

use crate::fs::mount::{Refusal, mount};
use std::path::Path;

/// What is exported.
pub(crate) const EXPORT: &str = "/export";
const OPTIONS: &str = "vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1,proto=tcp,port=2049,sec=sys";

/// Mounts the export through the client on the folder `at`.
///
/// # Errors
/// When the kernel has no NFS client, or the server does not answer.
pub(crate) fn mount_client(at: &Path) -> Result<(), Refusal> {
    mount("nfs4", "127.0.0.1:/", at, OPTIONS)
}

/// Mounts the export once more, with dentries and inodes of its own and with `options` beside the usual ones.
///
/// # Errors
/// As [`mount_client`].
pub(crate) fn mount_apart(at: &Path, options: &str) -> Result<(), Refusal> {
    let options = format!("{OPTIONS},nosharecache,{options}");
    mount("nfs4", "127.0.0.1:/", at, &options)
}
