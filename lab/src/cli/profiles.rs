// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab profiles`: what there is, and what one comes to.

use crate::error::Result;
use crate::profiles::{library, resolve};
use std::fmt::Write;
use std::path::Path;

/// List profiles, or show one with everything it extends laid in.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print a resolved profile as YAML; what is printed is a profile itself
    Show {
        /// Its name
        name: String,
    },
}

/// The words to print; `folder` holds the user's own profiles.
///
/// # Errors
/// A profile that cannot be read or resolved.
pub fn run(args: &Args, folder: &Path) -> Result<String> {
    let library = library(folder)?;
    if let Some(Command::Show { name }) = &args.command {
        return Ok(resolve(&library, name)?.to_yaml());
    }
    let names = library.names();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for name in names {
        // One broken profile must not hide the others.
        let words = match resolve(&library, name) {
            Ok(profile) => profile.description,
            Err(error) => format!("[cannot be used: {error}]"),
        };
        let _ = writeln!(text, "{name:width$}  {words}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_what_ships() {
        let text = run(&Args { command: None }, Path::new("/nonexistent")).unwrap();
        insta::assert_snapshot!(text, @r#"
fast     No debugging beyond what costs nothing; for speed, and for races that debugging hides
kasan    Use-after-free and out-of-bounds accesses, by KASAN
kcsan    Data races, by KCSAN
lockdep  Lock order, sleeping while atomic and RCU use are checked, on a preemptible kernel
rt       PREEMPT_RT with lockdep and atomic-sleep checks
"#);
    }

    #[test]
    fn a_broken_profile_is_listed_with_its_mistake() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.yaml"), "cpus: 3\n").unwrap();
        std::fs::write(folder.path().join("bytes.yaml"), b"\xff\xfe").unwrap();
        std::fs::write(folder.path().join("deep.yaml"), "[".repeat(200_000)).unwrap();
        std::fs::write(folder.path().join("long.yaml"), vec![b'#'; 2 << 20]).unwrap();
        let text = run(&Args { command: None }, folder.path()).unwrap();
        assert!(
            text.contains("mine     [cannot be used: ") && text.contains("unknown field `cpus`"),
            "{text}"
        );
        for why in [
            "it is not UTF-8 text",
            "nested more than 100 levels deep",
            "larger than 1048576 bytes",
        ] {
            assert!(text.contains(why), "{why}: {text}");
        }
        let show = Args {
            command: Some(Command::Show {
                name: "lockdep".to_owned(),
            }),
        };
        let yaml = run(&show, folder.path()).unwrap();
        assert!(
            yaml.contains("PROVE_LOCKING: 'y'  # shipped/fragments/lockdep.config:"),
            "{yaml}"
        );
    }
}
