// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real git as the reference; without one these tests say so by name and check nothing.

use super::*;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether git is there; says loudly when it is not.
fn git_is_here(test: &str) -> bool {
    let found = Command::new("git")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|s| s.success());
    if !found {
        eprintln!("SKIPPED {test}: no git on this host to compare with");
    }
    found
}

fn git(dir: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "A U Thor"),
            ("GIT_AUTHOR_EMAIL", "author@example.org"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "C O Mitter"),
            ("GIT_COMMITTER_EMAIL", "c@example.org"),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(
        out.status.success(),
        "git {args:?}: {}",
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat())
    );
    out.stdout
}

fn git_patch_id(dir: &Path, diff: &[u8]) -> String {
    let out = git(dir, &["patch-id", "--stable"], diff);
    String::from_utf8(out)
        .unwrap()
        .split(' ')
        .next()
        .unwrap_or("")
        .to_owned()
}

/// A repository whose commits do everything that a diff can say.
fn repository(dir: &Path) {
    let run = |args: &[&str]| drop(git(dir, args, b""));
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let lines = |n: usize| (0..n).map(|i| format!("line {i}\n")).collect::<String>();
    run(&["init", "-q", "."]);
    for (name, n) in [
        ("a.c", 100),
        ("b/with blank", 50),
        ("c/\u{e4}.c", 30),
        ("d", 20),
        ("gone", 10),
    ] {
        put(name, lines(n).as_bytes());
    }
    put("bin", b"x\0y");
    put("crlf", b"a\r\nb\r\nc\r\n");
    put("end", b"no newline");
    run(&["add", "."]);
    run(&["commit", "-qm", "start"]);
    run(&["mv", "a.c", "moved.c"]);
    put(
        "moved.c",
        lines(100).replace("line 50\n", "fifty\n").as_bytes(),
    );
    put(
        "b/with blank",
        lines(50).replace("line 7\n", "seven \t\n").as_bytes(),
    );
    put("new/empty", b"");
    put("new/full", b"one\ntwo");
    run(&["rm", "-q", "gone"]);
    run(&["add", "-A"]);
    run(&[
        "commit",
        "-qm",
        "Everything at once: \u{e4}\u{f6}\u{fc}\n\nA paragraph.\n\nFrom: a line like a header\n\nFrom here on it is text.\n\nLink: https://example.org/x\nSigned-off-by: A U Thor <author@example.org>",
    ]);
    run(&["update-index", "--chmod=+x", "d"]);
    put("bin", b"x\0z and more");
    put(
        "c/\u{e4}.c",
        lines(30).replace("line 3\n", "\u{e9}\n").as_bytes(),
    );
    put("crlf", b"a\r\nB\r\nc\r\n");
    put("end", b"a newline\n");
    run(&["mv", "new/full", "new/pure rename"]);
    run(&["add", "bin", "c", "crlf", "end", "new"]);
    run(&[
        "commit",
        "-qm",
        "[media] modes\nand a second line of subject\n\nbinary, and no newline",
    ]);
}

#[test]
fn patch_ids_and_commits_are_gits() {
    if !git_is_here("patch_ids_and_commits_are_gits") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let styles: [&[&str]; 5] = [
        &[],
        &["--attach"],
        &["--inline", "-v3"],
        &["--cover-letter", "--rfc"],
        &["--no-renames", "--full-index"],
    ];
    for style in styles {
        let mut args = vec!["format-patch", "--stdout", "--binary", "HEAD~2"];
        args.extend(style);
        let mbox = git(dir.path(), &args, b"");
        let series = read_mbox(&mbox, "x", &ReadOptions::default()).unwrap();
        assert_eq!(series.patches.len(), 2);
        let mut diff_args = vec!["diff", "--binary", "-M"];
        if style.contains(&"--no-renames") {
            diff_args.extend(["--no-renames", "--full-index"]);
        }
        for (patch, range) in series
            .patches
            .iter()
            .zip(["HEAD~2..HEAD~1", "HEAD~1..HEAD"])
        {
            let mut args = diff_args.clone();
            args.push(range);
            let diff = git(dir.path(), &args, b"");
            assert_eq!(
                patch.patch_id,
                git_patch_id(dir.path(), &diff),
                "{style:?} {range}"
            );
            assert_eq!(
                patch_id_of_files(&read_diff(&diff, "d").unwrap()),
                patch.patch_id
            );
            assert_eq!(
                git_patch_id(dir.path(), &format_diff(&patch.files)),
                patch.patch_id
            );
        }
        // git am takes no cover letter.
        applies(
            dir.path(),
            &Series {
                cover: None,
                ..series
            },
        );
    }
}

/// `git am` of the mbox that is written makes the trees and messages that the series promises.
fn applies(dir: &Path, series: &Series) {
    let tip = String::from_utf8(git(dir, &["rev-parse", "HEAD^{tree}"], b"")).unwrap();
    git(dir, &["checkout", "-qf", "--detach", "HEAD~2"], b"");
    git(dir, &["am", "-q", "--keep-cr"], &format_patch(series));
    assert_eq!(
        String::from_utf8(git(dir, &["rev-parse", "HEAD^{tree}"], b"")).unwrap(),
        tip
    );
    for (patch, at) in series.patches.iter().zip(["HEAD~1", "HEAD"]) {
        let got = git(dir, &["log", "-1", "--format=%an <%ae> %at%n%B", at], b"");
        let want = format!(
            "{} <{}> {}\n{}\n",
            patch.author_name, patch.author_email, patch.date_seconds, patch.message
        );
        assert_eq!(String::from_utf8(got).unwrap(), want);
    }
    git(dir, &["checkout", "-qf", "-"], b"");
}

