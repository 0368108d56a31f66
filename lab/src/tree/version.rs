// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kernel's Makefile says of its version.

/// Reads `VERSION`, `PATCHLEVEL`, `SUBLEVEL` and `EXTRAVERSION`; `None` when it is no kernel's Makefile.
pub fn kernel_version(makefile: &[u8]) -> Option<String> {
    let head = &makefile[..makefile.len().min(4096)];
    let text = String::from_utf8_lossy(head);
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name.trim() == wanted).then(|| value.trim().to_owned())
        })
    };
    let number = |name: &str| value(name).filter(|v| v.parse::<u32>().is_ok());
    let mut out = format!("{}.{}", number("VERSION")?, number("PATCHLEVEL")?);
    // A first release is 6.12, not 6.12.0, in the names of tags and tarballs.
    if let Some(sub) = number("SUBLEVEL").filter(|sub| sub != "0") {
        out.push_str(&format!(".{sub}"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._+".contains(c);
    if let Some(extra) = value("EXTRAVERSION").filter(|extra| extra.chars().all(plain)) {
        out.push_str(&extra);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(makefile: &str, want: Option<&str>) {
        assert_eq!(kernel_version(makefile.as_bytes()).as_deref(), want);
    }

    #[test]
    fn versions() {
        let head = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 6\nPATCHLEVEL = 12\n";
        check(
            &format!("{head}SUBLEVEL = 117\nEXTRAVERSION =\n"),
            Some("6.12.117"),
        );
        check(
            &format!("{head}SUBLEVEL = 0\nEXTRAVERSION = -rc3\n"),
            Some("6.12-rc3"),
        );
        check(&format!("{head}EXTRAVERSION = $(shell id)\n"), Some("6.12"));
        check("VERSION = 6\nall:\n", None);
        check("", None);
    }
}
