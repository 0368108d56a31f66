// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text of strangers made fit for a terminal.

/// Control characters become `\u{..}` escapes, tabs stay.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push(c),
            c if is_harmful(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// JSON made fit for a terminal: its encoder escapes the ASCII controls alone. Its meaning stays, for what is
/// escaped here can only stand within strings.
pub fn harmless_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c != '\n' && is_harmful(c) => out += &format!("\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

fn is_harmful(c: char) -> bool {
    c.is_control() || is_unseen(c)
}

/// Characters that hide, or that reorder what is read: a mail could make one subject look like another.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_bidi_overrides_lose_their_power() {
        assert_eq!(
            harmless("a\x1b[31mb\u{202e}c\td\u{9b}e"),
            "a\\u{1b}[31mb\\u{202e}c\td\\u{9b}e"
        );
    }

    #[test]
    fn harmless_json_says_the_same() {
        let said = "a\u{9b}31m\u{202e}b\u{7f}\x1b";
        let text = harmless_json(&serde_json::to_string_pretty(&[said]).unwrap());
        assert!(text.is_ascii() && text.contains('\n'), "{text}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [said]);
    }
}
