// SPDX-License-Identifier: MIT OR Apache-2.0
//! The table of commands.

use super::{Answer, Code, files, kernel, mounts, say, scenario, tasks, vfs};
use std::io::Write;
use std::time::Duration;

/// A command that runs in a child.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// Its arguments, for people.
    pub(super) usage: &'static str,
    /// What it does.
    pub(super) about: &'static str,
    pub(super) code: Code,
    /// How long it may take to end after Ctrl-C, before it is left behind.
    pub(super) patience: Duration,
    /// It hears of Ctrl-C and ends by itself.
    pub(super) ends_itself: bool,
}

const fn entry(name: &'static str, usage: &'static str, about: &'static str, code: Code) -> Entry {
    Entry {
        name,
        usage,
        about,
        code,
        patience: Duration::from_secs(1),
        ends_itself: false,
    }
}

/// What the shell does itself: name, usage, about.
pub(super) const OWN: &[(&str, &str, &str)] = &[
    ("cd", "[DIR]", "go to a folder"),
    (
        "nfs",
        "[off]",
        "start the NFS server on XFS and mount it with NFSv4.2",
    ),
    ("help", "[COMMAND]", "this list, or one command of it"),
    ("exit", "", "power off (also poweroff, Ctrl-D)"),
];

pub(super) const TABLE: &[Entry] = &[
    entry("pwd", "", "the folder", files::pwd),
    entry(
        "ls",
        "[-la] [PATH…]",
        "names; with -l number, mode, links, size",
        files::ls,
    ),
    entry("cat", "FILE…", "what files hold", files::cat),
    entry(
        "echo",
        "[-n] [WORD…]",
        "words; with > FILE or >> FILE into a file",
        files::echo,
    ),
    entry("stat", "PATH…", "all of an inode", files::stat),
    entry(
        "touch",
        "FILE…",
        "make files, or change their times",
        files::touch,
    ),
    entry("mkdir", "[-p] DIR…", "make folders", files::mkdir),
    entry("rmdir", "DIR…", "remove empty folders", files::rmdir),
    entry(
        "rm",
        "[-rf] PATH…",
        "remove files; with -r folders",
        files::rm,
    ),
    entry("mv", "FROM… TO", "rename", files::mv),
    entry("ln", "[-s] FROM TO", "link; with -s by name", files::ln),
    entry("chmod", "MODE PATH…", "set an octal mode", files::chmod),
    entry(
        "mknod",
        "PATH b|c|p [MAJOR MINOR]",
        "make a device or a pipe",
        files::mknod,
    ),
    entry(
        "mount",
        "[-t TYPE] [-o OPTIONS] [SOURCE DIR]",
        "mount, or list mounts",
        mounts::mount,
    ),
    entry(
        "umount",
        "[-l] DIR…",
        "unmount; with -l lazily",
        mounts::umount,
    ),
    entry("sync", "", "write everything to the disks", mounts::sync),
    entry(
        "handles",
        "PATH…",
        "file handles, and what they open",
        vfs::handles,
    ),
    entry("watch", "PATH…", "inotify events, until Ctrl-C", vfs::watch),
    entry(
        "dentry-state",
        "",
        "what the kernel counts of its dentries",
        vfs::dentry_state,
    ),
    entry(
        "drop",
        "1|2|3",
        "drop page cache, dentries and inodes, or both",
        vfs::drop_caches,
    ),
    entry(
        "ps",
        "[-a]",
        "threads with state and where they wait; with -a the kernel's",
        tasks::ps,
    ),
    entry("stack", "TID…", "kernel stacks of threads", tasks::stack),
    entry(
        "kill",
        "[-SIGNAL] PID…",
        "send a signal, by number",
        tasks::kill,
    ),
    entry("sleep", "SECONDS", "wait", tasks::sleep),
    entry("dmesg", "[LINES]", "what the kernel said", kernel::dmesg),
    entry(
        "sysctl",
        "NAME[=VALUE]…",
        "read or set /proc/sys",
        kernel::sysctl,
    ),
    entry(
        "sysrq",
        "KEY",
        "what a SysRq key does: l, t, w, d …",
        kernel::sysrq,
    ),
    Entry {
        // Its threads are told to stop, and its filesystem is unmounted.
        patience: Duration::from_secs(60),
        ends_itself: true,
        ..entry(
            "run",
            "SCENARIO [FS] [SECONDS]",
            "a bundled scenario; alone: which there are",
            scenario::run,
        )
    },
];

/// The command of this name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.name == name)
}

/// The list of commands, or one of them.
pub(super) fn help(words: &[String], out: &mut dyn Write) -> Answer {
    let table = TABLE.iter().map(|e| (e.name, e.usage, e.about));
    let all = OWN.iter().copied().chain(table);
    let mut rows = all.filter(|(name, ..)| words.get(1).is_none_or(|word| word == name));
    let line = |(name, usage, about): (&str, &str, &str)| {
        format!("{:42}{about}", format!("{name} {usage}"))
    };
    let first = rows.next().ok_or_else(|| no_command(&words[1]))?;
    say(out, line(first))?;
    rows.try_for_each(|row| say(out, line(row)))?;
    if words.len() == 1 {
        say(
            out,
            "COMMAND & runs it beside; ; separates; ' and \" quote; Ctrl-C interrupts",
        )?;
    }
    Ok(())
}

/// What is said of a word that is no command.
pub(super) fn no_command(name: &str) -> String {
    format!("{name}: there is no such command (help lists them)")
}
