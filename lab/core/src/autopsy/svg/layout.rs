// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where boxes and wires stand: ranks from left to right along the edges, the order within a rank by the middle of the
//! neighbours, heights so that wires are short and no boxes overlap.

use std::collections::BTreeMap;

/// Pixels between two ranks.
const RANK_GAP: f64 = 88.0;
/// Pixels between two boxes of a rank.
const BOX_GAP: f64 = 14.0;
/// Height that a wire takes where it passes a rank.
const WIRE_HEIGHT: f64 = 10.0;
/// How much lower a wire that leads back meets its boxes.
const BACK_LOWER: f64 = 10.0;
/// Passes over the ranks, for the order and again for the heights.
const SWEEPS: usize = 8;

/// A box, by its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Place {
    fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

/// A wire from the right of one box to the left of another, by its points; `back`: it runs against the ranks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wire {
    pub(super) points: Vec<(f64, f64)>,
    pub(super) back: bool,
}

/// A drawing: as many places as boxes, as many wires as edges, in their order.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) wires: Vec<Wire>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Lays boxes of these sizes out, joined by these edges.
pub(super) fn layout(sizes: &[(f64, f64)], edges: &[(usize, usize)]) -> Layout {
    let back = back_edges(sizes.len(), edges);
    let along: Vec<(usize, usize)> = (edges.iter().zip(&back))
        .map(|((from, to), back)| if *back { (*to, *from) } else { (*from, *to) })
        .collect();
    let mut drawing = Drawing::new(sizes, &along);
    drawing.sort();
    drawing.stand();
    drawing.done(sizes.len(), &back)
}

/// Edges that must be turned round so that no cycle is left: those that lead back to where a walk is coming from.
fn back_edges(count: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        Open,
        Done,
    }
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut sources = vec![true; count];
    for (number, (from, to)) in edges.iter().enumerate() {
        out[*from].push(number);
        sources[*to] = false;
    }
    let mut starts: Vec<usize> = (0..count).collect();
    starts.sort_by_key(|at| !sources[*at]);
    let (mut seen, mut back) = (vec![Seen::Not; count], vec![false; edges.len()]);
    for start in starts {
        let mut work = vec![(start, 0)];
        while let Some((at, edge)) = work.pop() {
            if edge == 0 && seen[at] != Seen::Not {
                continue;
            }
            seen[at] = Seen::Open;
            let Some(number) = out[at].get(edge).copied() else {
                seen[at] = Seen::Done;
                continue;
            };
            work.push((at, edge + 1));
            match seen[edges[number].1] {
                Seen::Not => work.push((edges[number].1, 0)),
                Seen::Open => back[number] = true,
                Seen::Done => {}
            }
        }
    }
    back
}

/// Boxes, then the points at which long wires pass the ranks between.
struct Drawing {
    places: Vec<Place>,
    rank: Vec<usize>,
    /// Vertices of each rank, from above.
    ranks: Vec<Vec<usize>>,
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
    /// Vertices of each edge, from its left end.
    chains: Vec<Vec<usize>>,
}

impl Drawing {
    fn new(sizes: &[(f64, f64)], along: &[(usize, usize)]) -> Self {
        let place = |(width, height): &(f64, f64)| Place {
            x: 0.0,
            y: 0.0,
            width: *width,
            height: *height,
        };
        let mut drawing = Self {
            places: sizes.iter().map(place).collect(),
            rank: ranks(sizes.len(), along),
            ranks: Vec::new(),
            left: Vec::new(),
            right: Vec::new(),
            chains: Vec::new(),
        };
        let most = drawing.rank.iter().copied().max().unwrap_or(0);
        drawing.ranks = vec![Vec::new(); most + 1];
        for (at, rank) in drawing.rank.iter().enumerate() {
            drawing.ranks[*rank].push(at);
        }
        along
            .iter()
            .for_each(|(from, to)| drawing.chain(*from, *to));
        drawing.left = vec![Vec::new(); drawing.places.len()];
        drawing.right = vec![Vec::new(); drawing.places.len()];
        for pair in drawing.chains.iter().flat_map(|chain| chain.windows(2)) {
            drawing.right[pair[0]].push(pair[1]);
            drawing.left[pair[1]].push(pair[0]);
        }
        drawing
    }

