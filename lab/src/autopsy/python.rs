// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Python that has drgn: the user's by `LAB_PYTHON`, else the one that `lab setup` made in the cache.

use crate::error::{Error, Result};
use crate::host::drgn;
use crate::process::{Spec, supervise};
use crate::stop::Stop;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long Python may take to tell what it is.
const PATIENCE: Duration = Duration::from_secs(30);
/// Says what it is, on the last line.
const QUESTION: &str = "\
import json, os, platform, sys
folders = [sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]
try:
    import drgn
    folders.append(os.path.dirname(drgn.__file__))
    version = drgn.__version__
except ImportError:
    version = None
print(json.dumps({'program': sys.executable, 'folders': folders, 'drgn': version, 'python': platform.python_version()}))
";

/// A Python that has drgn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Python {
    /// The program itself, past all wrappers.
    pub program: PathBuf,
    /// What it needs of the host beside the system's folders.
    pub folders: Vec<PathBuf>,
    /// Version of drgn.
    pub drgn: String,
    /// Version of Python.
    pub version: String,
}

#[derive(Deserialize)]
struct Answer {
    program: PathBuf,
    folders: Vec<PathBuf>,
    drgn: Option<String>,
    python: String,
}

impl Python {
    /// Finds it and asks it.
    ///
    /// # Errors
    /// There is none, it does not run, or it has no drgn: the hint says what to do.
    pub async fn find(cache: &Path, stop: Stop) -> Result<Self> {
        let asked = std::env::var_os("LAB_PYTHON").filter(|value| !value.is_empty());
        Self::find_with(asked.map(PathBuf::from), cache, stop).await
    }

    /// The same, with what `LAB_PYTHON` says.
    pub(super) async fn find_with(
        asked: Option<PathBuf>,
        cache: &Path,
        stop: Stop,
    ) -> Result<Self> {
        match asked {
            Some(program) => Self::ask(&program, stop).await.map_err(|error| {
                error.hint("LAB_PYTHON names it; it must be a Python 3 that can import drgn")
            }),
            None if drgn::ready(cache) => Self::ask(&drgn::program(cache), stop)
                .await
                .map_err(|error| error.hint("`lab setup` makes it again")),
            None => Err(Error::rig("drgn is not installed").hint(
                "`lab setup` puts it into the cache; or set LAB_PYTHON to a Python that has it",
            )),
        }
    }

    async fn ask(program: &Path, stop: Stop) -> Result<Self> {
        let mut lines = Vec::new();
        let spec = Spec::new(program).args(["-I", "-B", "-c", QUESTION]);
        let finished = supervise(spec, PATIENCE, stop, |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
        });
        let end = finished.await?.end;
        let last = lines.last().map_or("it said nothing", String::as_str);
        let answer: Option<Answer> = serde_json::from_str(last).ok();
        let name = program.display();
        match answer {
            Some(answer) => Ok(Self {
                program: answer.program,
                folders: answer.folders,
                version: answer.python,
                drgn: (answer.drgn)
                    .ok_or_else(|| Error::rig(format!("the Python {name} has no drgn")))?,
            }),
            None => Err(Error::rig(format!(
                "{name} is no Python that works ({end:?}): {last}"
            ))),
        }
    }
}

/// All that Python is told of the world.
pub(super) fn environment() -> Vec<(OsString, OsString)> {
    let fixed = [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/nonexistent"),
        ("TMPDIR", "/tmp"),
        ("LC_ALL", "C.UTF-8"),
        ("TZ", "UTC"),
        // drgn would look for debug information on the network.
        ("DEBUGINFOD_URLS", ""),
    ];
    fixed.map(|(key, value)| (key.into(), value.into())).into()
}
