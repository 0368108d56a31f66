// SPDX-License-Identifier: MIT OR Apache-2.0
//! A series onto a base: objects in memory, no checkout, no index, one commit a patch.
//!
//! ```text
//! patch ─► each file: hunks, else merge ─► tree rewritten ─► proved ─► commit ─┐
//!            ▲                                                                 │
//!            └───────────────── the next patch starts from it ◄────────────────┘
//! all patches done ─► one pack stored ─► refs/lab/NAME/vN/KEY/NNNN
//! ```
//! Nothing is stored before every patch is proved, and no ref is written before all is stored.

mod already;
mod commit;
mod edit;
mod fault;
mod merge;
mod nearest;
mod patch;
mod store;
#[cfg(test)]
mod tests;
mod verify;

use crate::error::{Error, Result};
use crate::tree::Tree;
use fault::{Attempt, Fault, Halt};
use git2::{Oid, Repository};
use lab_core::apply::{APPLY_FORMAT, Applied, AppliedPatch, Reason, Refusal};
use lab_core::series::{Patch, Series};
use store::Store;

/// How to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many of the tree's most recent tags are tried when the series does not apply.
    pub tags: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { tags: 20 }
    }
}

/// What became of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every patch is a commit.
    Applied(Applied),
    /// None is.
    Refused(Box<Refusal>),
}

/// Applies `series` to the commit `base`; a refusal is a value.
///
/// # Errors
/// The repository cannot be read or written.
pub fn try_apply(tree: &Tree, base: Oid, series: &Series, options: Options) -> Result<Verdict> {
    let doing = || format!("apply {} to {base:.12}", series.name);
    run(tree, base, series, options).map_err(|error| error.doing(doing()))
}

/// Applies `series` to the commit `base`.
///
/// # Errors
/// As [`try_apply`]; and a refusal, with all that it says.
pub fn apply(tree: &Tree, base: Oid, series: &Series, options: Options) -> Result<Applied> {
    match try_apply(tree, base, series, options)? {
        Verdict::Applied(applied) => Ok(applied),
        Verdict::Refused(refusal) => Err(refusal_error(&refusal)),
    }
}

/// A refusal as an error: hostile input is a wrong input, all else cannot be told.
pub fn refusal_error(refusal: &Refusal) -> Error {
    let text = refusal.text();
    match refusal.reason {
        Reason::Hostile { .. } => Error::usage(text),
        _ => Error::rig(text),
    }
}

fn run(tree: &Tree, base: Oid, series: &Series, options: Options) -> Result<Verdict> {
    let repo = tree.repository()?;
    let kernel = tree.version_at(base)?;
    if series.patches.is_empty() {
        return Err(Error::usage("the series has no patches"));
    }
    let mut walk = Walk::new(&repo, base)?;
    let mut patches = Vec::with_capacity(series.patches.len());
    for patch in &series.patches {
        match walk.step(patch) {
            Ok(done) => patches.push(done),
            Err(Halt::Error(error)) => {
                return Err(error.doing(format!("apply patch {}", patch.number)));
            }
            Err(Halt::Fault(fault)) => {
                let fault = walk.known_already(patch, *fault)?;
                let refusal = refusal(&repo, base, series, patch, fault, options)?;
                return Ok(Verdict::Refused(Box::new(refusal)));
            }
        }
    }
    walk.store.flush()?;
    let refs = commit::refs_of(series, walk.commit);
    commit::point(&repo, &refs, &walk.made)?;
    Ok(Verdict::Applied(Applied {
        format: APPLY_FORMAT,
        series: series.name.clone(),
        version: series.version,
        base: base.to_string(),
        kernel,
        refs,
        tip: walk.commit.to_string(),
        patches,
    }))
}

fn refusal(
    repo: &Repository,
    base: Oid,
    series: &Series,
    patch: &Patch,
    fault: Fault,
    options: Options,
) -> Result<Refusal> {
    let elsewhere = matches!(
        fault.reason,
        Reason::Conflict { .. }
            | Reason::Binary { .. }
            | Reason::Tree { .. }
            | Reason::AlreadyApplied
    );
    let (fits, tried) = match elsewhere {
        true => nearest::nearest(repo, base, series, options.tags)?,
        false => (None, 0),
    };
    Ok(Refusal {
        format: APPLY_FORMAT,
        base: base.to_string(),
        number: patch.number,
        of: series.patches.len(),
        subject: patch.subject.clone(),
        source: patch.source.clone(),
        file: fault.file,
        reason: fault.reason,
        fits,
        tried,
    })
}

/// The way through a series: where it is, and the objects it has made.
struct Walk<'r> {
    store: Store<'r>,
    commit: Oid,
    tree: Oid,
    made: Vec<(u32, Oid)>,
}

impl<'r> Walk<'r> {
    fn new(repo: &'r Repository, base: Oid) -> Result<Self> {
        Ok(Self {
            store: Store::new(repo)?,
            commit: base,
            tree: repo.find_commit(base)?.tree_id(),
            made: Vec::new(),
        })
    }

    /// Makes the commit of the next patch.
    fn step(&mut self, patch: &Patch) -> Attempt<AppliedPatch> {
        let made = patch::apply_patch(&mut self.store, self.tree, patch)?;
        let proof = verify::prove(&mut self.store, self.tree, patch, &made)?;
        let files = made.files.iter().map(patch::Done::record).collect();
        let commit = commit::commit(&mut self.store, made.tree, self.commit, patch)?;
        self.commit = commit;
        self.tree = made.tree;
        self.made.push((patch.number, commit));
        Ok(AppliedPatch {
            number: patch.number,
            subject: patch.subject.clone(),
            commit: commit.to_string(),
            tree: made.tree.to_string(),
            patch_id: patch.patch_id.clone(),
            proof,
            files,
        })
    }

    /// The same fault, or that all of the patch is in the tree already.
    fn known_already(&mut self, patch: &Patch, fault: Fault) -> Result<Fault> {
        let fits = matches!(
            fault.reason,
            Reason::Conflict { .. } | Reason::Tree { .. } | Reason::Binary { .. }
        );
        if fits && already::already(&mut self.store, self.tree, patch)? {
            return Ok(Fault {
                file: None,
                reason: Reason::AlreadyApplied,
            });
        }
        Ok(fault)
    }
}
