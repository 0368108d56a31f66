// SPDX-License-Identifier: MIT OR Apache-2.0
//! mount(2) and umount(2), with reasons that tell a kernel without a filesystem from a failure.

use std::ffi::CString;
use std::path::Path;

/// Why something that a scenario needs is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// This kernel cannot: the scenario is skipped.
    Absent(String),
    /// It can, and did not.
    Failed(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Absent(why) | Self::Failed(why)) = self;
        f.write_str(why)
    }
}

fn text(value: &str) -> Result<CString, Refusal> {
    CString::new(value).map_err(|error| Refusal::Failed(format!("{value:?}: {error}")))
}

/// Mounts `source` as `kind` on the folder `at`, which is made if it is not there.
///
/// # Errors
/// [`Refusal::Absent`] if the kernel has no such filesystem.
pub(crate) fn mount(kind: &str, source: &str, at: &Path, options: &str) -> Result<(), Refusal> {
    let shown = at.display().to_string();
    std::fs::create_dir_all(at)
        .map_err(|error| Refusal::Failed(format!("cannot make {shown}: {error}")))?;
    let [source_c, at_c, kind_c, options_c] =
        [text(source)?, text(&shown)?, text(kind)?, text(options)?];
    // SAFETY: all four are strings that end in NUL and outlive the call.
    let answer = unsafe {
        libc::mount(
            source_c.as_ptr(),
            at_c.as_ptr(),
            kind_c.as_ptr(),
            0,
            options_c.as_ptr().cast(),
        )
    };
    if answer == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    let why = format!("cannot mount {source} as {kind} on {shown}: {error}");
    match error.raw_os_error() {
        Some(libc::ENODEV) => Err(Refusal::Absent(format!(
            "this kernel has no filesystem {kind}"
        ))),
        _ => Err(Refusal::Failed(why)),
    }
}

/// Unmounts what is on the folder `at`.
///
/// # Errors
/// Says why the kernel refused.
pub(crate) fn unmount(at: &Path) -> Result<(), String> {
    let shown = at.display();
    let path = CString::new(at.as_os_str().as_encoded_bytes()).map_err(|e| e.to_string())?;
    // SAFETY: the path ends in NUL.
    if unsafe { libc::umount2(path.as_ptr(), 0) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(format!("cannot unmount {shown}: {error}"))
}
