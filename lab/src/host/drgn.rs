// SPDX-License-Identifier: MIT OR Apache-2.0
//! drgn, which reads dumps: a private Python environment in the lab's cache, of one known version.

use crate::error::{Doing, Error, Result};
use crate::store::file;
use crate::ui::Ui;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version that the scripts were written and tried with.
pub const VERSION: &str = "0.3.0";

/// Hashes of its wheels for x86-64, for Python 3.9 to 3.14: nothing else is installed.
const HASHES: &[&str] = &[
    "65854389cc6e5953b31661c12b9a473b2c02d40ad6e60df499264dd569b4a617",
    "3a87b04438b5d6e3a3c2eee67370a4539efb6f17bbfe78531b7969adaf3bcf74",
    "69c8b8ce9d1b714f1bcd871101b88f41694d0bc1746485b18d4f1238c72a884d",
    "1f1792f1bd9740fe2263fe99df316215b4b5df80b90a33857c27bfa756d480c0",
    "a2a29ca8fdb9cc58d7d771b8b3eb1b83c1e8fa3ee836d6bcc979eed2cfcb93a6",
    "27e7a411ea5fd7ffa2742c15689298b7195e28f7b17b5f42929faaaf9c375de7",
];

/// Written when all of it is there.
const READY: &str = "ready";

/// Folder of the environment.
pub fn folder(cache: &Path) -> PathBuf {
    cache.join("drgn").join(VERSION)
}

/// Its Python.
pub fn program(cache: &Path) -> PathBuf {
    folder(cache).join("bin/python")
}

/// It is there, whole.
pub fn ready(cache: &Path) -> bool {
    folder(cache).join(READY).is_file() && program(cache).exists()
}

/// Setup should bring it: it is not there, and the user has named no Python that has it.
pub fn wanted(cache: &Path) -> bool {
    !ready(cache) && std::env::var_os("LAB_PYTHON").is_none_or(|value| value.is_empty())
}

/// What setup will do, for people.
pub fn plan(cache: &Path) -> String {
    format!(
        "drgn {VERSION} into {} (about 50 MB)",
        folder(cache).display()
    )
}

/// Makes the environment, if it is not there. What fails is told in one line, and the lab goes on: dumps then stay raw.
pub fn ensure(ui: &Ui, cache: &Path) {
    if ready(cache) {
        return;
    }
    match make(Path::new("python3"), cache) {
        Ok(()) => ui.say(&format!(
            "setup: drgn {VERSION} is in {}",
            folder(cache).display()
        )),
        Err(error) => {
            let hint = error.hint_text().unwrap_or_default();
            ui.say(&format!(
                "setup: drgn is not installed, so dumps are kept but not read: {error} ({hint})"
            ));
        }
    }
}

/// Makes the environment with this Python.
///
/// # Errors
/// It cannot be made, or drgn cannot be brought.
pub fn make(python: &Path, cache: &Path) -> Result<()> {
    let folder = folder(cache);
    let _ = fs::remove_file(folder.join(READY));
    fs::create_dir_all(&folder).doing(|| format!("make {}", folder.display()))?;
    let mut venv = Command::new(python);
    venv.args(["-I", "-m", "venv", "--clear"]).arg(&folder);
    run(&mut venv, "make a Python environment")
        .map_err(|error| error.hint("install the package python3-venv (`lab setup` knows it)"))?;
    let wanted = folder.join("requirements.txt");
    file::write(&wanted, requirements().as_bytes())?;
    let mut pip = Command::new(program(cache));
    pip.args([
        "-I",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
    ])
    .args([
        "--quiet",
        "--only-binary",
        ":all:",
        "--require-hashes",
        "--requirement",
    ])
    .arg(&wanted);
    run(&mut pip, &format!("install drgn {VERSION} with pip")).map_err(|error| {
        error.hint("is there a network? `lab setup` tries again; or set LAB_PYTHON to a Python that has drgn")
    })?;
    let mut import = Command::new(program(cache));
    import.args(["-I", "-c", "import drgn"]);
    run(&mut import, "import drgn")
        .map_err(|error| error.hint("set LAB_PYTHON to a Python that has drgn"))?;
    file::write(&folder.join(READY), b"")
}

fn requirements() -> String {
    let hashes = HASHES.iter().map(|hash| format!(" --hash=sha256:{hash}"));
    format!("drgn=={VERSION}{}\n", hashes.collect::<String>())
}

fn run(command: &mut Command, doing: &str) -> Result<()> {
    let output = command
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .doing(|| doing)?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().rev().map(str::trim);
    let last = lines
        .clone()
        .find(|line| line.starts_with("ERROR"))
        .or_else(|| lines.clone().find(|line| !line.is_empty()));
    let last = last.unwrap_or("it said nothing");
    Err(Error::rig(format!("{}: {last}", output.status)).doing(doing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A python3 that does what the lines say.
    fn python(folder: &Path, lines: &str) -> PathBuf {
        let path = folder.join("python3");
        fs::write(&path, format!("#!/bin/bash\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Makes an environment whose Python is the script itself.
    const VENV: &str =
        r#"case "$*" in *venv*) mkdir -p "${@: -1}/bin"; cp "$0" "${@: -1}/bin/python";;"#;

    #[test]
    fn an_environment_is_ready_when_drgn_was_imported() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let check = format!(
            "{VENV} *pip*) grep -q '^drgn=={VERSION} --hash=sha256:[0-9a-f]* ' \"${{@: -1}}\" || exit 9;; esac"
        );
        let python = python(folder.path(), &check);
        assert!(!ready(&cache));
        make(&python, &cache).unwrap();
        assert!(ready(&cache));
    }

    #[test]
    fn each_step_that_fails_is_told_and_leaves_nothing_ready() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let check = |lines: &str, wanted: &str, hint: &str| {
            let error = make(&python(folder.path(), lines), &cache).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
            assert!(
                error.hint_text().is_some_and(|h| h.contains(hint)),
                "{error:?}"
            );
            assert!(!ready(&cache));
        };
        check(
            "echo 'ensurepip is not available' >&2; exit 1",
            "ensurepip is not",
            "python3-venv",
        );
        let pip = "*pip*) echo 'ERROR: No matching distribution'; echo rest; exit 1;; esac";
        check(
            &format!("{VENV} {pip}"),
            "exit status: 1: ERROR: No matching",
            "network",
        );
        check(
            &format!("{VENV} *import*) exit 1;; esac"),
            "import drgn",
            "LAB_PYTHON",
        );
        let absent = make(&folder.path().join("nowhere"), &cache).unwrap_err();
        assert!(
            absent.to_string().contains("make a Python environment"),
            "{absent}"
        );
    }
}