    fn chain(&mut self, from: usize, to: usize) {
        let mut chain = vec![from];
        for rank in self.rank[from] + 1..self.rank[to] {
            let at = self.places.len();
            self.places.push(Place {
                x: 0.0,
                y: 0.0,
                width: 0.0,
                height: WIRE_HEIGHT,
            });
            self.rank.push(rank);
            self.ranks[rank].push(at);
            chain.push(at);
        }
        chain.push(to);
        self.chains.push(chain);
    }

    /// Orders each rank by the mean place of the neighbours in the rank before it, there and back again.
    fn sort(&mut self) {
        let mut order: Vec<f64> = vec![0.0; self.places.len()];
        let number = |order: &mut Vec<f64>, rank: &[usize]| {
            (rank.iter().enumerate()).for_each(|(place, at)| order[*at] = place as f64);
        };
        self.ranks.iter().for_each(|rank| number(&mut order, rank));
        for sweep in 0..SWEEPS {
            let forward = sweep % 2 == 1;
            for step in 0..self.ranks.len() {
                let rank = if forward {
                    step
                } else {
                    self.ranks.len() - 1 - step
                };
                let near = if forward { &self.left } else { &self.right };
                let wanted =
                    |at: usize| mean(near[at].iter().map(|n| order[*n])).unwrap_or(order[at]);
                let wanted: BTreeMap<usize, f64> = self.ranks[rank]
                    .iter()
                    .map(|at| (*at, wanted(*at)))
                    .collect();
                self.ranks[rank].sort_by(|a, b| wanted[a].total_cmp(&wanted[b]));
                number(&mut order, &self.ranks[rank]);
            }
        }
    }

    /// Gives each box its place.
    fn stand(&mut self) {
        let mut x = 0.0;
        for rank in &self.ranks {
            let width = rank
                .iter()
                .map(|at| self.places[*at].width)
                .fold(0.0, f64::max);
            let mut y = 0.0;
            for at in rank {
                let place = &mut self.places[*at];
                // Wires pass in the middle of a rank; boxes stand there too.
                (place.x, place.y) = (x + (width - place.width) / 2.0, y);
                y += place.height + BOX_GAP;
            }
            x += width + RANK_GAP;
        }
        for sweep in 0..SWEEPS {
            for step in 0..self.ranks.len() {
                let forward = sweep % 2 == 1;
                let rank = if forward {
                    step
                } else {
                    self.ranks.len() - 1 - step
                };
                self.pull(rank, forward);
            }
        }
        let top = self
            .places
            .iter()
            .map(|place| place.y)
            .fold(f64::INFINITY, f64::min);
        self.places.iter_mut().for_each(|place| place.y -= top);
    }

    /// Moves a rank's boxes as near to their neighbours' heights as their order and sizes let them.
    fn pull(&mut self, rank: usize, forward: bool) {
        let near = if forward { &self.left } else { &self.right };
        let middle = |at: usize| mean(near[at].iter().map(|n| self.places[*n].middle()));
        let (mut offset, mut offsets, mut wanted) = (0.0, Vec::new(), Vec::new());
        for at in &self.ranks[rank] {
            let place = &self.places[*at];
            let y = middle(*at).map_or(place.y, |middle| middle - place.height / 2.0);
            wanted.push(y - offset);
            offsets.push(offset);
            offset += place.height + BOX_GAP;
        }
        let heights = rising(&wanted).into_iter().zip(offsets);
        for (at, (y, offset)) in self.ranks[rank].iter().zip(heights) {
            self.places[*at].y = y + offset;
        }
    }

    fn done(self, boxes: usize, back: &[bool]) -> Layout {
        let wires = (self.chains.iter().zip(back))
            .map(|(chain, back)| self.wire(chain, *back))
            .collect();
        let far = |side: fn(&Place) -> f64| self.places.iter().map(side).fold(0.0, f64::max);
        Layout {
            wires,
            width: far(|place| place.x + place.width),
            height: far(|place| place.y + place.height),
            places: self.places[..boxes].to_vec(),
        }
    }

