// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who waits for whom: tasks, and the locks, dentries, RPCs and events between them, as a directed graph. An edge leads
//! from who waits to what is waited for, and from there to who is to end the wait.

use super::knots::{Cycle, Root, knots};
use super::model::{Autopsy, Dentry, Lock, Task, Wait};
use super::show::{dentry_title, task_name};
use std::collections::{BTreeMap, BTreeSet};

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A task; the key is its id.
    Task,
    /// A lock; the key is its address.
    Lock,
    /// A dentry in lookup, or one that is waited for as if it were; the key is its address.
    Dentry,
    /// An RPC in flight; the key is its number.
    Rpc,
    /// Anything else that a task sleeps for; the key is the function that it sleeps in, and the task's id.
    Event,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it stands for.
    pub kind: Kind,
    /// What tells it from others of its kind.
    pub key: String,
    /// Its name, for people.
    pub title: String,
    /// What else is worth a line: where a task waits, whether a dentry is in lookup.
    pub detail: String,
    /// The cycle it is part of, by its place in [`Graph::cycles`].
    pub cycle: Option<usize>,
}

/// What an edge says of its beginning: «waits for», «held by»…
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// The task waits for the thing.
    WaitsFor,
    /// The lock is held by the task alone.
    HeldBy,
    /// The lock is held by the task, shared.
    HeldSharedBy,
    /// The dentry is being looked up by the task.
    LookedUpBy,
    /// The task is to end the wait.
    EndedBy,
}

impl Link {
    /// The words on the edge.
    pub fn words(self) -> &'static str {
        match self {
            Link::WaitsFor => "waits for",
            Link::HeldBy => "held by",
            Link::HeldSharedBy => "held shared by",
            Link::LookedUpBy => "looked up by",
            Link::EndedBy => "to be ended by",
        }
    }
}

/// An edge, between places in [`Graph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Where it begins.
    pub from: usize,
    /// Where it leads.
    pub to: usize,
    /// What it says.
    pub link: Link,
    /// The cycle it closes with others, by its place in [`Graph::cycles`].
    pub cycle: Option<usize>,
}

/// The graph, with what follows from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// Nodes, in the order in which waits name them.
    pub nodes: Vec<Node>,
    /// Edges, each once, in the order of their ends.
    pub edges: Vec<Edge>,
    /// Cycles: each is one set of tasks that wait for each other for good.
    pub cycles: Vec<Cycle>,
    /// Where the waits lead to, the one that most tasks wait for first.
    pub roots: Vec<Root>,
    next: Vec<Vec<usize>>,
    before: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of an autopsy.
    pub fn of(autopsy: &Autopsy) -> Self {
        let mut making = Making::new(autopsy);
        making.locks();
        making.dentries();
        making.waits();
        making.sleeps();
        Self::finish(making.nodes, making.edges)
    }

    fn finish(mut nodes: Vec<Node>, edges: BTreeMap<(usize, usize), Link>) -> Self {
        let mut next = vec![Vec::new(); nodes.len()];
        let mut before = vec![Vec::new(); nodes.len()];
        for (from, to) in edges.keys() {
            next[*from].push(*to);
            before[*to].push(*from);
        }
        let is_task: Vec<bool> = nodes.iter().map(|node| node.kind == Kind::Task).collect();
        let (cycles, roots) = knots(&next, &before, &is_task);
        for (number, cycle) in cycles.iter().enumerate() {
            for at in &cycle.nodes {
                nodes[*at].cycle = Some(number);
            }
        }
        let edges = (edges.into_iter())
            .map(|((from, to), link)| Edge {
                from,
                to,
                link,
                cycle: (nodes[from].cycle).filter(|cycle| nodes[to].cycle == Some(*cycle)),
            })
            .collect();
        Self {
            nodes,
            edges,
            cycles,
            roots,
            next,
            before,
        }
    }

    /// What a node waits for, or who is to end the wait for it.
    pub fn after(&self, at: usize) -> &[usize] {
        &self.next[at]
    }

    /// Who waits for a node, or what a task holds.
    pub fn before(&self, at: usize) -> &[usize] {
        &self.before[at]
    }

    /// The edge between two nodes.
    pub fn edge(&self, from: usize, to: usize) -> Option<&Edge> {
        let at = (self.edges).binary_search_by_key(&(from, to), |edge| (edge.from, edge.to));
        at.ok().map(|at| &self.edges[at])
    }

    /// All nodes: those nearest to the roots first.
    pub fn order(&self) -> Vec<usize> {
        let mut seen = vec![false; self.nodes.len()];
        let mut order = Vec::new();
        let roots = self
            .roots
            .iter()
            .flat_map(|root| root.nodes.iter().copied());
        for start in roots.chain(0..self.nodes.len()) {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            let mut at = order.len();
            order.push(start);
            while let Some(node) = order.get(at).copied() {
                for before in &self.before[node] {
                    if !std::mem::replace(&mut seen[*before], true) {
                        order.push(*before);
                    }
                }
                at += 1;
            }
        }
        order
    }
}

