// SPDX-License-Identifier: MIT OR Apache-2.0
//! Author and date of a patch, read as `git am` reads them.

use super::subject::one_line;

/// Name and address of a patch that names no author.
pub const UNKNOWN_AUTHOR: (&str, &str) = ("Unknown Author", "unknown@invalid");
/// Date of a patch that names none: 2000-01-01 00:00:00 UTC.
pub const UNKNOWN_DATE: (i64, i32) = (946_684_800, 0);

/// Name and address in a `From:` value; `None` without an address.
pub(super) fn author(from: &str) -> Option<(String, String)> {
    let from = one_line(from);
    let plain = unquote(&from);
    let Some(at) = plain.find('@') else {
        let (name, rest) = from.split_once('<')?;
        let (email, _) = rest.split_once('>')?;
        return Some(ident(name.trim(), email));
    };
    let bracket = plain[..at].rfind([' ', '<']);
    let start = bracket.map_or(0, |b| b + 1);
    let end = plain[start..]
        .find([' ', '>'])
        .map_or(plain.len(), |e| start + e);
    let email = plain[start..end].to_owned();
    let before = plain[..start].strip_suffix('<').unwrap_or(&plain[..start]);
    let after = plain[end..].strip_prefix(['>', ' ']).unwrap_or("");
    let rest = one_line(&format!("{before} {after}"));
    let name = rest
        .strip_prefix('(')
        .and_then(|r| r.strip_suffix(')'))
        .unwrap_or(&rest);
    Some(ident(name, &email))
}

/// What git makes of a name and an address: implausible names give way to the address, and neither keeps marks at its
/// ends or angle brackets. Unlike `git am`, a name of two letters stays.
pub(super) fn ident(name: &str, email: &str) -> (String, String) {
    let odd = name.trim().is_empty() || name.len() > 60 || name.contains(['@', '<', '>']);
    let name = tidy(if odd { email } else { name });
    let email = tidy(email).replace([' ', '\t'], "");
    match (name.is_empty(), email.is_empty()) {
        (true, true) => (UNKNOWN_AUTHOR.0.to_owned(), UNKNOWN_AUTHOR.1.to_owned()),
        (true, false) => (email.clone(), email),
        _ => (name, email),
    }
}

fn tidy(text: &str) -> String {
    let crud =
        |c: char| c <= ' ' || matches!(c, '.' | ',' | ':' | ';' | '<' | '>' | '"' | '\\' | '\'');
    text.trim_matches(crud)
        .chars()
        .filter(|c| !matches!(c, '\n' | '<' | '>'))
        .collect()
}

