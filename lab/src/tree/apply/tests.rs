// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applying against what git itself makes, and all that must be refused.

mod refusals;

use super::*;
use crate::tree::testing::{Git, git_in, numbered};
use crate::tree::{Origin, Tree};
use lab_core::apply::Proof;
use lab_core::series::{BinaryDelta, Body, Change, FilePatch};
use std::collections::BTreeMap;
use std::path::Path;

fn tree(git: &Git) -> Tree {
    Tree::open(&git.dir(), Origin::Option).unwrap()
}

fn applied(git: &Git, base: &str, series: &Series) -> Applied {
    match try_apply(&tree(git), git.rev(base), series, Options::default()).unwrap() {
        Verdict::Applied(applied) => applied,
        Verdict::Refused(refusal) => panic!("{}", refusal.text()),
    }
}

fn refused(git: &Git, base: &str, series: &Series) -> Refusal {
    match try_apply(&tree(git), git.rev(base), series, Options::default()).unwrap() {
        Verdict::Applied(applied) => panic!("{applied:#?}"),
        Verdict::Refused(refusal) => *refusal,
    }
}

/// Commits of main after v6.12 are applied to `base`; where git am takes them too, all trees are git's.
#[track_caller]
fn check_as_git_am(git: &Git, base: &str) -> Applied {
    let series = git.series("v6.12", "main");
    let mails = tempfile::tempdir().unwrap();
    let out = mails.path().to_str().unwrap();
    git.run(&[
        "format-patch",
        "-q",
        "--full-index",
        "--binary",
        "-M",
        "-C",
        "-o",
        out,
        "v6.12..main",
    ]);
    git.run(&["checkout", "-q", "--detach", base]);
    let mut names: Vec<_> = std::fs::read_dir(mails.path())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    let mut args = vec!["am", "-q"];
    args.extend(names.iter().map(|p| p.to_str().unwrap()));
    git.run(&args);
    let want = git.run(&[
        "log",
        "--reverse",
        "--format=%T %an %ae %at %s",
        &format!("{base}..HEAD"),
    ]);
    git.run(&["checkout", "-q", "main"]);
    let done = applied(git, base, &series);
    let got = git.run(&[
        "log",
        "--reverse",
        "--format=%T %an %ae %at %s",
        &format!("{base}..{}", done.tip),
    ]);
    assert_eq!(got, want);
    git.run(&["fsck", "--strict", "--full"]);
    done
}

#[test]
fn makes_the_trees_that_git_am_makes() {
    let git = Git::kernel();
    git.write(
        "fs/dcache.c",
        numbered(60)
            .replace("line 30\n", "line thirty\n")
            .as_bytes(),
    );
    git.write("fs/new/deep/file.c", b"int x;\n");
    git.commit("change and add");
    git.run(&["mv", "fs/xfs/Makefile", "fs/xfs.mk"]);
    git.run(&["mv", "fs/dcache.c", "fs/cache.c"]);
    git.write(
        "fs/cache.c",
        git.read("fs/cache.c").replace("line 2\n", "").as_bytes(),
    );
    git.commit("rename");
    git.run(&["update-index", "--chmod=+x", "fs/cache.c"]);
    git.run(&["commit", "-qm", "mode"]);
    git.run(&["checkout", "-q", "."]);
    git.write("fs/end", b"no newline");
    std::os::unix::fs::symlink("cache.c", git.dir().join("fs/link")).unwrap();
    git.commit("links and ends");
    git.run(&["rm", "-q", "-r", "fs/new", "fs/link"]);
    git.write("fs/new", b"was a folder\n");
    git.write("fs/end", b"no newline\nand more");
    git.commit("folder becomes file");
    let done = check_as_git_am(&git, "v6.12");
    assert!(
        done.patches
            .iter()
            .all(|patch| patch.proof == Proof::PatchId),
        "{done:#?}"
    );
}

#[test]
fn hunks_that_moved_are_put_where_git_puts_them() {
    let git = Git::kernel();
    let moved = format!("{}{}", "head\n".repeat(7), numbered(60));
    git.run(&["checkout", "-q", "-b", "other"]);
    git.write("fs/dcache.c", moved.as_bytes());
    git.commit("other base");
    git.run(&["checkout", "-q", "main"]);
    let text = numbered(60)
        .replace("line 9\n", "")
        .replace("line 50\n", "line 50\nmore\n");
    git.write("fs/dcache.c", text.as_bytes());
    git.commit("two hunks");
    let done = check_as_git_am(&git, "other");
    assert_eq!(done.patches[0].files[0].offsets, [7, 7]);
    assert_eq!(done.patches[0].proof, Proof::PatchId);
}

