// SPDX-License-Identifier: MIT OR Apache-2.0
//! From letters in any order to one complete series of one version.

use super::ReadOptions;
use super::error::{Refusal, SeriesError};
use super::letter::Letter;
use super::limits::MAX_PATCHES;
use super::model::{Patch, SERIES_FORMAT, Series};
use super::subject::slug;
use std::collections::{BTreeMap, BTreeSet};

/// Chooses the version, puts its patches in order, and refuses what is not one whole series.
pub(super) fn series(
    letters: Vec<Letter>,
    source: &str,
    options: &ReadOptions,
) -> Result<Series, SeriesError> {
    let refuse = |reason| SeriesError::new(source, reason);
    let mut warnings = Vec::new();
    let letters = without_replies(letters, &mut warnings);
    let (path_name, path_version) = name_of_path(source);
    let version_of = |letter: &Letter| letter.prefix.version.unwrap_or(1);
    let present: BTreeSet<u32> = letters
        .iter()
        .filter(|l| !l.patch.files.is_empty())
        .map(version_of)
        .collect();
    let Some(&newest) = present.last() else {
        return Err(refuse(Refusal::Empty));
    };
    let version = options.version.unwrap_or(newest);
    if !present.contains(&version) {
        // A folder `v2` names the version of mails that name none.
        if present.len() > 1
            || path_version != Some(version)
            || letters.iter().any(|l| l.prefix.version.is_some())
        {
            return Err(refuse(Refusal::NoVersion {
                wanted: version,
                present: present.into_iter().collect(),
            }));
        }
    }
    if present.len() > 1 {
        let all: Vec<String> = present.iter().map(|v| format!("v{v}")).collect();
        warnings.push(format!(
            "versions {} are in it; v{version} was taken",
            all.join(", ")
        ));
    }
    let wanted = if present.contains(&version) {
        version
    } else {
        newest
    };
    let chosen: Vec<Letter> = letters
        .into_iter()
        .filter(|l| version_of(l) == wanted)
        .collect();
    let unnamed = chosen.iter().all(|l| l.prefix.version.is_none());
    let shown = if unnamed {
        path_version.unwrap_or(wanted)
    } else {
        wanted
    };
    let (cover, patches) = order(chosen, wanted, &mut warnings).map_err(refuse)?;
    Ok(assemble(
        cover,
        patches,
        shown,
        options.name.clone().or(path_name),
        warnings,
    ))
}

fn without_replies(letters: Vec<Letter>, warnings: &mut Vec<String>) -> Vec<Letter> {
    let before = letters.len();
    let kept: Vec<Letter> = letters.into_iter().filter(|l| !l.prefix.reply).collect();
    match before - kept.len() {
        0 => {}
        1 => warnings.push("1 reply was passed over".into()),
        n => warnings.push(format!("{n} replies were passed over")),
    }
    kept
}

/// Cover letter and patches in order.
fn order(
    letters: Vec<Letter>,
    version: u32,
    warnings: &mut Vec<String>,
) -> Result<(Option<Letter>, Vec<Letter>), Refusal> {
    let (numbered, loose): (Vec<Letter>, Vec<Letter>) =
        letters.into_iter().partition(|l| l.prefix.number.is_some());
    if numbered.iter().all(|l| l.patch.files.is_empty()) {
        return unnumbered(loose, numbered, warnings);
    }
    for letter in &loose {
        if !letter.patch.files.is_empty() {
            warnings.push(format!(
                "{}: has no number and is not part of the series: {}",
                letter.patch.source, letter.patch.subject
            ));
        }
    }
    let total = one_total(&numbered, version)?;
    let mut places: BTreeMap<u32, Letter> = BTreeMap::new();
    for letter in numbered {
        let number = letter.prefix.number.map_or(0, |n| n.0);
        if number > total {
            return Err(Refusal::Mixed {
                version,
                what: format!("number {number} of {total}"),
            });
        }
        if number > 0 && letter.patch.files.is_empty() {
            warnings.push(format!(
                "{}: {number}/{total} without a diff was passed over",
                letter.patch.source
            ));
            continue;
        }
        match places.get(&number) {
            Some(first) => same_place(first, &letter, (version, number, total), warnings)?,
            None => drop(places.insert(number, letter)),
        }
    }
    let cover = places.remove(&0);
    let missing: Vec<u32> = (1..=total).filter(|n| !places.contains_key(n)).collect();
    if !missing.is_empty() {
        return Err(Refusal::Missing {
            version,
            missing,
            total,
        });
    }
    Ok((cover, places.into_values().collect()))
}

fn one_total(numbered: &[Letter], version: u32) -> Result<u32, Refusal> {
    let totals: BTreeSet<u32> = numbered
        .iter()
        .filter_map(|l| l.prefix.number.map(|n| n.1))
        .collect();
    let all: Vec<u32> = totals.iter().copied().collect();
    match all.as_slice() {
        [one] if *one as usize > MAX_PATCHES => Err(Refusal::TooLarge {
            what: "patches",
            limit: MAX_PATCHES,
        }),
        [one] => Ok(*one),
        _ => {
            let words: Vec<String> = all.iter().map(|n| format!("of {n}")).collect();
            Err(Refusal::Mixed {
                version,
                what: format!("patches numbered {}", words.join(" and ")),
            })
        }
    }
}

