// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scripts at work on one core: in a box without network, that can write its answer and nothing else. What they read
//! comes from a stranger's kernel.

use super::python::{Python, environment};
use super::scripts::{self, ENTRY};
use crate::build::{self, empty_box};
use crate::error::{Doing, Error, Result};
use crate::process::{End, LINE_MAX, Spec, supervise};
use crate::stop::Stop;
use lab_core::autopsy::{AUTOPSY_FORMAT, Autopsy};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the scripts may take. They stop by themselves after a minute and write what they have; this is for those
/// that do not.
const LIMIT: Duration = Duration::from_secs(90);
/// Largest answer, bytes.
const ANSWER_MAX: u64 = 64 << 20;
/// Lines of the scripts' complaints that are told.
const COMPLAINTS: usize = 3;
/// Where the folders are inside the box.
const INSIDE: &str = "/lab";

/// What of the host is seen inside, read-only, where it exists; links stay links.
const SEEN: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
];

/// What to look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The core, unpacked.
    pub(super) core: &'a Path,
    /// The vmlinux of its kernel.
    pub(super) vmlinux: &'a Path,
    /// Audit the dentry cache and do nothing else.
    pub(super) only_audit: bool,
}

/// Everything that the scripts need.
#[derive(Debug)]
pub(super) struct Tools {
    python: Python,
    scripts: PathBuf,
    boxed: bool,
    limit: Duration,
    stop: Stop,
}

impl Tools {
    /// Finds them.
    ///
    /// # Errors
    /// drgn is missing, or the scripts cannot be unpacked.
    pub(super) async fn find(cache: &Path, stop: Stop) -> Result<Self> {
        let python = Python::find(cache, stop.clone()).await?;
        Self::with(python, cache, stop)
    }

    pub(super) fn with(python: Python, cache: &Path, stop: Stop) -> Result<Self> {
        Ok(Self {
            python,
            scripts: scripts::folder(cache)?,
            boxed: build::sandbox_works().is_ok(),
            limit: LIMIT,
            stop,
        })
    }

    #[cfg(test)]
    pub(super) fn python(&self) -> &Python {
        &self.python
    }

