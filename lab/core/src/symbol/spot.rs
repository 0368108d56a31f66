// SPDX-License-Identifier: MIT OR Apache-2.0
//! Places in a line of console that name an instruction: `func+0x12/0x340`, as the kernel's `%pS` and `%pB` print it.

use std::ops::Range;

/// What is known of the address from the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The instruction itself: an instruction pointer.
    Pointer,
    /// Where a call returns to; the call stands before it.
    Return,
    /// Found on the stack but perhaps left there by an earlier call (`? func+0x1/0x2`).
    Guess,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Bytes of the line, from the symbol's first to the size's last (and the module's, where one is named).
    pub at: Range<usize>,
    /// The symbol as printed, with compiler suffixes.
    pub symbol: String,
    /// Offset from the symbol.
    pub offset: u64,
    /// Distance to the next symbol, as kallsyms knows it.
    pub size: u64,
    /// Module that the symbol belongs to; none: the kernel proper.
    pub module: Option<String>,
    /// What kind of address it is.
    pub kind: Kind,
}

/// Words before a symbol that make it the instruction pointer, in the forms of x86, arm, arm64, RISC-V and PowerPC.
const POINTERS: [&str; 9] = [
    "RIP:",
    "RIP [",
    "RIP  [",
    "EIP:",
    "IP: ",
    "PC is at ",
    "pc : ",
    "epc : ",
    "NIP ",
];

/// All places of a line, in order.
pub fn spots(line: &str) -> Vec<Spot> {
    line.match_indices("+0x")
        .filter_map(|(plus, _)| spot(line, plus))
        .collect()
}

fn spot(line: &str, plus: usize) -> Option<Spot> {
    let name = line[..plus]
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$')))
        .map_or(0, |before| {
            before + line[before..].chars().next().map_or(1, char::len_utf8)
        });
    let symbol = &line[name..plus];
    if !symbol.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '.') {
        return None;
    }
    let (offset, rest) = hex(&line[plus + 1..])?;
    let (size, rest) = hex(rest.strip_prefix('/')?)?;
    let (module, rest) = module(rest);
    Some(Spot {
        at: name..line.len() - rest.len(),
        symbol: symbol.to_owned(),
        offset,
        size,
        module,
        kind: kind(&line[..name]),
    })
}

/// `0x1f…` at the beginning of `text`, and what follows.
fn hex(text: &str) -> Option<(u64, &str)> {
    let digits = text.strip_prefix("0x")?;
    let end = digits
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(digits.len());
    let value = u64::from_str_radix(&digits[..end], 16).ok()?;
    Some((value, &digits[end..]))
}

/// ` [xfs]` or ` [xfs 0123…]` (with a build id) at the beginning of `text`, and what follows.
fn module(text: &str) -> (Option<String>, &str) {
    let parsed = text.strip_prefix(" [").and_then(|inside| {
        let close = inside.find(']')?;
        let name = inside[..close].split(' ').next()?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        // «[inline]» is what other tools write behind a frame, no module.
        (!name.is_empty() && name != "inline" && name.chars().all(is_name))
            .then(|| (Some(name.to_owned()), &inside[close + 1..]))
    });
    parsed.unwrap_or((None, text))
}

fn kind(before: &str) -> Kind {
    // «WARNING: CPU: 1 PID: 2 at fs/x.c:3 func+…» names the trapping instruction.
    let warning = before.contains("WARNING: ") && before.contains(" at ");
    if warning || POINTERS.iter().any(|words| before.contains(words)) {
        Kind::Pointer
    } else if before.ends_with("? ") || before.ends_with("? (") {
        Kind::Guess
    } else {
        Kind::Return
    }
}
