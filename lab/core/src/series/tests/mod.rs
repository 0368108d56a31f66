// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the whole room: mails in, a series or a refusal out.

mod git;
mod hostile;
mod mails;
mod round;

use super::*;

/// A patch mail with these headers, body above the diff, and a one-line change of a file.
fn patch_mail(headers: &str, text: &str, file: &str) -> String {
    format!(
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: Ann Other <ann@example.org>\n\
         Date: Mon, 4 Mar 2024 10:20:30 +0100\n{headers}\n\n{text}\n---\n {file} | 2 +-\n\n{}-- \n2.39.5\n\n",
        change(file)
    )
}

/// A diff that changes one line of a file.
fn change(file: &str) -> String {
    format!(
        "diff --git a/{file} b/{file}\nindex 1111111..2222222 100644\n--- a/{file}\n+++ b/{file}\n\
         @@ -1,3 +1,3 @@ int f(void)\n one\n-two\n+2\n three\n"
    )
}

fn read(text: &str) -> Result<Series, SeriesError> {
    read_mbox(text.as_bytes(), "in/v.mbox", &ReadOptions::default())
}

/// What is left when places are forgotten.
fn placeless(mut series: Series) -> Series {
    series.warnings.clear();
    for patch in &mut series.patches {
        patch.source.clear();
        for file in &mut patch.files {
            file.line = 0;
            if let Body::Text(hunks) = &mut file.body {
                hunks.iter_mut().for_each(|hunk| hunk.line = 0);
            }
        }
    }
    series
}
