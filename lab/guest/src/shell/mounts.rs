// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mounting and unmounting.

use super::files::{each, options, some};
use super::{Answer, of};
use std::ffi::CString;
use std::io::Write;

/// Words of `-o` that are flags of mount(2); the rest goes to the filesystem.
const FLAGS: &[(&str, libc::c_ulong)] = &[
    ("ro", libc::MS_RDONLY),
    ("nosuid", libc::MS_NOSUID),
    ("nodev", libc::MS_NODEV),
    ("noexec", libc::MS_NOEXEC),
    ("sync", libc::MS_SYNCHRONOUS),
    ("dirsync", libc::MS_DIRSYNC),
    ("noatime", libc::MS_NOATIME),
    ("remount", libc::MS_REMOUNT),
    ("bind", libc::MS_BIND),
    ("rbind", libc::MS_BIND | libc::MS_REC),
    ("move", libc::MS_MOVE),
    ("private", libc::MS_PRIVATE),
    ("shared", libc::MS_SHARED),
];

/// What is asked of mount(2).
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    kind: String,
    flags: libc::c_ulong,
    data: String,
    rest: Vec<String>,
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut words = args.iter().skip(1);
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .ok_or_else(|| format!("mount: there is nothing behind {word}"))
        };
        match word.as_str() {
            "-t" => asked.kind.clone_from(value()?),
            "-o" => add_options(&mut asked, value()?),
            word if word.starts_with('-') => {
                return Err(format!("mount: there is no option {word}"));
            }
            _ => asked.rest.push(word.clone()),
        }
    }
    Ok(asked)
}

fn add_options(asked: &mut Asked, text: &str) {
    for option in text.split(',') {
        match FLAGS.iter().find(|(name, _)| *name == option) {
            Some((_, flag)) => asked.flags |= flag,
            None if asked.data.is_empty() => asked.data = option.to_owned(),
            None => asked.data += &format!(",{option}"),
        }
    }
}

pub(super) fn mount(args: &[String], out: &mut dyn Write) -> Answer {
    let asked = asked(args)?;
    if asked == Asked::default() {
        let text = std::fs::read("/proc/mounts").map_err(of("/proc/mounts"))?;
        return out.write_all(&text).map_err(of("mount"));
    }
    let (source, at) = match &asked.rest[..] {
        // Some filesystems have no source, and a remount needs none.
        [at] => (asked.kind.as_str(), at),
        [source, at] => (source.as_str(), at),
        _ => return Err("mount -t TYPE [-o OPTIONS] SOURCE DIR".into()),
    };
    let c = |text: &str| CString::new(text).map_err(|_| format!("{text}: it has a NUL"));
    let [source, kind, data, path] = [c(source)?, c(&asked.kind)?, c(&asked.data)?, c(at)?];
    // SAFETY: all four end in NUL and outlive the call.
    let answer = unsafe {
        libc::mount(
            source.as_ptr(),
            path.as_ptr(),
            kind.as_ptr(),
            asked.flags,
            data.as_ptr().cast(),
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(of(at)(std::io::Error::last_os_error())),
    }
}

pub(super) fn umount(args: &[String], out: &mut dyn Write) -> Answer {
    let (letters, rest) = options(args, "l")?;
    let flags = if letters.contains('l') {
        libc::MNT_DETACH
    } else {
        0
    };
    each(some("umount", rest)?, out, |at, _| {
        let path = CString::new(at).map_err(|_| format!("{at}: it has a NUL"))?;
        // SAFETY: the path ends in NUL.
        match unsafe { libc::umount2(path.as_ptr(), flags) } {
            0 => Ok(()),
            _ => Err(of(at)(std::io::Error::last_os_error())),
        }
    })
}

pub(super) fn sync(_: &[String], _: &mut dyn Write) -> Answer {
    // SAFETY: no memory is handed over.
    unsafe { libc::sync() };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_from_what_the_filesystem_wants() {
        let words: Vec<String> = "mount -t xfs -o ro,logbsize=32k,noatime,pquota /dev/vda /mnt/x"
            .split(' ')
            .map(str::to_owned)
            .collect();
        let asked = asked(&words).unwrap();
        assert_eq!(asked.flags, libc::MS_RDONLY | libc::MS_NOATIME);
        assert_eq!((&*asked.kind, &*asked.data), ("xfs", "logbsize=32k,pquota"));
        assert_eq!(asked.rest, ["/dev/vda", "/mnt/x"]);
        let missing = super::asked(&["mount".into(), "-t".into()]).unwrap_err();
        assert_eq!(missing, "mount: there is nothing behind -t");
    }
}
