// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several dumps side by side: which fields agree and which differ, as a developer with six dumps of one bug would
//! write it down by hand.

use super::graph::{Graph, Kind};
use super::model::{Autopsy, Dentry, Task};
use super::show::{crash_frames, fit, harmless_autopsy, stuck_in};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Columns of a value before it is folded.
const WIDTH: usize = 26;
/// Dentries of one role that are compared.
const MOST: usize = 4;

/// The table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Name of each dump.
    pub dumps: Vec<String>,
    /// Fields, in the order in which a report tells them.
    pub rows: Vec<Row>,
}

/// One field of all dumps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What it is: `waited for: d_flags`.
    pub field: String,
    /// Its value in each dump; none where a dump has no such thing.
    pub values: Vec<Option<String>>,
    /// All dumps have the same value.
    pub agree: bool,
}

impl Table {
    /// Compares dumps, given by name.
    pub fn of(dumps: &[(String, Autopsy)]) -> Self {
        let columns: Vec<Vec<(String, String)>> = (dumps.iter())
            .map(|(_, autopsy)| fields(&harmless_autopsy(autopsy)))
            .collect();
        let mut order: Vec<&str> = Vec::new();
        for column in &columns {
            let mut after = 0;
            for (field, _) in column {
                // A field that only a later dump has stands behind the one it follows there.
                match order.iter().position(|known| known == field) {
                    Some(at) => after = at + 1,
                    None => {
                        order.insert(after, field);
                        after += 1;
                    }
                }
            }
        }
        let row = |field: &str| {
            let value = |column: &Vec<(String, String)>| {
                let found = column.iter().find(|(name, _)| name == field);
                found.map(|(_, value)| value.clone())
            };
            let values: Vec<Option<String>> = columns.iter().map(value).collect();
            Row {
                field: field.to_owned(),
                agree: values.windows(2).all(|pair| pair[0] == pair[1]),
                values,
            }
        };
        Self {
            dumps: dumps.iter().map(|(name, _)| fit(name)).collect(),
            rows: order.into_iter().map(row).collect(),
        }
    }

    /// The table as text: `=` before what agrees, which is written once, and `≠` before what differs.
    pub fn text(&self) -> String {
        let width = (self.rows.iter()).map(|row| row.field.chars().count());
        let first = width.max().unwrap_or(0) + 3;
        let mut text = String::new();
        let names: Vec<Vec<String>> = self.dumps.iter().map(|name| fold(name)).collect();
        line(&mut text, " ", "", first, &names);
        for row in &self.rows {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "—".to_owned());
            if row.agree && self.dumps.len() > 1 {
                let words = row.values.first().map(value).unwrap_or_default();
                let _ = writeln!(
                    text,
                    "{:first$}{words}  (in all)",
                    format!("= {}", row.field)
                );
                continue;
            }
            let cells: Vec<Vec<String>> = row.values.iter().map(|v| fold(&value(v))).collect();
            let mark = if self.dumps.len() > 1 { "≠" } else { " " };
            line(&mut text, mark, &row.field, first, &cells);
        }
        if self.dumps.len() < 2 {
            return text;
        }
        let differ = self.rows.iter().filter(|row| !row.agree).count();
        let agree = self.rows.len() - differ;
        let dumps = self.dumps.len();
        let _ = writeln!(
            text,
            "\n{dumps} dumps: {agree} fields agree, {differ} differ"
        );
        text
    }
}

