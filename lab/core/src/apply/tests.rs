// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of hunks and deltas.

use super::*;
use crate::series::{BinaryDelta, Hunk, HunkLine, LineKind};
use proptest::prelude::*;

/// A hunk from its header's numbers and lines written as in a diff; a line ending in `\` has no newline.
fn hunk(numbers: [u32; 4], lines: &[&str]) -> Hunk {
    let line = |text: &&str| {
        let kind = match text.as_bytes()[0] {
            b'+' => LineKind::Add,
            b'-' => LineKind::Remove,
            _ => LineKind::Context,
        };
        let text = match text[1..].strip_suffix('\\') {
            Some(cut) => cut.to_owned(),
            None => format!("{}\n", &text[1..]),
        };
        HunkLine {
            kind,
            text: text.into_bytes(),
        }
    };
    Hunk {
        old_start: numbers[0],
        old_lines: numbers[1],
        new_start: numbers[2],
        new_lines: numbers[3],
        section: String::new(),
        lines: lines.iter().map(line).collect(),
        line: 1,
    }
}

#[track_caller]
fn check(old: &str, hunks: &[Hunk], new: &str, offsets: &[i64]) {
    let done = apply_hunks(old.as_bytes(), hunks).unwrap();
    assert_eq!(String::from_utf8(done.content.clone()).unwrap(), new);
    let moved: Vec<i64> = done.places.iter().map(|place| place.offset).collect();
    assert_eq!(moved, offsets);
    let back = unapply_hunks(&done.content, hunks, &done.places);
    assert_eq!(back.as_deref(), Some(old.as_bytes()));
}

#[track_caller]
fn check_refused(old: &str, hunks: &[Hunk], index: usize) {
    let error = apply_hunks(old.as_bytes(), hunks).unwrap_err();
    assert_eq!((error.index, error.fault), (index, HunkFault::NotFound));
}

#[test]
fn applies_where_it_says() {
    let change = hunk([2, 3, 2, 3], &[" b", "-c", "+C", " d"]);
    check("a\nb\nc\nd\ne\n", &[change], "a\nb\nC\nd\ne\n", &[0]);
}

#[test]
fn finds_lines_that_moved_and_prefers_the_nearest() {
    let change = hunk([5, 3, 5, 3], &[" b", "-c", "+C", " d"]);
    check(
        "b\nc\nd\nx\nx\nb\nc\nd\nx\n",
        &[change],
        "b\nc\nd\nx\nx\nb\nC\nd\nx\n",
        &[1],
    );
}

#[test]
fn of_two_equally_near_places_the_later_wins() {
    let change = hunk([4, 1, 4, 2], &[" b", "+n", " d"]);
    let old = "x\nb\nd\nx\nb\nd\nx\n";
    check(
        old,
        std::slice::from_ref(&change),
        "x\nb\nd\nx\nb\nn\nd\nx\n",
        &[1],
    );
    let even = hunk([3, 2, 3, 3], &[" b", "+n", " d"]);
    check(
        "b\nd\nx\nx\nb\nd\nx\n",
        &[even],
        "b\nd\nx\nx\nb\nn\nd\nx\n",
        &[2],
    );
}

#[test]
fn a_hunk_at_the_beginning_stays_there() {
    let first = hunk([1, 1, 1, 2], &["+n", " a"]);
    check_refused("x\na\nb\n", std::slice::from_ref(&first), 0);
    check("a\nb\n", &[first], "n\na\nb\n", &[0]);
}

#[test]
fn a_hunk_without_context_after_it_belongs_to_the_end() {
    let last = hunk([2, 1, 2, 2], &[" b", "+n"]);
    check_refused("a\nb\nc\n", std::slice::from_ref(&last), 0);
    check("a\nx\nb\n", &[last], "a\nx\nb\nn\n", &[1]);
}

#[test]
fn context_is_never_bent() {
    let tab = hunk([1, 2, 1, 2], &[" \tb", "-c", "+C", " d"]);
    check_refused("    b\nc\nd\n", &[tab], 0);
    let cr = hunk([2, 2, 2, 2], &[" b", "-c", "+C", " d"]);
    check_refused("a\nb\r\nc\r\nd\r\n", &[cr], 0);
}

#[test]
fn newline_at_the_end_counts() {
    let take = hunk([1, 2, 1, 2], &[" a", "-b", "+b\\"]);
    check("a\nb\n", std::slice::from_ref(&take), "a\nb", &[0]);
    check_refused("a\nb", &[take], 0);
    let add = hunk([1, 2, 1, 2], &[" a", "-b\\", "+b"]);
    check("a\nb", &[add], "a\nb\n", &[0]);
}

