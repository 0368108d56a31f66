// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real-life mails: numbers, versions, replies, encodings.

use super::*;

fn three(prefix: &str) -> Vec<String> {
    (1..=3)
        .map(|n| {
            patch_mail(
                &format!("Subject: [PATCH {prefix}{n}/3] fs: step {n}"),
                "Why.\n",
                &format!("fs/{n}.c"),
            )
        })
        .collect()
}

fn subjects(series: &Series) -> Vec<&str> {
    series.patches.iter().map(|p| p.subject.as_str()).collect()
}

#[test]
fn patches_out_of_order_with_cover_tags_and_replies() {
    let cover = "From a@b Thu Jan  1 00:00:00 1970\nFrom: Ann Other <ann@example.org>\nSubject: [RFC PATCH v2 0/3] fs: all of it\n\n\
        The story.\n\nbase-commit: 0123456789abcdef0123456789abcdef01234567\nchange-id: 20240304-x-abc\n\
        prerequisite-patch-id: 0123456789abcdef0123456789abcdef01234567\n-- \n2.39\n\n";
    let reply = "From a@b Thu Jan  1 00:00:00 1970\nFrom: Rev <r@x>\nSubject: Re: [PATCH v2 1/3] fs: step 1\n\n> diff --git\nNo.\n\n";
    let mails = three("v2 ");
    let series = read(&format!(
        "{}{reply}{}{cover}{}",
        mails[2], mails[0], mails[1]
    ))
    .unwrap();
    assert_eq!(
        subjects(&series),
        ["fs: step 1", "fs: step 2", "fs: step 3"]
    );
    assert_eq!(
        (series.version, series.rfc, series.resend),
        (2, true, false)
    );
    assert_eq!(
        series.base_commit.as_deref(),
        Some("0123456789abcdef0123456789abcdef01234567")
    );
    assert_eq!(series.change_id.as_deref(), Some("20240304-x-abc"));
    assert_eq!(series.prerequisites.len(), 1);
    assert_eq!(series.cover.as_deref(), Some("The story.\n"));
    insta::assert_snapshot!(describe(&series), @r"
    v v2: fs: all of it (3 patches, RFC)
    base 0123456789abcdef0123456789abcdef01234567
    change-id 20240304-x-abc
      1  fs: step 1  Ann Other    1 file   +1 -1
      2  fs: step 2  Ann Other    1 file   +1 -1
      3  fs: step 3  Ann Other    1 file   +1 -1
    note: 1 reply was passed over
    ");
}

#[test]
fn the_newest_of_several_versions_is_taken() {
    let both = three("").concat() + &three("v4 ").concat();
    let series = read(&both).unwrap();
    assert_eq!(series.version, 4);
    assert_eq!(series.warnings, ["versions v1, v4 are in it; v4 was taken"]);
    let pick = |version| {
        read_mbox(
            both.as_bytes(),
            "x",
            &ReadOptions {
                version: Some(version),
                name: None,
            },
        )
    };
    assert_eq!(pick(1).unwrap().version, 1);
    assert_eq!(
        pick(3).unwrap_err().to_string(),
        "x: version 3 is not in it; there are: 1, 4"
    );
}

#[test]
fn what_is_not_whole_is_refused_by_name() {
    let check = |text: &str, want: &str| {
        assert_eq!(
            read(text).unwrap_err().to_string(),
            format!("in/v.mbox{want}")
        )
    };
    let numbered = |n: u32| patch_mail(&format!("Subject: [PATCH v3 {n:02}/19] x {n}"), "", "x");
    check(
        &[numbered(4), numbered(7)].concat(),
        ": patches missing: 1-3, 5, 6, 8-19 of 19 (v3)",
    );
    let other = patch_mail("Subject: [PATCH 2/3] another", "", "y");
    check(
        &(three("").concat() + &other),
        ": two different patches claim 2/3 (v1): in/v.mbox: message 2 and in/v.mbox: message 4",
    );
    let of_four = patch_mail("Subject: [PATCH 2/4] another", "", "y");
    check(
        &(three("").concat() + &of_four),
        ": more than one series of version 1 in it: patches numbered of 3 and of 4",
    );
    check("Subject: hello\n\nnothing\n", ": no patch in it");
    check("", ": no patch in it");
    let twice = read(&(three("").concat() + &three("RESEND ")[1])).unwrap();
    assert_eq!(
        twice.warnings,
        ["in/v.mbox: message 4: 2/3 is the same as in/v.mbox: message 2; taken once"]
    );
}

#[test]
fn names_come_from_the_path_or_the_subject() {
    let check = |source: &str, want: (&str, u32)| {
        let mails = three("")
            .into_iter()
            .zip(1..)
            .map(|(m, n)| (format!("{n}.patch"), m.into_bytes()))
            .collect();
        let series = read_mails(mails, source, &ReadOptions::default()).unwrap();
        assert_eq!((series.name.as_str(), series.version), want, "{source}");
    };
    check("patches/dcache-wakeup/v1", ("dcache-wakeup", 1));
    check("patches/dcache-wakeup/v7/", ("dcache-wakeup", 7));
    check("/x/Fs Fix.mbox.gz", ("fs-fix", 1));
    check("-", ("fs-step-1", 1));
}

/// The message of the only patch in a mail.
fn message(mail: &str) -> String {
    let series = read(mail).unwrap();
    let patch = &series.patches[0];
    format!(
        "{} <{}> {}\n{}",
        patch.author_name, patch.author_email, patch.date_offset, patch.message
    )
}

#[test]
fn encodings_and_in_body_headers() {
    let plain = patch_mail(
        "Subject: [PATCH] fs: gr\u{fc}\u{df}en",
        "Text.\n\nSigned-off-by: A <a@b>",
        "x",
    );
    let want = "Ann Other <ann@example.org> 60\nfs: grüßen\n\nText.\n\nSigned-off-by: A <a@b>\n";
    assert_eq!(message(&plain), want);
    assert_eq!(message(&plain.replace('\n', "\r\n")), want);
    let words = plain.replace(
        "fs: gr\u{fc}\u{df}en",
        "=?iso-8859-1?q?fs=3A_gr=FC?=\n =?iso-8859-1?q?=DFen?=",
    );
    assert_eq!(message(&words), want);
    let in_body = patch_mail(
        "Subject: [PATCH] x",
        "From: =?utf-8?q?J=C3=B6rg?= <j@x>\nSubject: longer\n  subject\n\nText.",
        "x",
    );
    assert_eq!(
        message(&in_body),
        "Jörg <j@x> 60\nlonger subject\n\nText.\n"
    );
    let scissors = patch_mail(
        "Subject: [PATCH] x",
        "Hi,\n\nlook:\n\n-- >8 --\nSubject: real\n\nText.",
        "x",
    );
    assert_eq!(
        message(&scissors),
        "Ann Other <ann@example.org> 60\nreal\n\nText.\n"
    );
    let quoted = patch_mail("Subject: [PATCH] x", ">From me to you", "x");
    assert!(
        message(&quoted).ends_with("\n>From me to you\n"),
        "git's own mbox escapes nothing"
    );
    let escaped = quoted.replace(
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001",
        "From mboxrd@z Thu Jan  1 00:00:00 1970",
    );
    assert!(message(&escaped).ends_with("\nFrom me to you\n"));
}

#[test]
fn attachments_and_transfer_encodings() {
    let diff = change("x")
        .replace("three", "dr=C3=A4i")
        .replace("@@ int", "@@ =\nint");
    let multipart = format!(
        "From: A B <a@b>\nDate: Mon, 4 Mar 2024 10:20:30 +0000\nSubject: [PATCH] x\nContent-Type: multipart/mixed; boundary=\"b1\"\n\n\
         preamble\n--b1\nContent-Type: text/plain; charset=koi8-r\nContent-Transfer-Encoding: base64\n\n8NLJ18XUCg==\n\
         --b1\nContent-Type: text/x-patch; name=x.patch\nContent-Transfer-Encoding: quoted-printable\n\n---\n{diff}--b1--\nbye\n"
    );
    let series = read(&multipart).unwrap();
    assert_eq!(series.patches[0].message, "x\n\nПривет\n");
    let Body::Text(hunks) = &series.patches[0].files[0].body else {
        panic!("text")
    };
    assert_eq!(
        (hunks[0].section.as_str(), hunks[0].lines[3].text.as_slice()),
        ("int f(void)", "dräi\n".as_bytes())
    );
}

#[test]
fn flowed_mails_are_joined_or_refused() {
    let head = "Subject: [PATCH] x\nContent-Type: text/plain; format=flowed";
    let only_said = patch_mail(head, "Text.", "x");
    assert_eq!(
        read(&only_said).unwrap().warnings,
        ["in/v.mbox: says format=flowed, but is not"]
    );
    let stuffed = only_said
        .replace("\n one", "\n  one")
        .replace("\n three", "\n  three")
        .replace("Text.", "Te \nxt.");
    assert_eq!(read(&stuffed).unwrap().patches[0].message, "x\n\nTe xt.\n");
    let broken = only_said.replace("-two\n", "-tw\no\n");
    assert!(matches!(
        read(&broken).unwrap_err().reason,
        Refusal::Flowed(_)
    ));
}

#[test]
fn quilt_folders() {
    let patches = |name: &str| {
        match name {
        "a/first-step.patch" => Some(change("x").into_bytes()),
        "dep3.diff" => Some(format!("Description: second step\n Longer words.\n .\n End.\nAuthor: D B <d@b>\nOrigin: vendor\n\n{}", change("y")).into_bytes()),
        "plain" => Some(b"It matters.\n\n--- linux.orig/fs/z\t2024-01-01 00:00:00\n+++ linux/fs/z\n@@ -1 +1 @@\n-a\n+b\n".to_vec()),
        "p0" => Some(b"Index: fs/n\n===\n--- fs/n\t1970-01-01 00:00:00 +0000\n+++ fs/n\n@@ -0,0 +1 @@\n+b\n\\ No newline at end of file\n".to_vec()),
        _ => None,
    }
    };
    let read = |text: &str| read_quilt(text, "patches/stack", patches, &ReadOptions::default());
    let series =
        read("# stack\na/first-step.patch # one\n\ndep3.diff -p1\nplain\np0 -p0\n").unwrap();
    let messages: Vec<_> = series.patches.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "first step\n",
            "second step\n\nLonger words.\n\nEnd.\n",
            "plain\n\nIt matters.\n",
            "p0\n"
        ]
    );
    assert_eq!(series.patches[1].author_name, "D B");
    assert_eq!(series.patches[3].files[0].change, Change::Add);
    let paths: Vec<_> = series
        .patches
        .iter()
        .filter_map(|p| p.files[0].new_path.as_deref())
        .collect();
    assert_eq!(paths, ["x", "y", "fs/z", "fs/n"]);
    assert_eq!(series.warnings.len(), 7, "{:?}", series.warnings);
    let check = |text: &str, want: &str| assert_eq!(read(text).unwrap_err().to_string(), want);
    check(
        "gone\n",
        "patches/stack/series:1: quilt series: no file gone",
    );
    check(
        "\nplain -R\n",
        "patches/stack/series:2: quilt series: reversed patches (-R) are not supported",
    );
    check(
        "../../etc/passwd\n",
        "patches/stack/series:1: path \"../../etc/passwd\" is refused: leads out of its folder",
    );
}
