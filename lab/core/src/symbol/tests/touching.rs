// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines carried through a series, against a file whose every line knows who wrote it.

use crate::symbol::touch::{Hunk, Touches};
use proptest::prelude::*;

/// The model: a line is the number of the patch that wrote it (0: the base), and each gap between lines holds those
/// that cut something there.
#[derive(Debug, Clone, Default)]
struct File {
    lines: Vec<u32>,
    /// One more than lines; `cuts[n]`: after line n.
    cuts: Vec<Vec<u32>>,
}

/// Takes out `gone` lines after `skip` lines that stay, and puts `new` in their place.
#[derive(Debug, Clone)]
struct Edit {
    skip: usize,
    gone: usize,
    new: usize,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit =
        (1_usize..6, 0_usize..5, 0_usize..5).prop_map(|(skip, gone, new)| Edit { skip, gone, new });
    prop::collection::vec(edit, 0..5)
}

impl File {
    fn new(lines: usize) -> Self {
        Self {
            lines: vec![0; lines],
            cuts: vec![Vec::new(); lines + 1],
        }
    }

    /// Applies a patch to the model, and tells it as hunks.
    fn patch(&mut self, patch: u32, edits: &[Edit]) -> Vec<Hunk> {
        let mut next = File::default();
        next.cuts.push(self.cuts[0].clone());
        let mut hunks = Vec::new();
        let mut old = 0;
        for edit in edits {
            if old + edit.skip > self.lines.len() {
                break;
            }
            self.keep(&mut next, old, old + edit.skip);
            old += edit.skip;
            let gone = edit.gone.min(self.lines.len() - old);
            if gone == 0 && edit.new == 0 {
                continue;
            }
            hunks.push(Hunk {
                old_start: (old + usize::from(gone > 0)) as u32,
                old_lines: gone as u32,
                new_start: (next.lines.len() + usize::from(edit.new > 0)) as u32,
                new_lines: edit.new as u32,
            });
            let here = next.lines.len();
            // Cuts among the lines that go are told at the gap before what replaces them.
            for n in old + 1..=old + gone {
                next.cuts[here].extend(self.cuts[n].clone());
            }
            if edit.new == 0 {
                next.cuts[here].push(patch);
            }
            for _ in 0..edit.new {
                next.lines.push(patch);
                next.cuts.push(Vec::new());
            }
            old += gone;
        }
        self.keep(&mut next, old, self.lines.len());
        *self = next;
        hunks
    }

    fn keep(&self, next: &mut File, from: usize, to: usize) {
        for n in from..to {
            next.lines.push(self.lines[n]);
            next.cuts.push(self.cuts[n + 1].clone());
        }
    }
}

proptest! {
    #[test]
    fn each_line_knows_its_patch(lines in 0_usize..30, series in prop::collection::vec(edits(), 0..7)) {
        let mut file = File::new(lines);
        let mut touches = Touches::default();
        let mut patches = Vec::new();
        for (index, edits) in series.iter().enumerate() {
            let patch = index as u32 + 1;
            let hunks = file.patch(patch, edits);
            touches.step(patch, &hunks);
            if !hunks.is_empty() {
                patches.push(patch);
            }
        }
        for (index, writer) in file.lines.iter().enumerate() {
            let wanted: Vec<u32> = Some(*writer).filter(|w| *w > 0).into_iter().collect();
            prop_assert_eq!(touches.line(index as u32 + 1), wanted);
        }
        // A patch that did something is never forgotten: some part of the file still tells of it.
        let end = file.lines.len() as u32;
        prop_assert_eq!(touches.within(0, end + 1), patches);
        // Cuts of the model are told where they are.
        for (after, cutters) in file.cuts.iter().enumerate().skip(1) {
            let told = touches.within(after as u32, after as u32 + 1);
            prop_assert!(cutters.iter().all(|c| told.contains(c)), "{} {:?} {:?}", after, cutters, told);
        }
    }

    #[test]
    fn no_hunks_panic(all in prop::collection::vec((any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()), 0..8)) {
        let hunks: Vec<Hunk> = (all.iter())
            .map(|(a, b, c, d)| Hunk { old_start: *a, old_lines: *b, new_start: *c, new_lines: *d })
            .collect();
        let mut touches = Touches::default();
        touches.step(1, &hunks);
        touches.step(2, &hunks);
        touches.within(0, u32::MAX);
    }
}

#[test]
fn what_a_later_patch_takes_out_is_still_the_functions() {
    let hunk = |old_start, old_lines, new_start, new_lines| Hunk {
        old_start,
        old_lines,
        new_start,
        new_lines,
    };
    let mut touches = Touches::default();
    touches.step(1, &[hunk(10, 0, 11, 3)]);
    assert_eq!(touches.line(12), [1]);
    touches.step(2, &[hunk(2, 1, 1, 0), hunk(11, 3, 9, 0)]);
    assert_eq!(touches.line(12), [] as [u32; 0]);
    assert_eq!(touches.within(5, 20), [1, 2]);
    assert_eq!(touches.within(11, 20), [] as [u32; 0]);
}