#[test]
fn a_later_hunk_does_not_match_what_an_earlier_one_wrote() {
    let first = hunk([1, 2, 1, 3], &[" a", "+x", " b"]);
    let second = hunk([2, 2, 3, 2], &[" x", "-b", "+c", " d"]);
    check_refused("a\nb\nd\n", &[first, second], 1);
}

#[test]
fn a_later_hunk_may_belong_before_an_earlier_one() {
    let later = hunk([5, 3, 5, 3], &[" e", "-f", "+F", " g"]);
    let earlier = hunk([9, 3, 9, 3], &[" a", "-b", "+B", " c"]);
    check(
        "z\na\nb\nc\ne\nf\ng\n",
        &[later, earlier],
        "z\na\nB\nc\ne\nF\ng\n",
        &[0, -7],
    );
}

#[test]
fn new_and_emptied_files() {
    let add = hunk([0, 0, 1, 2], &["+a", "+b"]);
    check("", &[add], "a\nb\n", &[0]);
    let empty = hunk([1, 2, 0, 0], &["-a", "-b"]);
    check("a\nb\n", std::slice::from_ref(&empty), "", &[0]);
    check_refused("a\nb\nc\n", &[empty], 0);
}

#[test]
fn a_search_without_end_is_ended() {
    let old = "a\n".repeat(40_000);
    let mut lines = vec![" a"; 39_000];
    lines.extend(["-b", " a"]);
    let hunks = vec![hunk([2, 39_002, 2, 39_001], &lines)];
    let started = std::time::Instant::now();
    let error = apply_hunks(old.as_bytes(), &hunks).unwrap_err();
    assert!(started.elapsed().as_secs() < 60);
    assert_eq!(error.index, 0);
}

#[test]
fn a_misfit_shows_both_sides() {
    let change = hunk([2, 4, 2, 4], &[" b", " c", "-d", "+D", " e"]);
    let error = apply_hunks(b"a\nb\nc\nd\x1b[31m\ne\n", std::slice::from_ref(&change)).unwrap_err();
    insta::assert_json_snapshot!(misfit(&error, &change), @r###"
    {
      "hunk": 1,
      "header": "@@ -2,4 +2,4 @@",
      "source_line": 1,
      "reason": "its lines are not in the file",
      "wants": [
        "b",
        "c",
        "d",
        "e"
      ],
      "has": [
        "b",
        "c",
        "d\\u{1b}[31m",
        "e"
      ],
      "line": 2,
      "alike": [
        3,
        4
      ]
    }
    "###);
}

#[track_caller]
fn check_delta(old: &[u8], delta: &[u8], want: Result<&[u8], DeltaError>) {
    let got = apply_binary(old, &BinaryDelta::Delta(delta.to_vec()));
    assert_eq!(got.as_deref().map_err(|e| *e), want);
}

#[test]
fn deltas() {
    check_delta(b"hello", &[5, 4, 0x91, 1, 3, 1, b'!'], Ok(b"ell!"));
    check_delta(
        b"hell",
        &[5, 1, 1, b'!'],
        Err(DeltaError::OtherSource {
            wanted: 5,
            found: 4,
        }),
    );
    check_delta(b"hello", &[5, 4, 0x91, 4, 3], Err(DeltaError::Damaged));
    check_delta(b"hello", &[5, 9, 3, b'a', b'b'], Err(DeltaError::Damaged));
    check_delta(b"hello", &[5, 1, 0], Err(DeltaError::Damaged));
    check_delta(
        b"",
        &[0, 0xff, 0xff, 0xff, 0xff, 0x7f],
        Err(DeltaError::TooLarge),
    );
}

proptest! {
    #[test]
    fn no_delta_makes_trouble(old: Vec<u8>, delta: Vec<u8>) {
        let _ = apply_binary(&old, &BinaryDelta::Delta(delta));
    }

    /// What is applied at any distance can be taken back exactly.
    #[test]
    fn applied_is_taken_back(
        old in proptest::collection::vec("[ab]", 0..30),
        at in 0usize..30, take in 1usize..6, cut in 0usize..3, stated in 0u32..40,
    ) {
        let text: String = old.iter().map(|l| format!("{l}\n")).collect();
        let at = at.min(old.len());
        let end = (at + take).min(old.len());
        let mut lines: Vec<String> = old[at..end].iter().map(|l| format!(" {l}")).collect();
        if let Some(line) = lines.get_mut(cut) {
            line.replace_range(0..1, "-");
        }
        lines.insert(cut.min(lines.len()), "+new".to_owned());
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let hunks = [hunk([stated, 0, stated, 0], &lines)];
        if let Ok(done) = apply_hunks(text.as_bytes(), &hunks) {
            let back = unapply_hunks(&done.content, &hunks, &done.places);
            prop_assert_eq!(back, Some(text.into_bytes()));
        }
    }
}
