// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an autopsy says in a line or a few: where the trouble is, as far as the dump proves it.

use super::graph::{Graph, Kind, Link};
use super::knots::{Cycle, Root};
use super::model::{Autopsy, Dentry, Task};
use super::show::{crash_frames, name_of, place, stuck_in, task_name};

/// Names listed before the rest is counted.
const NAMES: usize = 8;

/// The lines, the most telling first. Never empty.
pub fn headlines(autopsy: &Autopsy, graph: &Graph) -> Vec<String> {
    let mut lines: Vec<String> = crashed(autopsy).into_iter().collect();
    lines.extend(graph.cycles.iter().map(|way| cycle(graph, way)));
    let of = |wanted: &[Kind]| -> Vec<String> {
        let open = graph.roots.iter().filter(|root| root.cycle.is_none());
        let open = open.filter(|root| wanted.contains(&graph.nodes[root.nodes[0]].kind));
        open.filter_map(|root| self::root(autopsy, graph, root))
            .collect()
    };
    lines.extend(of(&[Kind::Dentry]));
    lines.extend(violations(autopsy));
    lines.extend(sequences(autopsy));
    lines.extend(of(&[Kind::Lock, Kind::Task, Kind::Event]));
    lines.extend(in_flight(graph));
    if lines.is_empty() {
        let tasks = autopsy.tasks.len();
        lines.push(format!(
            "no task waits for another, and the audit found nothing; {tasks} tasks are listed"
        ));
    }
    lines
}

fn crashed(autopsy: &Autopsy) -> Option<String> {
    let tid = autopsy.crashed?;
    let Some(task) = autopsy.tasks.iter().find(|task| task.tid == tid) else {
        return Some(format!("task {tid} crashed; it is not among those listed"));
    };
    let frame = crash_frames(task).first()?;
    let place = match place(frame) {
        place if place.is_empty() => place,
        place => format!(" at {place}"),
    };
    let (name, function) = (task_name(task), &frame.function);
    Some(format!("{name} crashed in {function}(){place}"))
}

/// `cycle: a waits for X, held by b, which waits for Y, held by a`.
fn cycle(graph: &Graph, cycle: &Cycle) -> String {
    let title = |at: usize| graph.nodes[at].title.as_str();
    let first = cycle.way.first().copied().unwrap_or_default();
    let mut text = format!("cycle: {}", title(first));
    let ends = cycle.way.iter().skip(1).chain([&first]);
    for (number, (from, to)) in cycle.way.iter().zip(ends).enumerate() {
        let link = graph.edge(*from, *to).map_or(Link::EndedBy, |e| e.link);
        let joint = match (link, number) {
            (Link::WaitsFor, 0) => " ",
            (Link::WaitsFor, _) => ", which ",
            _ => ", ",
        };
        text += &format!("{joint}{} {}", link.words(), title(*to));
    }
    let others = cycle.nodes.len().saturating_sub(cycle.way.len());
    if others > 0 {
        text += &format!(" (and {others} more that are caught in it)");
    }
    text
}

/// What one end of all waits is, and why it does not come.
fn root(autopsy: &Autopsy, graph: &Graph, root: &Root) -> Option<String> {
    let at = *root.nodes.first()?;
    let node = &graph.nodes[at];
    let waiting = waiters(graph, at, root.waiting);
    let why = match node.kind {
        Kind::Dentry => dentry_end(autopsy, &node.key),
        Kind::Lock => format!("{}, held by no task that was found", node.title),
        Kind::Rpc => node.title.clone(),
        Kind::Task => task_end(autopsy, graph, at),
        Kind::Event => event_end(graph, at)?,
    };
    Some(format!("{waiting} {why}"))
}

/// RPCs that tasks wait for: by themselves no trouble, so one line.
fn in_flight(graph: &Graph) -> Option<String> {
    let flying = |root: &&Root| graph.nodes[root.nodes[0]].kind == Kind::Rpc;
    let roots: Vec<&Root> = graph.roots.iter().filter(flying).collect();
    let waiting: usize = roots.iter().map(|root| root.waiting).sum();
    let names: Vec<&str> = (roots.iter())
        .map(|root| graph.nodes[root.nodes[0]].title.as_str())
        .collect();
    let tasks = if waiting == 1 {
        "1 task waits"
    } else {
        &format!("{waiting} tasks wait")
    };
    (!roots.is_empty()).then(|| format!("{tasks} for answers of the server: {}", list(&names)))
}

