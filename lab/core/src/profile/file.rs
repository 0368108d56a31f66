// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file's shape: every key optional, every unknown key refused.

use super::fragment;
use crate::job::{ConfigOption, DumpPolicy};
use crate::yaml::{self, YamlError as ProfileError};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// A profile as written.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ProfileFile {
    pub(super) description: Option<String>,
    pub(super) extends: Words,
    pub(super) config: ConfigFile,
    pub(super) machine: MachineFile,
    pub(super) kernel_args: Vec<String>,
    pub(super) sysctl: Settings,
    pub(super) suites: SuitesFile,
    pub(super) limits: LimitsFile,
    pub(super) time_factor: Option<f64>,
    pub(super) dump: Option<DumpPolicy>,
    pub(super) audit: Option<bool>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConfigFile {
    pub(super) start: Option<String>,
    pub(super) fragments: Words,
    pub(super) options: Options,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MachineFile {
    pub(super) cpus: Option<Whole<1, 512>>,
    pub(super) memory: Option<Whole<128, 4_194_304>>,
    pub(super) disk: Option<Whole<300, 4_194_304>>,
}

/// Kinds of work, one key each; the bundled workload is the first.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SuitesFile {
    pub(super) workload: Option<Vec<LoadFile>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadFile {
    pub(super) scenario: String,
    #[serde(default)]
    pub(super) fs: Words,
    pub(super) threads: Option<Whole<1, 4096>>,
    pub(super) names: Option<Whole<1, 10_000_000>>,
    pub(super) dirs: Option<Whole<1, 1_000_000>>,
    pub(super) seconds: Option<Whole<1, 604_800>>,
    pub(super) pause_us: Option<Whole<0, 60_000_000>>,
    #[serde(default)]
    pub(super) mix: BTreeMap<String, Whole<0, 1_000_000>>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    pub(super) firmware: Option<Whole<1, 86_400>>,
    pub(super) kernel: Option<Whole<1, 86_400>>,
    pub(super) agent: Option<Whole<1, 86_400>>,
    pub(super) scenario_extra: Option<Whole<1, 86_400>>,
    pub(super) settle: Option<Whole<0, 86_400>>,
    pub(super) drain: Option<Whole<1, 86_400>>,
    pub(super) console_mib: Option<Whole<1, 4096>>,
    pub(super) dump_mib: Option<Whole<1, 1_048_576>>,
    pub(super) build: Option<Whole<1, 604_800>>,
}

/// Reads one profile's text.
///
/// # Errors
/// What serde found, with its line, its key path and what is accepted.
pub(super) fn parse(file: &str, text: &str) -> Result<ProfileFile, ProfileError> {
    yaml::parse(file, text)
}

/// A whole number within bounds, so that a wrong one is told with its line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole<const MIN: u32, const MAX: u32>(pub(super) u32);

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded<const MIN: u32, const MAX: u32>;
        impl<const MIN: u32, const MAX: u32> Visitor<'_> for Bounded<MIN, MAX> {
            type Value = Whole<MIN, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                u32::try_from(number)
                    .ok()
                    .filter(|n| (MIN..=MAX).contains(n))
                    .map(Whole)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
            }
        }
        // A visitor, and not a check afterwards, so that the error carries this scalar's line.
        deserializer.deserialize_u64(Bounded::<MIN, MAX>)
    }
}

/// One word or a list of them.
#[derive(Debug, Default)]
pub(super) struct Words(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// A scalar of any kind, as the kernel would be told it.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, a number, true or false")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Scalar, E> {
                Ok(Scalar(word.to_owned()))
            }
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Scalar, E> {
                Ok(Scalar(if yes { "y" } else { "n" }.to_owned()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Scalar, E> {
                Ok(Scalar(number.to_string()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Values to write below /proc/sys; keys in sysctl's dotted form or as paths.
#[derive(Debug, Default)]
pub(super) struct Settings(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = BTreeMap::new();
        for (key, Scalar(value)) in BTreeMap::<String, Scalar>::deserialize(deserializer)? {
            let path = sysctl_path(&key).ok_or_else(|| {
                de::Error::custom(format!(
                    "`{key}` is no sysctl; accepted: `kernel.panic` or `kernel/panic`"
                ))
            })?;
            settings.insert(path, value);
        }
        Ok(Settings(settings))
    }
}

/// The path below /proc/sys, by the rule of sysctl(8): the first separator decides.
fn sysctl_path(key: &str) -> Option<String> {
    let path = match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'.' => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => key.to_owned(),
    };
    let part_ok =
        |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(|c| c.is_ascii_graphic());
    path.split('/').all(part_ok).then_some(path)
}

/// Inline options: a map `NAME: value`, or `NAME: {value: y, optional: true}`. There is no list of lines as in a
/// fragment: YAML would take their `# optional` for a comment of its own. The resolver fills in the origin.
#[derive(Debug, Default)]
pub(super) struct Options(pub(super) Vec<ConfigOption>);

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Marked {
    value: Scalar,
    #[serde(default)]
    optional: bool,
}

impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Assignments;
        impl<'de> Visitor<'de> for Assignments {
            type Value = Options;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map such as `PREEMPT: y`")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
                let mut options: Vec<ConfigOption> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    let OptionValue(marked) = map.next_value()?;
                    let option =
                        fragment::option(&name, &quote(&marked.value.0), marked.optional, "")
                            .map_err(de::Error::custom)?;
                    if options.iter().any(|earlier| earlier.name == option.name) {
                        return Err(de::Error::custom(format!("{name} is given twice")));
                    }
                    options.push(option);
                }
                Ok(Options(options))
            }
        }
        deserializer.deserialize_map(Assignments)
    }
}

/// A word that is neither tristate nor number is meant as a string: `.config` wants it quoted.
fn quote(value: &str) -> String {
    let plain = matches!(value, "y" | "n" | "m") || value.starts_with('"');
    let number = value.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if plain || number {
        value.to_owned()
    } else {
        format!("\"{value}\"")
    }
}

struct OptionValue(Marked);

impl<'de> Deserialize<'de> for OptionValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarOrMarked;
        impl<'de> Visitor<'de> for ScalarOrMarked {
            type Value = OptionValue;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("y, n, m, a number, a string, or {value: …, optional: true}")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<OptionValue, E> {
                plain(word.to_owned())
            }
            fn visit_bool<E: de::Error>(self, yes: bool) -> Result<OptionValue, E> {
                plain(if yes { "y" } else { "n" }.to_owned())
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<OptionValue, E> {
                plain(number.to_string())
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<OptionValue, E> {
                plain(number.to_string())
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OptionValue, A::Error> {
                Marked::deserialize(de::value::MapAccessDeserializer::new(map)).map(OptionValue)
            }
        }
        deserializer.deserialize_any(ScalarOrMarked)
    }
}

fn plain<E>(value: String) -> Result<OptionValue, E> {
    Ok(OptionValue(Marked {
        value: Scalar(value),
        optional: false,
    }))
}
