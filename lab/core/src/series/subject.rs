// SPDX-License-Identifier: MIT OR Apache-2.0
//! Subject lines: what the brackets in front say, and what stays for the commit.

/// What stands in front of a subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Prefix {
    /// `v3`.
    pub(super) version: Option<u32>,
    /// `04/19`.
    pub(super) number: Option<(u32, u32)>,
    /// `RFC`.
    pub(super) rfc: bool,
    /// `RESEND` or `REPOST`.
    pub(super) resend: bool,
    /// `Re:` and its like in other languages.
    pub(super) reply: bool,
}

/// Reads the brackets, in any order and number.
pub(super) fn prefix(subject: &str) -> Prefix {
    let mut out = Prefix::default();
    let mut rest = subject.trim_start();
    loop {
        if let Some(tail) = rest.strip_prefix('[') {
            let Some((inside, tail)) = tail.split_once(']') else {
                return out;
            };
            inside
                .split([' ', ',', '\t', ';'])
                .for_each(|word| out.word(word));
            rest = tail.trim_start();
        } else if let Some(tail) = answer(rest) {
            out.reply = true;
            rest = tail.trim_start();
        } else {
            return out;
        }
    }
}

fn answer(text: &str) -> Option<&str> {
    let (word, tail) = text.split_once(':')?;
    let known = ["re", "aw", "sv", "antw", "fwd", "fw", "wg", "tr"];
    known
        .iter()
        .any(|k| word.eq_ignore_ascii_case(k))
        .then_some(tail)
}

impl Prefix {
    fn word(&mut self, word: &str) {
        let upper = word.to_ascii_uppercase();
        let rest = upper
            .strip_prefix("PATCH")
            .or_else(|| upper.strip_prefix("RFC"))
            .unwrap_or(&upper);
        if let Some(version) = rest.strip_prefix('V').and_then(number) {
            self.version = Some(version);
        }
        if let Some((at, of)) = rest.split_once('/')
            && let (Some(at), Some(of)) = (number(at), number(of))
        {
            self.number = (of > 0).then_some((at, of));
        }
        self.rfc |= upper.starts_with("RFC") || upper == "PATCH/RFC" || upper == "RFC/PATCH";
        self.resend |= upper.starts_with("RESEND") || upper.starts_with("REPOST");
    }
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// The subject as `git am` keeps it: brackets, `Re:` and colons in front go, white space becomes one blank.
pub(super) fn clean(subject: &str) -> String {
    let mut rest = subject;
    loop {
        let bytes = rest.as_bytes();
        if let [b' ' | b'\t' | b':' | b'\n' | b'\r', ..] = bytes {
            rest = &rest[1..];
        } else if let [b'r' | b'R', b'e' | b'E', b':', _, ..] = bytes {
            rest = &rest[3..];
        } else if let Some((_, tail)) = rest
            .strip_prefix('[')
            .and_then(|inner| inner.split_once(']'))
        {
            rest = tail;
        } else {
            break;
        }
    }
    one_line(rest)
}

/// White space as git's mailinfo sees it, in runs, becomes one blank each.
pub(super) fn one_line(text: &str) -> String {
    let words = text
        .split([' ', '\t', '\n', '\r'])
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// A name for folders and refs: lower case, `[a-z0-9._-]`, at most 60 bytes.
pub(super) fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() || (matches!(c, '.' | '_') && !out.is_empty()) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
        if out.len() >= 60 {
            break;
        }
    }
    // A ref may hold no two dots in a row and not end in `.lock` or a dot.
    while out.contains("..") {
        out = out.replace("..", ".");
    }
    let out = out
        .trim_end_matches(['-', '.', '_'])
        .trim_end_matches(".lock");
    if out.is_empty() {
        "series".to_owned()
    } else {
        out.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        subject: &str,
        version: Option<u32>,
        number: Option<(u32, u32)>,
        flags: &str,
        text: &str,
    ) {
        let got = prefix(subject);
        let seen: String = [(got.rfc, 'r'), (got.resend, 's'), (got.reply, 'a')]
            .iter()
            .filter(|f| f.0)
            .map(|f| f.1)
            .collect();
        assert_eq!(
            (got.version, got.number, seen.as_str()),
            (version, number, flags),
            "{subject}"
        );
        assert_eq!(clean(subject), text, "{subject}");
    }

    #[test]
    fn prefixes_of_every_kind() {
        check("[PATCH] fs: x", None, None, "", "fs: x");
        check(
            "[PATCH v3 04/19] fs: x",
            Some(3),
            Some((4, 19)),
            "",
            "fs: x",
        );
        check(
            "[RFC PATCH net-next v2 1/3] x",
            Some(2),
            Some((1, 3)),
            "r",
            "x",
        );
        check("[PATCHv4 RESEND 0/7] x", Some(4), Some((0, 7)), "s", "x");
        check(
            "[RFC][PATCH V2] [media] x: [y]",
            Some(2),
            None,
            "r",
            "x: [y]",
        );
        check("[PATCH net-next,v5,3/9] x", Some(5), Some((3, 9)), "", "x");
        check("Re: [PATCH v3 1/2] x", Some(3), Some((1, 2)), "a", "x");
        check("AW: RE: [PATCH] x", None, None, "a", "AW: RE: [PATCH] x");
        check("refs: x", None, None, "", "refs: x");
        check("[PATCH 1/0]  a \t b", None, None, "", "a b");
        check("[PATCH unclosed", None, None, "", "[PATCH unclosed");
        check("[PATCH v99999999999 1/2] x", None, Some((1, 2)), "", "x");
    }

    #[test]
    fn slugs_are_fit_for_refs() {
        assert_eq!(
            slug("fs/dcache: wake up d_alloc_parallel() waiters"),
            "fs-dcache-wake-up-d_alloc_parallel-waiters"
        );
        assert_eq!(slug("../..//x.lock"), "x");
        assert_eq!(slug("日本"), "series");
    }
}
