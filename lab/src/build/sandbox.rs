// SPDX-License-Identifier: MIT OR Apache-2.0
//! make in a box: a series is code from strangers, and its Makefiles and scripts run on this host.
//!
//! Inside there is no network, no home, no secret in the environment and no process of the host; the source cannot be
//! written, and what is written outside output and compiler cache is forgotten. The box protects the host: output and
//! compiler cache of a profile are shared by the series that are built in it.

use crate::error::{Error, Result};
use crate::process::Spec;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Largest file that make may write.
const FILE_LIMIT: u64 = 16 << 30;
/// Where the folders are inside; the same for all, so that objects and debug information do not tell them apart.
const SRC: &str = "/lab/src";
const OUT: &str = "/lab/out";
const CCACHE: &str = "/lab/ccache";

/// What of the host is seen inside, read-only, where it exists.
const SEEN: &[&str] = &[
    "/usr",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/nix/store",
];
/// Folders at the root that are links into /usr on merged systems and real ones on others.
const ROOTS: &[&str] = &["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// Where make works.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) src: &'a Path,
    pub(super) out: &'a Path,
    pub(super) ccache: &'a Path,
    pub(super) sandboxed: bool,
}

impl Place<'_> {
    /// How make spells the source folder.
    pub(super) fn src_seen(&self) -> String {
        match self.sandboxed {
            true => SRC.to_owned(),
            false => self.src.display().to_string(),
        }
    }

    /// The command for make with these arguments.
    pub(super) fn make(&self, args: &[String]) -> Spec {
        let seen = |real: &Path, inside: &str| match self.sandboxed {
            true => PathBuf::from(inside),
            false => real.to_owned(),
        };
        let (src, out) = (seen(self.src, SRC), seen(self.out, OUT));
        let environment = environment(&src, &seen(self.ccache, CCACHE));
        let words = ["make", "--output-sync=target", "--no-print-directory", "-C"]
            .map(OsString::from)
            .into_iter()
            .chain([src.into_os_string(), joined("O=", &out)])
            .chain(args.iter().map(OsString::from));
        if self.sandboxed {
            return self.boxed(environment).args(words).file_limit(FILE_LIMIT);
        }
        // make ends its own children on SIGTERM; killed outright it would leave them at work.
        let mut words = words;
        let program = words.next().unwrap_or_default();
        Spec::new(program)
            .args(words)
            .env_only(environment)
            .death_signal(Signal::SIGTERM)
            .file_limit(FILE_LIMIT)
    }

    /// bubblewrap up to the program to run.
    fn boxed(&self, environment: Vec<(OsString, OsString)>) -> Spec {
        let mut spec = empty_box();
        for path in SEEN {
            spec = spec.args(["--ro-bind-try", path, path]);
        }
        for path in ROOTS {
            spec = match std::fs::read_link(path) {
                Ok(target) => spec.arg("--symlink").arg(target).arg(path),
                Err(_) => spec.args(["--ro-bind-try", path, path]),
            };
        }
        spec = spec.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        spec = spec.arg("--ro-bind").arg(self.src).arg(SRC);
        spec = spec.arg("--bind").arg(self.out).arg(OUT);
        spec = spec.arg("--bind").arg(self.ccache).arg(CCACHE);
        for (key, value) in environment {
            spec = spec.arg("--setenv").arg(key).arg(value);
        }
        spec.args(["--chdir", OUT, "--"])
    }
}

/// bubblewrap with nothing in it: no network, no other processes, no environment, no capabilities; it dies with the lab.
pub(crate) fn empty_box() -> Spec {
    Spec::new("bwrap")
        .args([
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--clearenv",
        ])
        .args(["--hostname", "lab", "--cap-drop", "ALL"])
}

/// Tries the box on `true`: is bubblewrap there, and does this host let it make its namespaces? Gives its version.
///
/// # Errors
/// It is absent or may not; the hint says what to do.
pub fn works() -> Result<String> {
    let hint = "install bubblewrap and allow user namespaces, or build with --no-sandbox (make then runs as you)";
    let version = crate::host::tools::version("bwrap", "--version")
        .ok_or_else(|| Error::rig("bwrap is absent").hint(hint))?;
    let tried = std::process::Command::new("bwrap")
        .args([
            "--unshare-all",
            "--die-with-parent",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "true",
        ])
        .stdin(std::process::Stdio::null())
        .output()?;
    if tried.status.success() {
        return Ok(version);
    }
    let words = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    Err(Error::rig(format!("bwrap cannot make a sandbox: {words}")).hint(hint))
}

/// All that make is told of the world. What would make two builds of one tree differ is fixed.
fn environment(src: &Path, ccache: &Path) -> Vec<(OsString, OsString)> {
    let fixed = [
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
        ("HOME", "/nonexistent"),
        ("TMPDIR", "/tmp"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
        ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
        ("KBUILD_BUILD_VERSION", "1"),
        ("KBUILD_BUILD_USER", "lab"),
        ("KBUILD_BUILD_HOST", "lab"),
        // Set, though empty: scripts/setlocalversion then asks no git.
        ("LOCALVERSION", ""),
        ("CCACHE_NOHASHDIR", "1"),
        ("CCACHE_MAXSIZE", "20G"),
        ("CCACHE_SLOPPINESS", "time_macros"),
    ];
    let mut all: Vec<(OsString, OsString)> = fixed
        .iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
    all.push(("CCACHE_DIR".into(), ccache.into()));
    all.push(("CCACHE_BASEDIR".into(), src.into()));
    all
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut word = OsString::from(prefix);
    word.push(path);
    word
}
