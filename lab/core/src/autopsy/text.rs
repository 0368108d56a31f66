// SPDX-License-Identifier: MIT OR Apache-2.0
//! `autopsy.txt`: a report that is read from top to bottom.

use super::graph::{Graph, Kind};
use super::headline::{headlines, list};
use super::model::{Autopsy, Dentry, Frame, Held, Task};
use super::show::{crash_frames, harmless_autopsy, name_of, place, stuck_in, task_name};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How deep a chain of waits is drawn.
const DEEPEST: usize = 24;
/// Reasons given for a dentry.
const REASONS: usize = 6;
/// Waiters drawn below one thing.
const WIDEST: usize = 40;

/// The report.
pub fn text(autopsy: &Autopsy) -> String {
    let autopsy = harmless_autopsy(autopsy);
    let graph = Graph::of(&autopsy);
    let mut page = Page(head(&autopsy));
    for line in headlines(&autopsy, &graph) {
        page.line(0, &line);
    }
    page.part("Who waits for whom", waits(&graph));
    page.part("The crashed task", crash(&autopsy));
    page.part("Blocked tasks", blocked(&autopsy));
    page.part("Tasks that ran", running(&autopsy));
    page.part("Locks", locks(&autopsy));
    page.part("Held locks (lockdep)", held(&autopsy));
    page.part("Dentries", dentries(&autopsy));
    page.part("RPC tasks in flight", rpc(&autopsy));
    page.part("Audit of the dentry cache", audit(&autopsy));
    page.part("What could not be read", list_of(&autopsy.warnings));
    page.0
}

/// The lines that say where the trouble is, fit to show.
pub fn summary(autopsy: &Autopsy) -> Vec<String> {
    let autopsy = harmless_autopsy(autopsy);
    headlines(&autopsy, &Graph::of(&autopsy))
}

/// Lines being written. Writing to a string cannot fail.
struct Page(String);

impl Page {
    fn new() -> Self {
        Self(String::new())
    }
    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.0, "{:indent$}{text}", "");
    }
    fn part(&mut self, title: &str, body: Page) {
        if !body.0.is_empty() {
            let _ = write!(self.0, "\n{title}\n\n{}", body.0);
        }
    }
}

fn head(autopsy: &Autopsy) -> String {
    let id = match autopsy.build_id.as_str() {
        "" => String::new(),
        id => format!(", build id {id}"),
    };
    let Autopsy {
        release,
        uptime,
        drgn,
        ..
    } = autopsy;
    format!("Autopsy of {release}{id}, {uptime:.1} s after boot, read with drgn {drgn}\n\n")
}

/// Each root with those who wait for it below, and those who wait for them below these.
fn waits(graph: &Graph) -> Page {
    let mut page = Page::new();
    let mut shown = vec![false; graph.nodes.len()];
    for (number, cycle) in graph.cycles.iter().enumerate() {
        page.line(2, &format!("cycle {}", number + 1));
        let ends = cycle.way.iter().skip(1).chain(cycle.way.first());
        for (from, to) in cycle.way.iter().zip(ends) {
            let words = graph.edge(*from, *to).map_or("", |edge| edge.link.words());
            let node = &graph.nodes[*from];
            page.line(4, &format!("{} {words}", node_words(graph, *from)));
            shown[*from] = node.kind == Kind::Task && graph.before(*from).len() < 2;
        }
        let first = cycle.way.first().copied().unwrap_or_default();
        let again = format!("{} (again)", graph.nodes[first].title);
        page.line(4, &again);
    }
    for root in &graph.roots {
        let behind = |at: &&usize| {
            let inside = |from: &usize| root.nodes.contains(from);
            root.cycle.is_none() || !graph.before(**at).iter().all(inside)
        };
        for at in root.nodes.iter().filter(behind) {
            page.line(2, &node_words(graph, *at));
            shown[*at] = true;
            below(graph, *at, 1, &root.nodes, &mut shown, &mut page);
        }
    }
    page
}

