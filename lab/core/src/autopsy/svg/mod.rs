// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wait graph as one SVG file that needs nothing else: who waits on the left, what is waited for on the right.

mod layout;

use super::graph::{Edge, Graph, Kind, Link, Node};
use super::headline::headlines;
use super::model::Autopsy;
use super::show::harmless_autopsy;
use layout::{Layout, Place, Wire, layout};
use std::fmt::Write as _;

/// Nodes drawn; the rest is counted.
const MOST: usize = 60;
/// Characters of a line in a box, before it is cut.
const LONGEST: usize = 36;
/// Characters of a line above the drawing.
const LONGEST_HEAD: usize = 150;
/// Lines above the drawing.
const HEADS: usize = 6;
/// Width of a character of a title and of the line below it, pixels.
const TITLE_CHAR: f64 = 7.9;
const DETAIL_CHAR: f64 = 6.7;
const BOX_HEIGHT: f64 = 42.0;
const MARGIN: f64 = 20.0;
const LINE: f64 = 19.0;

const STYLE: &str = "\
:root{--page:#fff;--ink:#1c1e21;--soft:#5f6670;--wire:#7b8490;--task:#e8f0fb;--taskline:#3568a8;--thing:#f4f0e6;\
--thingline:#8a6d1f;--warn:#c4260f;--warnfill:#fdeae6}\
@media (prefers-color-scheme:dark){:root{--page:#15181c;--ink:#e7e9ec;--soft:#9aa3ad;--wire:#7d8793;--task:#1d2c41;\
--taskline:#79aae8;--thing:#2d2818;--thingline:#d0ac52;--warn:#ff7a63;--warnfill:#3a1a15}}\
.page{fill:var(--page)}text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:var(--ink)}\
.head{font-size:13px}.lead{font-weight:600}.title{font-size:13px}.detail,.label{font-size:11px;fill:var(--soft)}\
.box{stroke-width:1.4}.task{fill:var(--task);stroke:var(--taskline)}.lock,.dentry,.rpc,.event{fill:var(--thing);\
stroke:var(--thingline)}.rpc,.event{stroke-dasharray:4 3}.wire{fill:none;stroke:var(--wire);stroke-width:1.4}\
.tip{fill:var(--wire)}.cycle .box{fill:var(--warnfill);stroke:var(--warn);stroke-width:2}\
.wire.cycle{stroke:var(--warn);stroke-width:2}.tip.cycle{fill:var(--warn)}.label{paint-order:stroke;stroke:var(--page);\
stroke-width:4px}.label.cycle{fill:var(--warn);font-weight:600}";

/// The drawing.
pub fn svg(autopsy: &Autopsy) -> String {
    let autopsy = harmless_autopsy(autopsy);
    let graph = Graph::of(&autopsy);
    let mut heads = headlines(&autopsy, &graph);
    let more = heads.len().saturating_sub(HEADS);
    heads.truncate(HEADS);
    heads.extend((more > 0).then(|| format!("and {more} more: autopsy.txt has all")));
    let chosen: Vec<usize> = graph.order().into_iter().take(MOST).collect();
    let left_out = graph.nodes.len() - chosen.len();
    heads.extend((left_out > 0).then(|| {
        format!(
            "{left_out} of {} nodes are not drawn: autopsy.txt has all",
            graph.nodes.len()
        )
    }));
    Picture::new(&graph, &chosen).draw(&heads)
}

/// The chosen part of a graph with its places.
struct Picture<'a> {
    nodes: Vec<&'a Node>,
    edges: Vec<&'a Edge>,
    layout: Layout,
}

impl<'a> Picture<'a> {
    fn new(graph: &'a Graph, chosen: &[usize]) -> Self {
        let place: std::collections::BTreeMap<usize, usize> =
            chosen.iter().enumerate().map(|(n, at)| (*at, n)).collect();
        let nodes: Vec<&Node> = chosen.iter().map(|at| &graph.nodes[*at]).collect();
        let (mut edges, mut ends) = (Vec::new(), Vec::new());
        for edge in &graph.edges {
            if let (Some(from), Some(to)) = (place.get(&edge.from), place.get(&edge.to)) {
                edges.push(edge);
                ends.push((*from, *to));
            }
        }
        let sizes: Vec<(f64, f64)> = nodes.iter().map(|node| size(node)).collect();
        Self {
            layout: layout(&sizes, &ends),
            nodes,
            edges,
        }
    }