/// One row, of as many lines as its longest cell has.
fn line(text: &mut String, mark: &str, field: &str, first: usize, cells: &[Vec<String>]) {
    let height = cells.iter().map(Vec::len).max().unwrap_or(1).max(1);
    for at in 0..height {
        let head = match at {
            0 => format!("{mark} {field}"),
            _ => String::new(),
        };
        let mut line = format!("{head:first$}");
        for cell in cells {
            let words = cell.get(at).map_or("", String::as_str);
            let _ = write!(line, "{words:width$}  ", width = WIDTH);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// A value in lines of at most [`WIDTH`] columns, broken between words where that can be.
fn fold(value: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in value.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for (number, piece) in letters.chunks(WIDTH).enumerate() {
            let piece: String = piece.iter().collect();
            let last = lines.len() - 1;
            let used = lines[last].chars().count();
            if used == 0 {
                lines[last] = piece;
            } else if number == 0 && used + 1 + piece.chars().count() <= WIDTH {
                lines[last] += &format!(" {piece}");
            } else {
                lines.push(piece);
            }
        }
    }
    lines
}

/// The fields of one dump, in order.
fn fields(autopsy: &Autopsy) -> Vec<(String, String)> {
    let graph = Graph::of(autopsy);
    let mut all: Vec<(String, String)> = vec![("kernel".into(), autopsy.release.clone())];
    let crashed = autopsy.crashed;
    if let Some(task) = (autopsy.tasks.iter()).find(|task| Some(task.tid) == crashed) {
        all.extend(crash(task));
    }
    all.push(("blocked".into(), blocked(autopsy)));
    all.push(("waits".into(), waits(&graph)));
    let mut shapes: Vec<String> = (graph.cycles.iter())
        .map(|c| shape(&graph, &c.way))
        .collect();
    shapes.sort();
    shapes.dedup();
    all.push(("cycles".into(), or_none(shapes.join("; "))));
    for (role, dentry) in guilty(autopsy) {
        all.extend(dentry_fields(autopsy, &role, dentry));
    }
    let violations = autopsy.audit.iter().flat_map(|audit| &audit.violations);
    for violation in violations {
        all.push((
            format!("audit: {}", violation.rule),
            violation.times.to_string(),
        ));
    }
    all.push((
        "seconds after boot".into(),
        format!("{:.0}", autopsy.uptime),
    ));
    all
}

fn crash(task: &Task) -> Vec<(String, String)> {
    let frames = crash_frames(task);
    let function = frames.first().map_or("unknown", |f| f.function.as_str());
    let callers = frames.iter().skip(1).filter(|frame| !frame.inline).take(4);
    let callers: Vec<&str> = callers.map(|frame| frame.function.as_str()).collect();
    let mut all = vec![
        ("crashed in".to_owned(), function.to_owned()),
        ("called by".to_owned(), or_none(callers.join(" ← "))),
        ("crashed task".to_owned(), task.comm.clone()),
    ];
    all.extend(task.side.clone().map(|side| ("its side".to_owned(), side)));
    all
}

/// `4 in d_alloc_parallel, 1 in down_write`.
fn blocked(autopsy: &Autopsy) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let asleep = |task: &&Task| !task.on_cpu && Some(task.tid) != autopsy.crashed;
    for task in autopsy.tasks.iter().filter(asleep) {
        *counts
            .entry(stuck_in(autopsy, task).unwrap_or("unknown"))
            .or_default() += 1;
    }
    told(counts)
}

/// What is waited for, by kind: names of locks and dentries differ from boot to boot.
fn waits(graph: &Graph) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for edge in &graph.edges {
        if graph.nodes[edge.from].kind == Kind::Task {
            *counts.entry(kind(graph, edge.to)).or_default() += 1;
        }
    }
    told(counts)
}

fn told(counts: BTreeMap<&str, usize>) -> String {
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words: Vec<String> = (counts.iter())
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    or_none(words.join(", "))
}

/// What a node is, without what tells it from others: `i_rwsem`, `dentry in lookup`.
fn kind(graph: &Graph, at: usize) -> &str {
    let node = &graph.nodes[at];
    match node.kind {
        Kind::Task => "task",
        Kind::Lock => node.title.split(" of ").next().unwrap_or_default(),
        Kind::Dentry if node.detail == "in lookup" => "dentry in lookup",
        Kind::Dentry => "dentry not in lookup",
        Kind::Rpc => node.title.rsplit(' ').next().unwrap_or_default(),
        Kind::Event => node.title.as_str(),
    }
}

