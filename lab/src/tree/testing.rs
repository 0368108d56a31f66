// SPDX-License-Identifier: MIT OR Apache-2.0
//! Test support: small kernel-like repositories made by git itself, and series taken from their commits.

use git2::{Delta, Diff, DiffFindOptions, DiffOptions, Oid, Repository};
use lab_core::series::{
    Body, Change, FilePatch, Hunk, HunkLine, LineKind, Patch, SERIES_FORMAT, Series,
    patch_id_of_files,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A repository with a work tree, driven by the git program.
pub(crate) struct Git {
    pub(crate) home: TempDir,
}

impl Git {
    /// A kernel of two files, tagged `v6.12`.
    pub(crate) fn kernel() -> Self {
        let git = Self {
            home: tempfile::tempdir().unwrap(),
        };
        git.run(&["init", "-q", "-b", "main"]);
        git.write(
            "Makefile",
            b"VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 0\nall:\n",
        );
        git.write("Kconfig", b"mainmenu \"k\"\n");
        git.write("fs/dcache.c", numbered(60).as_bytes());
        git.write("fs/xfs/Makefile", b"obj-y += xfs.o\n");
        git.commit("Linux 6.12");
        git.run(&["tag", "v6.12"]);
        git
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.home.path().to_path_buf()
    }

    pub(crate) fn run(&self, args: &[&str]) -> String {
        let (ok, text) = self.try_run(args);
        assert!(ok, "git {args:?}: {text}");
        text
    }

    pub(crate) fn try_run(&self, args: &[&str]) -> (bool, String) {
        git_in(self.home.path(), args)
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.home.path().join(path)).unwrap()
    }

    pub(crate) fn commit(&self, subject: &str) -> Oid {
        self.run(&["add", "-A", "-f"]);
        self.run(&["commit", "-q", "--allow-empty", "-m", subject]);
        self.rev("HEAD")
    }

    pub(crate) fn rev(&self, rev: &str) -> Oid {
        Oid::from_str(self.run(&["rev-parse", rev]).trim()).unwrap()
    }

    /// The commits after `base` up to `tip` as a series.
    pub(crate) fn series(&self, base: &str, tip: &str) -> Series {
        let repo = Repository::open(self.home.path()).unwrap();
        series(&repo, self.rev(base), self.rev(tip))
    }
}

/// Runs git free of the host's own configuration.
pub(crate) fn git_in(dir: &Path, args: &[&str]) -> (bool, String) {
    let out = Command::new("git")
        .current_dir(dir)
        .args([
            "-c",
            "user.name=A U Thor",
            "-c",
            "user.email=author@example.com",
        ])
        .args([
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
            "-c",
            "safe.directory=*",
        ])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", "2024-11-17T14:15:08-0800")
        .env("GIT_COMMITTER_DATE", "2024-11-17T14:15:08-0800")
        .output()
        .unwrap();
    let text = [out.stdout, out.stderr].concat();
    (
        out.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Lines `line 1` to `line N`.
pub(crate) fn numbered(count: usize) -> String {
    (1..=count).map(|n| format!("line {n}\n")).collect()
}

/// The commits after `base` up to `tip`, oldest first, as a series.
pub(crate) fn series(repo: &Repository, base: Oid, tip: Oid) -> Series {
    let mut walk = repo.revwalk().unwrap();
    walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::REVERSE)
        .unwrap();
    walk.push(tip).unwrap();
    walk.hide(base).unwrap();
    let commits = walk.map(|id| repo.find_commit(id.unwrap()).unwrap());
    let patches = commits.zip(1..).map(|(commit, n)| patch(repo, &commit, n));
    Series {
        format: SERIES_FORMAT,
        name: "test-series".to_owned(),
        version: 2,
        subject: "test".to_owned(),
        cover: None,
        rfc: false,
        resend: false,
        base_commit: None,
        change_id: None,
        prerequisites: Vec::new(),
        patches: patches.collect(),
        warnings: Vec::new(),
    }
}

fn patch(repo: &Repository, commit: &git2::Commit<'_>, number: u32) -> Patch {
    let mut options = DiffOptions::new();
    options
        .show_binary(true)
        .indent_heuristic(true)
        .id_abbrev(40);
    let parent = commit.parent(0).unwrap().tree().unwrap();
    let mut diff = repo
        .diff_tree_to_tree(
            Some(&parent),
            Some(&commit.tree().unwrap()),
            Some(&mut options),
        )
        .unwrap();
    let mut find = DiffFindOptions::new();
    diff.find_similar(Some(find.renames(true).copies(true)))
        .unwrap();
    let files: Vec<FilePatch> = (0..diff.deltas().len())
        .map(|index| file(&diff, index))
        .collect();
    Patch {
        number,
        subject: commit.summary().unwrap().unwrap().to_owned(),
        message: commit.message().unwrap().to_owned(),
        author_name: commit.author().name().unwrap().to_owned(),
        author_email: commit.author().email().unwrap().to_owned(),
        date_seconds: commit.author().when().seconds(),
        date_offset: commit.author().when().offset_minutes(),
        message_id: None,
        source: format!("commit {}", commit.id()),
        patch_id: patch_id_of_files(&files),
        files,
    }
}

fn file(diff: &Diff<'_>, index: usize) -> FilePatch {
    let delta = diff.get_delta(index).unwrap();
    let path = |file: git2::DiffFile<'_>| Some(file.path()?.to_str()?.to_owned());
    let (old, new) = (path(delta.old_file()), path(delta.new_file()));
    let (change, old_path, new_path) = match delta.status() {
        Delta::Added => (Change::Add, None, new),
        Delta::Deleted => (Change::Delete, old, None),
        Delta::Renamed => (Change::Rename, old, new),
        Delta::Copied => (Change::Copy, old, new),
        _ => (Change::Modify, old, new),
    };
    let mode = |file: git2::DiffFile<'_>| Some(u32::from(file.mode())).filter(|mode| *mode != 0);
    let (from, to) = (delta.old_file().id(), delta.new_file().id());
    FilePatch {
        old_mode: old_path.as_ref().and_then(|_| mode(delta.old_file())),
        new_mode: new_path.as_ref().and_then(|_| mode(delta.new_file())),
        old_path,
        new_path,
        change,
        similarity: None,
        blobs: Some((from.to_string(), to.to_string())),
        body: body(diff, index),
        line: 1,
    }
}

fn body(diff: &Diff<'_>, index: usize) -> Body {
    let Some(patch) = git2::Patch::from_diff(diff, index).unwrap() else {
        return Body::Text(Vec::new());
    };
    let line = |line: git2::DiffLine<'_>| {
        let kind = match line.origin() {
            ' ' => LineKind::Context,
            '-' => LineKind::Remove,
            '+' => LineKind::Add,
            _ => return None,
        };
        let text = line.content().to_vec();
        Some(HunkLine { kind, text })
    };
    let hunk = |index| {
        let (hunk, count) = patch.hunk(index).unwrap();
        let lines = (0..count).map(|n| patch.line_in_hunk(index, n).unwrap());
        Hunk {
            old_start: hunk.old_start(),
            old_lines: hunk.old_lines(),
            new_start: hunk.new_start(),
            new_lines: hunk.new_lines(),
            section: String::new(),
            lines: lines.filter_map(line).collect(),
            line: 1,
        }
    };
    Body::Text((0..patch.num_hunks()).map(hunk).collect())
}