/// The pieces from which several hundred mails are made.
const SUBJECTS: [&str; 6] = [
    "[PATCH] fs: plain",
    "[PATCH v3 04/19] [media] =?utf-8?q?gr=C3=BC=C3=9Fe?= =?utf-8?q?_und?= mehr",
    "Re: [RFC][PATCH] =?iso-8859-1?B?5Pb8?= x",
    "[PATCH]  two   blanks\n and a\n\tfold",
    "refs: [not a prefix] kept",
    "=?utf-8?q?=5BPATCH=5D_coded?=",
];
const FROMS: [&str; 6] = [
    "Ann Other <ann@example.org>",
    "\"Other, \\\"A\\\" Ann\" <ann@example.org>",
    "ann@example.org (Ann Other)",
    "=?utf-8?q?J=C3=B6rg_R=C3=B6del?= <jr@x.org>",
    "ann@example.org",
    "Ann (the one) Other <ann@example.org> (work)",
];
const BODIES: [&str; 9] = [
    "Text.  \n\n\n\nMore.\n\nSigned-off-by: A <a@b>\n",
    "From: Else Where <else@where>\nDate: 2 Feb 2020 02:02:02 -0330\n\nText.\n",
    "\n\nSubject: [PATCH] from\n the body\n\n From: not a header\n",
    "[PATCH] in the body\n\nText\n",
    "Hi,\nsee below.\n\n-- >8 --\nFrom: Cut <c@ut>\n\nKept.\n",
    "From: Ann <a@x>\nText right below\n",
    "diffstat is not a diff\n----\n-- \nIndex is no break\n",
    ">From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Quo Ted <q@t>\n\nText\n",
    "Bug: not a header\nSubject without colon\n",
];
const ENCODINGS: [&str; 3] = ["8bit", "quoted-printable", "base64"];

fn encode(body: &[u8], encoding: &str) -> Vec<u8> {
    match encoding {
        "quoted-printable" => body
            .iter()
            .flat_map(|&b| {
                if b == b'\n' {
                    vec![b]
                } else {
                    format!("={b:02X}").into_bytes()
                }
            })
            .collect(),
        "base64" => base64(body),
        _ => body.to_vec(),
    }
}

fn base64(body: &[u8]) -> Vec<u8> {
    const TABLE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    for (at, three) in body.chunks(3).enumerate() {
        let mut word = [0; 3];
        word[..three.len()].copy_from_slice(three);
        let bits = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for n in 0..4 {
            out.push(if n <= three.len() {
                TABLE[(bits >> (18 - 6 * n) & 63) as usize]
            } else {
                b'='
            });
        }
        if at % 18 == 17 {
            out.push(b'\n');
        }
    }
    out.push(b'\n');
    out
}

#[test]
fn messages_are_those_of_mailinfo() {
    if !git_is_here("messages_are_those_of_mailinfo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for (subject, from) in SUBJECTS
        .iter()
        .enumerate()
        .flat_map(|(n, s)| [(s, FROMS[n]), (s, FROMS[(n + 2) % 6])])
    {
        for (n, body) in BODIES.iter().enumerate() {
            for encoding in ENCODINGS {
                let head = format!(
                    "From: {from}\nDate: Mon, 4 Mar 2024 10:20:30 +0100\nSubject: {subject}\n\
                     Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
                );
                let text = format!(
                    "{body}{}---\n x | 2 +-\n\n{}-- \n2.39\n",
                    if n % 2 == 0 { "Gr\u{fc}\u{df}e\n" } else { "" },
                    change("x")
                );
                let mail = [head.into_bytes(), encode(text.as_bytes(), encoding)].concat();
                compare(dir.path(), &mail);
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 324);
}

fn compare(dir: &Path, mail: &[u8]) {
    let info =
        String::from_utf8(git(dir, &["mailinfo", "--scissors", "msg", "patch"], mail)).unwrap();
    let field = |name: &str| {
        let values: Vec<&str> = info.lines().filter_map(|l| l.strip_prefix(name)).collect();
        values.join("\n")
    };
    let raw = format!(
        "{}\n\n{}",
        field("Subject: "),
        std::fs::read_to_string(dir.join("msg")).unwrap()
    );
    let want = String::from_utf8(git(dir, &["stripspace"], raw.as_bytes())).unwrap();
    let shown = String::from_utf8_lossy(mail).into_owned();
    // A reply is none of the series' patches, but its text is still compared.
    let mail = shown.replace("Subject: Re: ", "Subject: ");
    let series = read_mails(
        vec![("m".into(), unnumbered(&mail).into_bytes())],
        "m",
        &ReadOptions::default(),
    )
    .unwrap_or_else(|e| panic!("{e}\n{shown}"));
    let patch = &series.patches[0];
    assert_eq!(patch.message, want, "{shown}");
    assert_eq!(
        (patch.author_name.as_str(), patch.author_email.as_str()),
        (field("Author: ").as_str(), field("Email: ").as_str()),
        "{shown}"
    );
    let diff = std::fs::read(dir.join("patch")).unwrap();
    assert_eq!(read_diff(&diff, "p").unwrap().len(), patch.files.len());
    assert_eq!(patch.patch_id, git_patch_id(dir, &diff));
}

/// One mail of a series stands for itself here.
fn unnumbered(mail: &str) -> String {
    mail.replace("04/19", "1/1")
}
