// SPDX-License-Identifier: MIT OR Apache-2.0
//! As much of the Kconfig language as it takes to say why an option was lost: which symbols exist, and what
//! each depends on, enclosing `if` and `menu` blocks included. See Documentation/kbuild/kconfig-language.rst.

use super::dotconfig::DotConfig;
use std::collections::{BTreeMap, BTreeSet};

/// Symbols of a tree with the conditions of each definition.
#[derive(Debug, Default)]
pub struct Symbols(BTreeMap<String, Vec<Definition>>);

/// One place that defines a symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Definition {
    /// All must hold.
    depends: Vec<String>,
    /// It has a prompt; without one, nobody but `select` and `default` can set it.
    prompt: bool,
    in_choice: bool,
}

/// A block that is open, with how many conditions it brought.
struct Block {
    kind: &'static str,
    conditions: usize,
}

/// What a line belongs to.
#[derive(PartialEq)]
enum Entry {
    Symbol(String),
    Block,
    Other,
}

impl Symbols {
    /// Adds the symbols of one Kconfig file.
    pub fn add(&mut self, text: &str) {
        let mut reader = Reader {
            symbols: self,
            conditions: Vec::new(),
            blocks: Vec::new(),
            entry: Entry::Other,
            help: Help::No,
        };
        for line in logical_lines(text) {
            reader.line(&line);
        }
    }

    /// Whether any file defines the symbol.
    pub fn defines(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Why a symbol may not have come out, for people, in one clause; empty when nothing is known.
    pub fn explain(&self, name: &str, config: &DotConfig) -> String {
        let definitions = self.0.get(name).map_or(&[][..], Vec::as_slice);
        let mut clauses: Vec<String> = Vec::new();
        let all: Vec<String> = definitions.iter().map(|d| d.depends.join(" && ")).collect();
        if all.iter().any(|depends| !depends.is_empty()) {
            clauses.push(format!("it depends on {}", all.join(", or ")));
            clauses.extend(unset(&all, config));
        }
        if !definitions.is_empty() && definitions.iter().all(|d| !d.prompt) {
            clauses.push("it has no prompt: only other options select it".to_owned());
        }
        if definitions.iter().any(|d| d.in_choice) {
            clauses.push("it is one of a choice: another may have been chosen".to_owned());
        }
        clauses.join("; ")
    }
}

/// Which symbols of the expressions are off, and which stand in the way by being on.
fn unset(expressions: &[String], config: &DotConfig) -> Vec<String> {
    let mut off = BTreeSet::new();
    let mut on = BTreeSet::new();
    for (negated, name) in expressions.iter().flat_map(|e| names(e)) {
        match (negated, config.get(&name) != "n") {
            (false, false) => off.insert(name),
            (true, true) => on.insert(name),
            _ => false,
        };
    }
    let say = |names: BTreeSet<String>, how: &str| {
        let list: Vec<_> = names.into_iter().collect();
        (!list.is_empty()).then(|| format!("{how} here: {}", list.join(", ")))
    };
    [say(off, "unset"), say(on, "set")]
        .into_iter()
        .flatten()
        .collect()
}

/// Symbols of an expression, each with whether a `!` stands right before it. Macro calls `$(…)`, strings and
/// the constants y, m, n are no symbols.
fn names(expression: &str) -> Vec<(bool, String)> {
    let mut found = Vec::new();
    let mut negated = false;
    let mut chars = expression.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\'' => while chars.next().is_some_and(|next| next != c) {},
            '$' => skip_macro(&mut chars),
            '!' => negated = chars.peek() != Some(&'='),
            '(' | ' ' | '\t' => {}
            c if is_word(c) => {
                let mut name = String::from(c);
                while let Some(next) = chars.next_if(|next| is_word(*next)) {
                    name.push(next);
                }
                if !matches!(name.as_str(), "y" | "n" | "m") {
                    found.push((negated, name));
                }
                negated = false;
            }
            _ => negated = false,
        }
    }
    found
}

