// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stack lines in the forms that x86, arm and arm64 kernels have printed over the years.

/// One function of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its name without compiler suffixes.
    pub(super) func: String,
    /// The instruction pointer itself, not a return address.
    pub(super) pointer: bool,
    /// Found on the stack but perhaps left there by an earlier call (`? func+0x1/0x2`).
    pub(super) guess: bool,
    /// Inlined into the next frame, as symbolised logs tell.
    pub(super) inlined: bool,
}

/// What names the instruction pointer.
const POINTERS: [&[u8]; 9] = [
    b"RIP: ",
    b"EIP: ",
    b"EIP is at ",
    b"IP: ",
    b"PC is at ",
    b"pc : ",
    b"RIP  [",
    b"epc : ",
    b"NIP ",
];

/// The frame in a line, if it is one.
pub(super) fn frame(text: &[u8]) -> Option<Frame> {
    let text = text.trim_ascii_start();
    if text.starts_with(b"LR ") {
        return None;
    }
    if let Some(rest) = POINTERS.iter().find_map(|name| text.strip_prefix(*name)) {
        // The code segment stands before the symbol; a user-mode pointer has no symbol.
        let rest = match memchr::memchr(b':', &rest[..rest.len().min(5)]) {
            Some(colon) if rest[..colon].iter().all(u8::is_ascii_hexdigit) => &rest[colon + 1..],
            _ => rest,
        };
        let func = symbol(after_address(rest))?;
        return Some(Frame {
            func,
            pointer: true,
            guess: false,
            inlined: false,
        });
    }
    let rest = after_address(after_tags(text));
    let (rest, guess) = match rest.strip_prefix(b"? ") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    // arm: `[<80101234>] (func) from [<80105678>] (caller+0x10/0x14)`.
    let rest = match rest.strip_prefix(b"(") {
        Some(inside) if memchr::memmem::find(inside, b") from ").is_some() => {
            let func = ident(inside)?;
            return Some(Frame {
                func: plain(func),
                pointer: false,
                guess,
                inlined: false,
            });
        }
        Some(inside) => inside,
        None => rest,
    };
    let func = symbol(rest)
        .or_else(|| inlined(rest))
        .or_else(|| from(rest))?;
    let guess = guess || text.ends_with(b"(unreliable)");
    Some(Frame {
        func,
        pointer: false,
        guess,
        inlined: text.ends_with(b"[inline]"),
    })
}

/// Drops `<IRQ> `, `<<EOE>> `, `<#DF> `: kernels before 4.9 print the first frame of a stack behind them.
fn after_tags(mut text: &[u8]) -> &[u8] {
    for _ in 0..2 {
        let inside = match text {
            [b'<', rest @ ..] => rest,
            _ => break,
        };
        let len = inside
            .iter()
            .take(12)
            .take_while(|byte| byte.is_ascii_uppercase() || matches!(byte, b'<' | b'/' | b'#'))
            .count();
        let Some(rest) = inside[len..].strip_prefix(b">").filter(|_| len > 0) else {
            break;
        };
        text = rest.strip_prefix(b">").unwrap_or(rest).trim_ascii_start();
    }
    text
}

/// `func+0x12/0x34` at the beginning of `text`: the plain name.
pub(super) fn symbol(text: &[u8]) -> Option<String> {
    let name = ident(text)?;
    text[name.len()..]
        .strip_prefix(b"+0x")
        .filter(|rest| rest.first().is_some_and(u8::is_ascii_hexdigit))?;
    Some(plain(name))
}

/// `func fs/namei.c:123 [inline]`, as symbolised logs print it.
fn inlined(text: &[u8]) -> Option<String> {
    let name = ident(text)?;
    (text.ends_with(b"[inline]") && text.get(name.len()) == Some(&b' ')).then(|| plain(name))
}

/// arm since 5.17: ` func from caller+0x14/0x18`.
fn from(text: &[u8]) -> Option<String> {
    let name = ident(text)?;
    let caller = text[name.len()..].strip_prefix(b" from ")?;
    symbol(caller).map(|_| plain(name))
}

/// Drops `[<ffffffff81234567>] `, once or twice, and the spaces after it.
pub(super) fn after_address(mut text: &[u8]) -> &[u8] {
    for _ in 0..2 {
        let Some(inside) = text.strip_prefix(b"[<").or_else(|| text.strip_prefix(b"[")) else {
            break;
        };
        let Some(close) = memchr::memchr(b']', &inside[..inside.len().min(40)]) else {
            break;
        };
        text = inside[close + 1..].trim_ascii_start();
    }
    text
}

/// A C or Rust identifier at the beginning of `text`, with the compiler's suffixes.
pub(super) fn ident(text: &[u8]) -> Option<&[u8]> {
    let len = text
        .iter()
        .take(256)
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$')))
        .unwrap_or(text.len().min(256));
    let name = &text[..len];
    (name
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_'))
    .then_some(name)
}

/// Without `.isra.0`, `.part.3`, `.constprop.1`, `.cold`, `.llvm.123`: another compiler must not make another bug.
pub(super) fn plain(name: &[u8]) -> String {
    let name = match memchr::memchr(b'.', name) {
        Some(dot) if dot > 0 => &name[..dot],
        _ => name,
    };
    String::from_utf8_lossy(name).into_owned()
}