/// Those who wait for a node, indented; nodes of a cycle were drawn before.
fn below(
    graph: &Graph,
    at: usize,
    depth: usize,
    skip: &[usize],
    shown: &mut [bool],
    page: &mut Page,
) {
    let in_cycle = |from: &usize| graph.nodes[at].cycle.is_some() && skip.contains(from);
    let waiters: Vec<usize> = (graph.before(at).iter().copied())
        .filter(|from| !in_cycle(from))
        .collect();
    let indent = 2 + 3 * depth;
    for from in waiters.iter().take(WIDEST) {
        let words = graph.edge(*from, at).map_or("", |edge| edge.link.words());
        let again = match (shown[*from], graph.before(*from).is_empty()) {
            (true, false) => " (its waiters stand above)",
            _ => "",
        };
        let line = format!("← {} {words} it{again}", node_words(graph, *from));
        page.line(indent, &line);
        if std::mem::replace(&mut shown[*from], true) {
            continue;
        }
        match depth < DEEPEST {
            true => below(graph, *from, depth + 1, skip, shown, page),
            false => page.line(indent + 3, "… deeper ones are left out"),
        }
    }
    if waiters.len() > WIDEST {
        let rest = waiters.len() - WIDEST;
        page.line(indent, &format!("← and {rest} more"));
    }
}

fn node_words(graph: &Graph, at: usize) -> String {
    let node = &graph.nodes[at];
    match node.detail.as_str() {
        "" => node.title.clone(),
        detail => format!("{} [{detail}]", node.title),
    }
}

fn crash(autopsy: &Autopsy) -> Page {
    let mut page = Page::new();
    let crashed = autopsy.crashed;
    if let Some(task) = (autopsy.tasks.iter()).find(|task| Some(task.tid) == crashed) {
        page.line(2, &task_words(task));
        let above = task.frames.len() - crash_frames(task).len();
        if above > 0 {
            page.line(4, &format!("({above} frames of the crash itself left out)"));
        }
        frames(crash_frames(task), true, &mut page);
        held_by(&task.held, 4, &mut page);
    }
    page
}

fn task_words(task: &Task) -> String {
    let mut words = vec![format!("state {}", task.state)];
    words.extend(task.cpu.map(|cpu| format!("CPU {cpu}")));
    words.extend((task.pid != task.tid).then(|| format!("of process {}", task.pid)));
    words.extend(task.kernel_thread.then(|| "kernel thread".to_owned()));
    words.extend(task.side.clone());
    words.extend(task.waited.map(|s| format!("for {s:.1} s")));
    format!("{} ({})", task_name(task), words.join(", "))
}

/// A stack; an argument that is handed on stands at the innermost frame that has it.
fn frames(frames: &[Frame], arguments: bool, page: &mut Page) {
    let mut seen = BTreeSet::new();
    for (number, frame) in frames.iter().enumerate() {
        let inline = if frame.inline { " (inlined)" } else { "" };
        let (function, place) = (&frame.function, place(frame));
        let line = format!("#{number:<3} {function:<32} {place}{inline}");
        page.line(4, line.trim_end());
        for (name, value) in frame.arguments.iter().filter(|_| arguments) {
            if seen.insert((name, value)) {
                page.line(12, &format!("{name} = {value}"));
            }
        }
    }
}

/// A stack without its arguments: what tasks that stand at one place have in common.
type Stack<'a> = Vec<(&'a str, String, bool)>;

fn stack(task: &Task) -> Stack<'_> {
    let frames = task.frames.iter();
    frames
        .map(|frame| (frame.function.as_str(), place(frame), frame.inline))
        .collect()
}

fn blocked(autopsy: &Autopsy) -> Page {
    let asleep = |task: &&Task| !task.on_cpu && Some(task.tid) != autopsy.crashed;
    grouped(autopsy, autopsy.tasks.iter().filter(asleep))
}

fn running(autopsy: &Autopsy) -> Page {
    let ran = |task: &&Task| task.on_cpu && Some(task.tid) != autopsy.crashed;
    grouped(autopsy, autopsy.tasks.iter().filter(ran))
}