fn skip_macro(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let mut depth = 0_usize;
    for c in chars.by_ref() {
        match c {
            '(' => depth += 1,
            ')' if depth <= 1 => return,
            ')' => depth -= 1,
            _ => {}
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Lines with trailing backslashes joined.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        let (body, goes_on) = match line.strip_suffix('\\') {
            Some(body) => (body, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if open => last.push_str(body),
            _ => lines.push(body.to_owned()),
        }
        open = goes_on;
    }
    lines
}

/// Help text goes on while lines are indented at least as its first one.
enum Help {
    No,
    Begins,
    Indented(usize),
}

struct Reader<'a> {
    symbols: &'a mut Symbols,
    conditions: Vec<String>,
    blocks: Vec<Block>,
    entry: Entry,
    help: Help,
}

impl Reader<'_> {
    fn line(&mut self, line: &str) {
        let body = line.trim();
        if body.is_empty() || self.in_help(line) || body.starts_with('#') {
            return;
        }
        let (word, rest) = body.split_once([' ', '\t']).unwrap_or((body, ""));
        let rest = rest.trim();
        match word {
            "config" | "menuconfig" => self.symbol(rest),
            "if" => {
                self.open("if");
                self.condition(rest);
            }
            "menu" => self.open("menu"),
            "choice" => self.open("choice"),
            "endif" | "endmenu" | "endchoice" => self.close(),
            "comment" | "source" | "mainmenu" => self.entry = Entry::Other,
            "help" | "---help---" => self.help = Help::Begins,
            "depends" => self.depends(rest.strip_prefix("on").unwrap_or(rest).trim()),
            "prompt" | "bool" | "tristate" | "string" | "int" | "hex" => self.prompt(word, rest),
            _ => {}
        }
    }

    fn in_help(&mut self, line: &str) -> bool {
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        match self.help {
            Help::No => return false,
            Help::Begins if indent > 0 => self.help = Help::Indented(indent),
            Help::Indented(first) if indent >= first => {}
            _ => self.help = Help::No,
        }
        !matches!(self.help, Help::No)
    }

    fn symbol(&mut self, name: &str) {
        let name: String = name.chars().take_while(|c| is_word(*c)).collect();
        self.entry = Entry::Symbol(name.clone());
        let definition = Definition {
            depends: self.conditions.clone(),
            prompt: false,
            in_choice: self.blocks.iter().any(|block| block.kind == "choice"),
        };
        self.symbols.0.entry(name).or_default().push(definition);
    }

    fn open(&mut self, kind: &'static str) {
        self.blocks.push(Block {
            kind,
            conditions: 0,
        });
        self.entry = Entry::Block;
    }

    /// Adds a condition to the innermost block.
    fn condition(&mut self, expression: &str) {
        if let Some(block) = self.blocks.last_mut() {
            block.conditions += 1;
            self.conditions.push(parenthesised(expression));
        }
    }

    fn close(&mut self) {
        if let Some(block) = self.blocks.pop() {
            let left = self.conditions.len() - block.conditions;
            self.conditions.truncate(left);
        }
        self.entry = Entry::Other;
    }

    fn depends(&mut self, expression: &str) {
        match &self.entry {
            Entry::Block => self.condition(expression),
            Entry::Symbol(_) => {
                if let Some(definition) = self.definition() {
                    definition.depends.push(parenthesised(expression));
                }
            }
            Entry::Other => {}
        }
    }

    /// A prompt, with its own `if` when it has one.
    fn prompt(&mut self, word: &str, rest: &str) {
        let quoted = rest.starts_with(['"', '\'']);
        if !quoted && word != "prompt" {
            return;
        }
        if let Some(definition) = self.definition() {
            definition.prompt = true;
            if let Some((_, condition)) = rest.rsplit_once("\" if ") {
                definition.depends.push(parenthesised(condition));
            }
        }
    }

    fn definition(&mut self) -> Option<&mut Definition> {
        match &self.entry {
            Entry::Symbol(name) => self.symbols.0.get_mut(name)?.last_mut(),
            _ => None,
        }
    }
}

/// An expression that can stand in a conjunction.
fn parenthesised(expression: &str) -> String {
    let expression = expression.split(" #").next().unwrap_or(expression);
    let words: Vec<&str> = expression.split_whitespace().collect();
    match expression.contains("||") {
        true => format!("({})", words.join(" ")),
        false => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r#"
menu "Networking"
	depends on NET && \
		   (INET || UNIX)

config PLAIN
	bool "A plain one"
	depends on A || B
	help
	  depends on NOTHING really
	    config NOISE

	  still help
if !OFF

menuconfig SUB
	bool
	prompt "Sub" if EXPERT
	depends on $(cc-option,-fsanitize=thread (X)) && C != "off"

config HIDDEN
	bool
	default y

endif # !OFF
endmenu

choice
	prompt "Preemption"
	default NONE

config NONE
	bool "None"

endchoice

config FREE
	tristate "Free"
"#;

    fn check(name: &str, config: &str, expected: &str) {
        let mut symbols = Symbols::default();
        symbols.add(TEXT);
        assert!(symbols.defines(name));
        assert_eq!(symbols.explain(name, &DotConfig::parse(config)), expected);
    }

    #[test]
    fn names_what_stands_in_the_way() {
        check(
            "PLAIN",
            "CONFIG_NET=y\nCONFIG_A=m\n",
            "it depends on (NET && (INET || UNIX)) && (A || B); unset here: B, INET, UNIX",
        );
        check(
            "SUB",
            "CONFIG_NET=y\nCONFIG_INET=y\nCONFIG_UNIX=y\nCONFIG_OFF=y\nCONFIG_C=y\n",
            "it depends on (NET && (INET || UNIX)) && !OFF && EXPERT && $(cc-option,-fsanitize=thread (X)) && C != \"off\"; unset here: EXPERT; set here: OFF",
        );
        check("FREE", "", "");
        check(
            "NONE",
            "",
            "it is one of a choice: another may have been chosen",
        );
    }

    #[test]
    fn help_is_no_syntax_and_hidden_symbols_are_told() {
        let mut symbols = Symbols::default();
        symbols.add(TEXT);
        assert!(!symbols.defines("NOISE"));
        let words = symbols.explain("HIDDEN", &DotConfig::default());
        assert!(
            words.ends_with("it has no prompt: only other options select it"),
            "{words}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?s)(config A\n|if B\n|endif\n|\tdepends on .{0,9}\n|.{0,9}\n){0,20}") {
            let mut symbols = Symbols::default();
            symbols.add(&text);
            let _ = symbols.explain("A", &DotConfig::default());
        }
    }
}
