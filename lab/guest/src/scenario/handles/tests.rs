// SPDX-License-Identifier: MIT OR Apache-2.0
//! The oracles that need no handle to be opened, which only root may.

use super::act::{path, remote_open, remote_own, remote_stat, to_and_fro};
use super::*;
use std::path::PathBuf;

fn tree(tag: &str) -> (PathBuf, Option<Tree>) {
    let temp = std::env::temp_dir().join(format!("lab-handles-{tag}-{}", std::process::id()));
    std::fs::create_dir(&temp).unwrap();
    let tree = match Tree::make(&temp, 2, 3, 5) {
        Ok(tree) => Some(tree),
        // A folder of this host may be on a filesystem without handles.
        Err(None) => None,
        Err(Some(why)) => panic!("{why}"),
    };
    (temp, tree)
}

fn oracle(result: Result<(), Fault>) -> &'static str {
    match result {
        Err(Fault::Wrong(oracle, _)) => oracle,
        other => panic!("{other:?}"),
    }
}

#[test]
fn chains_are_as_deep_as_asked_and_are_found_by_path() {
    let (temp, tree) = tree("path");
    let Some(tree) = tree else {
        return std::fs::remove_dir_all(&temp).unwrap();
    };
    assert_eq!(tree.chains.len(), 2);
    let chain = tree.chain(3);
    assert_eq!((chain.levels.len(), chain.leaves.len()), (3, 5));
    for level in 0..4 {
        assert_eq!(path(&tree, chain.dir(level, 4), Air::Still), Ok(()));
    }
    assert_eq!(to_and_fro(&tree, 1), Ok(()));
    assert_eq!(path(&tree, chain.dir(3, 0), Air::Still), Ok(()));
    std::fs::remove_dir_all(temp.join("c1")).unwrap();
    let lost = oracle(path(&tree, chain.dir(2, 0), Air::Still));
    assert_eq!(lost, "existing path lost");
    let moved = path(&tree, chain.dir(2, 0), Air::Moving);
    assert_eq!(moved, Err(Fault::Answer(libc::ENOENT)));
    std::fs::rename(temp.join("c0"), temp.join("c1")).unwrap();
    let other = oracle(path(&tree, chain.dir(0, 0), Air::Still));
    assert_eq!(other, "another object was opened");
    std::fs::remove_dir_all(&temp).unwrap();
}

#[test]
fn held_directories_keep_their_names() {
    let (temp, tree) = tree("held");
    let Some(tree) = tree else {
        return std::fs::remove_dir_all(&temp).unwrap();
    };
    let mut place = Place::folder(temp.clone());
    place.remote = true;
    let held = hold(&place, &tree).unwrap();
    let leaf = held[1][0].as_fd();
    assert_eq!(remote_stat(leaf), Ok(()));
    assert_eq!(remote_open(leaf), Ok(()));
    assert_eq!(remote_own(leaf, 1), Ok(()));
    let keep = temp
        .join(tree.chain(1).leaves[0].path.to_str().unwrap())
        .join("keep");
    std::fs::write(&keep, "other").unwrap();
    assert_eq!(
        oracle(remote_open(leaf)),
        "file in a held directory changed"
    );
    std::fs::remove_file(&keep).unwrap();
    assert_eq!(oracle(remote_stat(leaf)), "name in a held directory lost");
    std::fs::write(keep.with_file_name("o1"), "").unwrap();
    assert_eq!(oracle(remote_own(leaf, 1)), "held directory takes no name");
    std::fs::remove_dir_all(&temp).unwrap();
}
