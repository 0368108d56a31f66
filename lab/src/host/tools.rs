// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lab needs of its host: one table, read by `lab doctor` and `lab setup`.

use std::path::Path;
use std::process::{Command, Stdio};

/// One thing that must be on the host.
#[derive(Debug)]
pub struct Tool {
    /// Name for people.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// How its presence is seen.
    pub probe: Probe,
    /// Without it the lab goes on, with less.
    pub optional: bool,
    /// Packages, by package manager, in the order of [`super::setup::MANAGERS`]: apt, dnf, pacman.
    pub packages: [&'static str; 3],
}

/// How to see whether a tool is there.
#[derive(Debug)]
pub enum Probe {
    /// A program that tells its version with this argument.
    Program(&'static str, &'static str),
    /// Any of these files.
    File(&'static [&'static str]),
    /// A module that python3 can import.
    Python(&'static str),
}

/// All of them, in the order in which a run needs them.
pub const TOOLS: &[Tool] = &[
    tool(
        "make",
        "builds kernels",
        Probe::Program("make", "--version"),
        ["make", "make", "make"],
    ),
    tool(
        "gcc",
        "builds kernels",
        Probe::Program("gcc", "--version"),
        ["gcc", "gcc", "gcc"],
    ),
    tool(
        "ld",
        "links kernels",
        Probe::Program("ld", "--version"),
        ["binutils", "binutils", "binutils"],
    ),
    tool(
        "flex",
        "builds kernels",
        Probe::Program("flex", "--version"),
        ["flex", "flex", "flex"],
    ),
    tool(
        "bison",
        "builds kernels",
        Probe::Program("bison", "--version"),
        ["bison", "bison", "bison"],
    ),
    tool(
        "bc",
        "builds kernels",
        Probe::Program("bc", "--version"),
        ["bc", "bc", "bc"],
    ),
    tool(
        "perl",
        "builds kernels",
        Probe::Program("perl", "--version"),
        ["perl", "perl", "perl"],
    ),
    tool(
        "xz",
        "packs kernels",
        Probe::Program("xz", "--version"),
        ["xz-utils", "xz", "xz"],
    ),
    tool(
        "libelf",
        "headers for objtool",
        Probe::File(&[
            "/usr/include/libelf.h",
            "/usr/include/x86_64-linux-gnu/libelf.h",
        ]),
        ["libelf-dev", "elfutils-libelf-devel", "libelf"],
    ),
    tool(
        "openssl",
        "headers for certificates",
        Probe::File(&["/usr/include/openssl/opensslv.h"]),
        ["libssl-dev", "openssl-devel", "openssl"],
    ),
    tool(
        "bwrap",
        "the sandbox of builds",
        Probe::Program("bwrap", "--version"),
        ["bubblewrap", "bubblewrap", "bubblewrap"],
    ),
    Tool {
        optional: true,
        ..tool(
            "ccache",
            "builds that were made before, again",
            Probe::Program("ccache", "--version"),
            ["ccache", "ccache", "ccache"],
        )
    },
    tool(
        "qemu-system-x86_64",
        "boots kernels",
        Probe::Program("qemu-system-x86_64", "--version"),
        ["qemu-system-x86", "qemu-system-x86-core", "qemu-system-x86"],
    ),
    tool(
        "mkfs.xfs",
        "makes the disks of XFS and NFS scenarios",
        Probe::Program("mkfs.xfs", "-V"),
        ["xfsprogs", "xfsprogs", "xfsprogs"],
    ),
    tool(
        "xfs_db",
        "corrupts the disk of ci-lookup",
        Probe::Program("xfs_db", "-V"),
        ["xfsprogs", "xfsprogs", "xfsprogs"],
    ),
    tool(
        "mkfs.ext4",
        "makes the disks of ext4 scenarios",
        Probe::Program("mkfs.ext4", "-V"),
        ["e2fsprogs", "e2fsprogs", "e2fsprogs"],
    ),
    Tool {
        optional: true,
        ..tool(
            "python3-venv",
            "makes the Python environment that reads dumps",
            // Debian's python3 has venv, but not what venv brings pip from.
            Probe::Python("ensurepip"),
            ["python3-venv", "python3", "python"],
        )
    },
];

const fn tool(
    name: &'static str,
    purpose: &'static str,
    probe: Probe,
    packages: [&'static str; 3],
) -> Tool {
    Tool {
        name,
        purpose,
        probe,
        optional: false,
        packages,
    }
}

impl Tool {
    /// Its version line (or the file found), or `None` if it is not there.
    pub fn found(&self) -> Option<String> {
        match &self.probe {
            Probe::Program(program, argument) => version(program, argument),
            Probe::File(paths) => paths
                .iter()
                .find(|p| Path::new(p).exists())
                .map(|p| (*p).to_owned()),
            Probe::Python(module) => python(module),
        }
    }
}

/// python3's version, if it has the module.
fn python(module: &str) -> Option<String> {
    let status = Command::new("python3")
        .args(["-I", "-c", &format!("import {module}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let there = status.is_ok_and(|status| status.success());
    there.then(|| version("python3", "--version")).flatten()
}

/// First line that a program prints about its version. `None` if it cannot be started. Folders of
/// system programs are looked into even where a user's PATH lacks them.
pub fn version(program: &str, argument: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .arg(argument)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let words = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&words);
    Some(
        text.lines()
            .map(str::trim)
            .find(|l| !l.is_empty())
            .unwrap_or("there")
            .to_owned(),
    )
}
