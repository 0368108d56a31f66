// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a lane looks like right now, so that a walk that raced with nothing can be judged exactly.
//!
//! Every change of an exact lane happens between two steps of a sequence counter, odd meanwhile. A walk that saw the
//! same even number before and after raced with no change, and the model says what it must have found.

use super::step::{A, HEADS, Way};
use crate::ops::{Answer, errno_name};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};

/// Nothing is under a first component.
pub(crate) const NOTHING: u32 = u32::MAX;
/// A plain file is there.
pub(crate) const FILE: u32 = u32::MAX - 1;
/// An empty directory is there.
pub(crate) const EMPTY: u32 = u32::MAX - 2;
/// A symlink to the first head is there.
pub(crate) const LINK: u32 = u32::MAX - 3;

/// A lane's state, as the changes so far have left it.
#[derive(Debug)]
pub(crate) struct Model {
    exact: bool,
    seq: AtomicU64,
    /// What each first component leads to: a node, or one of the numbers above.
    pub(crate) heads: [AtomicU32; HEADS.len()],
    /// What each node's two names lead to: nodes, or files at the last level.
    pub(crate) forks: Vec<[AtomicU32; 2]>,
    /// Inodes of the files.
    pub(crate) files: Vec<u64>,
    /// Ordinary users may not pass the one component.
    pub(crate) locked: AtomicBool,
}

/// A moment without changes, if nothing has changed since.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(u64);

impl Model {
    /// Of a lane that is being made. Where it is not `exact`, changes race with each other too, and walks are judged
    /// by what holds always.
    pub(crate) fn new(exact: bool) -> Self {
        Self {
            exact,
            seq: AtomicU64::new(0),
            heads: std::array::from_fn(|_| AtomicU32::new(NOTHING)),
            forks: Vec::new(),
            files: Vec::new(),
            locked: AtomicBool::new(false),
        }
    }

    /// The moment before a walk.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.seq.load(SeqCst))
    }

    /// Whether nothing changes, or has changed, since that moment; never where changes are not counted.
    pub(crate) fn still(&self, moment: Moment) -> bool {
        self.exact && moment.0.is_multiple_of(2) && self.seq.load(SeqCst) == moment.0
    }

    /// Changes the lane, and the model if the kernel did it. In an exact lane one change goes on at a time; `None` if
    /// another one does: waiting for it could be for ever.
    pub(crate) fn change(
        &self,
        act: impl FnOnce() -> Answer<()>,
        then: impl FnOnce(&Self),
    ) -> Option<Answer<()>> {
        if !self.exact {
            return Some(act());
        }
        let now = self.seq.load(SeqCst);
        let begun = now.is_multiple_of(2)
            && self
                .seq
                .compare_exchange(now, now + 1, SeqCst, SeqCst)
                .is_ok();
        if !begun {
            return None;
        }
        let answer = act();
        if answer.is_ok() {
            then(self);
        }
        self.seq.store(now + 2, SeqCst);
        Some(answer)
    }

    /// What a first component leads to, symlinks followed.
    pub(crate) fn head(&self, head: usize) -> u32 {
        match self.heads[head].load(SeqCst) {
            LINK => self.heads[A].load(SeqCst),
            other => other,
        }
    }

    /// The node at a level of a way: 0 is the first one. `None` where the way does not lead.
    pub(crate) fn node(&self, way: &Way, level: usize) -> Option<u32> {
        let head = self.head(way.head);
        (head < LINK).then(|| self.down(head, &way.turns[..level]))
    }

    fn down(&self, from: u32, turns: &[usize]) -> u32 {
        let step = |node: u32, turn: &usize| self.forks[node as usize][*turn].load(SeqCst);
        turns.iter().fold(from, step)
    }

    /// What a walk to the file of a way must answer: its inode, or an errno.
    pub(crate) fn expected(&self, way: &Way) -> Answer<u64> {
        match self.head(way.head) {
            NOTHING | EMPTY => Err(libc::ENOENT),
            FILE => Err(libc::ENOTDIR),
            node => Ok(self.files[self.down(node, &way.turns) as usize]),
        }
    }

    /// Two names of forks change places.
    pub(crate) fn swap(&self, [one, other]: [(u32, usize); 2]) {
        let cell = |(node, turn): (u32, usize)| &self.forks[node as usize][turn];
        let (a, b) = (cell(one), cell(other));
        let was = a.swap(b.load(SeqCst), SeqCst);
        b.store(was, SeqCst);
    }

    /// Two first components change places.
    pub(crate) fn swap_heads(&self, one: usize, other: usize) {
        let was = self.heads[one].swap(self.heads[other].load(SeqCst), SeqCst);
        self.heads[other].store(was, SeqCst);
    }

    /// Whether every change is counted here.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }

    /// The inode belongs to one of the lane's files.
    pub(crate) fn has_file(&self, ino: u64) -> bool {
        self.files.contains(&ino)
    }
}

/// An answer in words.
pub(crate) fn shown(answer: Answer<u64>) -> String {
    match answer {
        Ok(ino) => format!("inode {ino}"),
        Err(errno) => errno_name(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::S;
    use super::*;

    fn model(exact: bool) -> Model {
        let mut model = Model::new(exact);
        let fork = |a, b| [AtomicU32::new(a), AtomicU32::new(b)];
        model.forks = vec![
            fork(1, 2),
            fork(3, 4),
            fork(5, 6),
            fork(0, 1),
            fork(2, 3),
            fork(4, 5),
            fork(6, 7),
        ];
        model.files = (100..108).collect();
        model.heads[A].store(0, SeqCst);
        model.heads[S].store(LINK, SeqCst);
        model
    }

    #[test]
    fn the_model_follows_exchanges_and_links() {
        let model = model(true);
        let way = |bits| Way::new(A as u32, bits);
        assert_eq!(model.expected(&way(0)), Ok(100));
        assert_eq!(model.expected(&way(7)), Ok(107));
        assert_eq!(model.expected(&Way::new(S as u32, 7)), Ok(107));
        assert_eq!(model.expected(&Way::new(9, 7)), Err(libc::ENOENT));
        let one = (model.node(&way(0), 1).unwrap(), 0);
        let other = (model.node(&way(1), 1).unwrap(), 1);
        model.swap([one, other]);
        assert_eq!(model.expected(&way(0)), Ok(106));
        assert_eq!(model.expected(&way(7)), Ok(101));
    }

    #[test]
    fn only_a_moment_without_changes_is_judged() {
        let exact = model(true);
        let before = exact.now();
        assert!(exact.still(before));
        let nested = exact.change(
            || {
                assert!(!exact.still(before) && !exact.still(exact.now()));
                assert_eq!(exact.change(|| Ok(()), |_| ()), None);
                Ok(())
            },
            |_| (),
        );
        assert_eq!(nested, Some(Ok(())));
        assert!(!exact.still(before) && exact.still(exact.now()));
        let loose = model(false);
        assert!(!loose.still(loose.now()));
    }
}