#[test]
fn the_same_series_gives_the_same_ids() {
    let git = Git::kernel();
    git.write("fs/a", b"a\n");
    git.commit("one");
    let series = git.series("v6.12", "main");
    let first = applied(&git, "v6.12", &series);
    let again = applied(&git, "v6.12", &series);
    assert_eq!(first, again);
    let refs = git.run(&[
        "for-each-ref",
        "--format=%(refname) %(objectname)",
        "refs/lab",
    ]);
    assert_eq!(refs.trim(), format!("{}/0001 {}", first.refs, first.tip));
    assert_eq!(
        first.refs,
        format!("refs/lab/test-series/v2/{}", &first.tip[..12])
    );
    assert_eq!(first.kernel, "6.12");
}

/// All that a tree holds but objects and refs under refs/lab/, with its bytes and times of change.
fn all_but_lab(dir: &Path, out: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if name.ends_with("/.git/objects") || name.ends_with("/.git/refs/lab") {
            continue;
        }
        if path.is_dir() {
            all_but_lab(&path, out);
        } else {
            let time = path.metadata().unwrap().modified().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.extend(format!("{time:?}").bytes());
            out.insert(name, bytes);
        }
    }
}

#[test]
fn the_users_tree_is_left_as_it_was() {
    let git = Git::kernel();
    git.write("fs/a", b"a\n");
    git.commit("one");
    let series = git.series("v6.12", "main");
    git.write("fs/dcache.c", b"dirty\n");
    git.write("untracked", b"mine\n");
    let hook = git.dir().join(".git/hooks/reference-transaction");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    std::fs::write(
        &hook,
        format!("#!/bin/sh\ntouch {}/hooked\n", git.dir().display()),
    )
    .unwrap();
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(&hook)
        .status()
        .unwrap();
    let mut before = BTreeMap::new();
    all_but_lab(&git.dir(), &mut before);
    applied(&git, "v6.12", &series);
    let mut bad = series;
    bad.patches[0].files[0].change = Change::Delete;
    refused(&git, "v6.12", &bad);
    let mut after = BTreeMap::new();
    all_but_lab(&git.dir(), &mut after);
    assert!(before.len() > 20);
    assert_eq!(before, after);
}

#[test]
fn bare_repositories_and_work_trees_will_do() {
    let git = Git::kernel();
    git.write("fs/a", b"a\n");
    git.commit("one");
    let series = git.series("v6.12", "main");
    let want = applied(&git, "v6.12", &series);
    let other = tempfile::tempdir().unwrap();
    for (args, dir) in [
        (vec!["clone", "-q", "--bare", ".", "B"], "b"),
        (vec!["worktree", "add", "-q", "B", "v6.12"], "w"),
    ] {
        let dir = other.path().join(dir);
        let text = dir.to_str().unwrap();
        git.run(
            &args
                .iter()
                .map(|a| if *a == "B" { text } else { a })
                .collect::<Vec<_>>(),
        );
        let tree = Tree::open(&dir, Origin::Option).unwrap();
        let base = tree.resolve("v6.12").unwrap();
        let got = apply(&tree, base, &series, Options::default()).unwrap();
        assert_eq!(got, want);
        assert!(
            git_in(
                &dir,
                &["rev-parse", "--verify", &format!("{}/0001", got.refs)]
            )
            .0
        );
    }
}

/// A kernel where the lines near a patch's hunk have changed since, yet not the same lines.
fn conflicting(ours: &str) -> (Git, Series) {
    let git = Git::kernel();
    git.run(&["checkout", "-q", "-b", "other"]);
    git.write(
        "fs/dcache.c",
        numbered(60).replace("line 28\n", ours).as_bytes(),
    );
    git.commit("near it");
    git.run(&["tag", "v6.13"]);
    git.run(&["checkout", "-q", "main"]);
    git.write(
        "fs/dcache.c",
        numbered(60)
            .replace("line 30\n", "line thirty\n")
            .as_bytes(),
    );
    git.commit("fs: count in words");
    let series = git.series("v6.12", "main");
    (git, series)
}

#[test]
fn a_conflict_is_merged_over_the_blob_of_the_mail() {
    let (git, series) = conflicting("line 27a\nline 28\n");
    let done = applied(&git, "other", &series);
    assert_eq!(done.patches[0].proof, Proof::Merge);
    let blob = git.rev("v6.12:fs/dcache.c").to_string();
    assert_eq!(done.patches[0].files[0].merged_over.as_ref(), Some(&blob));
    git.run(&["checkout", "-q", "other"]);
    git.run(&["cherry-pick", "main"]);
    assert_eq!(git.rev("HEAD^{tree}").to_string(), done.patches[0].tree);
}

