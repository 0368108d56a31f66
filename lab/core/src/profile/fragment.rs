// SPDX-License-Identifier: MIT OR Apache-2.0
//! Configuration fragments: the lines of a kernel's `.config`, with one mark of our own.
//!
//! ```text
//! CONFIG_PROVE_LOCKING=y
//! # CONFIG_MODULES is not set
//! CONFIG_KALLSYMS_ALL=y # optional
//! ```
//! An option marked optional may be lost without failing the build.

use crate::job::ConfigOption;
use crate::yaml::YamlError as ProfileError;

/// Longest symbol name accepted; Kconfig itself has no limit, its users stay under 100.
const NAME_MAX: usize = 256;

/// Reads a fragment. `file` is for messages and for [`ConfigOption::origin`].
///
/// # Errors
/// The first line that is neither blank, comment nor option.
pub fn parse(file: &str, text: &str) -> Result<Vec<ConfigOption>, ProfileError> {
    let mut options = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let origin = format!("{file}:{number}");
        match parse_line(line.trim(), &origin) {
            Ok(Some(option)) => options.push(option),
            Ok(None) => {}
            Err(words) => return Err(ProfileError::new(file, Some(number), words)),
        }
    }
    Ok(options)
}

/// One line: an option, nothing (blank or comment), or what is wrong with it.
fn parse_line(line: &str, origin: &str) -> Result<Option<ConfigOption>, String> {
    if let Some(comment) = line.strip_prefix('#') {
        let unset = comment
            .trim()
            .strip_suffix(" is not set")
            .and_then(|rest| rest.strip_prefix("CONFIG_"));
        return match unset {
            Some(name) => option(name, "n", false, origin).map(Some),
            None => Ok(None),
        };
    }
    if line.is_empty() {
        return Ok(None);
    }
    let Some((name, rest)) = line.split_once('=') else {
        return Err(format!(
            "`{line}` is no option; accepted: `CONFIG_NAME=value`, `# CONFIG_NAME is not set`, comments"
        ));
    };
    let (value, optional) = split_mark(rest)?;
    option(name.trim(), value, optional, origin).map(Some)
}

/// Parts a value from a trailing `# optional`.
fn split_mark(rest: &str) -> Result<(&str, bool), String> {
    let after_value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.find('"').map_or(rest.len(), |end| end + 2),
        None => 0,
    };
    match rest[after_value..].find('#') {
        None => Ok((rest.trim(), false)),
        Some(at) => {
            let (value, mark) = rest.split_at(after_value + at);
            match mark[1..].trim() {
                "optional" => Ok((value.trim(), true)),
                other => Err(format!(
                    "`# {other}` after an option; accepted: `# optional`"
                )),
            }
        }
    }
}

/// An option whose name and value are well formed; the name may carry `CONFIG_`.
pub(super) fn option(
    name: &str,
    value: &str,
    optional: bool,
    origin: &str,
) -> Result<ConfigOption, String> {
    let name = name.strip_prefix("CONFIG_").unwrap_or(name);
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(word) {
        return Err(format!(
            "`{name}` is no name of a symbol; accepted: letters, digits, underscore"
        ));
    }
    if !well_formed(value) {
        return Err(format!(
            "`{value}` is no value for {name}; accepted: y, n, m, a number, 0x…, or a \"quoted string\""
        ));
    }
    Ok(ConfigOption {
        name: name.to_owned(),
        value: value.to_owned(),
        optional,
        origin: origin.to_owned(),
    })
}

fn well_formed(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let hex = value.strip_prefix("0x").or(value.strip_prefix("0X"));
    matches!(value, "y" | "n" | "m")
        || (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
        || hex.is_some_and(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_hexdigit()))
        || is_quoted(value)
}

fn is_quoted(value: &str) -> bool {
    value.len() >= 2
        && value.starts_with('"')
        && value.ends_with('"')
        && !value[1..value.len() - 1].contains(['"', '\\', '\n', '\r', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &[(&str, &str, bool)]) {
        let options = parse("f.config", text).unwrap();
        let seen: Vec<_> = options
            .iter()
            .map(|o| (o.name.as_str(), o.value.as_str(), o.optional))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn reads_every_form() {
        check(
            "# a comment\n\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y # optional\nCONFIG_D=0x1f\nCONFIG_E=-3\nCONFIG_F=\"a # b\" # optional\nCONFIG_G=\"\"\n",
            &[
                ("A", "y", false),
                ("B", "n", false),
                ("C", "y", true),
                ("D", "0x1f", false),
                ("E", "-3", false),
                ("F", "\"a # b\"", true),
                ("G", "\"\"", false),
            ],
        );
    }

    #[test]
    fn says_where_and_what_is_accepted() {
        let error = |text: &str| parse("f.config", text).unwrap_err().to_string();
        insta::assert_snapshot!(error("CONFIG_A=y\nCONFIG_B"), @"f.config:2: `CONFIG_B` is no option; accepted: `CONFIG_NAME=value`, `# CONFIG_NAME is not set`, comments");
        insta::assert_snapshot!(error("CONFIG_A=yes"), @r#"f.config:1: `yes` is no value for A; accepted: y, n, m, a number, 0x…, or a "quoted string""#);
        insta::assert_snapshot!(error("CONFIG_A=y # maybe"), @"f.config:1: `# maybe` after an option; accepted: `# optional`");
        insta::assert_snapshot!(error("CONFIG_A-B=y"), @"f.config:1: `A-B` is no name of a symbol; accepted: letters, digits, underscore");
        insta::assert_snapshot!(error("CONFIG_A=\"$(rm)\""), @r#"f.config:1: `"$(rm)"` is no value for A; accepted: y, n, m, a number, 0x…, or a "quoted string""#);
    }

    proptest! {
        #[test]
        fn any_text_gives_options_or_an_error(text in "(?s).{0,200}") {
            if let Ok(options) = parse("f", &text) {
                for option in options {
                    prop_assert!(!option.name.is_empty() && !option.value.contains('\n'));
                }
            }
        }
    }
}