/// Tasks of one stack together, the largest group first.
fn grouped<'a>(autopsy: &Autopsy, tasks: impl Iterator<Item = &'a Task>) -> Page {
    let mut groups: BTreeMap<Stack<'_>, Vec<&Task>> = BTreeMap::new();
    tasks.for_each(|task| groups.entry(stack(task)).or_default().push(task));
    let mut groups: Vec<Vec<&Task>> = groups.into_values().collect();
    groups.sort_by_key(|tasks| (std::cmp::Reverse(tasks.len()), tasks[0].tid));
    let mut page = Page::new();
    for (number, tasks) in groups.iter().enumerate() {
        if number > 0 {
            page.line(0, "");
        }
        group(autopsy, tasks, &mut page);
    }
    page
}

fn group(autopsy: &Autopsy, tasks: &[&Task], page: &mut Page) {
    let first = tasks[0];
    let function = match stuck_in(autopsy, first) {
        Some(function) => function,
        None if first.on_cpu && !first.kernel_thread => "user space",
        None => "a place that was not found",
    };
    if let [task] = tasks {
        page.line(2, &format!("{} in {function}", task_words(task)));
    } else {
        page.line(2, &format!("{} tasks in {function}", tasks.len()));
        tasks
            .iter()
            .for_each(|task| page.line(4, &task_words(task)));
    }
    frames(&first.frames, tasks.len() == 1, page);
    if tasks.len() > 1 {
        arguments(tasks, page);
    }
}

/// Arguments of a group of equal stacks: once where all agree; where they do not, those that say more than an address.
fn arguments(tasks: &[&Task], page: &mut Page) {
    let mut seen = BTreeSet::new();
    for (number, frame) in tasks[0].frames.iter().enumerate() {
        for name in frame.arguments.keys() {
            let of = |task: &&Task| task.frames.get(number)?.arguments.get(name).cloned();
            let values: Vec<String> = tasks.iter().map(|t| of(t).unwrap_or_default()).collect();
            if !seen.insert((name, values.clone())) {
                continue;
            }
            if values.iter().all(|value| *value == values[0]) {
                page.line(8, &format!("#{number} {name} = {} (in all)", values[0]));
            } else if values.iter().any(|value| value.contains(' ')) {
                let told = tasks.iter().zip(&values);
                let told: Vec<String> = told
                    .map(|(task, value)| format!("{value} ({})", task_name(task)))
                    .collect();
                page.line(8, &format!("#{number} {name} = {}", told.join(", ")));
            }
        }
    }
}

