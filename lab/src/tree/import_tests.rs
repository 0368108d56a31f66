// SPDX-License-Identifier: MIT OR Apache-2.0
//! Importing against `git add`, and archives that must be refused.

use super::*;
use crate::stop;
use crate::tree::testing::{Git, git_in};
use std::path::PathBuf;
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

type Entry<'a> = (&'a str, EntryType, u32, &'a [u8]);
const KERNEL: [Entry<'_>; 3] = [
    ("linux-6.12/", EntryType::Directory, 0o755, b""),
    (
        "linux-6.12/Makefile",
        EntryType::Regular,
        0o644,
        b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 3\n",
    ),
    ("linux-6.12/Kconfig", EntryType::Regular, 0o644, b"menu\n"),
];

/// An archive whose names are written as they are, however bad.
fn archive(dir: &TempDir, entries: &[Entry<'_>]) -> PathBuf {
    let path = dir.path().join("linux.tar.xz");
    let xz = liblzma::write::XzEncoder::new(File::create(&path).unwrap(), 0);
    let mut tar = Builder::new(xz);
    for (name, kind, mode, content) in entries {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(1_700_000_000);
        if *kind == EntryType::Symlink {
            header.set_link_name_literal(content).unwrap();
            header.set_size(0);
        } else {
            header.set_size(content.len() as u64);
        }
        header.set_cksum();
        let body = if *kind == EntryType::Symlink {
            b""
        } else {
            *content
        };
        tar.append(&header, body).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
    path
}

fn import_to(path: &Path, into: &Path) -> Result<()> {
    let (_stopper, stop) = stop::channel();
    import(path, into, &stop, &mut |_| {})
}

#[test]
fn gives_the_tree_that_git_add_gives_and_always_the_same_commit() {
    let git = Git::kernel();
    git.write("fs/xfs.c", b"sorts before the folder xfs/\n");
    git.write("fs/xfs-x", b"and this too\n");
    git.write("run.sh", b"#!/bin/sh\n");
    git.write("big", &vec![b'x'; 3_000_000]);
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(git.dir().join("run.sh"))
        .status()
        .unwrap();
    std::os::unix::fs::symlink("../Makefile", git.dir().join("fs/link")).unwrap();
    git.write(
        &format!("{}/{}", "d".repeat(120), "f".repeat(120)),
        b"a long name\n",
    );
    git.commit("all");
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("l.tar");
    git.run(&[
        "archive",
        "--prefix=linux-6.12/",
        "-o",
        plain.to_str().unwrap(),
        "HEAD",
    ]);
    let path = dir.path().join("l.tar.xz");
    let mut xz = liblzma::write::XzEncoder::new(File::create(&path).unwrap(), 0);
    std::io::copy(&mut File::open(plain).unwrap(), &mut xz).unwrap();
    xz.finish().unwrap();

    let (one, two) = (dir.path().join("one.git"), dir.path().join("two.git"));
    import_to(&path, &one).unwrap();
    import_to(&path, &two).unwrap();
    let (ok, fsck) = git_in(&one, &["fsck", "--full", "--strict"]);
    assert!(ok && !fsck.contains("warning"), "{fsck}");
    let rev = |dir: &Path, rev: &str| git_in(dir, &["rev-parse", rev]).1;
    assert_eq!(
        rev(&one, "v6.12^{tree}").trim(),
        git.rev("HEAD^{tree}").to_string()
    );
    assert_eq!(rev(&one, "HEAD"), rev(&two, "v6.12"));
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains(".import-")),
        "{left:?}"
    );
}

#[track_caller]
fn check_refused(more: &[Entry<'_>], words: &str) {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<_> = KERNEL.iter().chain(more).copied().collect();
    let into = dir.path().join("t.git");
    let error = import_to(&archive(&dir, &entries), &into)
        .unwrap_err()
        .to_string();
    assert!(error.contains(words), "{error}");
    let mut left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["linux.tar.xz", "t.lock"]);
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    let file = EntryType::Regular;
    check_refused(
        &[("linux-6.12/../out", file, 0o644, b"x")],
        "no kernel has such a path",
    );
    check_refused(
        &[("/etc/passwd", file, 0o644, b"x")],
        "no kernel has such a path",
    );
    check_refused(
        &[("other/file", file, 0o644, b"x")],
        "no kernel has such a path",
    );
    check_refused(
        &[("linux-6.12/.git/config", file, 0o644, b"x")],
        "no kernel has such a path",
    );
    check_refused(
        &[("linux-6.12/fs//x", file, 0o644, b"x")],
        "no kernel has such a path",
    );
    check_refused(
        &[("linux-6.12/Kconfig", file, 0o644, b"x")],
        "is there twice",
    );
    check_refused(
        &[("linux-6.12/Kconfig/x", file, 0o644, b"x")],
        "is there twice",
    );
    check_refused(
        &[("linux-6.12/l", EntryType::Symlink, 0o777, b"/etc/passwd")],
        "the link leaves the tree",
    );
    check_refused(
        &[("linux-6.12/l", EntryType::Symlink, 0o777, b"../x")],
        "the link leaves the tree",
    );
    check_refused(
        &[("linux-6.12/fifo", EntryType::Fifo, 0o644, b"")],
        "neither file, folder nor symbolic link",
    );
    check_refused(
        &[("linux-6.12/c", EntryType::Char, 0o644, b"")],
        "neither file, folder nor symbolic link",
    );
}

#[test]
fn what_is_no_kernel_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = import_to(&archive(&dir, &KERNEL[..2]), &dir.path().join("t.git")).unwrap_err();
    assert!(error.to_string().contains("it is not a kernel"), "{error}");
}

#[test]
fn a_cut_archive_leaves_nothing_and_a_stop_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let path = archive(&dir, &KERNEL);
    let whole = fs::read(&path).unwrap();
    for keep in [0, 10, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..keep]).unwrap();
        let into = dir.path().join("t.git");
        assert!(
            import_to(&path, &into).is_err(),
            "{keep} of {}",
            whole.len()
        );
        assert!(!into.exists());
    }
    fs::write(&path, &whole).unwrap();
    let (stopper, stop) = stop::channel();
    stopper.escalate();
    let error = import(&path, &dir.path().join("t.git"), &stop, &mut |_| {}).unwrap_err();
    assert_eq!(error.exit(), crate::exit::Exit::Interrupted);
    import_to(&path, &dir.path().join("t.git")).unwrap();
}

#[test]
fn two_labs_import_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = archive(&dir, &KERNEL);
    let into = dir.path().join("t.git");
    let waited = std::thread::scope(|scope| {
        let (_stopper, stop) = stop::channel();
        let held = lock(&into, &stop, &mut |_| {}).unwrap();
        let other = scope.spawn(|| {
            let (_stopper, stop) = stop::channel();
            let mut seen = Vec::new();
            import(&path, &into, &stop, &mut |progress| seen.push(progress)).unwrap();
            seen
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert!(!into.exists());
        drop(held);
        other.join().unwrap()
    });
    assert!(waited.contains(&Progress::Waiting));
    let made = into.metadata().unwrap().modified().unwrap();
    import_to(&path, &into).unwrap();
    assert_eq!(into.metadata().unwrap().modified().unwrap(), made);
}
