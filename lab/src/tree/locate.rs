// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel tree: the one named, else the lab's own.

use super::import::{Progress, import};
use super::version::kernel_version;
use crate::error::{Doing, Error, Result};
use crate::stop::Stop;
use git2::{Commit, Oid, Repository};
use lab_core::series::Series;
use std::fmt;
use std::path::{Path, PathBuf};

/// The kernel that the lab brings when no tree is named.
pub const DEFAULT_KERNEL: &str = "6.12";

/// Where a tree may come from. The first that is set wins; with none set it is the lab's own.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// `--tree DIR`.
    pub option: Option<PathBuf>,
    /// `LAB_TREE`.
    pub environment: Option<PathBuf>,
    /// The configuration file's.
    pub configured: Option<PathBuf>,
    /// The lab's cache folder: its own tree is `trees/linux-6.12.git` in it.
    pub cache: PathBuf,
    /// Tarballs that the lab's own tree is made from; the first that exists is taken.
    pub tarballs: Vec<PathBuf>,
}

impl Choice {
    /// The lab's own tree under `cache`, made from the distribution's package, or from a download in the cache.
    pub fn in_cache(cache: PathBuf) -> Self {
        let package = format!("/usr/src/linux-source-{DEFAULT_KERNEL}.tar.xz");
        let mut choice = Self {
            cache,
            ..Self::default()
        };
        choice.tarballs = vec![package.into(), choice.download()];
        choice
    }

    /// The lab's own tree, there or not.
    pub fn own(&self) -> PathBuf {
        self.cache.join(format!("trees/linux-{DEFAULT_KERNEL}.git"))
    }

    /// Somebody names a tree.
    pub fn is_named(&self) -> bool {
        self.named().is_some()
    }

    /// The tarball that the lab's own tree would be made from.
    pub fn tarball(&self) -> Option<&Path> {
        self.tarballs
            .iter()
            .map(PathBuf::as_path)
            .find(|path| path.is_file())
    }

    /// Where a downloaded tarball goes.
    pub fn download(&self) -> PathBuf {
        self.cache
            .join(format!("trees/linux-{DEFAULT_KERNEL}.tar.xz"))
    }

    fn named(&self) -> Option<(Origin, &Path)> {
        let option = self.option.as_deref().map(|dir| (Origin::Option, dir));
        let environment = self.environment.as_deref();
        let configured = self.configured.as_deref();
        option
            .or(environment.map(|dir| (Origin::Environment, dir)))
            .or(configured.map(|dir| (Origin::Configured, dir)))
    }
}

/// Who named the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Option,
    /// The environment.
    Environment,
    /// The configuration file.
    Configured,
    /// Nobody: it is the lab's own.
    Own,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Option => "--tree",
            Origin::Environment => "LAB_TREE",
            Origin::Configured => "the configuration",
            Origin::Own => "the lab's cache",
        })
    }
}

/// A git repository that holds a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    git_dir: PathBuf,
    origin: Origin,
    head: Oid,
    version: String,
}

/// Finds the tree, and makes the lab's own if that is wanted and not there yet.
///
/// # Errors
/// What is named is no git repository or no kernel; or there is nothing to make the lab's own tree from, and then the
/// hint says what to install.
pub fn locate(choice: &Choice, stop: &Stop, progress: &mut dyn FnMut(Progress)) -> Result<Tree> {
    if let Some((origin, dir)) = choice.named() {
        return Tree::open(dir, origin)
            .map_err(|error| error.doing(format!("use the tree that {origin} names")));
    }
    let own = choice.own();
    if !own.exists() {
        let tarball = choice.tarball().ok_or_else(|| nothing_to_import(choice))?;
        import(tarball, &own, stop, progress)?;
    }
    Tree::open(&own, Origin::Own)
}

