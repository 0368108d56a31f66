// SPDX-License-Identifier: MIT OR Apache-2.0
//! A thousand mailed patches onto a whole kernel: `git am` in a work tree against the lab, in turn, same mails.
//!
//! `cargo bench --bench apply -- TREE.git [PATCHES]`; TREE.git is any kernel repository, such as the lab's own.
#![allow(clippy::print_stdout)]

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, Signature, Time};
use lab::tree::{Options, Origin, Tree, apply};
use lab_core::series::{ReadOptions, read_mbox};
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    // cargo bench adds an argument of its own.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["lab", tree, mbox] => lab(Path::new(tree), Path::new(mbox)),
        [tree] => compare(Path::new(tree), 1000),
        [tree, patches] => compare(Path::new(tree), patches.parse()?),
        _ => {
            println!("usage: cargo bench --bench apply -- TREE.git [PATCHES]");
            Ok(())
        }
    }
}

/// The lab's side, in a process of its own so that its memory is its own.
fn lab(tree: &Path, mbox: &Path) -> Result<()> {
    let started = Instant::now();
    let tree = Tree::open(tree, Origin::Option)?;
    let series = read_mbox(&std::fs::read(mbox)?, "bench.mbox", &ReadOptions::default())?;
    let read = started.elapsed().as_secs_f64();
    let applied = apply(&tree, tree.head(), &series, Options::default())?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!(
        "{:.2} {read:.2} {} {}",
        started.elapsed().as_secs_f64(),
        applied.patches.last().map_or("", |p| &p.tree),
        peak.unwrap_or("?").trim()
    );
    Ok(())
}

fn compare(tree: &Path, patches: usize) -> Result<()> {
    let home = tempfile::tempdir()?;
    let clone = home.path().join("clone.git");
    let work = home.path().join("work");
    let text = |path: &Path| path.display().to_string();
    git(
        home.path(),
        &[
            "clone",
            "-q",
            "--bare",
            "--shared",
            &text(tree),
            &text(&clone),
        ],
    )?;
    let repo = Repository::open(&clone)?;
    let base = repo.head()?.peel_to_commit()?.id();
    let tip = make(&repo, base, patches)?;
    let mbox = home.path().join("series.mbox");
    let mails = git(
        &clone,
        &["format-patch", "--stdout", &format!("{base}..{tip}")],
    )?;
    std::fs::write(&mbox, &mails)?;
    println!(
        "{patches} patches, {} kB of mail, on {base}",
        mails.len() / 1000
    );

    git(
        &clone,
        &[
            "worktree",
            "add",
            "-q",
            "--detach",
            &text(&work),
            &base.to_string(),
        ],
    )?;
    let started = Instant::now();
    git(&work, &["am", "-q", &text(&mbox)])?;
    let am = started.elapsed().as_secs_f64();
    let want = String::from_utf8(git(&work, &["rev-parse", "HEAD^{tree}"])?)?;

    let out = Command::new(std::env::current_exe()?)
        .args(["lab", &text(&clone), &text(&mbox)])
        .output()?;
    let out = String::from_utf8(out.stdout)? + &String::from_utf8(out.stderr)?;
    let fields: Vec<&str> = out.splitn(4, ' ').collect();
    let [seconds, read, tree, peak] = fields[..] else {
        return Err(out.into());
    };
    let same = if tree == want.trim() {
        "same"
    } else {
        "ANOTHER"
    };
    println!("git am       {am:8.2} s");
    println!(
        "lab          {:>8} s (of which {read} s reading the mails), peak memory {}",
        seconds,
        peak.trim()
    );
    println!(
        "ratio        {:8.1}   {same} final tree",
        am / seconds.parse::<f64>()?
    );
    Ok(())
}

/// A commit a patch; each adds a line to two C files, spread over the whole tree.
fn make(repo: &Repository, base: Oid, patches: usize) -> Result<Oid> {
    let root = repo.find_commit(base)?.tree()?;
    let mut files = Vec::new();
    root.walk(git2::TreeWalkMode::PreOrder, |dir, entry| {
        let name = entry.name().unwrap_or("");
        if entry.kind() == Some(ObjectType::Blob) && name.ends_with(".c") {
            files.push(format!("{dir}{name}"));
        }
        git2::TreeWalkResult::Ok
    })?;
    let mut tip = base;
    for n in 0..patches {
        let parent = repo.find_commit(tip)?;
        let tree = parent.tree()?;
        let mut update = TreeUpdateBuilder::new();
        for file in [
            &files[n * 7919 % files.len()],
            &files[(n / 4 * 104_729 + 1) % files.len()],
        ] {
            let blob = tree.get_path(Path::new(file))?.id();
            let text = edited(repo.find_blob(blob)?.content(), n);
            update.upsert(file.as_str(), repo.blob(&text)?, FileMode::Blob);
        }
        let new = update.create_updated(repo, &tree)?;
        let who = Signature::new(
            "A U Thor",
            "author@example.com",
            &Time::new(1_700_000_000 + n as i64, 60),
        )?;
        let message = format!("bench: change number {n}\n\nTwo files get a line each.\n");
        tip = repo.commit(
            None,
            &who,
            &who,
            &message,
            &repo.find_tree(new)?,
            &[&parent],
        )?;
    }
    Ok(tip)
}

fn edited(content: &[u8], n: usize) -> Vec<u8> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let at = lines.len() / 2;
    let mut out = lines[..at].concat();
    out.extend(format!("/* change number {n} */\n").bytes());
    out.extend(lines[at..].concat());
    out
}

fn git(dir: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let out = Command::new("git")
        .current_dir(dir)
        .args([
            "-c",
            "user.name=A U Thor",
            "-c",
            "user.email=author@example.com",
            "-c",
            "gc.auto=0",
        ])
        .args(args)
        .output()?;
    if !out.status.success() {
        return Err(format!("git {args:?}: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    Ok(out.stdout)
}