    /// The same with another time limit.
    #[cfg(test)]
    pub(super) fn limited(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// The same without the box.
    #[cfg(test)]
    pub(super) fn unboxed(self) -> Self {
        Self {
            boxed: false,
            ..self
        }
    }

    /// Runs the scripts; `folder` is where their answer stands for a moment.
    ///
    /// # Errors
    /// They failed, took too long, or their answer is none: what it was, and what to try.
    pub(super) async fn look(&self, subject: Subject<'_>, folder: &Path) -> Result<Autopsy> {
        let answer = (tempfile::Builder::new().prefix(".autopsy-"))
            .tempdir_in(folder)
            .doing(|| format!("make a folder in {}", folder.display()))?;
        let spec = self.command(subject, answer.path());
        let mut complaints = VecDeque::new();
        let finished = supervise(spec, self.limit, self.stop.clone(), |line| {
            complaints
                .push_back(String::from_utf8_lossy(&line[..line.len().min(LINE_MAX)]).into_owned());
            if complaints.len() > COMPLAINTS {
                complaints.pop_front();
            }
        });
        let end = finished.await?.end;
        let said = Vec::from(complaints).join("; ");
        // Inside the box files have other names.
        let said = said.replace("/lab/vmlinux", &subject.vmlinux.display().to_string());
        self.judge(end, &said)?;
        read(&answer.path().join("autopsy.json"))
    }

    fn judge(&self, end: End, said: &str) -> Result<()> {
        let again = "`lab dump RUN` opens the dump by hand; `lab autopsy RUN` tries again";
        let limit = self.limit.as_secs();
        // Whoever runs a program in a box tells the signal that ended it as a shell does.
        let end = match end {
            End::Exited(code @ 129..=192) if self.boxed => End::Signalled(code - 128),
            end => end,
        };
        Err(match end {
            End::Exited(0) => return Ok(()),
            End::Exited(2) => Error::rig(format!("the scripts cannot open the dump: {said}"))
                .hint("`lab dump RUN --print` tells how to open it with other tools"),
            End::Exited(3) => Error::rig(format!(
                "the dump is of another kernel than its vmlinux: {said}"
            ))
            .hint("build that kernel again, then `lab autopsy RUN`"),
            End::Exited(code) => {
                Error::rig(format!("the scripts ended with {code}: {said}")).hint(again)
            }
            End::Signalled(signal) => Error::rig(format!(
                "the scripts were killed by signal {signal}: {said}"
            ))
            .hint("out of memory? `lab autopsy RUN` tries again"),
            End::TimedOut => {
                Error::rig(format!("the scripts took longer than {limit} s: {said}")).hint(again)
            }
            End::Stopped => Error::interrupted().hint("`lab autopsy RUN` makes it"),
        })
    }

    fn command(&self, subject: Subject<'_>, answer: &Path) -> Spec {
        let inside = |real: &Path, name: &str| match self.boxed {
            true => Path::new(INSIDE).join(name),
            false => real.to_owned(),
        };
        let program = &self.python.program;
        let spec = match self.boxed {
            true => self.boxed(subject, answer).arg(program),
            false => Spec::new(program).env_only(environment()).dir(answer),
        };
        let spec = spec
            .args(["-I", "-B"])
            .arg(inside(&self.scripts, "scripts").join(ENTRY));
        let spec = spec.arg("--core").arg(inside(subject.core, "core"));
        let spec = spec
            .arg("--vmlinux")
            .arg(inside(subject.vmlinux, "vmlinux"));
        let spec = spec
            .arg("--json")
            .arg(inside(answer, "out").join("autopsy.json"));
        let part: &[&str] = if subject.only_audit {
            &["--only", "audit"]
        } else {
            &[]
        };
        spec.args(part).file_limit(ANSWER_MAX)
    }

    /// bubblewrap up to the program to run.
    fn boxed(&self, subject: Subject<'_>, answer: &Path) -> Spec {
        let mut spec = empty_box();
        for path in SEEN {
            spec = match fs::read_link(path) {
                Ok(target) => spec.arg("--symlink").arg(target).arg(path),
                Err(_) => spec.args(["--ro-bind-try", path, path]),
            };
        }
        spec = spec.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
        let own = |folder: &&PathBuf| !folder.starts_with("/usr") && folder.parent().is_some();
        for folder in self.python.folders.iter().filter(own) {
            spec = spec.arg("--ro-bind-try").arg(folder).arg(folder);
        }
        let binds = [
            ("--ro-bind", self.scripts.as_path(), "scripts"),
            ("--ro-bind", subject.core, "core"),
            ("--ro-bind", subject.vmlinux, "vmlinux"),
            ("--bind", answer, "out"),
        ];
        for (how, real, name) in binds {
            spec = spec.arg(how).arg(real).arg(Path::new(INSIDE).join(name));
        }
        for (key, value) in environment() {
            spec = spec.arg("--setenv").arg(key).arg(value);
        }
        spec.arg("--chdir")
            .arg(Path::new(INSIDE).join("out"))
            .arg("--")
    }
}

fn read(path: &Path) -> Result<Autopsy> {
    let doing = || "read the scripts' answer";
    let hint = "this is a fault of the lab: the dump is kept, and the scripts may be mended";
    let length = fs::metadata(path).doing(doing)?.len();
    if length > ANSWER_MAX {
        return Err(Error::rig(format!("it has {length} bytes")).doing(doing()));
    }
    let bytes = fs::read(path).doing(doing)?;
    let autopsy: Autopsy = serde_json::from_slice(&bytes)
        .map_err(|error| Error::rig(error.to_string()).hint(hint).doing(doing()))?;
    match autopsy.format {
        AUTOPSY_FORMAT => Ok(autopsy),
        other => {
            let words = format!("it has format {other}, this lab knows {AUTOPSY_FORMAT}");
            Err(Error::rig(words).hint(hint).doing(doing()))
        }
    }
}
