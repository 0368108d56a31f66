// SPDX-License-Identifier: MIT OR Apache-2.0
//! `.config`: options merged in, and what came out compared with what was asked.

use crate::job::ConfigOption;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

/// The values of a `.config`; a symbol that is absent or «is not set» has no entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DotConfig(BTreeMap<String, String>);

impl DotConfig {
    /// Reads a `.config`. Lines of any other form are passed over.
    pub fn parse(text: &str) -> Self {
        let set = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            Some((name.to_owned(), value.trim_end().to_owned()))
        });
        Self(set.collect())
    }
    /// The symbol's value, `n` when it is not set.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("n", String::as_str)
    }
    /// Whether it came out as it was asked for.
    pub fn honours(&self, option: &ConfigOption) -> bool {
        self.get(&option.name) == option.value
    }
}

/// A `.config` with the options set: their old lines go, theirs come at the end.
pub fn merge(text: &str, options: &[&ConfigOption]) -> String {
    let asked: HashSet<&str> = options.iter().map(|option| option.name.as_str()).collect();
    let keep = |line: &&str| symbol_of(line).is_none_or(|name| !asked.contains(name));
    let mut merged = String::with_capacity(text.len() + options.len() * 32);
    for line in text.lines().filter(keep) {
        merged.push_str(line);
        merged.push('\n');
    }
    for ConfigOption { name, value, .. } in options {
        let _ = match value.as_str() {
            "n" => writeln!(merged, "# CONFIG_{name} is not set"),
            _ => writeln!(merged, "CONFIG_{name}={value}"),
        };
    }
    merged
}

/// The symbol that a line of `.config` is about.
fn symbol_of(line: &str) -> Option<&str> {
    let body = line.strip_prefix("# ").unwrap_or(line);
    body.strip_prefix("CONFIG_")?.split(['=', ' ']).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn option(name: &str, value: &str) -> ConfigOption {
        ConfigOption {
            name: name.to_owned(),
            value: value.to_owned(),
            optional: false,
            origin: String::new(),
        }
    }

    #[test]
    fn merges_in_place_of_old_lines_only() {
        let before = "#\n# Linux\n#\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_AB=y\n";
        let (a, b) = (option("A", "n"), option("B", "\"x y\""));
        insta::assert_snapshot!(merge(before, &[&a, &b]), @r#"
        #
        # Linux
        #
        CONFIG_AB=y
        # CONFIG_A is not set
        CONFIG_B="x y"
        "#);
    }

    #[test]
    fn absent_and_unset_are_the_same_as_n() {
        let config = DotConfig::parse("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S=\"a=b\"\n");
        assert!(config.honours(&option("B", "n")) && config.honours(&option("C", "n")));
        assert!(config.honours(&option("A", "y")) && !config.honours(&option("A", "m")));
        assert_eq!(config.get("S"), "\"a=b\"");
    }

    proptest! {
        #[test]
        fn what_is_merged_is_read_back(
            text in "(CONFIG_[A-D]=[yn]\n|# CONFIG_[A-D] is not set\n|# x\n){0,12}",
            name in "[A-E]", value in "y|n|m|12",
        ) {
            let asked = option(&name, &value);
            prop_assert!(DotConfig::parse(&merge(&text, &[&asked])).honours(&asked));
        }
    }
}
