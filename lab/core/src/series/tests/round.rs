// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written is read back the same.

use super::*;
use proptest::prelude::*;

fn line(kind: LineKind, text: &str, end: bool) -> HunkLine {
    HunkLine {
        kind,
        text: format!("{text}{}", if end { "\n" } else { "" }).into_bytes(),
    }
}

prop_compose! {
    fn hunk()(before in proptest::collection::vec("[ -~\u{e9}\r]{0,12}", 0..4),
              after in proptest::collection::vec("[ -~\t]{0,12}", 1..4),
              section in "[a-z(][a-z ()]{0,8}", start in 1u32..5000) -> Hunk {
        let mut lines: Vec<HunkLine> = before.iter().map(|t| line(LineKind::Remove, t, true)).collect();
        lines.extend(after.iter().map(|t| line(LineKind::Add, t, true)));
        lines.push(line(LineKind::Context, "From here", false));
        let count = |n: usize| u32::try_from(n).unwrap() + 1;
        Hunk { old_start: start, old_lines: count(before.len()), new_start: start, new_lines: count(after.len()), section, lines, line: 0 }
    }
}

fn blobs() -> Option<(String, String)> {
    Some(("1".repeat(40), "2".repeat(40)))
}

prop_compose! {
    fn file()(old in "[a-z]{1,5}/[a-z \u{e4}\"\t]{1,6}x", new in "[a-z]{1,5}/[a-z0-9]{1,6}", hunks in proptest::collection::vec(hunk(), 1..3),
              kind in 0usize..6, data in proptest::collection::vec(any::<u8>(), 0..99), percent in 0u8..100) -> FilePatch {
        let same = kind < 3 || kind == 5;
        let new = if same { old.clone() } else { new };
        let change = [Change::Modify, Change::Modify, Change::Add, Change::Rename, Change::Copy, Change::Delete][kind];
        let text = Body::Text(if change == Change::Rename { vec![] } else { hunks });
        let binary = Body::Binary { forward: BinaryDelta::Literal(data.clone()), reverse: Some(BinaryDelta::Delta(data)) };
        FilePatch {
            old_path: (change != Change::Add).then_some(old),
            new_path: (change != Change::Delete).then_some(new),
            change,
            similarity: matches!(change, Change::Rename | Change::Copy).then_some(percent),
            old_mode: (change != Change::Add && change != Change::Rename).then_some(0o100_644),
            new_mode: (change != Change::Delete && change != Change::Rename).then_some(if kind == 1 { 0o100_755 } else { 0o100_644 }),
            blobs: (change != Change::Rename).then(blobs).flatten(),
            body: if kind == 1 { binary } else { text },
            line: 0,
        }
    }
}

prop_compose! {
    fn patch()(subject in "[a-z\u{e9}=?(][ -~\u{e9}\u{65e5}]{0,70}", body in "([ -~\u{e9}]{0,30}\n|From me\n|>From you\n|From: x\n|Subject: y\n|\n){0,8}",
               name in "[A-Za-z\u{e9}\u{65e5}\"(),.]{1,12} [A-Za-z]{2,9}", date in -2_000_000_000i64..4_000_000_000, offset in -839i32..840,
               files in proptest::collection::vec(file(), 1..4)) -> Patch {
        Patch {
            number: 0, subject: String::new(), message: format!("{subject}\n\n{body}"), author_name: name, author_email: "a@b".into(),
            date_seconds: date, date_offset: offset, message_id: None, source: "s".into(), files, patch_id: String::new(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn any_series_comes_back(patches in proptest::collection::vec(patch(), 1..4), cover in proptest::option::of("[a-z]{1,9}\n"), version in 1u32..9, rfc: bool) {
        let options = ReadOptions { version: None, name: Some("n".into()) };
        let mut series = read_commits(patches, "r", &options).unwrap();
        series.version = version;
        series.rfc = rfc;
        series.resend = !rfc;
        series.base_commit = Some("0123456789".into());
        series.change_id = Some("some-id".into());
        series.prerequisites = vec!["1".repeat(40), "2".repeat(40)];
        if cover.is_some() {
            series.subject = "cover it".into();
        }
        series.cover = cover;
        let first = placeless(series);
        let written = format_patch(&first);
        let again = placeless(read_mbox(&written, "r", &options).unwrap());
        prop_assert_eq!(&again, &first);
        prop_assert_eq!(format_patch(&again), written);
    }
}