/// Takes quotes and backslashes away; comments keep their parentheses.
fn unquote(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut quoted, mut depth) = (false, 0u32);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted || depth > 0 => out.extend(chars.next()),
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => {
                depth += 1;
                out.push(c);
            }
            ')' if !quoted => {
                depth = depth.saturating_sub(1);
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// Seconds since the epoch and offset in minutes. Reads RFC 5322 dates (and their old forms), ISO 8601, and git's
/// `@seconds offset`.
pub(super) fn date(text: &str) -> Option<(i64, i32)> {
    if let Some(raw) = text.trim().strip_prefix('@') {
        let mut words = raw.split_ascii_whitespace();
        return Some((
            words.next()?.parse().ok()?,
            words.next().map_or(Some(0), zone)?,
        ));
    }
    let comment = text.find('(').unwrap_or(text.len());
    let mut found = Found::default();
    for word in text[..comment]
        .split([' ', '\t', ','])
        .filter(|w| !w.is_empty())
    {
        found.word(word);
    }
    found.finish()
}

#[derive(Debug, Default)]
struct Found {
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
    time: Option<(i8, i8, i8)>,
    zone: Option<i32>,
}

impl Found {
    fn word(&mut self, word: &str) {
        const MONTHS: [&str; 12] = [
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ];
        let lower = word.to_ascii_lowercase();
        if let Some((day, time)) = lower.split_once('t').filter(|(day, _)| iso(day).is_some()) {
            self.word(day);
            // The offset may follow the time without a blank.
            let cut = time.find(['+', '-', 'z']).unwrap_or(time.len());
            self.word(&time[..cut]);
            self.word(&time[cut..]);
        } else if word.contains(':') && !word.starts_with(['+', '-']) {
            self.time = self.time.or(clock(word));
        } else if let Some((year, month, day)) = iso(&lower) {
            (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
        } else if let Some(month) = lower
            .get(..3)
            .and_then(|m| MONTHS.iter().position(|&k| k == m))
        {
            self.month = i8::try_from(month + 1).ok();
        } else if let Ok(number) = lower.parse::<i16>() {
            self.number(word, number);
        } else {
            self.zone = self.zone.or(zone(&lower));
        }
    }

    fn number(&mut self, word: &str, number: i16) {
        if word.starts_with(['+', '-']) {
            self.zone = self.zone.or(zone(word));
        } else if self.day.is_none() && (1..=31).contains(&number) && word.len() <= 2 {
            self.day = i8::try_from(number).ok();
        } else if self.year.is_none() {
            self.year = Some(match number {
                0..=69 => number + 2000,
                70..=99 => number + 1900,
                _ => number,
            });
        }
    }

    fn finish(self) -> Option<(i64, i32)> {
        let (hour, minute, second) = self.time?;
        let civil = jiff::civil::DateTime::new(
            self.year?,
            self.month?,
            self.day?,
            hour,
            minute,
            second.min(59),
            0,
        )
        .ok()?;
        let utc = civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second();
        let offset = self.zone.unwrap_or(0);
        Some((utc - i64::from(offset) * 60, offset))
    }
}

fn iso(word: &str) -> Option<(i16, i8, i8)> {
    let mut parts = word.split('-');
    let out = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    (parts.next().is_none() && word.len() >= 8).then_some(out)
}

fn clock(word: &str) -> Option<(i8, i8, i8)> {
    let mut parts = word.split(':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = parts
        .next()
        .map_or(Some(0), |s| s.split('.').next().unwrap_or(s).parse().ok())?;
    Some((hour, minute, second))
}

/// Minutes east of UTC.
fn zone(word: &str) -> Option<i32> {
    let upper = word.to_ascii_uppercase();
    let hours = match upper.as_str() {
        "Z" | "UT" | "UTC" | "GMT" | "" => 0,
        "EST" | "CDT" => -5,
        "EDT" => -4,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "CET" | "BST" => 1,
        "CEST" => 2,
        _ => return numeric_zone(&upper),
    };
    Some(hours * 60)
}

fn numeric_zone(word: &str) -> Option<i32> {
    let digits: String = word.get(1..)?.chars().filter(|&c| c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let minutes = digits[..2].parse::<i32>().ok()? * 60 + digits[2..].parse::<i32>().ok()?;
    match word.as_bytes()[0] {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
    .filter(|m| m.abs() < 1440)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors() {
        let check = |from: &str, want: Option<(&str, &str)>| {
            let got = author(from);
            assert_eq!(
                got.as_ref().map(|(n, e)| (n.as_str(), e.as_str())),
                want,
                "{from}"
            );
        };
        check("Ann Other <ann@x.org>", Some(("Ann Other", "ann@x.org")));
        check(
            "\"Other, Ann\" <ann@x.org>",
            Some(("Other, Ann", "ann@x.org")),
        );
        check("ann@x.org (Ann Other)", Some(("Ann Other", "ann@x.org")));
        check("ann@x.org", Some(("ann@x.org", "ann@x.org")));
        check("<ann@x.org>", Some(("ann@x.org", "ann@x.org")));
        check("Ann Other <ann>", Some(("Ann Other", "ann")));
        check(
            "Ann (the \\\"one\\\") Other <ann@x>",
            Some(("Ann (the \"one\") Other", "ann@x")),
        );
        check(
            "\"Ann \\\"A\\\" Other\" <ann@x>",
            Some(("Ann \"A\" Other", "ann@x")),
        );
        check("Jr. Ann Other, <ann@x>", Some(("Jr. Ann Other", "ann@x")));
        check("nobody", None);
        check("", None);
    }

    #[test]
    fn dates() {
        let check = |text: &str, want: Option<(i64, i32)>| assert_eq!(date(text), want, "{text}");
        check("Mon, 4 Mar 2024 10:20:30 +0100", Some((1_709_544_030, 60)));
        check("4 Mar 24 10:20:30 GMT", Some((1_709_547_630, 0)));
        check(
            "Mon, 04 Mar 2024 10:20 -0530 (IST)",
            Some((1_709_567_400, -330)),
        );
        check("Mon Mar 4 10:20:30 2024 -0800", Some((1_709_576_430, -480)));
        check("2024-03-04 10:20:30 +0100", Some((1_709_544_030, 60)));
        check("2024-03-04T10:20:30.5Z", Some((1_709_547_630, 0)));
        check("2024-03-04T10:20:30+01:00", Some((1_709_544_030, 60)));
        check("@1709544030 +0100", Some((1_709_544_030, 60)));
        for bad in [
            "",
            "yesterday",
            "Mon, 31 Feb 2024 10:00:00 +0000",
            "99 99 99",
            "ééé",
        ] {
            check(bad, None);
        }
    }
}