/// Patches that carry no numbers stand in the order in which they were read.
fn unnumbered(
    loose: Vec<Letter>,
    covers: Vec<Letter>,
    warnings: &mut Vec<String>,
) -> Result<(Option<Letter>, Vec<Letter>), Refusal> {
    let mut out: Vec<Letter> = Vec::new();
    for letter in loose.into_iter().filter(|l| !l.patch.files.is_empty()) {
        if let Some(first) = out.iter().find(|first| same(&first.patch, &letter.patch)) {
            warnings.push(format!(
                "{}: the same as {}; taken once",
                letter.patch.source, first.patch.source
            ));
        } else {
            out.push(letter);
        }
        if out.len() > MAX_PATCHES {
            return Err(Refusal::TooLarge {
                what: "patches",
                limit: MAX_PATCHES,
            });
        }
    }
    if out.is_empty() {
        return Err(Refusal::Empty);
    }
    if out.len() > 1 {
        warnings.push(format!(
            "{} patches without numbers: taken in the order in which they stand",
            out.len()
        ));
    }
    Ok((
        covers
            .into_iter()
            .find(|l| l.prefix.number.is_some_and(|n| n.0 == 0)),
        out,
    ))
}

fn same_place(
    first: &Letter,
    second: &Letter,
    at: (u32, u32, u32),
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let (version, number, total) = at;
    if !same(&first.patch, &second.patch) || (number == 0 && first.text != second.text) {
        return Err(Refusal::Clash {
            version,
            number,
            total,
            first: first.patch.source.clone(),
            second: second.patch.source.clone(),
        });
    }
    warnings.push(format!(
        "{}: {number}/{total} is the same as {}; taken once",
        second.patch.source, first.patch.source
    ));
    Ok(())
}

/// Whether two mails make the same commit. The date may differ: a resend gets a new one.
fn same(a: &Patch, b: &Patch) -> bool {
    let plain = |patch: &Patch| {
        let mut files = patch.files.clone();
        for file in &mut files {
            file.line = 0;
            if let super::model::Body::Text(hunks) = &mut file.body {
                hunks.iter_mut().for_each(|hunk| hunk.line = 0);
            }
        }
        files
    };
    a.patch_id == b.patch_id
        && a.message == b.message
        && (&a.author_name, &a.author_email) == (&b.author_name, &b.author_email)
        && plain(a) == plain(b)
}

fn assemble(
    cover: Option<Letter>,
    letters: Vec<Letter>,
    version: u32,
    name: Option<String>,
    mut warnings: Vec<String>,
) -> Series {
    let first = letters
        .first()
        .map(|l| l.patch.subject.clone())
        .unwrap_or_default();
    let subject = cover
        .as_ref()
        .map(|c| c.patch.subject.clone())
        .unwrap_or(first);
    let all = || cover.iter().chain(&letters);
    let series = Series {
        format: SERIES_FORMAT,
        name: slug(name.as_deref().unwrap_or(&subject)),
        version,
        subject,
        cover: cover.as_ref().map(|c| cover_text(&c.text)),
        rfc: all().any(|l| l.prefix.rfc),
        resend: all().any(|l| l.prefix.resend),
        base_commit: all().find_map(|l| l.tags.base_commit.clone()),
        change_id: all().find_map(|l| l.tags.change_id.clone()),
        prerequisites: all()
            .map(|l| l.tags.prerequisites.clone())
            .find(|p| !p.is_empty())
            .unwrap_or_default(),
        patches: Vec::new(),
        warnings: Vec::new(),
    };
    warnings.extend(all().flat_map(|l| l.warnings.clone()));
    let numbered = letters.into_iter().zip(1..);
    let patches = numbered
        .map(|(letter, number)| Patch {
            number,
            ..letter.patch
        })
        .collect();
    Series {
        patches,
        warnings,
        ..series
    }
}

/// The cover's text without its signature and the tags that are kept apart.
fn cover_text(text: &str) -> String {
    let body = text.split("\n-- \n").next().unwrap_or(text);
    let tag = |line: &str| {
        ["base-commit: ", "change-id: ", "prerequisite-patch-id: "]
            .iter()
            .any(|t| line.starts_with(t))
    };
    let kept: Vec<&str> = body.lines().filter(|line| !tag(line)).collect();
    super::message::compose("", &kept.join("\n"))
}

/// `patches/dcache-wakeup/v2` and the like: the name and the version that a path gives.
pub(super) fn name_of_path(source: &str) -> (Option<String>, Option<u32>) {
    let mut parts = source
        .trim_end_matches('/')
        .rsplit('/')
        .filter(|part| !matches!(*part, "" | "." | ".."));
    let Some(last) = parts.next() else {
        return (None, None);
    };
    let stem = ["patch", "mbox", "mbx", "eml", "diff", "gz"]
        .iter()
        .fold(last, |stem, ext| {
            stem.strip_suffix(&format!(".{ext}")).unwrap_or(stem)
        });
    let stem = stem.strip_suffix(".mbox").unwrap_or(stem);
    let version = |part: &str| {
        part.strip_prefix('v')
            .filter(|n| n.len() < 6)
            .and_then(|n| n.parse().ok())
    };
    match version(stem) {
        Some(version) => (parts.next().map(str::to_owned), Some(version)),
        None if stem == "-" || stem.contains("..") => (None, None),
        None => (Some(stem.to_owned()), None),
    }
}
