// SPDX-License-Identifier: MIT OR Apache-2.0
//! Paths in patches: quoting as git does it, and the rules that keep them inside the tree.

use super::error::Refusal;
use super::limits::MAX_PATH;

/// Undoes git's C-style quoting at the beginning of `text`; gives the bytes and what follows the closing quote.
pub(super) fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut out = Vec::new();
    loop {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match byte {
            b'"' => return Some((out, rest)),
            b'\\' => {
                let (&escape, tail) = rest.split_first()?;
                rest = tail;
                out.push(match escape {
                    b'a' => 7,
                    b'b' => 8,
                    b't' => b'\t',
                    b'n' => b'\n',
                    b'v' => 11,
                    b'f' => 12,
                    b'r' => b'\r',
                    b'"' | b'\\' => escape,
                    b'0'..=b'3' => {
                        let (octal, tail) = rest.split_at_checked(2)?;
                        rest = tail;
                        let low = |b: u8| (b'0'..=b'7').contains(&b).then(|| b - b'0');
                        (escape - b'0') << 6 | low(octal[0])? << 3 | low(octal[1])?
                    }
                    _ => return None,
                });
            }
            _ => out.push(byte),
        }
    }
}

/// Quotes a prefixed path as git does by default, only where it must.
pub(super) fn quote(prefix: &str, path: &str) -> String {
    let plain = |b: u8| (b' '..0x7f).contains(&b) && b != b'"' && b != b'\\';
    if path.bytes().all(plain) {
        return format!("{prefix}{path}");
    }
    let mut out = format!("\"{prefix}");
    for byte in path.bytes() {
        match byte {
            7 => out.push_str("\\a"),
            8 => out.push_str("\\b"),
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            11 => out.push_str("\\v"),
            12 => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            b'"' | b'\\' => out.extend(['\\', byte as char]),
            _ if plain(byte) => out.push(byte as char),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out.push('"');
    out
}

/// Takes `strip` leading components away and checks what is left.
pub(super) fn strip(path: &[u8], strip: usize) -> Result<String, Refusal> {
    let mut rest = path;
    for _ in 0..strip {
        match memchr::memchr(b'/', rest) {
            // `-p1` of `/etc/passwd` must not turn an absolute path into a harmless one.
            Some(0) => return Err(refuse(path, "absolute")),
            Some(slash) => rest = &rest[slash + 1..],
            None => return Err(refuse(path, "fewer folders than -p takes away")),
        }
    }
    checked(rest)
}

/// A path that may be written: relative, inside the tree, never into `.git`.
///
/// # Errors
/// [`Refusal::Path`] with the rule that it breaks.
pub fn checked(path: &[u8]) -> Result<String, Refusal> {
    let why = if path.is_empty() {
        "empty"
    } else if path.len() > MAX_PATH {
        "longer than any real path"
    } else if path.contains(&0) {
        "holds a NUL byte"
    } else if path[0] == b'/' {
        "absolute"
    } else {
        match std::str::from_utf8(path) {
            Err(_) => "not UTF-8",
            Ok(text) => match text.split('/').find_map(bad_component) {
                Some(why) => why,
                None => return Ok(text.to_owned()),
            },
        }
    };
    Err(refuse(path, why))
}

fn refuse(path: &[u8], why: &'static str) -> Refusal {
    let shown = &path[..path.len().min(200)];
    Refusal::Path {
        path: String::from_utf8_lossy(shown).into_owned(),
        why,
    }
}

fn bad_component(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("an empty component"),
        "." | ".." => Some("leads out of its folder"),
        _ if is_dot_git(name) => Some("would write into .git"),
        _ => None,
    }
}

/// `.git` in the spellings that some filesystem takes for it: case, NTFS short names and streams,
/// trailing dots and blanks, and code points that HFS+ ignores.
fn is_dot_git(name: &str) -> bool {
    let ignored = |c: &char| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let folded: String = name
        .chars()
        .filter(ignored)
        .collect::<String>()
        .to_ascii_lowercase();
    let base = folded.split([':', '\\']).next().unwrap_or("");
    let base = base.trim_end_matches(['.', ' ']);
    base == ".git" || base == "git~1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_refused_with_the_rule() {
        let check = |path: &[u8], want: &str| match checked(path) {
            Err(Refusal::Path { why, .. }) => assert!(why.contains(want), "{path:?}: {why}"),
            other => panic!("{path:?}: {other:?}"),
        };
        check(b"", "empty");
        check(b"/etc/passwd", "absolute");
        check(b"fs/../../x", "leads out");
        check(b"./x", "leads out");
        check(b"fs//x", "empty component");
        check(b"fs/", "empty component");
        for git in [
            ".git/config",
            "a/.GIT/hooks/x",
            "git~1/x",
            "GIT~1",
            ".git. /x",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it/x",
        ] {
            check(git.as_bytes(), ".git");
        }
        check(b"a\0b", "NUL");
        check(b"\xff", "UTF-8");
        check(&[b'a'; 5000], "longer");
        for fine in [
            "fs/dcache.c",
            ".gitignore",
            ".github/x",
            "a..b/...",
            "git~2",
        ] {
            assert_eq!(checked(fine.as_bytes()).as_deref(), Ok(fine));
        }
        assert!(strip(b"/etc/passwd", 1).is_err());
        assert!(strip(b"a//etc/passwd", 1).is_err());
    }

    #[test]
    fn quoting_goes_there_and_back() {
        for name in ["plain file", "ä/\"q\"\\", "tab\tnl\n\u{7}", "€"] {
            let quoted = quote("a/", name);
            match unquote(quoted.as_bytes()) {
                Some((bytes, rest)) => {
                    assert_eq!((bytes, rest), (format!("a/{name}").into_bytes(), &b""[..]))
                }
                None => assert_eq!(quoted, format!("a/{name}")),
            }
        }
        assert_eq!(quote("a/", "ä"), "\"a/\\303\\244\"");
        for broken in [&b"\"abc"[..], b"\"\\", b"\"\\9\"", b"\"\\38\"", b"\"\\3"] {
            assert!(unquote(broken).is_none());
        }
    }
}
