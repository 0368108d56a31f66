// SPDX-License-Identifier: MIT OR Apache-2.0
//! `lab apply SERIES`: one proved commit a patch, and nothing else.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::intake;
use crate::tree::{Options, Tree, Verdict, try_apply};
use crate::ui::harmless;
use lab_core::apply::{Applied, Proof, Refusal};
use std::path::PathBuf;

/// Apply a series to a kernel tree: one commit a patch under refs/lab/, each checked against its mail.
///
/// The tree's branches, index and work tree are not touched.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Mbox, folder of patches, quilt series, git range, or - for standard input.
    pub series: String,
    /// Kernel tree: a clone, work tree or bare repository [default: the lab's own].
    #[arg(long, value_name = "DIR", env = "LAB_TREE")]
    pub tree: Option<PathBuf>,
    /// Commit to apply to [default: the series' base-commit if the tree has it, else HEAD].
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Take this version where there are several; the newest otherwise.
    #[arg(long, value_name = "N")]
    pub version: Option<u32>,
    /// Print apply.json instead of words.
    #[arg(long)]
    pub json: bool,
}

/// What the command says, and how it ends.
#[derive(Debug)]
pub struct Said {
    /// For standard output.
    pub text: String,
    /// How it ends: a series that does not apply is no answer about the kernel.
    pub exit: Exit,
}

/// Reads the series and applies it to `tree`, which the caller has located.
///
/// # Errors
/// The series cannot be read, the base is unknown, or the repository cannot be read or written. A refusal is an answer
/// with `--json`, else an error.
pub fn run(args: &Args, tree: &Tree) -> Result<Said> {
    let options = intake::Options {
        version: args.version,
        tree: Some(tree.git_dir().to_path_buf()),
    };
    let series = intake::read_series(&args.series, &options)?;
    let base = match &args.base {
        Some(rev) => tree.resolve(rev)?,
        None => tree.default_base(&series)?,
    };
    match try_apply(tree, base, &series, Options::default())? {
        Verdict::Applied(applied) if args.json => said(Exit::Good, json(&applied)?),
        Verdict::Applied(applied) => said(Exit::Good, words(&applied)),
        Verdict::Refused(refusal) => refused(args, &refusal),
    }
}

fn refused(args: &Args, refusal: &Refusal) -> Result<Said> {
    let error = crate::tree::refusal_error(refusal);
    if args.json {
        return said(error.exit(), json(refusal)?);
    }
    Err(error)
}

fn said(exit: Exit, text: String) -> Result<Said> {
    Ok(Said { text, exit })
}

fn json(value: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n")
        .map_err(|error| Error::internal(error.to_string()))
}

fn words(applied: &Applied) -> String {
    let mut out = format!(
        "{} v{} on {:.12} (Linux {})\n",
        applied.series, applied.version, applied.base, applied.kernel
    );
    for patch in &applied.patches {
        out.push_str(&format!(
            "{:>5}  {:.12}  {}",
            patch.number,
            patch.commit,
            harmless(&patch.subject)
        ));
        if let Some(remark) = remark(patch) {
            out.push_str(&format!("  ({remark})"));
        }
        out.push('\n');
    }
    out.push_str(&format!("refs: {}/NNNN\n", applied.refs));
    out
}

/// What is not plain about a patch, in a few words.
fn remark(patch: &lab_core::apply::AppliedPatch) -> Option<String> {
    let moved = patch.files.iter().flat_map(|file| &file.offsets);
    let farthest = moved.map(|offset| offset.abs()).max().unwrap_or(0);
    match (patch.proof, farthest) {
        (Proof::Merge, _) => Some("merged over the blobs of the mail".to_owned()),
        (_, 0) => None,
        (_, lines) => Some(format!("moved by up to {lines} lines")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{
        Origin,
        testing::{Git, numbered},
    };

    fn args(series: &str, json: bool) -> Args {
        Args {
            series: series.to_owned(),
            tree: None,
            base: Some("v6.12".to_owned()),
            version: None,
            json,
        }
    }

    #[test]
    fn says_what_it_did() {
        let git = Git::kernel();
        let text = numbered(60).replace("line 30\n", "");
        git.write("fs/dcache.c", text.as_bytes());
        git.commit("fs: drop a line");
        let tree = Tree::open(&git.dir(), Origin::Option).unwrap();
        let said = run(&args("v6.12..main", false), &tree).unwrap();
        assert_eq!(said.exit, Exit::Good);
        assert!(said.text.contains("fs: drop a line\n"), "{}", said.text);
        let said = run(&args("v6.12..main", true), &tree).unwrap();
        let applied: Applied = serde_json::from_str(&said.text).unwrap();
        assert_eq!(applied.patches[0].files[0].offsets, [0]);
        assert_eq!(applied.patches[0].proof, Proof::PatchId);
    }

    #[test]
    fn a_subject_gives_the_terminal_no_orders() {
        let git = Git::kernel();
        git.write("fs/more.c", b"more\n");
        git.commit("fs: \u{1b}[2J\u{202e}more");
        let tree = Tree::open(&git.dir(), Origin::Option).unwrap();
        let said = run(&args("v6.12..main", false), &tree).unwrap();
        assert!(!said.text.contains(['\u{1b}', '\u{202e}']), "{}", said.text);
        assert!(said.text.contains("[2J"), "{}", said.text);
    }

    #[test]
    fn says_why_it_did_not() {
        let git = Git::kernel();
        git.write("fs/more.c", b"more\n");
        git.commit("more");
        let mail = git.run(&["format-patch", "--stdout", "-1"]);
        let file = git.dir().join(".git/more.mbox");
        let mail = mail
            .replace("mode 100644", "mode 120000")
            .replace("+more", "+../../more");
        std::fs::write(&file, mail).unwrap();
        let file = file.to_str().unwrap();
        let tree = Tree::open(&git.dir(), Origin::Option).unwrap();
        let said = run(&args(file, true), &tree).unwrap();
        assert_eq!(said.exit, Exit::Usage);
        let refusal: Refusal = serde_json::from_str(&said.text).unwrap();
        let error = run(&args(file, false), &tree).unwrap_err();
        assert!(refusal.text().contains("the symbolic link leaves the tree"));
        assert!(error.to_string().ends_with(&refusal.text()));
    }
}