/// A graph being made.
struct Making<'a> {
    tasks: BTreeMap<i32, &'a Task>,
    locks: BTreeMap<&'a str, &'a Lock>,
    dentries: BTreeMap<&'a str, &'a Dentry>,
    sleeping: BTreeMap<i32, &'a Wait>,
    autopsy: &'a Autopsy,
    place: BTreeMap<(Kind, String), usize>,
    nodes: Vec<Node>,
    edges: BTreeMap<(usize, usize), Link>,
}

impl<'a> Making<'a> {
    fn new(autopsy: &'a Autopsy) -> Self {
        let locks = autopsy.locks.iter();
        let dentries = autopsy.dentries.iter();
        Self {
            tasks: autopsy.tasks.iter().map(|t| (t.tid, t)).collect(),
            locks: locks.map(|l| (l.address.as_str(), l)).collect(),
            dentries: dentries.map(|d| (d.address.as_str(), d)).collect(),
            sleeping: (autopsy.waits.iter().rev()).map(|w| (w.tid, w)).collect(),
            autopsy,
            place: BTreeMap::new(),
            nodes: Vec::new(),
            edges: BTreeMap::new(),
        }
    }

    /// Locks that somebody waits for, with who holds them.
    fn locks(&mut self) {
        let autopsy = self.autopsy;
        for lock in autopsy.locks.iter().filter(|l| !l.waiters.is_empty()) {
            let at = self.thing("lock", &lock.address, "");
            lock.waiters.iter().for_each(|tid| self.waits_for(*tid, at));
            self.held(at, lock);
        }
    }

    fn held(&mut self, at: usize, lock: &Lock) {
        let link = match lock.shared {
            true => Link::HeldSharedBy,
            false => Link::HeldBy,
        };
        for owner in &lock.owners {
            let owner = self.task(*owner);
            self.edges.entry((at, owner)).or_insert(link);
        }
    }

    /// Dentries that somebody waits for.
    fn dentries(&mut self) {
        let autopsy = self.autopsy;
        for dentry in autopsy.dentries.iter().filter(|d| !d.waiters.is_empty()) {
            let at = self.thing("dentry", &dentry.address, "");
            (dentry.waiters.iter()).for_each(|tid| self.waits_for(*tid, at));
        }
    }

    /// What each task says of its own wait; sleeps for events come later.
    fn waits(&mut self) {
        let autopsy = self.autopsy;
        for wait in &autopsy.waits {
            if matches!(wait.kind.as_str(), "lock" | "dentry" | "rpc") || !wait.by.is_empty() {
                self.wait(wait);
            }
        }
    }

    fn wait(&mut self, wait: &Wait) {
        let at = self.thing(&wait.kind, &self.key_of(wait), &wait.what);
        self.waits_for(wait.tid, at);
        let lock = self.locks.get(wait.on.as_str()).copied();
        if let (Kind::Lock, Some(lock)) = (self.nodes[at].kind, lock) {
            self.held(at, lock);
        }
        for by in &wait.by {
            let by = self.task(*by);
            let link = match self.nodes[at].kind {
                Kind::Lock => Link::HeldBy,
                Kind::Dentry => Link::LookedUpBy,
                Kind::Task | Kind::Rpc | Kind::Event => Link::EndedBy,
            };
            self.edges.entry((at, by)).or_insert(link);
        }
    }

