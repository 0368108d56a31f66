// SPDX-License-Identifier: MIT OR Apache-2.0
//! A range of commits of a repository, as a series.

use super::refused;
use crate::error::{Doing, Error, Result};
use git2::{Commit, Diff, DiffFindOptions, DiffFormat, DiffOptions, Repository, Sort};
use lab_core::series::{Patch, ReadOptions, Series, limits, read_commits, read_diff};
use std::path::Path;

/// Whether this names a range in the tree, for ranges with slashes (`origin/master..topic/x`).
pub(super) fn is_range(arg: &str, tree: Option<&Path>) -> bool {
    let Some(repository) = tree.and_then(|tree| Repository::open(tree).ok()) else {
        return false;
    };
    arg.contains("..") && repository.revparse(arg).is_ok()
}

/// Reads `FROM..TO`: each commit becomes a patch, oldest first.
pub(super) fn read(arg: &str, tree: Option<&Path>, options: &ReadOptions) -> Result<Series> {
    let tree = tree.ok_or_else(|| {
        Error::usage(format!(
            "{arg} looks like a range of commits, but no repository is given"
        ))
        .hint("add --tree DIR")
    })?;
    let repository = Repository::open(tree).map_err(|error| {
        Error::usage(format!("{}: {}", tree.display(), error.message()))
            .hint("--tree wants a git repository")
    })?;
    let commits = commits(&repository, arg)?;
    let mut patches = Vec::new();
    let mut total = 0usize;
    for commit in commits {
        let (patch, bytes) = patch(&repository, &commit)?;
        total = total.saturating_add(bytes);
        if total > limits::MAX_SERIES_BYTES {
            return Err(Error::usage(format!(
                "the diffs hold more than {} MiB",
                limits::MAX_SERIES_BYTES >> 20
            )));
        }
        patches.push(patch);
    }
    read_commits(patches, arg, options).map_err(refused)
}

fn commits<'r>(repository: &'r Repository, arg: &str) -> Result<Vec<Commit<'r>>> {
    if arg.contains("...") {
        return Err(Error::usage(format!("{arg} is a symmetric difference"))
            .hint("write it with two dots: FROM..TO"));
    }
    let (from, to) = arg.split_once("..").unwrap_or((arg, ""));
    let find = |name: &str| {
        let name = if name.is_empty() { "HEAD" } else { name };
        let found = repository
            .revparse_single(name)
            .and_then(|object| object.peel_to_commit());
        found.map_err(|_| {
            let told = format!("no commit {name} in {}", repository.path().display());
            Error::usage(told).hint("fetch it first, or check the spelling with git log")
        })
    };
    let (from, to) = (find(from)?, find(to)?);
    let doing = || format!("walk {arg}");
    let mut walk = repository.revwalk().doing(doing)?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)
        .doing(doing)?;
    walk.push(to.id()).doing(doing)?;
    walk.hide(from.id()).doing(doing)?;
    let mut out = Vec::new();
    for id in walk {
        let commit = repository.find_commit(id.doing(doing)?).doing(doing)?;
        if commit.parent_count() > 1 {
            let told = format!("{} is a merge: {}", short(&commit), title(&commit));
            return Err(
                Error::usage(told).hint("rebase the series so that it is one line of commits")
            );
        }
        out.push(commit);
        if out.len() > limits::MAX_PATCHES {
            return Err(Error::usage(format!(
                "{arg} has more than {} commits",
                limits::MAX_PATCHES
            )));
        }
    }
    if out.is_empty() {
        return Err(Error::usage(format!("no commits in {arg}"))
            .hint("the older end comes first: FROM..TO"));
    }
    Ok(out)
}

fn short(commit: &Commit<'_>) -> String {
    commit.id().to_string()[..12].to_owned()
}

fn title(commit: &Commit<'_>) -> String {
    let bytes = commit.message_bytes();
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or(b"");
    crate::ui::harmless(&String::from_utf8_lossy(line))
}

/// One commit and the size of its diff. The diff goes through the same reader, and the same rules, as a mailed one.
fn patch(repository: &Repository, commit: &Commit<'_>) -> Result<(Patch, usize)> {
    let source = format!("commit {}", short(commit));
    let doing = || format!("take the diff of {source}");
    let text = diff_text(repository, commit).doing(doing)?;
    let text = text.ok_or_else(|| Error::usage(format!("{source}: its diff is too large")))?;
    let files = read_diff(&text, &source).map_err(refused)?;
    if files.is_empty() {
        let told = format!("{source} changes nothing: {}", title(commit));
        return Err(Error::usage(told).hint("leave empty commits out of the range"));
    }
    let author = commit.author();
    let when = author.when();
    let patch = Patch {
        number: 0,
        subject: String::new(),
        message: String::from_utf8_lossy(commit.message_bytes()).into_owned(),
        author_name: String::from_utf8_lossy(author.name_bytes()).into_owned(),
        author_email: String::from_utf8_lossy(author.email_bytes()).into_owned(),
        date_seconds: when.seconds(),
        date_offset: when.offset_minutes(),
        message_id: None,
        source,
        files,
        patch_id: String::new(),
    };
    Ok((patch, text.len()))
}

/// The diff against the parent in git's form, renames found; `None` when it is over the limit.
fn diff_text(
    repository: &Repository,
    commit: &Commit<'_>,
) -> std::result::Result<Option<Vec<u8>>, git2::Error> {
    let old = commit
        .parents()
        .next()
        .map(|parent| parent.tree())
        .transpose()?;
    let mut options = DiffOptions::new();
    options
        .show_binary(true)
        .id_abbrev(40)
        .indent_heuristic(true);
    let mut diff: Diff<'_> =
        repository.diff_tree_to_tree(old.as_ref(), Some(&commit.tree()?), Some(&mut options))?;
    let mut find = DiffFindOptions::new();
    find.renames(true);
    diff.find_similar(Some(&mut find))?;
    let mut text = Vec::new();
    let printed = diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            text.push(line.origin() as u8);
        }
        text.extend_from_slice(line.content());
        text.len() <= limits::MAX_SERIES_BYTES
    });
    match printed {
        Err(_) if text.len() > limits::MAX_SERIES_BYTES => Ok(None),
        Err(error) => Err(error),
        Ok(()) => Ok(Some(text)),
    }
}
