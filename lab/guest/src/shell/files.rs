// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands on files and folders.

use super::{Answer, of, say, shown, words};
use std::ffi::CString;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Letters of the leading options, all of which must be known; and the rest.
pub(super) fn options<'a>(
    args: &'a [String],
    known: &str,
) -> Result<(String, &'a [String]), String> {
    let mut letters = String::new();
    let mut rest = args.get(1..).unwrap_or_default();
    while let Some(option) = rest.first().and_then(|word| word.strip_prefix('-')) {
        rest = &rest[1..];
        match option {
            "" | "-" => break,
            option => match option.chars().find(|c| !known.contains(*c)) {
                Some(c) => return Err(format!("{}: there is no option -{c}", args[0])),
                None => letters.push_str(option),
            },
        }
    }
    Ok((letters, rest))
}

/// At least one argument.
pub(super) fn some<'a>(name: &str, rest: &'a [String]) -> Result<&'a [String], String> {
    match rest.is_empty() {
        true => Err(format!("{name} what? (help {name})")),
        false => Ok(rest),
    }
}

/// Does it for each, tells what failed, and goes on.
pub(super) fn each(
    all: &[String],
    out: &mut dyn Write,
    mut work: impl FnMut(&str, &mut dyn Write) -> Answer,
) -> Answer {
    let mut failed = Vec::new();
    for one in all {
        failed.extend(work(one, out).err());
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("\n")),
    }
}

pub(super) fn pwd(_: &[String], out: &mut dyn Write) -> Answer {
    let here = std::env::current_dir().map_err(of("."))?;
    say(out, shown(here.as_os_str()))
}

pub(super) fn echo(args: &[String], out: &mut dyn Write) -> Answer {
    let (end, rest) = match args.get(1).map(String::as_str) {
        Some("-n") => ("", &args[2..]),
        _ => ("\n", args.get(1..).unwrap_or_default()),
    };
    write!(out, "{}{end}", rest.join(" ")).map_err(|e| words(&e))
}

pub(super) fn cat(args: &[String], out: &mut dyn Write) -> Answer {
    each(some("cat", &args[1..])?, out, |path, out| {
        let mut file = File::open(path).map_err(of(path))?;
        std::io::copy(&mut file, out).map(drop).map_err(of(path))
    })
}

pub(super) fn ls(args: &[String], out: &mut dyn Write) -> Answer {
    let (letters, rest) = options(args, "lai1")?;
    let here = [".".to_owned()];
    let paths = if rest.is_empty() { &here[..] } else { rest };
    let long = letters.contains(['l', 'i']);
    each(paths, out, |path, out| {
        let metadata = fs::symlink_metadata(path).map_err(of(path))?;
        if !metadata.is_dir() {
            return row(Path::new(path), path, long, out);
        }
        if paths.len() > 1 {
            say(out, format!("{path}:"))?;
        }
        list(path, letters.contains('a'), long, out)
    })
}

fn list(path: &str, all: bool, long: bool, out: &mut dyn Write) -> Answer {
    let mut names = if all {
        vec![".".into(), "..".into()]
    } else {
        Vec::new()
    };
    for entry in fs::read_dir(path).map_err(of(path))? {
        let name = entry.map_err(of(path))?.file_name();
        if all || !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort();
    let mut failed = Vec::new();
    for name in names {
        let at = Path::new(path).join(&name);
        failed.extend(row(&at, &shown(&name), long, out).err());
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("\n")),
    }
}

fn row(at: &Path, name: &str, long: bool, out: &mut dyn Write) -> Answer {
    if !long {
        return say(out, name);
    }
    let metadata = fs::symlink_metadata(at).map_err(of(name))?;
    let to = match metadata.is_symlink() {
        true => format!(
            " -> {}",
            shown(fs::read_link(at).unwrap_or_default().as_os_str())
        ),
        false => String::new(),
    };
    let size = match metadata.file_type() {
        kind if kind.is_block_device() || kind.is_char_device() => numbers(metadata.rdev()),
        _ => metadata.size().to_string(),
    };
    let (ino, mode, links) = (metadata.ino(), mode(&metadata), metadata.nlink());
    let (uid, gid) = (metadata.uid(), metadata.gid());
    say(
        out,
        format!("{ino:>10} {mode} {links:>3} {uid:>4} {gid:>4} {size:>10} {name}{to}"),
    )
}

fn numbers(device: u64) -> String {
    format!("{}, {}", libc::major(device), libc::minor(device))
}

/// `-rw-r--r--`.
fn mode(metadata: &Metadata) -> String {
    let kind = metadata.file_type();
    let kinds = [
        (kind.is_dir(), 'd'),
        (kind.is_symlink(), 'l'),
        (kind.is_char_device(), 'c'),
        (kind.is_block_device(), 'b'),
        (kind.is_fifo(), 'p'),
        (kind.is_socket(), 's'),
    ];
    let first = kinds
        .iter()
        .find(|(is, _)| *is)
        .map_or('-', |(_, letter)| *letter);
    let bits = metadata.mode();
    let mut text = String::from(first);
    for (n, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if bits & (0o400 >> n) != 0 {
            letter
        } else {
            '-'
        });
    }
    for (bit, at, letter) in [(0o4000, 3, 's'), (0o2000, 6, 's'), (0o1000, 9, 't')] {
        if bits & bit != 0 {
            text.replace_range(at..=at, letter.encode_utf8(&mut [0; 4]));
        }
    }
    text
}

