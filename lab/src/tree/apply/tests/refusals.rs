// SPDX-License-Identifier: MIT OR Apache-2.0
//! What no honest patch does, and trees that are not as a patch says.

use super::*;

/// A series of one patch that `spoil` makes dishonest, on a kernel with a link and a submodule.
#[track_caller]
fn check_refused(spoil: impl FnOnce(&mut FilePatch), want: &str) {
    let git = Git::kernel();
    std::os::unix::fs::symlink("xfs", git.dir().join("fs/link")).unwrap();
    git.run(&[
        "update-index",
        "--add",
        "--cacheinfo",
        "160000,0123456789012345678901234567890123456789,sub",
    ]);
    git.run(&["add", "fs/link"]);
    git.run(&["commit", "-qm", "base"]);
    git.run(&["tag", "base"]);
    git.write("fs/new.c", b"new\n");
    git.run(&["add", "fs/new.c"]);
    git.run(&["commit", "-qm", "add"]);
    let mut series = git.series("base", "main");
    spoil(&mut series.patches[0].files[0]);
    let text = refused(&git, "base", &series).text();
    assert!(text.contains(want), "{text}");
    assert!(git.run(&["for-each-ref", "refs/lab"]).is_empty());
}

#[test]
fn what_no_honest_patch_does_is_refused() {
    let path =
        |path: &'static str| move |file: &mut FilePatch| file.new_path = Some(path.to_owned());
    check_refused(path("../out"), "no file of a kernel has such a path");
    check_refused(path("/etc/passwd"), "no file of a kernel has such a path");
    check_refused(
        path("fs/.GIT/config"),
        "no file of a kernel has such a path",
    );
    check_refused(path("fs/link/evil"), "link on its way is a symbolic link");
    check_refused(path("Makefile/evil"), "Makefile on its way is a file");
    check_refused(path("sub/evil"), "sub on its way is a file");
    check_refused(path("fs/xfs"), "is a folder in the tree");
    check_refused(path("fs/dcache.c"), "is in the tree already");
    check_refused(path("fs/link"), "is in the tree already");
    check_refused(|file| file.new_mode = Some(0o160_000), "a submodule");
    check_refused(|file| file.new_mode = Some(0o104_755), "mode 104755");
    check_refused(|file| file.new_mode = Some(0o040_000), "mode 040000");
    check_refused(
        |file| {
            file.new_mode = Some(0o120_000);
            let Body::Text(hunks) = &mut file.body else {
                panic!()
            };
            hunks[0].lines[0].text = b"../../../etc/passwd".to_vec();
        },
        "the symbolic link leaves the tree",
    );
}

#[test]
fn a_tree_that_is_not_as_the_patch_says_is_refused() {
    let from = |old: &'static str, change| {
        move |file: &mut FilePatch| {
            file.old_path = Some(old.to_owned());
            file.change = change;
            match change {
                Change::Modify => file.new_path = Some(old.to_owned()),
                Change::Delete => file.new_path = None,
                _ => {}
            }
            file.body = Body::Text(Vec::new());
        }
    };
    check_refused(
        from("fs/none", Change::Rename),
        "fs/none is not in the tree",
    );
    check_refused(from("fs/none", Change::Copy), "fs/none is not in the tree");
    check_refused(from("fs/none", Change::Delete), "already applied");
    check_refused(
        from("fs/dcache.c", Change::Delete),
        "has lines that the patch does not take away",
    );
    check_refused(
        from("fs/dcache.c", Change::Modify),
        "the patch leaves it as it was",
    );
    check_refused(
        from("fs/link", Change::Modify),
        "is a symbolic link in the tree",
    );
    check_refused(from("sub", Change::Rename), "is a submodule");
}

#[test]
fn a_result_that_is_not_the_mail_is_refused() {
    let git = Git::kernel();
    git.write(
        "fs/dcache.c",
        numbered(60)
            .replace("line 30\n", "line thirty\n")
            .as_bytes(),
    );
    git.commit("change");
    let series = git.series("v6.12", "main");
    let patch = &series.patches[0];
    let repo = tree(&git).repository().unwrap();
    let root = repo.find_commit(git.rev("v6.12")).unwrap().tree_id();
    let mut store = Store::new(&repo).unwrap();
    let proof = |store: &mut Store<'_>, made: &patch::Made<'_>| match verify::prove(
        store, root, patch, made,
    ) {
        Ok(proof) => format!("{proof:?}"),
        Err(Halt::Fault(fault)) => format!("{:?}", fault.reason),
        Err(Halt::Error(error)) => panic!("{error}"),
    };
    let mut made = patch::apply_patch(&mut store, root, patch).unwrap();
    assert_eq!(proof(&mut store, &made), "PatchId");
    let right = made.files[0].new.clone();
    made.files[0].new = numbered(60)
        .replace("line 30", "line thirsty")
        .into_bytes()
        .into();
    assert!(proof(&mut store, &made).contains("taking the patch back out"));
    made.files[0].new = right;
    made.tree = git.rev("v6.12^{tree}");
    assert!(proof(&mut store, &made).contains("leaves it as it was"));
    git.write("stray", b"x");
    git.commit("stray");
    made.tree = git.rev("main^{tree}");
    assert!(proof(&mut store, &made).contains("does not name it"));
}

#[test]
fn a_folder_that_the_patch_empties_may_become_a_file() {
    let git = Git::kernel();
    // Between `d` and `d/…` in order of names.
    for path in ["d-e/x", "d/x", "d/y/z", "d0"] {
        git.write(path, b"line\n");
    }
    git.commit("folders");
    git.run(&["tag", "before"]);
    git.run(&["rm", "-rq", "d", "d-e"]);
    git.write("d", b"now a file\n");
    git.run(&["add", "-A"]);
    let tip = git.commit("a file");
    let series = git.series("before", "main");
    let made = applied(&git, "before", &series);
    let repo = tree(&git).repository().unwrap();
    let want = repo.find_commit(tip).unwrap().tree_id();
    assert_eq!(made.patches[0].tree, want.to_string());
    // Only what is below it makes room for it, not what begins with the same letters.
    let mut part = series;
    part.patches[0].files.retain(|file| {
        file.old_path
            .as_deref()
            .is_none_or(|path| !path.starts_with("d/"))
    });
    let refusal = refused(&git, "before", &part);
    assert!(matches!(refusal.reason, Reason::Tree { .. }), "{refusal:?}");
}