fn nothing_to_import(choice: &Choice) -> Error {
    let looked: Vec<String> = choice
        .tarballs
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Error::rig(format!("there is no kernel tree yet, and no {}", looked.join(" or "))).hint(format!(
        "install the package linux-source-{DEFAULT_KERNEL} (apt-get install linux-source-{DEFAULT_KERNEL}), \
         or name a kernel clone with --tree DIR"
    ))
}

impl Tree {
    /// Opens a clone, a work tree or a bare repository and checks that its HEAD is a kernel.
    ///
    /// # Errors
    /// It is no repository, has no commit, or no kernel in it.
    pub fn open(dir: &Path, origin: Origin) -> Result<Self> {
        let what = || format!("open the tree {}", dir.display());
        let repo = Repository::open(dir).doing(what).map_err(|error| {
            error.hint("give the folder of a kernel's git clone, work tree or bare repository")
        })?;
        let head = repo.head().and_then(|head| head.peel_to_commit());
        let head = head.doing(what)?;
        let version = version_of(&repo, &head).map_err(|error| error.doing(what()))?;
        Ok(Self {
            // A work tree's own folder, so that its HEAD is the one that is meant.
            git_dir: repo.path().to_path_buf(),
            origin,
            head: head.id(),
            version,
        })
    }

    /// The git folder: what to open, and what jobs name.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Who named it.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Kernel version at HEAD, such as `6.12.117`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The commit that HEAD was when the tree was opened.
    pub fn head(&self) -> Oid {
        self.head
    }

    /// Opens the repository.
    ///
    /// # Errors
    /// It went away, or cannot be read any more.
    pub fn repository(&self) -> Result<Repository> {
        Repository::open(&self.git_dir).doing(|| format!("open {}", self.git_dir.display()))
    }

    /// The commit that `rev` names: a tag, a branch, an id, `HEAD~3`.
    ///
    /// # Errors
    /// No such commit, or it is no kernel.
    pub fn resolve(&self, rev: &str) -> Result<Oid> {
        let repo = self.repository()?;
        let commit = repo
            .revparse_single(rev)
            .and_then(|object| object.peel_to_commit())
            .map_err(|error| {
                Error::usage(error.message())
                    .doing(format!("find {rev} in {}", self.git_dir.display()))
                    .hint("fetch it into that tree, or name another commit, tag or branch")
            })?;
        version_of(&repo, &commit).map_err(|error| error.doing(format!("use {rev} as base")))?;
        Ok(commit.id())
    }

    /// Where a series goes when nobody says: its own base-commit when the tree has it, else HEAD.
    ///
    /// # Errors
    /// The repository cannot be read.
    pub fn default_base(&self, series: &Series) -> Result<Oid> {
        let named = series.base_commit.as_deref();
        Ok(named
            .and_then(|rev| self.resolve(rev).ok())
            .unwrap_or(self.head))
    }

    /// Kernel version that a commit's Makefile names.
    ///
    /// # Errors
    /// No such commit, or it is no kernel.
    pub fn version_at(&self, commit: Oid) -> Result<String> {
        let repo = self.repository()?;
        version_of(&repo, &repo.find_commit(commit)?)
    }
}

fn version_of(repo: &Repository, commit: &Commit<'_>) -> Result<String> {
    let not_kernel = |what: &str| {
        let id = commit.id();
        Error::usage(format!("commit {id:.12} is no kernel: {what}"))
            .hint("a kernel has a Makefile with VERSION and PATCHLEVEL, and a Kconfig, at its top")
    };
    let root = commit.tree()?;
    root.get_name("Kconfig")
        .ok_or_else(|| not_kernel("it has no Kconfig"))?;
    let makefile = root.get_name("Makefile").map(|entry| entry.id());
    let makefile = makefile.ok_or_else(|| not_kernel("it has no Makefile"))?;
    let makefile = repo.find_blob(makefile)?;
    kernel_version(makefile.content()).ok_or_else(|| not_kernel("its Makefile names no version"))
}