pub(super) fn stat(args: &[String], out: &mut dyn Write) -> Answer {
    each(some("stat", &args[1..])?, out, |path, out| {
        let m = fs::symlink_metadata(path).map_err(of(path))?;
        let (bits, letters) = (m.mode() & 0o7777, mode(&m));
        say(
            out,
            format!(
                "{path}: inode {} on {}, {letters} {bits:04o}, {} links",
                m.ino(),
                numbers(m.dev()),
                m.nlink()
            ),
        )?;
        say(
            out,
            format!(
                "  uid {} gid {}, {} bytes in {} blocks of 512",
                m.uid(),
                m.gid(),
                m.size(),
                m.blocks()
            ),
        )?;
        let time = |name, seconds, nanoseconds| format!("{name} {seconds}.{nanoseconds:09}");
        let times = [
            time("atime", m.atime(), m.atime_nsec()),
            time("mtime", m.mtime(), m.mtime_nsec()),
            time("ctime", m.ctime(), m.ctime_nsec()),
        ];
        say(out, format!("  {}", times.join("  ")))
    })
}

pub(super) fn touch(args: &[String], out: &mut dyn Write) -> Answer {
    each(some("touch", &args[1..])?, out, |path, _| {
        let mut options = File::options();
        let file = options.create(true).truncate(false).write(true).open(path);
        let now = std::time::SystemTime::now();
        file.and_then(|file| file.set_modified(now))
            .map_err(of(path))
    })
}

pub(super) fn mkdir(args: &[String], out: &mut dyn Write) -> Answer {
    let (letters, rest) = options(args, "p")?;
    let make = match letters.contains('p') {
        true => |path: &str| fs::create_dir_all(path),
        false => |path: &str| fs::create_dir(path),
    };
    each(some("mkdir", rest)?, out, |path, _| {
        make(path).map_err(of(path))
    })
}

pub(super) fn rmdir(args: &[String], out: &mut dyn Write) -> Answer {
    each(some("rmdir", &args[1..])?, out, |path, _| {
        fs::remove_dir(path).map_err(of(path))
    })
}

pub(super) fn rm(args: &[String], out: &mut dyn Write) -> Answer {
    let (letters, rest) = options(args, "rf")?;
    let folder = |path: &str| fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    each(some("rm", rest)?, out, |path, _| {
        let removed = match letters.contains('r') && folder(path) {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
        match removed {
            Err(e) if e.kind() == ErrorKind::NotFound && letters.contains('f') => Ok(()),
            done => done.map_err(of(path)),
        }
    })
}

/// Where a thing goes that is moved or linked `to`: into it, if it is a folder.
fn target(from: &str, to: &str) -> PathBuf {
    let to = Path::new(to);
    match (to.is_dir(), Path::new(from).file_name()) {
        (true, Some(name)) => to.join(name),
        _ => to.to_owned(),
    }
}

pub(super) fn mv(args: &[String], out: &mut dyn Write) -> Answer {
    let [_, from @ .., to] = args else {
        return Err("mv FROM… TO".into());
    };
    if from.is_empty() || from.len() > 1 && !Path::new(to).is_dir() {
        return Err("mv FROM… TO: several need a folder".into());
    }
    each(from, out, |from, _| {
        let to = target(from, to);
        fs::rename(from, &to).map_err(of(&format!("{from} to {}", to.display())))
    })
}

pub(super) fn ln(args: &[String], _: &mut dyn Write) -> Answer {
    let (letters, rest) = options(args, "s")?;
    let [from, to] = rest else {
        return Err("ln [-s] FROM TO".into());
    };
    let to = target(from, to);
    let made = match letters.contains('s') {
        true => std::os::unix::fs::symlink(from, &to),
        false => fs::hard_link(from, &to),
    };
    made.map_err(of(&format!("{} to {from}", to.display())))
}

pub(super) fn chmod(args: &[String], out: &mut dyn Write) -> Answer {
    let [_, mode, paths @ ..] = args else {
        return Err("chmod MODE PATH…".into());
    };
    let bits = u32::from_str_radix(mode, 8)
        .ok()
        .filter(|bits| *bits <= 0o7777);
    let bits = bits.ok_or_else(|| format!("{mode}: not an octal mode"))?;
    each(some("chmod", paths)?, out, |path, _| {
        fs::set_permissions(path, fs::Permissions::from_mode(bits)).map_err(of(path))
    })
}

pub(super) fn mknod(args: &[String], _: &mut dyn Write) -> Answer {
    let usage = || "mknod PATH b|c|p [MAJOR MINOR]".to_owned();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u32>().map_err(|_| usage());
    let (path, kind, device) = match words[..] {
        [_, path, "p"] => (path, libc::S_IFIFO, 0),
        [_, path, kind @ ("b" | "c"), major, minor] => {
            let kind = if kind == "b" {
                libc::S_IFBLK
            } else {
                libc::S_IFCHR
            };
            (path, kind, libc::makedev(number(major)?, number(minor)?))
        }
        _ => return Err(usage()),
    };
    let name = CString::new(path).map_err(|_| usage())?;
    // SAFETY: the name ends in NUL.
    match unsafe { libc::mknod(name.as_ptr(), kind | 0o644, device) } {
        0 => Ok(()),
        _ => Err(of(path)(std::io::Error::last_os_error())),
    }
}
