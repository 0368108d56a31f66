// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of the autopsy's scripts that need neither drgn nor a dump, run as Python runs them.

use std::path::Path;
use std::process::Command;

#[test]
fn the_scripts_pass_their_own_tests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/autopsy/scripts");
    let run = Command::new("python3")
        .args(["-B", "-m", "unittest", "discover", "--pattern", "test_*.py"])
        .current_dir(&folder)
        .output();
    let output = match run {
        Ok(output) => output,
        Err(error) => {
            return eprintln!("NOT CHECKED: the autopsy's scripts: python3 does not run: {error}");
        }
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // `Ran 0 tests` would be a success as well.
    let ran = said.lines().find_map(|line| line.strip_prefix("Ran "));
    let count: u32 = (ran.and_then(|rest| rest.split(' ').next()))
        .and_then(|count| count.parse().ok())
        .unwrap_or_default();
    assert!(count > 0, "{said}");
}