    fn draw(&self, heads: &[String]) -> String {
        let heads: Vec<String> = heads.iter().map(|line| cut(line, LONGEST_HEAD)).collect();
        let longest = heads.iter().map(|line| columns(line)).max().unwrap_or(0);
        let above = MARGIN + LINE * heads.len() as f64 + 14.0;
        let legend = 30.0;
        let width = (self.layout.width.max(longest as f64 * TITLE_CHAR) + 2.0 * MARGIN).ceil();
        let height = (above + self.layout.height + legend + MARGIN).ceil();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>Who waits for whom</title>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n"
        );
        for (number, line) in heads.iter().enumerate() {
            let y = MARGIN + LINE * (number as f64 + 0.7);
            let lead = if number == 0 { " lead" } else { "" };
            line_of(&mut svg, &format!("head{lead}"), (MARGIN, y), "start", line);
        }
        let _ = writeln!(svg, "<g transform=\"translate({MARGIN} {above})\">");
        self.wires(&mut svg);
        for (node, place) in self.nodes.iter().zip(&self.layout.places) {
            draw_node(&mut svg, node, place);
        }
        svg += "</g>\n";
        let foot = match self.nodes.is_empty() {
            true => "no task waits for another",
            false => {
                "an arrow leads from who waits to what is waited for, and from there to who is to end the wait"
            }
        };
        line_of(&mut svg, "detail", (MARGIN, height - MARGIN), "start", foot);
        svg + "</svg>\n"
    }

    fn wires(&self, svg: &mut String) {
        for (edge, wire) in self.edges.iter().zip(&self.layout.wires) {
            let cycle = if edge.cycle.is_some() { " cycle" } else { "" };
            let path = path(wire);
            let _ = writeln!(svg, "<path class=\"wire{cycle}\" d=\"{path}\"/>");
            let (x, y) = wire.points[wire.points.len() - 1];
            let tail = if wire.back { x + 9.0 } else { x - 9.0 };
            let (up, down) = (y - 4.5, y + 4.5);
            let _ = writeln!(
                svg,
                "<path class=\"tip{cycle}\" d=\"M{x:.1} {y:.1}L{tail:.1} {up:.1}L{tail:.1} {down:.1}Z\"/>"
            );
        }
        for (edge, wire) in self.edges.iter().zip(&self.layout.wires) {
            self.label(svg, edge, wire);
        }
    }

    /// Words stand on wires that say more than «waits for», and on the one that closes a cycle.
    fn label(&self, svg: &mut String, edge: &Edge, wire: &Wire) {
        let closes = edge.cycle.filter(|_| wire.back);
        let words = match (closes, edge.link) {
            (Some(cycle), link) => format!("cycle {}: {}", cycle + 1, link.words()),
            (None, Link::WaitsFor) => return,
            (None, link) => link.words().to_owned(),
        };
        let class = if edge.cycle.is_some() {
            "label cycle"
        } else {
            "label"
        };
        let at = (wire.points.len() - 1) / 2;
        let (a, b) = (wire.points[at], wire.points[at + 1]);
        let middle = ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0 - 5.0);
        line_of(svg, class, middle, "middle", &words);
    }
}

/// The two lines of a box. What stands in brackets at the end of a name goes to the second.
fn words(node: &Node) -> (String, String) {
    let split = (node.title.strip_suffix(')')).and_then(|title| title.split_once(" ("));
    let (title, detail) = match split.filter(|(_, inside)| !inside.is_empty()) {
        Some((title, inside)) if node.detail.is_empty() => (title, inside.to_owned()),
        Some((title, inside)) => (title, format!("{}, {inside}", node.detail)),
        None => (node.title.as_str(), node.detail.clone()),
    };
    (cut(title, LONGEST), cut(&detail, LONGEST))
}

fn size(node: &Node) -> (f64, f64) {
    let (title, detail) = words(node);
    let title = columns(&title) as f64 * TITLE_CHAR;
    let detail = columns(&detail) as f64 * DETAIL_CHAR;
    ((title.max(detail) + 24.0).max(90.0).ceil(), BOX_HEIGHT)
}

fn draw_node(svg: &mut String, node: &Node, place: &Place) {
    let (class, corner) = match node.kind {
        Kind::Task => ("task", 10),
        Kind::Lock => ("lock", 0),
        Kind::Dentry => ("dentry", 20),
        Kind::Rpc => ("rpc", 4),
        Kind::Event => ("event", 4),
    };
    let group = if node.cycle.is_some() {
        " class=\"cycle\""
    } else {
        ""
    };
    let whole = escape(&format!("{} {}", node.title, node.detail));
    let Place {
        x,
        y,
        width,
        height,
    } = place;
    let _ = writeln!(
        svg,
        "<g{group}><title>{whole}</title><rect class=\"box {class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{height:.1}\" rx=\"{corner}\"/>"
    );
    let middle = x + width / 2.0;
    let (title, detail) = words(node);
    let lower = if detail.is_empty() { 26.0 } else { 18.0 };
    line_of(svg, "title", (middle, y + lower), "middle", &title);
    if !detail.is_empty() {
        line_of(svg, "detail", (middle, y + 34.0), "middle", &detail);
    }
    svg.push_str("</g>\n");
}

/// A smooth line through the points: level where it meets a box.
fn path(wire: &Wire) -> String {
    let (x, y) = wire.points[0];
    let mut path = format!("M{x:.1} {y:.1}");
    for pair in wire.points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let middle = (x0 + x1) / 2.0;
        let _ = write!(
            path,
            "C{middle:.1} {y0:.1} {middle:.1} {y1:.1} {x1:.1} {y1:.1}"
        );
    }
    path
}

fn line_of(svg: &mut String, class: &str, at: (f64, f64), anchor: &str, words: &str) {
    let (x, y) = at;
    let words = escape(words);
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

/// Columns that a text takes: characters beyond Latin are counted as wide ones.
fn columns(text: &str) -> usize {
    text.chars().map(wide).sum()
}

fn wide(char: char) -> usize {
    if u32::from(char) < 0x1100 || matches!(char, '\u{2000}'..='\u{2bff}') {
        1
    } else {
        2
    }
}

fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut taken = 0;
    let fits = |char: &char| {
        taken += wide(*char);
        taken < most
    };
    let start: String = text.chars().take_while(fits).collect();
    start + "…"
}

/// Text as it may stand in XML; what XML has no characters for becomes a question mark.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            char if char.is_control() => out.push('?'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests;