    fn wire(&self, chain: &[usize], back: bool) -> Wire {
        let mut points = Vec::new();
        for (number, at) in chain.iter().enumerate() {
            let place = &self.places[*at];
            if number > 0 {
                points.push((place.x, place.middle()));
            }
            if number + 1 < chain.len() {
                points.push((place.x + place.width, place.middle()));
            }
        }
        if back {
            // A wire that leads back meets its boxes below those that lead on.
            let last = points.len() - 1;
            points[0].1 += BACK_LOWER;
            points[last].1 += BACK_LOWER;
            points.reverse();
        }
        points.dedup();
        Wire { points, back }
    }
}

/// The rank of each box, so that each edge leads to the right and ends of waits stand as far right as can be.
fn ranks(count: usize, along: &[(usize, usize)]) -> Vec<usize> {
    let mut left: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut open = vec![0; count];
    for (from, to) in along {
        left[*to].push(*from);
        open[*from] += 1;
    }
    let mut depth = vec![0; count];
    let mut ready: Vec<usize> = (0..count).filter(|at| open[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        for from in &left[at] {
            depth[*from] = depth[*from].max(depth[at] + 1);
            open[*from] -= 1;
            if open[*from] == 0 {
                ready.push(*from);
            }
        }
    }
    let most = depth.iter().copied().max().unwrap_or(0);
    depth.iter().map(|depth| most - depth).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
    (count > 0.0).then(|| sum / count)
}

/// The never falling row of numbers that is nearest to the given one, by least squares (neighbours that fall are pooled).
fn rising(wanted: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for value in wanted {
        let mut pool = (*value, 1);
        while let Some((sum, count)) = pools.last().copied() {
            if sum / count as f64 <= pool.0 / pool.1 as f64 {
                break;
            }
            pool = (pool.0 + sum, pool.1 + count);
            pools.pop();
        }
        pools.push(pool);
    }
    (pools.iter())
        .flat_map(|(sum, count)| std::iter::repeat_n(sum / *count as f64, *count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graphs() -> impl Strategy<Value = (usize, Vec<(usize, usize)>)> {
        (2_usize..40).prop_flat_map(|count| {
            let edge = (0..count, 0..count).prop_filter("no loop", |(a, b)| a != b);
            (Just(count), proptest::collection::vec(edge, 0..80))
        })
    }

    proptest! {
        #[test]
        fn boxes_never_overlap_and_wires_join_their_boxes((count, edges) in graphs()) {
            let sizes = vec![(120.0, 40.0); count];
            let drawn = layout(&sizes, &edges);
            prop_assert_eq!((drawn.places.len(), drawn.wires.len()), (count, edges.len()));
            for (number, a) in drawn.places.iter().enumerate() {
                prop_assert!(a.x >= 0.0 && a.y >= -0.001 && a.x + a.width <= drawn.width + 0.001);
                prop_assert!(a.y + a.height <= drawn.height + 0.001);
                for b in &drawn.places[..number] {
                    let apart = a.x >= b.x + b.width || b.x >= a.x + a.width
                        || a.y >= b.y + b.height || b.y >= a.y + a.height;
                    prop_assert!(apart, "{a:?} {b:?}");
                }
            }
            for (wire, (from, to)) in drawn.wires.iter().zip(&edges) {
                let (first, last) = (wire.points[0], wire.points[wire.points.len() - 1]);
                let (from, to) = (&drawn.places[*from], &drawn.places[*to]);
                let side = |place: &Place, right: bool| if right { place.x + place.width } else { place.x };
                let lower = if wire.back { BACK_LOWER } else { 0.0 };
                prop_assert_eq!(first, (side(from, !wire.back), from.middle() + lower));
                prop_assert_eq!(last, (side(to, wire.back), to.middle() + lower));
            }
        }
    }

    #[test]
    fn what_is_waited_for_stands_right_and_a_cycle_has_one_wire_back() {
        let drawn = layout(&[(50.0, 20.0); 4], &[(0, 1), (1, 2), (2, 3), (3, 0)]);
        let x: Vec<f64> = drawn.places.iter().map(|place| place.x).collect();
        assert!(x.windows(2).all(|pair| pair[0] < pair[1]), "{x:?}");
        let back: Vec<bool> = drawn.wires.iter().map(|wire| wire.back).collect();
        assert_eq!(back, [false, false, false, true]);
    }

    #[test]
    fn falling_neighbours_are_pooled() {
        assert_eq!(
            rising(&[1.0, 5.0, 3.0, 9.0, 0.0]),
            [1.0, 4.0, 4.0, 4.5, 4.5]
        );
    }
}
