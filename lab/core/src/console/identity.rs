// SPDX-License-Identifier: MIT OR Apache-2.0
//! What makes two reports one: names without numbers, addresses, tasks and compiler suffixes.

use super::table::{Format, Role};
use crate::finding::Class;

/// What a title is filled from.
pub(super) struct Pattern<'a> {
    pub(super) format: &'a Format,
    pub(super) head: &'a [u8],
    pub(super) after: usize,
    pub(super) access: Option<&'static str>,
}

impl Pattern<'_> {
    /// Fills a template. Without a function the words that lead to it go as well.
    pub(super) fn title(&self, template: &str, func: Option<&str>) -> String {
        let mut title = match func {
            Some(func) => template.replace("{func}", &self.pair(func)),
            None => template.replace(" in {func}", ""),
        };
        if title.contains("{kind}") {
            title = title.replace("{kind}", &self.kind());
        }
        if title.contains("{access}") {
            let access = self
                .access
                .filter(|_| !self.kind().ends_with("free") || self.kind().ends_with("after-free"));
            title = match access {
                Some(access) => title.replace("{access}", access),
                None => title.replace(" {access}", ""),
            };
        }
        if title.contains("{rest}") {
            title = title.replace("{rest}", &normal(self.rest()));
        }
        if title.contains("{slab}") {
            title = title.replace("{slab}", &normal(self.slab()));
        }
        title
    }

    fn rest(&self) -> &[u8] {
        let rest = self.head.get(self.after..).unwrap_or_default();
        // Who and where it was stands after these words, what it was before.
        [
            &b" on CPU"[..],
            b" in process ",
            b": comm ",
            b" for process ",
            b" ---",
            b" !!!",
            b" ...",
        ]
        .iter()
        .filter_map(|words| memchr::memmem::find(rest, words))
        .min()
        .map_or(rest, |at| &rest[..at])
    }

    /// `BUG kmalloc-8 (Tainted: G B): Object already free`: what comes after the taint.
    fn slab(&self) -> &[u8] {
        let rest = self.head.get(self.after..).unwrap_or_default();
        memchr::memmem::find(rest, b"): ").map_or(&b"slab corruption"[..], |at| &rest[at + 3..])
    }

    fn kind(&self) -> String {
        let rest = self.head.get(self.after..).unwrap_or_default();
        let kind = memchr::memmem::find(rest, b" in ").map_or(rest, |at| &rest[..at]);
        match normal(kind).as_str() {
            "double-free or invalid-free" => "invalid-free".to_owned(),
            kind => kind.to_owned(),
        }
    }

    /// A data race has two sides: `a / b`, in the order the kernel gives.
    fn pair(&self, func: &str) -> String {
        if self.format.class != Class::Kcsan || self.format.role != Role::Opens {
            return func.to_owned();
        }
        let rest = self.head.get(self.after..).unwrap_or_default();
        let other = memchr::memmem::find(rest, b" / ")
            .and_then(|at| super::frame::ident(&rest[at + 3..]))
            .map(super::frame::plain);
        match other {
            Some(other) => format!("{func} / {other}"),
            None => func.to_owned(),
        }
    }
}

/// `class/function/title`; for lock reports `class/locks/title`.
pub(super) fn signature(
    class: Class,
    function: Option<&str>,
    title: &str,
    locks: &[String],
) -> String {
    let middle = match locks {
        [] => function.unwrap_or("-").to_owned(),
        locks => locks.join(" + "),
    };
    format!("{class}/{middle}/{title}")
}

/// Longest normalised text.
const LONGEST: usize = 120;

/// The number or address that `text` begins with: what stands for it, and its length.
fn number(text: &[u8]) -> Option<(&'static str, usize)> {
    let len = text
        .iter()
        .position(|byte| !(byte.is_ascii_hexdigit() || *byte == b'x'))
        .unwrap_or(text.len());
    let first = text.first()?;
    let ends = text
        .get(len)
        .is_none_or(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_'));
    if text.starts_with(b"0x") || (len >= 8 && (ends || first.is_ascii_digit())) {
        return Some(("ADDR", len));
    }
    first.is_ascii_digit().then_some(("NUM", len))
}

/// Text in which numbers are `NUM`, addresses `ADDR`, and nothing is left that a terminal would obey.
pub(super) fn normal(text: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = &text[..text.len().min(4 * LONGEST)];
    let mut in_word = false;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some((word, len)) = number(rest).filter(|_| !in_word) {
            out.push_str(word);
            rest = &rest[len..];
            in_word = true;
        } else {
            in_word = byte.is_ascii_alphanumeric() || byte == b'_';
            out.push(if byte.is_ascii_graphic() || byte == b' ' {
                byte as char
            } else {
                '?'
            });
            rest = tail;
        }
        if out.len() >= LONGEST {
            break;
        }
    }
    out.trim_end_matches([' ', '.', ':']).to_owned()
}

/// The class of a lock: what stands in the outermost parentheses before `{`, without lockdep's instance number `#3`.
pub(super) fn lock_class(text: &[u8]) -> Option<String> {
    let open = memchr::memchr(b'(', text)?;
    let close = memchr::memmem::find(text, b"){").or_else(|| memchr::memrchr(b')', text))?;
    let inside = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
    let mut class = String::new();
    let mut chars = inside.chars().take(128).peekable();
    while let Some(char) = chars.next() {
        if char == '#' {
            while chars.peek().is_some_and(char::is_ascii_digit) {
                chars.next();
            }
        } else {
            class.push(if char.is_ascii_graphic() || char == ' ' {
                char
            } else {
                '?'
            });
        }
    }
    (!class.is_empty()).then(|| without_device(class))
}

/// Work queues are named after their device, `(wq_completion)xfs-conv/vda1` or `(wq_completion)loop0`: any device is one class.
fn without_device(class: String) -> String {
    let Some((kind, queue)) = class
        .split_once("(wq_completion)")
        .map(|(before, queue)| (format!("{before}(wq_completion)"), queue))
    else {
        return class;
    };
    let queue = match queue.split_once('/') {
        Some((name, _)) => format!("{name}/DEV"),
        None => queue
            .trim_end_matches(|char: char| char.is_ascii_digit())
            .to_owned(),
    };
    kind + &queue
}

/// One name for what kernels of several ages and machines call by several: system call entries, synchronize_rcu().
pub(super) fn function_name(func: &str) -> String {
    for prefix in [
        "__x64_sys_",
        "__ia32_sys_",
        "__arm64_sys_",
        "__riscv_sys_",
        "__s390x_sys_",
    ] {
        if let Some(name) = func.strip_prefix(prefix) {
            return format!("sys_{name}");
        }
    }
    for prefix in [
        "SyS_",
        "SYSC_",
        "C_SYSC_",
        "compat_SyS_",
        "ksys_",
        "__se_sys_",
        "__do_sys_",
        "sys_",
    ] {
        if let Some(name) = func.strip_prefix(prefix) {
            return name.to_owned();
        }
    }
    if func.starts_with("smp_call_function") {
        return "smp_call_function".to_owned();
    }
    if super::skip::named(func, &[super::skip::GRACE_PERIODS]) {
        return "synchronize_rcu".to_owned();
    }
    func.to_owned()
}