/// `4 tasks wait for` or `w1:71 waits for`.
fn waiters(graph: &Graph, at: usize, waiting: usize) -> String {
    // Who waits stands before the thing; a task that holds what is waited for stands one further on.
    let behind = graph.before(at).iter().flat_map(|thing| {
        let further: &[usize] = match graph.nodes[*thing].kind {
            Kind::Task => &[],
            _ => graph.before(*thing),
        };
        std::iter::once(thing).chain(further)
    });
    let mut tasks = behind.filter(|at| graph.nodes[**at].kind == Kind::Task);
    match (waiting, tasks.next()) {
        (1, Some(task)) => format!("{} waits for", graph.nodes[*task].title),
        (1, None) => "1 task waits for".to_owned(),
        _ => format!("{waiting} tasks wait for"),
    }
}

fn dentry_end(autopsy: &Autopsy, address: &str) -> String {
    let Some(dentry) = autopsy.dentries.iter().find(|d| d.address == address) else {
        return format!("dentry {address}, which is not among those listed");
    };
    let name = named(dentry);
    match dentry.in_lookup {
        false => format!("{name}, which is no longer in lookup: a lost wake-up"),
        true => format!(
            "{name}, in lookup by no task that was found: its lookup was begun and never ended (d_lookup_done)"
        ),
    }
}

/// `dentry "n3" (/d/n3, xfs vdb)`.
fn named(dentry: &Dentry) -> String {
    let mut inside = vec![dentry.path.as_str(), dentry.superblock.as_str()];
    inside.extend(dentry.side.as_deref());
    inside.retain(|part| !part.is_empty());
    format!("dentry \"{}\" ({})", dentry.name, inside.join(", "))
}

/// A task that waits for nothing and lets others wait.
fn task_end(autopsy: &Autopsy, graph: &Graph, at: usize) -> String {
    let node = &graph.nodes[at];
    let holds: Vec<&str> = (graph.before(at).iter())
        .map(|thing| graph.nodes[*thing].title.as_str())
        .collect();
    let task = (autopsy.tasks.iter()).find(|task| task.tid.to_string() == node.key);
    let state = match task {
        None => "is not listed: it may be gone".to_owned(),
        Some(task) if task.on_cpu => format!("runs{}", in_function(autopsy, task)),
        Some(task) if task.state == "R" => format!("is ready to run{}", in_function(autopsy, task)),
        Some(task) => format!("sleeps{}", in_function(autopsy, task)),
    };
    format!("{}, held by {}, which {state}", list(&holds), node.title)
}

/// The task that sleeps in an event, and what it lets others wait for.
fn event_end(graph: &Graph, at: usize) -> Option<String> {
    let task = *graph.before(at).first()?;
    let holds: Vec<&str> = (graph.before(task).iter())
        .map(|thing| graph.nodes[*thing].title.as_str())
        .collect();
    let (name, function) = (&graph.nodes[task].title, &graph.nodes[at].title);
    match holds.is_empty() {
        true => Some(format!("an event in {function}()")),
        false => Some(format!(
            "{}, held by {name}, which sleeps in {function}() (itself counted)",
            list(&holds)
        )),
    }
}

fn in_function(autopsy: &Autopsy, task: &Task) -> String {
    stuck_in(autopsy, task).map_or_else(String::new, |function| format!(" in {function}()"))
}

/// Directories to which somebody has been adding an entry since before the dump.
fn sequences(autopsy: &Autopsy) -> Vec<String> {
    let odd = |dentry: &&Dentry| {
        let seq = dentry.inode.as_ref().and_then(|inode| inode.dir_seq);
        seq.is_some_and(|seq| seq % 2 == 1)
    };
    let told = (autopsy.dentries.iter()).filter(odd).map(|dentry| {
        format!(
            "i_dir_seq of {} is odd: a task stands between start_dir_add() and end_dir_add()",
            named(dentry)
        )
    });
    told.collect()
}

fn violations(autopsy: &Autopsy) -> Vec<String> {
    let all = autopsy.audit.iter().flat_map(|audit| &audit.violations);
    all.map(|violation| {
        let times = match violation.times {
            0 | 1 => String::new(),
            times => format!(", {times} times"),
        };
        let mut about: Vec<String> = Vec::new();
        for address in &violation.dentries {
            let found = autopsy.dentries.iter().find(|d| d.address == *address);
            let path = found.map_or(address, |dentry| &dentry.path);
            if !about.contains(path) {
                about.push(path.clone());
            }
        }
        about.extend(violation.tasks.iter().map(|tid| name_of(autopsy, *tid)));
        let about: Vec<&str> = about.iter().map(String::as_str).collect();
        let by = match about.is_empty() {
            true => String::new(),
            false => format!(" ({})", list(&about)),
        };
        format!("audit: {}{times}{by}", violation.rule)
    })
    .collect()
}

/// Names with commas, the rest counted.
pub(super) fn list(names: &[&str]) -> String {
    let shown = names.iter().take(NAMES).copied().collect::<Vec<_>>();
    match names.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        rest => format!("{} and {rest} more", shown.join(", ")),
    }
}
