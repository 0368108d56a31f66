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
    .source(Source::Head("Caller ")),
    Format::new(
        "Filesystem has been shut down due to log error",
        Class::Filesystem,
        "XFS: filesystem shut down",
    )
    .anywhere()
    .source(Source::Nowhere),
    Format::new(
        ": Corruption of in-memory data ",
        Class::Filesystem,
        "XFS: corruption of in-memory data",
    )
    .also("XFS (")
    .anywhere()
    .source(Source::Nowhere),
    Format::new(
        ": Metadata corruption detected at ",
        Class::Filesystem,
        "XFS: metadata corruption in {func}",
    )
    .also("XFS (")
    .anywhere()
    .source(Source::Head("detected at ")),
    Format::new(
        "NFS: state manager",
        Class::Filesystem,
        "NFS: state manager failed",
    )
    .source(Source::Nowhere)
    .anywhere()
    .also("failed"),
];
