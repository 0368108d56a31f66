// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commits and refs: the same series on the same base gives the same ids, on any host, on any day.

use super::fault::{Attempt, hostile};
use super::store::Store;
use crate::error::{Doing, Result};
use git2::{Oid, Reference, Repository};
use lab_core::series::{Patch, Series};
use std::time::Duration;

/// Makes the commit of one patch. The author is the mail's; the committer is the lab, at the author's time.
pub(super) fn commit(store: &mut Store<'_>, tree: Oid, parent: Oid, patch: &Patch) -> Attempt<Oid> {
    if patch.message.contains('\0') {
        return Err(hostile("", "the message has a NUL byte"));
    }
    let offset = patch.date_offset.clamp(-14 * 60, 14 * 60);
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (offset.abs() / 60, offset.abs() % 60);
    let when = format!("{} {sign}{hours:02}{minutes:02}", patch.date_seconds.max(0));
    let name = person(&patch.author_name, "unknown");
    let email = person(&patch.author_email, "unknown");
    let message = patch.message.trim_end_matches('\n');
    let bytes = format!(
        "tree {tree}\nparent {parent}\nauthor {name} <{email}> {when}\n\
         committer lab <lab@localhost> {when}\n\n{message}\n"
    );
    Ok(store.put_commit(bytes.as_bytes())?)
}

/// A name as git takes it: without what would end the field.
fn person(text: &str, otherwise: &str) -> String {
    let kept = |c: &char| !c.is_control() && *c != '<' && *c != '>';
    let clean: String = text.chars().filter(kept).collect();
    match clean.trim() {
        "" => otherwise.to_owned(),
        clean => clean.to_owned(),
    }
}

/// The folder of a series' refs: `refs/lab/NAME/vN/KEY`. KEY begins the id of the last commit, so that another
/// base or another posting of the same version never takes the refs of this one.
pub(super) fn refs_of(series: &Series, tip: Oid) -> String {
    let of = |name: &str| {
        let key = &tip.to_string()[..12];
        format!("refs/lab/{name}/v{}/{key}", series.version)
    };
    let named = of(&series.name);
    let honest = !series.name.contains('/') && Reference::is_valid_name(&named);
    if honest { named } else { of("series") }
}

/// Points `FOLDER/NNNN` at each patch's commit; the commits are stored already.
pub(super) fn point(repo: &Repository, folder: &str, commits: &[(u32, Oid)]) -> Result<()> {
    for (number, id) in commits {
        let name = format!("{folder}/{number:04}");
        let there = || repo.refname_to_id(&name).ok() == Some(*id);
        if there() {
            continue;
        }
        let mut made = repo.reference(&name, *id, true, "lab: apply");
        // Another lab may do the same at the same moment: then it has done it, or is about to.
        while made.is_err() && !there() && locked(repo, &name) {
            std::thread::sleep(LOCK_POLL);
            made = repo.reference(&name, *id, true, "lab: apply");
        }
        if made.is_err() && !there() {
            // The lock may have gone between the last two looks.
            made = repo.reference(&name, *id, true, "lab: apply");
        }
        if there() {
            continue;
        }
        made.doing(|| format!("write {name}"))?;
    }
    Ok(())
}

/// How often another writer's lock is looked at.
const LOCK_POLL: Duration = Duration::from_millis(5);
/// After this time a lock was left by a lab that was killed: a writer holds it for one small file.
const LOCK_STALE: Duration = Duration::from_secs(5);

/// Whether it is worth trying again: the ref's lock is there. A stale one is taken away: refs
/// below `refs/lab/` are the lab's own, and whoever writes this one writes the same id.
fn locked(repo: &Repository, name: &str) -> bool {
    let lock = repo.commondir().join(format!("{name}.lock"));
    let Ok(made) = std::fs::metadata(&lock).and_then(|meta| meta.modified()) else {
        return false;
    };
    let age = made.elapsed().unwrap_or_default();
    age < LOCK_STALE || std::fs::remove_file(&lock).is_ok()
}
