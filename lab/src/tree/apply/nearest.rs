// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a series would apply: the tree's recent tags, tried in memory.

use super::Walk;
use super::fault::Halt;
use crate::error::Result;
use git2::{Oid, Repository};
use lab_core::series::Series;

/// The nearest to `base`, in time, of the `count` most recent tags to which the whole series applies; and how many
/// were tried.
pub(super) fn nearest(
    repo: &Repository,
    base: Oid,
    series: &Series,
    count: usize,
) -> Result<(Option<String>, usize)> {
    let now = repo.find_commit(base)?.time().seconds();
    let mut tags = tags(repo)?;
    tags.retain(|tag| tag.commit != base);
    tags.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.name.cmp(&b.name)));
    tags.truncate(count);
    tags.sort_by_key(|tag| (tag.time - now).abs());
    for (tried, tag) in tags.iter().enumerate() {
        if applies(repo, tag.commit, series)? {
            return Ok((Some(tag.name.clone()), tried + 1));
        }
    }
    Ok((None, tags.len()))
}

struct Tag {
    name: String,
    commit: Oid,
    time: i64,
}

fn tags(repo: &Repository) -> Result<Vec<Tag>> {
    let mut out = Vec::new();
    for reference in repo.references_glob("refs/tags/*")? {
        let reference = reference?;
        // A tag of a tree or a blob, as old kernel repositories have, is no base.
        let (Ok(name), Ok(commit)) = (reference.shorthand(), reference.peel_to_commit()) else {
            continue;
        };
        out.push(Tag {
            name: name.to_owned(),
            commit: commit.id(),
            time: commit.time().seconds(),
        });
    }
    Ok(out)
}

fn applies(repo: &Repository, commit: Oid, series: &Series) -> Result<bool> {
    let mut walk = Walk::new(repo, commit)?;
    for patch in &series.patches {
        match walk.step(patch) {
            Ok(_) => {}
            Err(Halt::Fault(_)) => return Ok(false),
            Err(Halt::Error(error)) => return Err(error),
        }
    }
    Ok(true)
}