fn locks(autopsy: &Autopsy) -> Page {
    let mut page = Page::new();
    let names = |tids: &[i32]| -> String {
        let names: Vec<String> = tids.iter().map(|tid| name_of(autopsy, *tid)).collect();
        list(&names.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for lock in &autopsy.locks {
        page.line(
            2,
            &format!("{} ({}, {})", lock.name, lock.kind, lock.address),
        );
        let held = match (lock.owners.as_slice(), lock.shared) {
            ([], _) => "no owner found".to_owned(),
            (owners, true) => format!("held shared by {}", names(owners)),
            (owners, false) => format!("held by {}", names(owners)),
        };
        page.line(4, &held);
        if !lock.waiters.is_empty() {
            page.line(4, &format!("waited for by {}", names(&lock.waiters)));
        }
    }
    page
}

fn held(autopsy: &Autopsy) -> Page {
    let mut page = Page::new();
    for task in autopsy.tasks.iter().filter(|task| !task.held.is_empty()) {
        page.line(2, &task_name(task));
        held_by(&task.held, 4, &mut page);
    }
    page
}

fn held_by(held: &[Held], indent: usize, page: &mut Page) {
    for lock in held {
        let shared = if lock.shared { " shared" } else { "" };
        let at = (lock.at.as_ref()).map_or_else(String::new, |at| format!(", taken in {at}"));
        let (class, address) = (&lock.class, &lock.address);
        let named = match &lock.name {
            Some(name) => format!("{name}{shared} (class {class}, {address})"),
            None => format!("{class}{shared} at {address}"),
        };
        page.line(indent, &format!("holds {named}{at}"));
    }
}

fn dentries(autopsy: &Autopsy) -> Page {
    let mut page = Page::new();
    for dentry in &autopsy.dentries {
        dentry_lines(autopsy, dentry, &mut page);
    }
    page
}

fn dentry_lines(autopsy: &Autopsy, dentry: &Dentry, page: &mut Page) {
    let Dentry {
        name,
        address,
        flags_raw,
        count,
        superblock,
        ..
    } = dentry;
    page.line(2, &format!("\"{name}\" {address}"));
    let mut told = |what: &str, words: String| {
        if !words.is_empty() {
            page.line(4, &format!("{what:8} {words}"));
        }
    };
    told("path", dentry.path.clone());
    let mounted = (dentry.mount.as_ref()).map_or_else(String::new, |at| format!(" on {at}"));
    let side = (dentry.side.as_ref()).map_or_else(String::new, |side| format!(", {side}"));
    told("sb", format!("{superblock}{mounted}{side}"));
    told("d_flags", format!("{flags_raw} {}", dentry.flags.join(" ")));
    told("d_hash", hash(dentry));
    let dead = if *count < 0 { " (dead)" } else { "" };
    told("count", format!("{count}{dead}"));
    told("inode", inode(dentry));
    told("parent", dentry.parent.clone());
    told("d_wait", wait_queue(autopsy, dentry));
    let more = dentry.why.len().saturating_sub(REASONS);
    let why = dentry.why.iter().take(REASONS).cloned();
    let more = (more > 0).then(|| format!("and {more} more"));
    told("listed", why.chain(more).collect::<Vec<_>>().join("; "));
}

fn hash(dentry: &Dentry) -> String {
    let Dentry {
        hash_next,
        hash_pprev,
        ..
    } = dentry;
    let linked = if dentry.hashed {
        "linked"
    } else {
        "not linked"
    };
    format!("{linked} (next {hash_next}, pprev {hash_pprev})")
}

fn inode(dentry: &Dentry) -> String {
    let Some(inode) = &dentry.inode else {
        return "none: negative".to_owned();
    };
    let seq = (inode.dir_seq).map_or_else(String::new, |seq| {
        let odd = if seq % 2 == 1 { " (odd)" } else { "" };
        format!(", i_dir_seq {seq}{odd}")
    });
    let (number, kind, address) = (inode.number, &inode.kind, &inode.address);
    let (links, count) = (inode.links, inode.count);
    format!("{number}, {kind}, {links} links, {count} references{seq}, {address}")
}

fn wait_queue(autopsy: &Autopsy, dentry: &Dentry) -> String {
    let names: Vec<String> = (dentry.waiters.iter())
        .map(|tid| name_of(autopsy, *tid))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match (&dentry.wait, names.as_slice()) {
        (None, []) => String::new(),
        (None, names) => format!("waited for by {}", list(names)),
        (Some(queue), []) => queue.clone(),
        (Some(queue), names) => format!("{queue}, waited for by {}", list(names)),
    }
}

fn rpc(autopsy: &Autopsy) -> Page {
    let mut page = Page::new();
    for rpc in &autopsy.rpc {
        let queue = rpc.queue.as_deref().unwrap_or("no queue");
        let owner = (rpc.owner).map_or_else(String::new, |tid| {
            format!(", waited for by {}", name_of(autopsy, tid))
        });
        let (id, procedure, status) = (rpc.id, &rpc.procedure, rpc.status);
        let line = format!("{id} {procedure}: status {status}, on {queue}{owner}");
        page.line(2, &line);
    }
    page
}

fn audit(autopsy: &Autopsy) -> Page {
    let mut page = Page::new();
    let Some(audit) = &autopsy.audit else {
        return page;
    };
    let counted: Vec<String> = (audit.counted.iter())
        .map(|(what, count)| format!("{what} {count}"))
        .collect();
    let seconds = audit.seconds;
    page.line(2, &format!("{} ({seconds:.1} s)", counted.join(", ")));
    if audit.violations.is_empty() {
        page.line(2, "no violation");
    }
    for violation in &audit.violations {
        page.line(
            2,
            &format!("VIOLATION: {} ({}×)", violation.rule, violation.times),
        );
        page.line(4, &violation.detail);
        let dentries = violation.dentries.join(" ");
        if !dentries.is_empty() {
            page.line(4, &format!("dentries {dentries}"));
        }
    }
    page
}

fn list_of(lines: &[String]) -> Page {
    let mut page = Page::new();
    lines.iter().for_each(|line| page.line(2, line));
    page
}
