// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files, folders, streams and ranges of each kind, made in a temporary folder.

use super::*;
use lab_core::series::{Body, Change, format_patch};
use std::io::Write;

fn mail(number: &str, file: &str) -> String {
    format!(
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Ann Other <ann@example.org>\n\
         Date: Mon, 4 Mar 2024 10:20:30 +0100\nSubject: [PATCH {number}] fs: {file}\n\nWhy.\n---\n\n\
         diff --git a/{file} b/{file}\nindex 1111111..2222222 100644\n--- a/{file}\n+++ b/{file}\n@@ -1 +1 @@\n-a\n+b\n-- \n2.39\n\n"
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

fn read(arg: &str) -> Result<Series> {
    read_series(arg, &Options::default())
}

fn subjects(series: &Series) -> Vec<&str> {
    series.patches.iter().map(|p| p.subject.as_str()).collect()
}

#[test]
fn files_plain_and_packed() {
    let place = Place::new();
    let mbox = mail("2/2", "b") + &mail("1/2", "a");
    for (name, bytes) in [
        ("x/v3.mbox", mbox.clone().into_bytes()),
        ("x/v3.mbox.gz", gzip(mbox.as_bytes())),
    ] {
        let series = read(&place.put(name, bytes)).unwrap();
        assert_eq!(subjects(&series), ["fs: a", "fs: b"]);
        assert_eq!((series.name.as_str(), series.version), ("x", 3));
    }
    let cut = gzip(mbox.as_bytes());
    let error = read(&place.put("cut.gz", &cut[..cut.len() - 9])).unwrap_err();
    assert_eq!(error.exit(), crate::exit::Exit::Usage);
}

#[test]
fn a_gzip_bomb_is_bounded() {
    let bomb = gzip(&vec![0; 5 << 20]);
    let error = file::within(bomb.as_slice(), "bomb", 1 << 20).unwrap_err();
    assert_eq!(error.to_string(), "bomb holds more than 1 MiB");
    assert_eq!(
        file::within(bomb.as_slice(), "bomb", 5 << 20)
            .unwrap()
            .len(),
        5 << 20
    );
    let endless = file::within(std::io::repeat(b'x'), "endless", 1 << 20);
    assert!(endless.is_err());
}

#[test]
fn folders_of_each_kind() {
    let place = Place::new();
    place.put("topic/v2/0001-a.patch", mail("1/2", "a"));
    place.put("topic/v2/0002-b.patch", mail("2/2", "b"));
    place.put("topic/v2/README", "not a patch");
    place.put("topic/v2/0002-b.patch~", "an editor's leftover");
    let series = read(&place.path("topic/v2")).unwrap();
    assert_eq!(
        (subjects(&series), series.name.as_str(), series.version),
        (vec!["fs: a", "fs: b"], "topic", 2)
    );
    place.put("Mail/new/1.host", mail("2/2", "b"));
    place.put("Mail/cur/2.host:2,S", mail("1/2", "a"));
    std::fs::create_dir_all(place.path("Mail/tmp")).unwrap();
    assert_eq!(
        subjects(&read(&place.path("Mail")).unwrap()),
        ["fs: a", "fs: b"]
    );
    place.put("stack/series", "two\none\n");
    place.put("stack/one", mail("1/9", "a"));
    place.put("stack/two", mail("7/9", "b"));
    assert_eq!(
        subjects(&read(&place.path("stack")).unwrap()),
        ["fs: b", "fs: a"]
    );
    std::fs::create_dir_all(place.path("empty")).unwrap();
    let error = read(&place.path("empty")).unwrap_err();
    assert!(
        error.to_string().contains("no patches in the folder"),
        "{error}"
    );
}

#[test]
fn a_quilt_stack_may_not_reach_out_of_its_folder() {
    let place = Place::new();
    let outside = place.put("secret", mail("1/1", "a"));
    place.put("stack/series", "link\n");
    std::os::unix::fs::symlink(outside, place.path("stack/link")).unwrap();
    let error = read(&place.path("stack")).unwrap_err();
    assert!(error.to_string().contains("no file link"), "{error}");
}

#[test]
fn what_is_not_there_is_said_with_what_to_try() {
    let error = read("no/such/thing").unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to read the series no/such/thing: there is no file or folder no/such/thing"
    );
    assert!(
        error
            .hint_text()
            .is_some_and(|hint| hint.contains("an mbox"))
    );
    let error = read("v6.12..topic").unwrap_err();
    assert_eq!(error.hint_text(), Some("add --tree DIR"));
}

/// Commits a tree of these files.
fn commit(
    repository: &git2::Repository,
    files: &[(&str, &[u8])],
    message: &str,
    parents: &[git2::Oid],
) -> git2::Oid {
    let mut index = git2::Index::new().unwrap();
    for (name, bytes) in files {
        let entry = git2::IndexEntry {
            ctime: git2::IndexTime::new(0, 0),
            mtime: git2::IndexTime::new(0, 0),
            dev: 0,
            ino: 0,
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            file_size: 0,
            id: repository.blob(bytes).unwrap(),
            flags: 0,
            flags_extended: 0,
            path: name.as_bytes().to_vec(),
        };
        index.add(&entry).unwrap();
    }
    let tree = repository
        .find_tree(index.write_tree_to(repository).unwrap())
        .unwrap();
    let author = git2::Signature::new(
        "Jörg R",
        "j@example.org",
        &git2::Time::new(1_700_000_000, 330),
    )
    .unwrap();
    let parents: Vec<_> = parents
        .iter()
        .map(|id| repository.find_commit(*id).unwrap())
        .collect();
    let parents: Vec<_> = parents.iter().collect();
    repository
        .commit(None, &author, &author, message, &tree, &parents)
        .unwrap()
}

#[test]
fn ranges_of_commits() {
    let place = Place::new();
    let repository = git2::Repository::init_bare(place.0.path()).unwrap();
    let long: String = (0..50).map(|n| format!("line {n}\n")).collect();
    let changed = long.replace("line 25\n", "twenty-five\n");
    let start = commit(
        &repository,
        &[("a b", long.as_bytes()), ("bin", b"x\0y"), ("end", b"x")],
        "start",
        &[],
    );
    let first = commit(
        &repository,
        &[
            ("d/moved", changed.as_bytes()),
            ("bin", b"x\0z"),
            ("end", b"x\n"),
        ],
        "[media] one\n\ntext\n---\nmore",
        &[start],
    );
    let second = commit(
        &repository,
        &[
            ("d/moved", changed.as_bytes()),
            ("\u{e4}", b"new"),
            ("end", b"x\n"),
        ],
        "two",
        &[first],
    );
    let options = Options {
        version: None,
        tree: Some(place.0.path().to_owned()),
    };
    let read = |from: git2::Oid, to: git2::Oid| read_series(&format!("{from}..{to}"), &options);
    let series = read(start, second).unwrap();
    assert_eq!(subjects(&series), ["one", "two"]);
    assert_eq!(series.patches[0].message, "one\n\ntext\n ---\nmore\n");
    assert_eq!(
        (
            series.patches[0].author_name.as_str(),
            series.patches[0].date_offset
        ),
        ("Jörg R", 330)
    );
    assert_eq!(series.warnings.len(), 2, "{:?}", series.warnings);
    let changes: Vec<Change> = series.patches[0].files.iter().map(|f| f.change).collect();
    assert_eq!(changes, [Change::Modify, Change::Rename, Change::Modify]);
    assert!(matches!(
        series.patches[0].files[0].body,
        Body::Binary { .. }
    ));
    assert_eq!(
        series.patches[1].files[1].new_path.as_deref(),
        Some("\u{e4}")
    );
    let mbox = place.put("again.mbox", format_patch(&series));
    let again = super::read_series(&mbox, &Options::default()).unwrap();
    let ids = |series: &Series| {
        series
            .patches
            .iter()
            .map(|p| p.patch_id.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&again), ids(&series));
    let merge = commit(&repository, &[("x", b"y")], "Merge it", &[second, start]);
    assert!(
        read(start, merge)
            .unwrap_err()
            .to_string()
            .contains("is a merge: Merge it")
    );
    assert!(
        read(second, start)
            .unwrap_err()
            .to_string()
            .contains("no commits in")
    );
    let empty = commit(&repository, &[("x", b"y")], "nothing", &[merge]);
    assert!(
        read(merge, empty)
            .unwrap_err()
            .to_string()
            .contains("changes nothing: nothing")
    );
    let error = read_series("nope..HEAD", &options).unwrap_err();
    assert!(error.to_string().contains("no commit nope in"), "{error}");
}
