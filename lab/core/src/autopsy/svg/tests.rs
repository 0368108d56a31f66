// SPDX-License-Identifier: MIT OR Apache-2.0
use super::super::model::{Dentry, Lock, Wait};
use super::super::tests::{FIXTURES, fixture};
use super::*;

/// Reads XML as strictly as a browser reads an SVG: tags nest, attributes are quoted, text holds no bare marks. Gives the
/// names of its elements.
fn elements(xml: &str) -> Vec<String> {
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let mut rest = xml.trim_end();
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at]);
        let end = rest[at..].find('>').expect("a tag ends") + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closes what is open");
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap();
        assert!(
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()),
            "{tag}"
        );
        let quotes = tag.matches('"').count();
        assert!(
            quotes.is_multiple_of(2) && quotes / 2 == tag.matches("=\"").count(),
            "{tag}"
        );
        all.push(name.to_owned());
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(
        (open.len(), rest),
        (0, ""),
        "all is closed, and nothing follows"
    );
    all
}

fn check_text(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(
            known.iter().any(|known| text[at..].starts_with(known)),
            "{text}"
        );
    }
    assert!(
        !text.contains(|c: char| c.is_control() && c != '\n'),
        "{text:?}"
    );
}

fn count(svg: &str, element: &str) -> usize {
    elements(svg).iter().filter(|name| *name == element).count()
}

#[test]
fn drawings_are_whole_and_show_each_node() {
    for (name, _) in FIXTURES {
        let autopsy = fixture(name);
        let graph = Graph::of(&autopsy);
        let drawn = svg(&autopsy);
        assert_eq!(count(&drawn, "rect"), graph.nodes.len() + 1, "{name}");
        assert_eq!(count(&drawn, "path"), 2 * graph.edges.len(), "{name}");
        for node in &graph.nodes {
            assert!(
                drawn.contains(&escape(&words(node).0)),
                "{name}: {}",
                node.title
            );
        }
        assert_eq!(drawn.contains("cycle 1: "), *name == "lock-cycle", "{name}");
        assert!(drawn.contains("prefers-color-scheme:dark"));
    }
    insta::assert_snapshot!("lock-cycle-svg", svg(&fixture("lock-cycle")));
}

#[test]
fn an_autopsy_without_waits_is_drawn_too() {
    let drawn = svg(&Autopsy::default());
    assert_eq!(count(&drawn, "rect"), 1);
    assert!(drawn.contains("no task waits for another"));
}

/// `count` tasks that wait for one lock, and one that holds it.
fn crowd(count: i32, name: &str) -> Autopsy {
    let mut autopsy = Autopsy {
        locks: vec![Lock {
            address: "0x1".into(),
            name: name.into(),
            owners: vec![1],
            waiters: (2..count).collect(),
            ..Lock::default()
        }],
        ..Autopsy::default()
    };
    autopsy.waits.push(Wait {
        tid: 1,
        kind: "dentry".into(),
        on: "0x2".into(),
        ..Wait::default()
    });
    autopsy.dentries.push(Dentry {
        address: "0x2".into(),
        name: name.into(),
        waiters: vec![1],
        ..Dentry::default()
    });
    autopsy
}

#[test]
fn the_first_sixty_are_drawn_and_the_rest_is_counted() {
    let drawn = svg(&crowd(58, "n"));
    assert_eq!(
        (count(&drawn, "rect"), drawn.contains("not drawn")),
        (60, false)
    );
    let drawn = svg(&crowd(500, "n"));
    assert_eq!(count(&drawn, "rect"), MOST + 1);
    assert!(drawn.contains("441 of 501 nodes are not drawn"), "{drawn}");
    // What all wait for is there, whoever is left out.
    assert!(drawn.contains("dentry &quot;n&quot;") && drawn.contains(">task 1<"));
}

#[test]
fn whatever_a_name_holds_the_drawing_stays_whole() {
    for name in [
        "<svg onload=x>",
        "]]></style><script>",
        "\u{1b}[31m&\"'",
        "\u{ffff}\0",
        "日本語の長い名前",
        &"x".repeat(300),
    ] {
        let drawn = svg(&crowd(4, name));
        assert_eq!(count(&drawn, "rect"), 6, "{name}");
        assert!(!elements(&drawn).contains(&"script".to_owned()));
    }
}

#[test]
fn long_lines_are_cut_by_columns() {
    assert_eq!(cut("abcdef", 6), "abcdef");
    assert_eq!(cut("abcdefg", 6), "abcde…");
    assert_eq!(cut("日本語日", 6), "日本…");
}