#[test]
fn a_conflict_without_merge_is_refused_with_both_sides_and_a_base_that_fits() {
    let (git, mut series) = conflicting("line 27a\nline 28\n");
    series.patches[0].files[0].blobs = None;
    let mut refusal = refused(&git, "other", &series);
    refusal.base = "0123456789abcdef".to_owned();
    refusal.source = "v2.mbox: message 1".to_owned();
    insta::assert_snapshot!(refusal.text(), @r"
    patch 1/1 does not apply to 0123456789ab: fs: count in words
      read from v2.mbox: message 1
      file fs/dcache.c
      hunk 1 (line 1): @@ -27,7 +27,7 @@
        its lines are not in the file; no merge: the patch has no index line
        the patch wants:
          |line 27
          |line 28
          |line 29
          |line 30
          |line 31
          |line 32
          |line 33
        the tree has, at line 28 (6 of 7 lines alike):
          |line 27a
          |line 28
          |line 29
          |line 30
          |line 31
          |line 32
          |line 33
      the whole series applies to v6.12: try --base v6.12
    ");
    assert!(git.run(&["for-each-ref", "refs/lab"]).is_empty());
}

#[test]
fn a_merge_with_conflicts_is_refused() {
    let (git, series) = conflicting("line 28\nline 29 and a half\n");
    git.run(&["checkout", "-q", "other"]);
    git.write(
        "fs/dcache.c",
        numbered(60).replace("line 30\n", "line XXX\n").as_bytes(),
    );
    git.commit("at it");
    let refusal = refused(&git, "other", &series);
    let Reason::Conflict { merge, .. } = &refusal.reason else {
        panic!("{refusal:?}")
    };
    assert!(merge.contains("has conflicts"), "{merge}");
    assert_eq!(refusal.fits.as_deref(), Some("v6.12"));
}

#[test]
fn what_is_there_already_is_said() {
    let git = Git::kernel();
    git.write(
        "fs/dcache.c",
        numbered(60)
            .replace("line 30\n", "line thirty\n")
            .as_bytes(),
    );
    git.write("fs/new", b"new\n");
    git.run(&["mv", "fs/xfs/Makefile", "fs/xfs.mk"]);
    git.commit("done");
    let series = git.series("v6.12", "main");
    let refusal = refused(&git, "main", &series);
    assert_eq!(refusal.reason, Reason::AlreadyApplied);
    assert_eq!(refusal.fits.as_deref(), Some("v6.12"));
    assert!(refusal.text().contains("already applied"));
}

#[test]
fn binary_changes() {
    let git = Git::kernel();
    git.write("logo", b"GIF\0\x01\x02");
    git.commit("add");
    git.write("logo", b"GIF\0\x01\x03");
    git.commit("change");
    git.run(&["rm", "-q", "logo"]);
    git.commit("delete");
    let mut series = git.series("v6.12", "main");
    let contents = [&b"GIF\0\x01\x02"[..], b"GIF\0\x01\x03", b""];
    for (patch, content) in series.patches.iter_mut().zip(contents) {
        let forward = BinaryDelta::Literal(content.to_vec());
        patch.files[0].body = Body::Binary {
            forward,
            reverse: None,
        };
    }
    let done = applied(&git, "v6.12", &series);
    for (patch, rev) in done.patches.iter().zip(["main~2", "main~1", "main"]) {
        assert_eq!(patch.tree, git.rev(&format!("{rev}^{{tree}}")).to_string());
    }
    let Body::Binary { forward, .. } = &mut series.patches[1].files[0].body else {
        panic!()
    };
    *forward = BinaryDelta::Literal(b"other".to_vec());
    let refusal = refused(&git, "v6.12", &series);
    assert!(
        matches!(refusal.reason, Reason::Binary { .. }),
        "{refusal:?}"
    );
    assert_eq!(refusal.number, 2);
}

/// What a lab that was killed left behind, and a lab that is at work, hold nobody up for good.
#[test]
fn locks_of_other_labs_are_waited_for_or_taken_away() {
    let git = Git::kernel();
    git.write("fs/more.c", b"more\n");
    git.commit("more");
    let series = git.series("v6.12", "main");
    let first = applied(&git, "v6.12", &series);
    let name = git.dir().join(".git").join(&first.refs).join("0001");
    let lock = name.with_extension("lock");
    for (age, held) in [(3600, false), (0, true)] {
        std::fs::remove_file(&name).unwrap();
        let file = std::fs::File::create(&lock).unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
        file.set_modified(then).unwrap();
        let other = held.then(|| {
            let lock = lock.clone();
            std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                std::fs::remove_file(lock).unwrap();
            })
        });
        assert_eq!(applied(&git, "v6.12", &series), first);
        assert!(name.exists() && !lock.exists());
        if let Some(other) = other {
            other.join().unwrap();
        }
    }
}
