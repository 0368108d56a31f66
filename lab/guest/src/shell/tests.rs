// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands on a folder of the host, as the guest's shell runs them.

use super::commands::{TABLE, find, help};
use super::{Answer, shown, size};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("lab-shell-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// Runs a command; `@` in its words is the folder.
    fn try_do(&self, line: &str) -> (String, Answer) {
        let words: Vec<String> = (line.split(' '))
            .map(|word| word.replace('@', &self.0.display().to_string()))
            .collect();
        let mut out = Vec::new();
        let answer = (find(&words[0]).unwrap().code)(&words, &mut out);
        let text = String::from_utf8(out).unwrap();
        (text.replace(&self.0.display().to_string(), "@"), answer)
    }

    #[track_caller]
    fn check(&self, line: &str, wanted: &str) {
        let (out, answer) = self.try_do(line);
        assert_eq!((&*out, answer), (wanted, Ok(())), "{line}");
    }

    #[track_caller]
    fn refused(&self, line: &str, why: &str) {
        let (_, answer) = self.try_do(line);
        let told = answer
            .unwrap_err()
            .replace(&self.0.display().to_string(), "@");
        assert_eq!(told, why, "{line}");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_are_made_shown_renamed_linked_and_removed() {
    let at = Folder::new();
    at.check("mkdir @/d @/e", "");
    at.check("touch @/d/b @/d/a @/d/.c", "");
    at.check("ls @/d", "a\nb\n");
    at.check("ls -a @/d", ".\n..\n.c\na\nb\n");
    at.check("ln @/d/a @/e", "");
    at.check("ln -s ../d/a @/e/s", "");
    at.check("mv @/d/b @/e/a2", "");
    at.check("ls @/d @/e", "@/d:\na\n@/e:\na\na2\ns\n");
    at.refused("rmdir @/d", "@/d: Directory not empty");
    at.refused("rm @/d", "@/d: Is a directory");
    at.check("rm -r @/d", "");
    at.check("rm -rf @/d @/nothing", "");
    at.refused("rm @/d", "@/d: No such file or directory");
    at.check("mkdir -p @/x/y/z", "");
    at.check("mv @/e/a @/e/a2 @/x/y", "");
    at.check("ls @/x/y", "a\na2\nz\n");
    at.check("ls @", "e\nx\n");
}

#[test]
fn a_long_list_has_numbers_modes_and_targets() {
    let at = Folder::new();
    at.check("touch @/f", "");
    at.check("chmod 4750 @/f", "");
    at.check("ln -s f @/s", "");
    at.check("mknod @/p p", "");
    let (out, answer) = at.try_do("ls -la @");
    assert_eq!(answer, Ok(()));
    use std::os::unix::fs::MetadataExt;
    let ino = fs::symlink_metadata(at.0.join("f")).unwrap().ino();
    let line = |name: &str| {
        out.lines()
            .find(|line| line.ends_with(name))
            .unwrap()
            .to_owned()
    };
    assert!(
        line(" f").starts_with(&format!("{ino:>10} -rwsr-x--- ")),
        "{out}"
    );
    assert!(line(" s -> f").contains(" lrwxrwxrwx "), "{out}");
    assert!(line(" p").contains(" prw-r--r-- "), "{out}");
    assert!(line(" .").contains(" d"), "{out}");
    let (out, _) = at.try_do("stat @/f");
    assert!(
        out.starts_with(&format!("@/f: inode {ino} on ")) && out.contains(" 4750, 1 links"),
        "{out}"
    );
}

#[test]
fn files_are_read_and_what_fails_stops_nothing_else() {
    let at = Folder::new();
    fs::write(at.0.join("a"), "one\n").unwrap();
    fs::write(at.0.join("b"), b"two\xff").unwrap();
    let mut out = Vec::new();
    let words = ["cat", "a", "none", "b"].map(|w| at.0.join(w).display().to_string());
    let answer = (find("cat").unwrap().code)(&words, &mut out);
    assert_eq!(out, b"one\ntwo\xff");
    assert!(
        answer
            .unwrap_err()
            .ends_with("none: No such file or directory")
    );
    at.check("echo a  b", "a  b\n");
    at.check("echo -n a", "a");
    at.check("echo", "\n");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let at = Folder::new();
    at.refused("cat", "cat what? (help cat)");
    at.refused("ls -z", "ls: there is no option -z");
    at.refused("chmod 999 @", "999: not an octal mode");
    at.refused("mv @", "mv FROM… TO: several need a folder");
    at.refused("mknod @/x c 1", "mknod PATH b|c|p [MAJOR MINOR]");
    at.refused(
        "drop 4",
        "drop 1|2|3: page cache, dentries and inodes, or both",
    );
    at.refused("kill -9 -1", "-1: not a process's number");
    at.refused("kill 0", "0: not a process's number");
    at.refused("stack x", "x: not a thread's number");
    at.refused("sleep -1", "sleep SECONDS");
    at.refused("sysctl no.such", "no.such: No such file or directory");
    at.refused("watch @/none", "@/none: No such file or directory");
}

#[test]
fn the_kernel_is_asked() {
    let at = Folder::new();
    let (out, answer) = at.try_do("ps");
    assert_eq!(answer, Ok(()));
    let me = std::process::id();
    assert!(
        out.lines()
            .any(|line| line.trim_start().starts_with(&format!("{me} "))),
        "{out}"
    );
    at.check("sysctl kernel.ostype", "kernel.ostype = Linux\n");
    let (out, _) = at.try_do("dentry-state");
    assert!(
        out.starts_with("all   ") && out.contains("negative"),
        "{out}"
    );
    let (out, _) = at.try_do("mount");
    assert!(out.contains(" / "), "{out}");
}

#[test]
fn a_handle_opens_the_inode_it_is_of() {
    let at = Folder::new();
    at.check("touch @/f", "");
    match at.try_do("handles @/f") {
        (out, Ok(())) => assert!(
            out.contains("  opens the same inode, ") && out.trim_end().ends_with("at @/f"),
            "{out}"
        ),
        // Opening by handle needs a right that not every user has, and handles a filesystem that has them.
        (_, Err(why)) => println!("NOT CHECKED: {why}"),
    }
}

#[test]
fn every_command_has_its_line_of_help() {
    let mut out = Vec::new();
    help(&["help".into()], &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for entry in TABLE {
        assert!(
            text.lines()
                .any(|line| line.starts_with(&format!("{} ", entry.name))),
            "{}",
            entry.name
        );
    }
    let mut out = Vec::new();
    help(&["help".into(), "cd".into()], &mut out).unwrap();
    assert!(out.starts_with(b"cd [DIR] "));
    assert!(
        help(&["help".into(), "vi".into()], &mut out)
            .unwrap_err()
            .starts_with("vi: ")
    );
}

#[test]
fn names_of_strangers_are_shown_harmlessly() {
    assert_eq!(
        shown(OsStr::from_bytes(b"a\x1b[2J\n\\\xffb\xc3\xa9")),
        "a\\u{1b}[2J\\n\\\\\\xffb\u{e9}"
    );
}

#[test]
fn a_size_is_rows_and_columns() {
    assert_eq!(size("24x80"), Some((24, 80)));
    assert_eq!(
        [
            size(""),
            size("24"),
            size("x"),
            size("24x-1"),
            size("99999x1")
        ],
        [None; 5]
    );
}
