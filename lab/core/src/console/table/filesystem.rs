// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the VFS and filesystems say themselves.

use super::{Format, Role, Source};
use crate::finding::Class;

pub(super) const FORMATS: &[Format] = &[
    Format::new(
        "BUG: Dentry ",
        Class::Filesystem,
        "BUG: Dentry still in use in {func}",
    )
    .also("still in use")
    .source(Source::Head(" ["))
    .role(Role::OpensBeforeTrap),
    Format::new(
        "VFS: Busy inodes after unmount",
        Class::Filesystem,
        "VFS: Busy inodes after unmount",
    )
    .source(Source::Nowhere)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "VFS: Close: file count is ",
        Class::Filesystem,
        "VFS: Close: file count is zero (use-after-free)",
    )
    .source(Source::Nowhere)
    .role(Role::OpensBeforeTrap),
    Format::new(
        "Assertion failed: ",
        Class::Filesystem,
        "XFS: Assertion failed in {func}",
    )
    .also("XFS")
    .anywhere()
    .source(Source::Pointer)
    .role(Role::OpensBeforeTrap),
    Format::new(
        ": Internal error ",
        Class::Filesystem,
        "XFS: internal error in {func}",
    )
    .also("XFS (")
    .anywhere()
    .unless(IMAGES)
    .source(Source::Head("Caller ")),
    Format::new(
        "hutting down filesystem",
        Class::Filesystem,
        "XFS: filesystem shut down in {func}",
    )
    .also("XFS (")
    .anywhere()
    .unless(IMAGES)
    .source(Source::Head(" detected at ")),
    Format::new(
        "Filesystem has been shut down due to log error",
        Class::Filesystem,
        "XFS: filesystem shut down",
    )
    .also("XFS (")
    .anywhere()
    .unless(IMAGES)
    .source(Source::Nowhere),
    Format::new(
        ": Corruption of in-memory data ",
        Class::Filesystem,
        "XFS: corruption of in-memory data",
    )
    .also("XFS (")
    .anywhere()
    .unless(IMAGES)
    .source(Source::Nowhere),
    Format::new(
        ": Metadata corruption detected at ",
        Class::Filesystem,
        "XFS: metadata corruption in {func}",
    )
    .also("XFS (")
    .anywhere()
    .unless(IMAGES)
    .source(Source::Head("detected at ")),
    Format::new(
        ": Metadata CRC error detected at ",
        Class::Filesystem,
        "XFS: metadata CRC error in {func}",
    )
    .also("XFS (")
    .anywhere()
    .unless(IMAGES)
    .source(Source::Head("detected at ")),
    Format::new(
        "record corruption in ",
        Class::Filesystem,
        "XFS: record corruption in {func}",
    )
    .also("XFS (")
    .anywhere()
    .unless(IMAGES)
    .source(Source::Head(" detected at ")),
    Format::new(
        "EXT4-fs error (device ",
        Class::Filesystem,
        "EXT4-fs error in {func}",
    )
    .also(") in ")
    .unless(IMAGES)
    .source(Source::Head(") in ")),
    Format::new(
        "EXT4-fs error (device ",
        Class::Filesystem,
        "EXT4-fs error in {func}",
    )
    .unless(IMAGES)
    .source(Source::Head("): ")),
    Format::new(
        "Aborting journal on device ",
        Class::Filesystem,
        "journal aborted",
    )
    .unless(&["loop"])
    .source(Source::Nowhere)
    .role(Role::Follows),
    Format::new(
        "BTRFS: error (device ",
        Class::Filesystem,
        "BTRFS error in {func}",
    )
    .unless(IMAGES)
    .source(Source::Head(") in ")),
    Format::new(
        "BTRFS critical (device ",
        Class::Filesystem,
        "BTRFS critical",
    )
    .unless(IMAGES)
    .source(Source::Nowhere),
    Format::new(
        "NFS: state manager",
        Class::Filesystem,
        "NFS: state manager failed",
    )
    .source(Source::Nowhere)
    .anywhere()
    .also("failed"),
    Format::new(
        "NFSv4: state recovery failed",
        Class::Filesystem,
        "NFSv4: state recovery failed",
    )
    .source(Source::Nowhere),
    nfs("Lock reclaim failed!", "NFS: lock reclaim failed"),
    nfs(
        "returned a bad sequence-id",
        "NFS: server returned a bad sequence-id",
    ),
    nfs("reports our clientid is in use", "NFS: clientid in use"),
    nfs(
        "migration recovery failed",
        "NFS: migration recovery failed",
    ),
    Format::new("NFS: ", Class::Filesystem, "NFS: lost locks")
        .also(": lost ")
        .unless(&["lost 0 "])
        .source(Source::Nowhere),
    Format::new(
        "NFS: ",
        Class::Filesystem,
        "NFS: unhandled error in state recovery",
    )
    .also(": unhandled error ")
    .source(Source::Nowhere),
];

/// A loop device carries an image that the workload made, perhaps damaged on purpose.
const IMAGES: &[&str] = &["(loop", "(device loop", "(dev loop"];

/// Trouble of the NFS client's state manager (fs/nfs/nfs4state.c), told in one line.
const fn nfs(head: &'static str, title: &'static str) -> Format {
    Format::new(head, Class::Filesystem, title)
        .source(Source::Nowhere)
        .anywhere()
        .also("NFS: ")
}
