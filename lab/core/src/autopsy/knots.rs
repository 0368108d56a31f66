// SPDX-License-Identifier: MIT OR Apache-2.0
//! What follows from the shape of a wait graph alone: cycles, and where all waits lead to.

use std::collections::{BTreeSet, VecDeque};

/// A cycle: nodes each of which can be reached from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// All of them, in ascending order.
    pub nodes: Vec<usize>,
    /// A shortest way round, begun at its first task; the last leads to the first again.
    pub way: Vec<usize>,
}

/// Where waits lead to: a node that waits for nothing, or a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The node, or the nodes of the cycle.
    pub nodes: Vec<usize>,
    /// The cycle, by its place in the list.
    pub cycle: Option<usize>,
    /// How many tasks wait for it, those in the cycle and those behind others counted.
    pub waiting: usize,
}

/// Cycles and roots of a graph: `next` and `before` are its edges from either end.
pub(super) fn knots(
    next: &[Vec<usize>],
    before: &[Vec<usize>],
    is_task: &[bool],
) -> (Vec<Cycle>, Vec<Root>) {
    let (mut cycles, mut roots) = (Vec::new(), Vec::new());
    for mut nodes in components(next) {
        nodes.sort_unstable();
        let alone = nodes.len() == 1 && !next[nodes[0]].contains(&nodes[0]);
        let leads_on =
            (nodes.iter()).any(|at| next[*at].iter().any(|to| nodes.binary_search(to).is_err()));
        if !alone {
            cycles.push(Cycle {
                way: way(next, &nodes, is_task),
                nodes: nodes.clone(),
            });
        }
        if !alone || !leads_on {
            roots.push((nodes, !alone));
        }
    }
    cycles.sort_by(|a, b| a.nodes.cmp(&b.nodes));
    let mut roots: Vec<Root> = (roots.into_iter())
        .map(|(nodes, cyclic)| Root {
            waiting: waiting(before, &nodes, cyclic, is_task),
            cycle: (cycles.iter().position(|c| c.nodes == nodes)).filter(|_| cyclic),
            nodes,
        })
        .filter(|root| root.waiting > 0)
        .collect();
    roots.sort_by(|a, b| (b.waiting, &a.nodes).cmp(&(a.waiting, &b.nodes)));
    (cycles, roots)
}

/// Strongly connected components (Tarjan's way, with a stack of its own: a chain of waits may be as long as a kernel
/// has tasks).
fn components(next: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let count = next.len();
    let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
    let mut open = vec![false; count];
    let (mut stack, mut work, mut found) = (Vec::new(), Vec::new(), Vec::new());
    let mut number = 0;
    for start in 0..count {
        if index[start] != UNSEEN {
            continue;
        }
        work.push((start, 0));
        while let Some((at, edge)) = work.pop() {
            if edge == 0 {
                (index[at], low[at], open[at]) = (number, number, true);
                number += 1;
                stack.push(at);
            }
            if let Some(to) = next[at].get(edge).copied() {
                work.push((at, edge + 1));
                if index[to] == UNSEEN {
                    work.push((to, 0));
                } else if open[to] {
                    low[at] = low[at].min(index[to]);
                }
                continue;
            }
            if low[at] == index[at] {
                let from = stack.iter().rposition(|node| *node == at).unwrap_or(0);
                let component = stack.split_off(from);
                component.iter().for_each(|node| open[*node] = false);
                found.push(component);
            }
            if let Some((parent, _)) = work.last() {
                low[*parent] = low[*parent].min(low[at]);
            }
        }
    }
    found
}

/// A shortest way round within a component, from its first task.
fn way(next: &[Vec<usize>], nodes: &[usize], is_task: &[bool]) -> Vec<usize> {
    let inside: BTreeSet<usize> = nodes.iter().copied().collect();
    let first = nodes.iter().copied().find(|at| is_task[*at]);
    let start = first.unwrap_or(nodes[0]);
    let mut from = std::collections::BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for to in next[at].iter().filter(|to| inside.contains(to)) {
            if *to == start {
                let mut way = vec![at];
                while let Some(before) = from.get(&way[way.len() - 1]) {
                    way.push(*before);
                }
                way.reverse();
                return way;
            }
            if !from.contains_key(to) {
                from.insert(*to, at);
                queue.push_back(*to);
            }
        }
    }
    nodes.to_vec()
}

/// Tasks from which the nodes can be reached; the nodes' own tasks count in a cycle alone.
fn waiting(before: &[Vec<usize>], nodes: &[usize], cyclic: bool, is_task: &[bool]) -> usize {
    let mut seen: BTreeSet<usize> = nodes.iter().copied().collect();
    let mut queue: Vec<usize> = nodes.to_vec();
    while let Some(at) = queue.pop() {
        queue.extend(before[at].iter().copied().filter(|from| seen.insert(*from)));
    }
    let all = seen.iter().filter(|at| is_task[**at]).count();
    let own = nodes.iter().filter(|at| is_task[**at]).count();
    match cyclic {
        true => all,
        false => all - own,
    }
}
