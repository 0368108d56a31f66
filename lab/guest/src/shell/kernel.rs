// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel says, and what can be set.

use super::files::{each, some};
use super::{Answer, of, say};
use std::io::Write;

/// Actions of klogctl(2): read all, and the size of the buffer.
const READ_ALL: libc::c_int = 3;
const SIZE: libc::c_int = 10;

pub(super) fn dmesg(args: &[String], out: &mut dyn Write) -> Answer {
    let last = match args.get(1) {
        Some(text) => text
            .parse()
            .map_err(|_| format!("dmesg: {text} is no number of lines"))?,
        None => usize::MAX,
    };
    let failed = || of("dmesg")(std::io::Error::last_os_error());
    // SAFETY: no buffer is wanted for this action.
    let size = unsafe { libc::klogctl(SIZE, std::ptr::null_mut(), 0) };
    let size = usize::try_from(size).map_err(|_| failed())?;
    let mut buffer = vec![0u8; size];
    // SAFETY: the buffer is valid for its length.
    let got = unsafe { libc::klogctl(READ_ALL, buffer.as_mut_ptr().cast(), size as libc::c_int) };
    let got = usize::try_from(got).map_err(|_| failed())?;
    let text = String::from_utf8_lossy(&buffer[..got]);
    let lines: Vec<&str> = text.lines().map(without_level).collect();
    lines[lines.len().saturating_sub(last)..]
        .iter()
        .try_for_each(|line| say(out, line))
}

/// A line without its `<6>`.
fn without_level(line: &str) -> &str {
    let rest = line.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match rest {
        Some((level, rest)) if level.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => line,
    }
}

/// The file of a sysctl, by either of its spellings.
fn sysctl_file(name: &str) -> String {
    let path = match name.contains('/') {
        true => name.to_owned(),
        false => name.replace('.', "/"),
    };
    format!("/proc/sys/{}", path.trim_start_matches('/'))
}

pub(super) fn sysctl(args: &[String], out: &mut dyn Write) -> Answer {
    each(some("sysctl", &args[1..])?, out, |word, out| {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let file = sysctl_file(name);
        if let Some(value) = value {
            std::fs::write(&file, value).map_err(of(name))?;
        }
        match std::fs::read_to_string(&file) {
            Ok(now) => say(out, format!("{name} = {}", now.trim_end())),
            // Some can only be written.
            Err(_) if value.is_some() => Ok(()),
            Err(error) => Err(of(name)(error)),
        }
    })
}

pub(super) fn sysrq(args: &[String], _: &mut dyn Write) -> Answer {
    match args {
        [_, key] if key.len() == 1 => {
            std::fs::write("/proc/sysrq-trigger", key).map_err(of("/proc/sysrq-trigger"))
        }
        _ => Err("sysrq KEY: one letter".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_sysctl_are_one_file() {
        for name in ["fs.dentry-state", "fs/dentry-state", "/fs/dentry-state"] {
            assert_eq!(sysctl_file(name), "/proc/sys/fs/dentry-state");
        }
    }

    #[test]
    fn levels_are_left_out_and_nothing_else() {
        assert_eq!(without_level("<6>[    1.0] <x> y"), "[    1.0] <x> y");
        assert_eq!(without_level("<x>y"), "<x>y");
    }
}
