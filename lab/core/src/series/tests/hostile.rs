// SPDX-License-Identifier: MIT OR Apache-2.0
//! Input made to hurt: refused or bounded, with the reason, in linear time and without a panic.

use super::*;
use proptest::prelude::*;

fn refusal(diff: &str) -> SeriesError {
    read_diff(diff.as_bytes(), "d").unwrap_err()
}

#[test]
fn paths_out_of_the_tree() {
    for path in [
        "../x",
        "fs/../../x",
        ".git/config",
        ".GIT/hooks/post-checkout",
        "git~1/x",
        "/etc/passwd",
    ] {
        let error = refusal(&change(path));
        assert!(
            matches!(error.reason, Refusal::Path { .. }),
            "{path}: {error}"
        );
        let renamed = format!(
            "diff --git a/x b/{path}\nsimilarity index 100%\nrename from x\nrename to {path}\n"
        );
        assert!(
            matches!(refusal(&renamed).reason, Refusal::Path { .. }),
            "{path}"
        );
        let plain = format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n");
        assert!(
            matches!(refusal(&plain).reason, Refusal::Path { .. }),
            "{path}"
        );
    }
    let quoted = "diff --git \"a/\\056git/x\" \"b/\\056git/x\"\nnew file mode 100644\n";
    assert!(matches!(refusal(quoted).reason, Refusal::Path { .. }));
}

#[test]
fn diffs_that_do_not_add_up() {
    let check = |diff: &str, want: &str| {
        let error = refusal(diff).to_string();
        assert!(error.contains(want), "{error}");
    };
    let head = "diff --git a/x b/x\n--- a/x\n+++ b/x\n";
    check(
        &format!("{head}@@ -1,2 +1 @@\n-a\n+b\n"),
        "d:6: broken diff: the hunk at line 1 does not have the lines",
    );
    check(
        &format!("{head}@@ -1 +1 @@\n-a\n+b\n+c\n"),
        "d:7: broken diff: the hunk has more lines",
    );
    check(
        &format!("{head}@@ -1 +1 @@\n-a\0\n+b\n"),
        "the diff holds a NUL byte",
    );
    check(&format!("{head}@@ -1,0 +1,0 @@\n"), "a hunk without lines");
    check(
        &format!("{head}@@ -1 +1 @@\n\\ No newline\n-a\n+b\n"),
        "a `\\` line without a line before it",
    );
    check(head, "no hunk after the file names");
    check("@@ -1 +1 @@\n-a\n+b\n", "a hunk without a file header");
    check("diff --cc x\n", "combined diff");
    check(
        "diff --git a/x b/x\nBinary files a/x and b/x differ\n",
        "without its content",
    );
    check(
        "diff --git a/x b/x\nindex 1234567..1234568 160000\n",
        "file mode \"160000\"",
    );
    check(
        "diff --git a/x b/x\nnew file mode 100644\ndeleted file mode 100644\n",
        "contradict",
    );
    check(
        "diff --git a/x b/x\n--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
        "its header says \"x\", its ---/+++ line \"y\"",
    );
    check(
        "diff --git a/x b/x\nindex 1234567..1234568\n",
        "a file header without a change",
    );
    check(
        "diff --git a/x b/x\nGIT binary patch\nnonsense\n",
        "neither literal nor delta",
    );
}