    /// Sleeps for events matter where somebody waits for the sleeper.
    fn sleeps(&mut self) {
        let autopsy = self.autopsy;
        let wanted: BTreeSet<usize> = self.edges.keys().map(|(_, to)| *to).collect();
        for wait in autopsy.waits.iter().filter(|wait| wait.by.is_empty()) {
            let event = !matches!(wait.kind.as_str(), "lock" | "dentry" | "rpc");
            let task = self.place.get(&(Kind::Task, wait.tid.to_string()));
            if event && task.is_some_and(|at| wanted.contains(at)) {
                self.wait(wait);
            }
        }
    }

    /// Two tasks that sleep in one function wait for two things. Of a thing without a name, that function is all that is
    /// known.
    fn key_of(&self, wait: &Wait) -> String {
        match wait.kind.as_str() {
            "lock" | "dentry" | "rpc" if wait.on.is_empty() => wait.what.clone(),
            "lock" | "dentry" | "rpc" => wait.on.clone(),
            _ => format!("{} {}", wait.on, wait.tid),
        }
    }

    fn waits_for(&mut self, tid: i32, thing: usize) {
        let task = self.task(tid);
        self.edges.insert((task, thing), Link::WaitsFor);
    }

    fn task(&mut self, tid: i32) -> usize {
        let task = self.tasks.get(&tid).copied();
        let title = task.map_or_else(|| format!("task {tid}"), task_name);
        let wait = self.sleeping.get(&tid);
        let detail = match (wait, task) {
            (Some(wait), _) => wait.what.split(':').next().unwrap_or_default().to_owned(),
            (None, Some(task)) if task.on_cpu => "runs".to_owned(),
            (None, Some(task)) => format!("state {}", task.state),
            (None, None) => "not listed".to_owned(),
        };
        self.node(Kind::Task, tid.to_string(), title, detail)
    }

    fn thing(&mut self, kind: &str, key: &str, what: &str) -> usize {
        let (kind, title, detail) = match kind {
            "lock" => self.lock(key),
            "dentry" => self.dentry(key),
            "rpc" => self.rpc(key),
            _ => {
                let function = key.split(' ').next().unwrap_or(key);
                (Kind::Event, function.to_owned(), what.to_owned())
            }
        };
        self.node(kind, key.to_owned(), title, detail)
    }

    fn lock(&self, key: &str) -> (Kind, String, String) {
        match self.locks.get(key) {
            Some(lock) if lock.owners.is_empty() => {
                let detail = format!("{}, no owner found", lock.kind);
                (Kind::Lock, lock.name.clone(), detail)
            }
            Some(lock) => (Kind::Lock, lock.name.clone(), lock.kind.clone()),
            None => (Kind::Lock, unnamed("lock", key), String::new()),
        }
    }

    fn dentry(&self, key: &str) -> (Kind, String, String) {
        match self.dentries.get(key) {
            Some(dentry) => {
                let detail = match dentry.in_lookup {
                    true => "in lookup",
                    false => "not in lookup",
                };
                (Kind::Dentry, dentry_title(dentry), detail.to_owned())
            }
            None => (Kind::Dentry, unnamed("dentry", key), String::new()),
        }
    }

    fn rpc(&self, key: &str) -> (Kind, String, String) {
        let found = (self.autopsy.rpc.iter()).find(|rpc| rpc.id.to_string() == key);
        let title = found.map_or_else(
            || unnamed("RPC", key),
            |rpc| format!("RPC {key} {}", rpc.procedure),
        );
        let queue = found.and_then(|rpc| rpc.queue.clone()).unwrap_or_default();
        (Kind::Rpc, title, queue)
    }

    fn node(&mut self, kind: Kind, key: String, title: String, detail: String) -> usize {
        let next = self.nodes.len();
        let at = *self.place.entry((kind, key.clone())).or_insert(next);
        if at == next {
            self.nodes.push(Node {
                kind,
                key,
                title,
                detail,
                cycle: None,
            });
        }
        at
    }
}

/// A thing of which only the key is known: an address, or words with the function before them.
fn unnamed(kind: &str, key: &str) -> String {
    match key.split_once(": ") {
        Some((function, words)) => format!("{words} in {function}()"),
        None => format!("{kind} {key}"),
    }
}
