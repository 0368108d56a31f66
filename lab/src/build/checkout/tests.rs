// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checkout, on small trees.

use super::*;
use crate::build::tests::Tree;
use crate::stop;
use proptest::prelude::*;

fn update_to(tree: &Tree, src: &Path, from: Option<Oid>, to: Oid) -> Changes {
    let (_stopper, stop) = stop::channel();
    update(tree.path(), src, from, to, &stop).unwrap()
}

fn time(path: &Path) -> std::time::SystemTime {
    fs::symlink_metadata(path).unwrap().modified().unwrap()
}

#[test]
fn only_what_differs_is_written() {
    let tree = Tree::new();
    let folder = tempfile::tempdir().unwrap();
    let src = folder.path().join("src");
    let a = tree.tree(&[
        ("fs/a.c", 0o100_644, "a"),
        ("fs/b.c", 0o100_644, "b"),
        ("x/run", 0o100_755, "r"),
    ]);
    let b = tree.tree(&[
        ("fs/a.c", 0o100_644, "a"),
        ("fs/b.c", 0o100_644, "B"),
        ("fs/Kconfig", 0o100_644, "k"),
    ]);
    assert_eq!(update_to(&tree, &src, None, a).written, 3);
    let before = time(&src.join("fs/a.c"));
    let changes = update_to(&tree, &src, Some(a), b);
    assert_eq!(
        (changes.written, changes.removed, changes.kconfig),
        (2, 1, true)
    );
    assert_eq!(time(&src.join("fs/a.c")), before);
    assert!(!src.join("x").exists());
    assert_eq!(fs::read_to_string(src.join("fs/b.c")).unwrap(), "B");
}

#[test]
fn a_torn_folder_is_mended_without_touching_what_is_right() {
    let tree = Tree::new();
    let folder = tempfile::tempdir().unwrap();
    let src = folder.path();
    let a = tree.tree(&[
        ("fs/a.c", 0o100_644, "aa"),
        ("fs/b.c", 0o100_644, "b"),
        ("l", 0o120_000, "fs/a.c"),
    ]);
    update_to(&tree, src, None, a);
    let before = time(&src.join("fs/a.c"));
    fs::write(src.join("fs/b.c"), "").unwrap();
    fs::write(src.join("fs/stray.c"), "s").unwrap();
    fs::remove_file(src.join("l")).unwrap();
    let changes = update_to(&tree, src, None, a);
    assert_eq!((changes.written, changes.removed), (2, 1));
    assert_eq!(time(&src.join("fs/a.c")), before);
    assert_eq!(fs::read_link(src.join("l")).unwrap(), Path::new("fs/a.c"));
}

#[test]
fn links_are_never_written_through() {
    let tree = Tree::new();
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let src = folder.path().join("src");
    let a = tree.tree(&[
        ("d", 0o120_000, "../outside"),
        ("f", 0o120_000, "../outside/f"),
    ]);
    let b = tree.tree(&[("d/x", 0o100_644, "x"), ("f", 0o100_644, "f")]);
    for from in [Some(a), None] {
        let _ = fs::remove_dir_all(&src);
        update_to(&tree, &src, None, a);
        update_to(&tree, &src, from, b);
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(fs::read_to_string(src.join("d/x")).unwrap(), "x");
    }
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in [
        "../x",
        "/etc/x",
        "a/../x",
        ".git/config",
        "a/.GIT/x",
        "",
        "a\0b",
    ] {
        assert!(safe(path.as_bytes()).is_err(), "{path:?}");
    }
    assert_eq!(safe(b"fs/.gitignore").unwrap(), Path::new("fs/.gitignore"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_difference_gives_what_a_full_checkout_gives(
        one in prop::collection::btree_map("[ab](/[cd](/[ef])?)?", ("[xy]", 0..3_usize), 1..6),
        two in prop::collection::btree_map("[ab](/[cd](/[ef])?)?", ("[xy]", 0..3_usize), 1..6),
    ) {
        let tree = Tree::new();
        let make = |files: &std::collections::BTreeMap<String, (String, usize)>| {
            // A name cannot be both file and folder of one tree.
            let fits = |path: &String| !files.keys().any(|other| path.starts_with(&format!("{other}/")));
            let files: Vec<_> = files
                .iter()
                .filter(|(path, _)| fits(path))
                .map(|(path, (text, mode))| (path.as_str(), [0o100_644, EXECUTABLE, LINK][*mode], text.as_str()))
                .collect();
            tree.tree(&files)
        };
        let (a, b) = (make(&one), make(&two));
        let folder = tempfile::tempdir().unwrap();
        update_to(&tree, folder.path(), None, a);
        update_to(&tree, folder.path(), Some(a), b);
        let after = update_to(&tree, folder.path(), None, b);
        prop_assert_eq!((after.written, after.removed), (0, 0));
    }
}
