// SPDX-License-Identifier: MIT OR Apache-2.0
//! Builds the guest's static PID 1, so that the lab carries it as bytes, and lists the scripts that the lab carries.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The only machine that the lab boots.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() -> ExitCode {
    match scripts().and_then(|()| build()) {
        Ok(agent) => println!("cargo::rustc-env=LAB_AGENT={}", agent.display()),
        Err(why) => {
            why.lines().for_each(|line| println!("cargo::error={line}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn build() -> Result<PathBuf, String> {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let root = package
        .parent()
        .ok_or("the package has no workspace around it")?;
    for path in [
        "lab/build.rs",
        "lab/guest",
        "lab/wire",
        "Cargo.lock",
        "Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    // A target folder of its own: the outer cargo holds the lock of the usual one.
    let target = Path::new(&variable("OUT_DIR")?).join("guest");
    let output = guest_build(root, &target)?.output();
    let output =
        output.map_err(|error| format!("cargo for the guest's agent does not run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "the guest's agent does not build{}\n{said}",
            advice(&said)
        ));
    }
    Ok(target.join(TARGET).join("guest").join("lab-guest"))
}

/// Writes the table of the autopsy's scripts: name and text of each.
fn scripts() -> Result<(), String> {
    let folder = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("src/autopsy/scripts");
    println!("cargo::rerun-if-changed={}", folder.display());
    let listed = std::fs::read_dir(&folder);
    let shipped = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".py") && !name.starts_with("test_")
    };
    let mut files: Vec<PathBuf> = (listed
        .map_err(|error| format!("{}: {error}", folder.display()))?)
    .flatten()
    .map(|entry| entry.path())
    .filter(shipped)
    .collect();
    files.sort();
    let mut table = "&[\n".to_owned();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let path = file.display().to_string();
        table += &format!("    ({name:?}, include_str!({path:?})),\n");
    }
    let out = Path::new(&variable("OUT_DIR")?).join("scripts.rs");
    std::fs::write(&out, table + "]\n").map_err(|error| format!("{}: {error}", out.display()))
}

/// cargo for the agent, with nothing of what the outer cargo, clippy or a coverage tool put into
/// the environment: their flags and wrappers are for the host's programs.
fn guest_build(root: &Path, target: &Path) -> Result<Command, String> {
    let mut cargo = Command::new(variable("CARGO")?);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_none_or(is_of_the_outer_build) {
            cargo.env_remove(name);
        }
    }
    cargo
        .current_dir(root)
        .args([
            "build",
            "--locked",
            "--quiet",
            "--package",
            "lab-guest",
            "--profile",
            "guest",
        ])
        .args(["--target", TARGET, "--target-dir"])
        .arg(target)
        .args(["--jobs", &variable("NUM_JOBS")?])
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            "-Ctarget-feature=+crt-static\x1f-Crelocation-model=static",
        );
    Ok(cargo)
}

fn is_of_the_outer_build(name: &str) -> bool {
    const KEPT: &[&str] = &[
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    const FLAGS: &[&str] = &[
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
    ];
    const OURS: &[&str] = &[
        "RUSTC",
        "RUSTDOC",
        "RUSTC_LINKER",
        "TARGET",
        "HOST",
        "PROFILE",
        "OPT_LEVEL",
    ];
    const MORE: &[&str] = &[
        "DEBUG",
        "NUM_JOBS",
        "MAKEFLAGS",
        "MFLAGS",
        "OUT_DIR",
        "LLVM_PROFILE_FILE",
    ];
    let cargo = name.starts_with("CARGO") && !KEPT.iter().any(|kept| name.starts_with(kept));
    let clippy = name.starts_with("CLIPPY_");
    cargo
        || clippy
        || [FLAGS, OURS, MORE]
            .iter()
            .any(|names| names.contains(&name))
}

/// What to do about a failure that has nothing to do with the agent's code.
fn advice(said: &str) -> &'static str {
    let static_parts = [
        "cannot find -lc",
        "cannot find -lpthread",
        "libc.a",
        "crt1.o",
        "cannot find -lgcc_eh",
    ];
    if static_parts.iter().any(|part| said.contains(part)) {
        return ": the static parts of the C library are missing; install libc6-dev (Debian), glibc-static (Fedora)";
    }
    if said.contains("can't find crate for `core`") || said.contains("can't find crate for `std`") {
        return ": rustc has no library for it; run: rustup target add x86_64-unknown-linux-gnu";
    }
    if said.contains("linker `cc` not found") {
        return ": there is no C compiler to link it with; install gcc";
    }
    ""
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("cargo did not set {name}: {error}"))
}
