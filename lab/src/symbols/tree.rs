// SPDX-License-Identifier: MIT OR Apache-2.0
//! Source files as a kernel of the series had them, with what each patch did to them.

use crate::error::{Doing, Error, Result};
use crate::store::Manifest;
use git2::{Delta, DiffFindOptions, DiffOptions, Oid, Patch, Repository};
use lab_core::symbol::touch::{Hunk, Touches};
use lab_core::symbol::{Source, Sources};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Largest source file that is read, bytes.
const LARGEST: usize = 8 << 20;

/// The named files at a patch of a set's series (0: the base). Files that the tree does not have (what the build
/// generated) are left out.
///
/// # Errors
/// When the tree or its commits are gone.
pub(super) fn sources(
    manifest: &Manifest,
    patch: u32,
    files: &BTreeSet<String>,
) -> Result<Sources> {
    let folder = &manifest.tree;
    let reading = || format!("read the series' tree {}", folder.display());
    let repo = Repository::open(folder).doing(reading)?;
    let commits = commits(manifest, patch).doing(reading)?;
    let mut touches = touches(&repo, &commits).doing(reading)?;
    let booted = commits.last().copied().unwrap_or(Oid::ZERO_SHA1);
    let tree = repo
        .find_commit(booted)
        .and_then(|c| c.tree())
        .doing(reading)?;
    let mut sources = Sources::new();
    for file in files {
        let Ok(entry) = tree.get_path(Path::new(file)) else {
            continue;
        };
        let Ok(blob) = repo.find_blob(entry.id()) else {
            continue;
        };
        if blob.size() <= LARGEST {
            let touched = touches.remove(file).unwrap_or_default();
            sources.insert(file.clone(), Source::new(blob.content(), touched));
        }
    }
    Ok(sources)
}

/// The base and the commits up to a patch.
fn commits(manifest: &Manifest, patch: u32) -> Result<Vec<Oid>> {
    let patches = manifest
        .patches
        .get(..patch as usize)
        .ok_or_else(|| Error::internal(format!("the series has no patch {patch}")))?;
    let names = patches.iter().map(|patch| &patch.commit);
    std::iter::once(&manifest.base_commit)
        .chain(names)
        .map(|name| Ok(Oid::from_str(name)?))
        .collect()
}

/// What each commit did to each file, in the line numbers of the last one.
fn touches(repo: &Repository, commits: &[Oid]) -> Result<BTreeMap<String, Touches>> {
    let mut files: BTreeMap<String, Touches> = BTreeMap::new();
    for (index, pair) in commits.windows(2).enumerate() {
        let trees = [pair[0], pair[1]].map(|id| repo.find_commit(id).and_then(|c| c.tree()));
        let [before, after] = trees;
        let mut options = DiffOptions::new();
        options.context_lines(0).interhunk_lines(0);
        let mut diff = repo.diff_tree_to_tree(Some(&before?), Some(&after?), Some(&mut options))?;
        diff.find_similar(Some(DiffFindOptions::new().renames(true)))?;
        let mut changed = Vec::new();
        for (at, delta) in diff.deltas().enumerate() {
            let path = |file: git2::DiffFile<'_>| file.path().map(|p| p.display().to_string());
            let old = path(delta.old_file()).and_then(|old| match delta.status() {
                Delta::Copied => files.get(&old).cloned(),
                _ => files.remove(&old),
            });
            let Some(new) = path(delta.new_file()).filter(|_| delta.status() != Delta::Deleted)
            else {
                continue;
            };
            let mut touched = old.unwrap_or_default();
            touched.step(index as u32 + 1, &hunks(&diff, at)?);
            changed.push((new, touched));
        }
        files.extend(changed);
    }
    Ok(files)
}

fn hunks(diff: &git2::Diff<'_>, at: usize) -> Result<Vec<Hunk>> {
    // A binary file has no hunks.
    let Some(patch) = Patch::from_diff(diff, at)? else {
        return Ok(Vec::new());
    };
    (0..patch.num_hunks())
        .map(|n| {
            let (hunk, _) = patch.hunk(n)?;
            Ok(Hunk {
                old_start: hunk.old_start(),
                old_lines: hunk.old_lines(),
                new_start: hunk.new_start(),
                new_lines: hunk.new_lines(),
            })
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tree::testing::{Git, numbered};

    /// A set's manifest over these commits, the first being the base.
    pub(in crate::symbols) fn manifest(git: &Git, commits: &[Oid]) -> Manifest {
        let line = |commit: &Oid| serde_json::json!({"number": 1, "subject": "", "patch_id": "", "commit": commit.to_string(), "touched": []});
        let patches: Vec<_> = commits[1..].iter().map(line).collect();
        let value = serde_json::json!({
            "format": 1, "set": "s", "lab": "0", "begun": "", "series": "s", "version": 1, "subject": "",
            "patches": patches, "tree": git.dir(), "base": "", "base_commit": commits[0].to_string(),
            "kernel": "6.12", "profiles": [],
            "options": {"runs": 1, "most_runs": 1, "confidence": 0.95, "seconds": null, "seed": 1, "each": false,
                "no_sandbox": false, "cores": 1},
            "argv": [], "host": {"kernel": "", "cpus": 1, "memory_mib": 1, "accel": "tcg", "accel_reason": "",
                "tools": []},
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn marks_follow_a_series_through_shifts_renames_and_later_patches() {
        let git = Git::kernel();
        let base = git.rev("HEAD");
        let body = |lines: &str| format!("int f(void)\n{{\n{lines}\treturn 0;\n}}\n");
        let text = format!("{}\n{}", numbered(60), body("\tone();\n\ttwo();\n"));
        git.write("fs/dcache.c", text.as_bytes());
        let first = git.commit("add a function");
        git.write(
            "fs/dcache.c",
            format!("/* new */\n{}", text.replace("\ttwo();\n", "")).as_bytes(),
        );
        let second = git.commit("take a line out");
        git.run(&["mv", "fs/dcache.c", "fs/cache.c"]);
        let third = git.commit("rename");
        let manifest = manifest(&git, &[base, first, second, third]);
        let files = ["fs/cache.c", "fs/dcache.c", "include/generated/x.h"].map(str::to_owned);
        let sources = sources(&manifest, 3, &files.into()).unwrap();
        assert_eq!(sources.keys().collect::<Vec<_>>(), ["fs/cache.c"]);
        let source = &sources["fs/cache.c"];
        let text = |line| source.mark(line).map(|mark| mark.text());
        assert_eq!(source.line(65).as_deref(), Some("one();"));
        assert_eq!(text(65).as_deref(), Some("line of patch 1"));
        assert_eq!(text(1).as_deref(), Some("line of patch 2"));
        assert_eq!(text(30), None);
        let before = super::sources(&manifest, 0, &["fs/dcache.c".to_owned()].into()).unwrap();
        assert_eq!(before["fs/dcache.c"].mark(1), None);
        assert!(super::sources(&manifest, 4, &BTreeSet::new()).is_err());
    }
}