/// A cycle by its kinds of things, from the least of all ways to begin it.
fn shape(graph: &Graph, way: &[usize]) -> String {
    let kinds: Vec<&str> = way.iter().map(|at| kind(graph, *at)).collect();
    let turned = (0..kinds.len()).map(|from| [&kinds[from..], &kinds[..from]].concat());
    turned.min().unwrap_or_default().join(" → ")
}

/// The dentries that matter, with the part that each plays. One that plays several has the first.
fn guilty(autopsy: &Autopsy) -> Vec<(String, &Dentry)> {
    let broken: BTreeMap<&str, &str> = (autopsy.audit.iter())
        .flat_map(|audit| &audit.violations)
        .flat_map(|v| v.dentries.iter().map(|at| (at.as_str(), v.rule.as_str())))
        .collect();
    let mut parts: BTreeMap<(u8, String), Vec<&Dentry>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for dentry in autopsy.dentries.iter().filter(|d| seen.insert(&d.address)) {
        let part = if let Some(place) = crashed_with(autopsy, dentry) {
            (0, place)
        } else if !dentry.waiters.is_empty() {
            (1, "waited for".to_owned())
        } else if let Some(rule) = broken.get(dentry.address.as_str()) {
            (2, (*rule).to_owned())
        } else {
            continue;
        };
        parts.entry(part).or_default().push(dentry);
    }
    let mut all = Vec::new();
    for ((_, part), dentries) in parts {
        for (number, dentry) in dentries.into_iter().take(MOST).enumerate() {
            let number = if number > 0 {
                format!(" #{}", number + 1)
            } else {
                String::new()
            };
            all.push((format!("{part}{number}"), dentry));
        }
    }
    all
}

/// Its place on the crashed task's stack: `dentry in d_splice_alias`.
fn crashed_with(autopsy: &Autopsy, dentry: &Dentry) -> Option<String> {
    let of = format!(":{}", autopsy.crashed?);
    dentry.why.iter().find_map(|why| {
        let (variable, rest) = why.split_once(" in frame ")?;
        let (_, rest) = rest.split_once('(')?;
        let (function, task) = rest.split_once(')')?;
        (task.ends_with(&of)).then(|| format!("{variable} in {function}"))
    })
}

fn dentry_fields(autopsy: &Autopsy, part: &str, dentry: &Dentry) -> Vec<(String, String)> {
    let inode = dentry.inode.as_ref();
    let kind = inode.map_or("none: negative".to_owned(), |inode| {
        format!("{}, {} links", inode.kind, inode.links)
    });
    let hash = if dentry.hashed {
        "linked"
    } else {
        "not linked"
    };
    let fields = [
        ("name", dentry.name.clone()),
        ("parent", parent(autopsy, dentry)),
        (
            "d_flags",
            format!("{} {}", dentry.flags_raw, dentry.flags.join(" ")),
        ),
        ("d_hash", hash.to_owned()),
        ("count", dentry.count.to_string()),
        ("inode", kind),
        ("superblock", dentry.superblock.clone()),
        ("side", or_none(dentry.side.clone().unwrap_or_default())),
        ("waiters", dentry.waiters.len().to_string()),
    ];
    (fields.into_iter())
        .map(|(field, value)| (format!("{part}: {field}"), value))
        .collect()
}

fn parent(autopsy: &Autopsy, dentry: &Dentry) -> String {
    let listed = (autopsy.dentries.iter()).find(|other| other.address == dentry.parent);
    match (listed, dentry.path.rsplit('/').nth(1)) {
        (Some(parent), _) => parent.name.clone(),
        (None, Some("")) => "/".to_owned(),
        (None, Some(parent)) => parent.to_owned(),
        (None, None) => "not known".to_owned(),
    }
}

fn or_none(words: String) -> String {
    if words.is_empty() {
        "none".to_owned()
    } else {
        words
    }
}