#[test]
fn floods_are_bounded() {
    let hunks = "@@ -1 +1 @@\n-a\n+b\n".repeat(1_000_000);
    let error = refusal(&format!("--- a/x\n+++ b/x\n{hunks}"));
    assert_eq!(
        error.reason,
        Refusal::TooLarge {
            what: "hunks in one patch",
            limit: limits::MAX_HUNKS
        }
    );
    let lines = "\n".repeat(limits::MAX_LINES + 1);
    assert_eq!(
        refusal(&lines).reason,
        Refusal::TooLarge {
            what: "lines",
            limit: limits::MAX_LINES
        }
    );
    let mails = "From a@b Thu Jan  1 00:00:00 1970\nA: b\n\n".repeat(limits::MAX_MAILS + 1);
    assert_eq!(
        read(&mails).unwrap_err().reason,
        Refusal::TooLarge {
            what: "mails",
            limit: limits::MAX_MAILS
        }
    );
    let nested = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(50);
    assert!(matches!(
        read(&nested).unwrap_err().reason,
        Refusal::TooLarge {
            what: "multiparts in each other",
            ..
        }
    ));
    let many = patch_mail("Subject: [PATCH 1/4000000000] x", "", "x");
    assert_eq!(
        read(&many).unwrap_err().reason,
        Refusal::TooLarge {
            what: "patches",
            limit: limits::MAX_PATCHES
        }
    );
}

#[test]
fn a_nul_byte_anywhere_is_refused() {
    for at in [
        "Subject: [PATCH] a\0b",
        "Subject: [PATCH] =?utf-8?q?a=00b?=",
    ] {
        let error = read(&patch_mail(at, "", "x")).unwrap_err();
        assert!(error.to_string().contains("NUL"), "{error}");
    }
    assert!(
        read(&patch_mail("Subject: [PATCH] x", "a\0b", "x"))
            .unwrap_err()
            .to_string()
            .contains("NUL")
    );
}

/// Pieces that bring the readers into their corners.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static str> = vec![
        "From a@b Thu Jan  1 00:00:00 1970\n",
        "From: A <a@b>\n",
        "Subject: [PATCH 1/2] x\n",
        "Subject: =?utf-8?q?",
        "?=",
        "\n",
        "---\n",
        "-- >8 --\n",
        "diff --git a/x b/x\n",
        "diff --git \"a/\\303",
        "--- a/x\n+++ b/x\n",
        "@@ -1,2 +3 @@\n",
        "@@ -0,0 +1,4294967295 @@\n",
        "+a\n",
        "-b\n",
        " c\n",
        "\\ No newline\n",
        "GIT binary patch\n",
        "literal 5\n",
        "delta 0\n",
        "HcmV?d00001\n\n",
        "rename from x\n",
        "rename to y\n",
        "index 1234..5678 100644\n",
        "new file mode 100644\n",
        "Content-Type: multipart/mixed; boundary=q\n",
        "--q\n",
        "--q--\n",
        "Content-Type: text/plain; charset=utf-16; format=flowed\n",
        "Content-Transfer-Encoding: base64\n",
        "Content-Transfer-Encoding: quoted-printable\n",
        "Date: Mon, 4 Mar 2024 10:20:30 +0100\n",
        "\r\n",
        "=\n",
        "=?",
    ];
    prop_oneof![
        4 => proptest::sample::select(known).prop_map(|s| s.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_bytes_make_it_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        let bytes = pieces.concat();
        if let Ok(series) = read_mbox(&bytes, "x", &ReadOptions::default()) {
            describe(&series);
            format_patch(&series);
        }
        let _ = read_diff(&bytes, "x");
        let _ = read_quilt("x -p0\n", "q", |_| Some(bytes.clone()), &ReadOptions::default());
    }
}

#[test]
fn a_refusal_gives_the_terminal_no_orders() {
    let evil = "\u{1b}[2J\u{9b}31m\u{202e}\u{200b}\u{7}";
    let charset =
        format!("Subject: [PATCH] x\nContent-Type: text/plain; charset=\"{evil}\"\n\nx\u{e4}\n");
    let omitted = format!("diff --git a/zz b/zz\nBinary files a/{evil} and b/zz differ\n");
    let errors = [
        read_mbox(charset.as_bytes(), "d", &ReadOptions::default()).unwrap_err(),
        refusal(&omitted),
        SeriesError::new(format!("mail{evil}.mbox"), Refusal::Empty),
    ];
    for error in errors {
        let shown = error.to_string();
        assert_eq!(shown, crate::text::harmless(&shown), "{:?}", error.reason);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
    }
}
