// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where things are, and what the user has set: `lab.yaml` in the folder where the lab runs, else in the
//! user's configuration folder. The command line beats the environment, which beats the file.

use crate::error::{Doing, Error, Result};
use crate::tree::Choice;
use lab_core::settings::{SettingsFile, parse};
use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The settings in force, before the command line.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Kernel tree.
    pub tree: Option<PathBuf>,
    /// Profiles to run by default.
    pub profiles: Vec<String>,
    /// Folder of results.
    pub results: Option<PathBuf>,
    /// Folder of the cache.
    pub cache: Option<PathBuf>,
    /// Cores of the budget.
    pub cores: Option<u32>,
    /// File they come from, if there is one.
    pub origin: Option<PathBuf>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// A file that is there but wrong, with its place and what is accepted.
    pub fn load() -> Result<Self> {
        let mut places = vec![PathBuf::from("lab.yaml")];
        places.extend(config_folder().map(|folder| folder.join("lab/lab.yaml")));
        for path in places {
            match fs::read_to_string(&path) {
                Ok(text) => return Self::from_text(&path, &text),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e).doing(|| format!("read {}", path.display())),
            }
        }
        Ok(Self::default())
    }

    fn from_text(path: &Path, text: &str) -> Result<Self> {
        let file: SettingsFile =
            parse(&path.display().to_string(), text).map_err(|e| Error::usage(e.to_string()))?;
        // Paths in a file are meant from where the file stands, not from where the lab is started.
        let beside = |p: PathBuf| path.parent().unwrap_or(Path::new("")).join(p);
        Ok(Self {
            tree: file.tree.map(beside),
            profiles: file.profiles,
            results: file.results.map(beside),
            cache: file.cache.map(beside),
            cores: file.cores,
            origin: Some(path.to_owned()),
        })
    }

    /// Folder of the cache: `LAB_CACHE`, the settings, `XDG_CACHE_HOME/lab`, `~/.cache/lab`. Absolute,
    /// because jobs name it and may run elsewhere.
    ///
    /// # Errors
    /// When none of them is known.
    pub fn cache_folder(&self) -> Result<PathBuf> {
        let path = set("LAB_CACHE")
            .or_else(|| self.cache.clone())
            .or_else(|| set("XDG_CACHE_HOME").map(|p| p.join("lab")))
            .or_else(|| set("HOME").map(|p| p.join(".cache/lab")))
            .ok_or_else(|| {
                Error::usage("there is no place for a cache").hint("set LAB_CACHE or HOME")
            })?;
        std::path::absolute(&path).doing(|| format!("find {}", path.display()))
    }

    /// Which kernel tree to use; `option` is `--tree`.
    ///
    /// # Errors
    /// When there is no place for a cache.
    pub fn tree_choice(&self, option: Option<&Path>) -> Result<Choice> {
        Ok(Choice {
            option: option.map(Path::to_owned),
            environment: set("LAB_TREE"),
            configured: self.tree.clone(),
            ..Choice::in_cache(self.cache_folder()?)
        })
    }

    /// Folder of results: the command line's, the settings', `results` here. Absolute.
    ///
    /// # Errors
    /// When the current folder is gone.
    pub fn results_folder(&self, asked: Option<&Path>) -> Result<PathBuf> {
        let path = asked.map(Path::to_owned).or_else(|| self.results.clone());
        let path = path.unwrap_or_else(|| PathBuf::from("results"));
        std::path::absolute(&path).doing(|| format!("find {}", path.display()))
    }
}

fn config_folder() -> Option<PathBuf> {
    set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")))
}

fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}
