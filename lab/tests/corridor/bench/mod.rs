// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the whole lab is tried: the real binary on a miniature kernel tree and a scripted QEMU, so that a run
//! takes seconds, and needs no kernel and no network.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A kernel tree, profiles, a cache and results of their own.
pub(crate) struct Bench {
    home: tempfile::TempDir,
}

/// What a lab said when it was done.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|e| panic!("{e}\n--- stdout\n{}--- stderr\n{}", self.out, self.err))
    }

    /// Asserts the exit code, with all that was said.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        let (out, err) = (&self.out, &self.err);
        assert_eq!(self.code, Some(code), "--- stdout\n{out}--- stderr\n{err}");
        self
    }
}

/// The function that every patch of a series has to itself.
fn function(number: usize, extra: &str) -> String {
    format!("int step{number}(void)\n{{\n\t{extra}\n\treturn {number};\n}}\n")
}

const DCACHE: &str = "/* The miniature directory cache. */\nint d_base(void)\n{\n\treturn 0;\n}\n";
/// A base whose compiler already complains.
pub(crate) const OLD_WARNING: &str = "int old(void)\n{\n\tint unused_before;\n\treturn 0;\n}\n";

impl Bench {
    /// A base with this text behind its own in `fs/dcache.c`.
    pub(crate) fn with_base(extra: &str) -> Self {
        let bench = Self {
            home: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(bench.tree().join("fs")).unwrap();
        fs::create_dir_all(bench.path("work/profiles")).unwrap();
        bench.git(&["init", "-q", "-b", "main"]);
        bench.write("linux/Makefile", include_str!("Makefile.kernel"));
        bench.write(
            "linux/Kconfig",
            "mainmenu \"mini\"\nconfig A\n\tbool \"a\"\n",
        );
        bench.write("linux/fs/dcache.c", &format!("{DCACHE}{extra}"));
        bench.write(
            "linux/fs/namei.c",
            "int d_base(void);\nint walk(void) { return d_base(); }\n",
        );
        bench.commit("Linux 6.12");
        bench.git(&["tag", "base"]);
        bench.write("work/profiles/mini.yaml", include_str!("mini.yaml"));
        bench.write("qemu", include_str!("qemu.sh"));
        fs::set_permissions(bench.path("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
        bench
    }

    /// A sound base.
    pub(crate) fn new() -> Self {
        Self::with_base("")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn tree(&self) -> PathBuf {
        self.path("linux")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn git(&self, args: &[&str]) {
        let output = Command::new("git")
            .current_dir(self.tree())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .args([
                "-c",
                "user.name=Ann Author",
                "-c",
                "user.email=ann@example.org",
            ])
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn commit(&self, subject: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", subject]);
    }

    /// A series on the base as a folder of mails; each patch adds a function with its line to `fs/dcache.c`.
    pub(crate) fn series(&self, name: &str, lines: &[&str]) -> String {
        let subjects: Vec<String> = (1..=lines.len())
            .map(|n| format!("fs/dcache: take step {n}"))
            .collect();
        let patches: Vec<(&str, &str)> = subjects
            .iter()
            .map(String::as_str)
            .zip(lines.iter().copied())
            .collect();
        self.series_of(name, &patches)
    }

    /// As [`Bench::series`], with subjects.
    pub(crate) fn series_of(&self, name: &str, patches: &[(&str, &str)]) -> String {
        self.git(&["checkout", "-q", "--detach", "base"]);
        let mut text = fs::read_to_string(self.path("linux/fs/dcache.c")).unwrap();
        for (index, (subject, line)) in patches.iter().enumerate() {
            text += &function(index + 1, line);
            self.write("linux/fs/dcache.c", &text);
            self.commit(subject);
        }
        self.mailed(name)
    }

    /// A series whose patches each put another end to `fs/dcache.c`.
    pub(crate) fn series_with(&self, name: &str, ends: &[String]) -> String {
        self.git(&["checkout", "-q", "--detach", "base"]);
        let text = fs::read_to_string(self.path("linux/fs/dcache.c")).unwrap();
        for (index, end) in ends.iter().enumerate() {
            self.write("linux/fs/dcache.c", &format!("{text}{end}"));
            self.commit(&format!("fs/dcache: take step {}", index + 1));
        }
        self.mailed(name)
    }

    fn mailed(&self, name: &str) -> String {
        let folder = self.path(name);
        let out = folder.display().to_string();
        self.git(&["format-patch", "-q", "base", "-o", &out]);
        self.git(&["checkout", "-q", "main"]);
        out
    }

    /// The lab, with nothing of this user's around it.
    pub(crate) fn lab(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        let kept = ["PATH", "LLVM_PROFILE_FILE"];
        let environment: Vec<_> = kept
            .iter()
            .filter_map(|k| Some((k, std::env::var_os(k)?)))
            .collect();
        command
            .env_clear()
            .envs(environment)
            .env("HOME", self.path("home"))
            .env("LAB_CACHE", self.path("cache"))
            .env("LAB_TREE", self.tree())
            .env("LAB_QEMU", self.path("qemu"))
            .current_dir(self.path("work"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `lab run SERIES` under the miniature profile.
    pub(crate) fn run_args<'a>(&self, series: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let mut args = vec!["run", series, "-p", "mini", "--base", "base", "--seed", "7"];
        args.extend(more);
        args.extend(sandbox());
        args
    }

    pub(crate) fn run(&self, series: &str, more: &[&str]) -> Ran {
        self.ask(&self.run_args(series, more))
    }

    pub(crate) fn ask(&self, args: &[&str]) -> Ran {
        ended(self.lab(args).spawn().unwrap())
    }

    /// The only set there is.
    pub(crate) fn set(&self) -> String {
        let sets = self.sets();
        assert_eq!(sets.len(), 1, "{sets:?}");
        sets[0].clone()
    }

    pub(crate) fn sets(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("work/results"));
        let mut names: Vec<String> = entries
            .map(|all| {
                all.flatten()
                    .map(|e| e.file_name().to_string_lossy().into_owned())
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    /// A path in the only set.
    pub(crate) fn shelf(&self, name: &str) -> PathBuf {
        self.path("work/results").join(self.set()).join(name)
    }

    /// Processes of this bench that are alive: all of them have its folder in arguments or environment.
    pub(crate) fn alive(&self) -> Vec<String> {
        let home = self.home.path().display().to_string();
        let told = |path: PathBuf| {
            let read = |name: &str| fs::read(path.join(name)).unwrap_or_default();
            let (line, environment) = (read("cmdline"), read("environ"));
            let holds = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&home);
            let words = String::from_utf8_lossy(&line).replace('\0', " ");
            (holds(&line) || holds(&environment)).then(|| format!("{} {words}", path.display()))
        };
        let all = fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| told(entry.path())).collect()
    }

    /// Waits until nothing of this bench runs.
    #[track_caller]
    pub(crate) fn empty_within(&self, limit: Duration) {
        let begun = Instant::now();
        loop {
            let alive = self.alive();
            if alive.is_empty() {
                return;
            }
            assert!(begun.elapsed() < limit, "still alive: {alive:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// When each file of the cache's work folders was written.
    pub(crate) fn work_folders(&self) -> BTreeMap<PathBuf, std::time::SystemTime> {
        let mut times = BTreeMap::new();
        let mut folders = vec![self.path("cache/slots")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let meta = fs::symlink_metadata(entry.path()).unwrap();
                if meta.is_dir() {
                    folders.push(entry.path());
                } else {
                    times.insert(entry.path(), meta.modified().unwrap());
                }
            }
        }
        times
    }
}

/// `--no-sandbox` where bubblewrap does not work, said aloud.
pub(crate) fn sandbox() -> &'static [&'static str] {
    static WORKS: OnceLock<bool> = OnceLock::new();
    let works = WORKS.get_or_init(|| {
        let tried = Command::new("bwrap")
            .args(["--unshare-all", "--ro-bind", "/", "/", "true"])
            .output();
        let works = tried.is_ok_and(|o| o.status.success());
        if !works {
            println!("NOTE: bubblewrap does not work here; these tests run make WITHOUT a sandbox");
        }
        works
    });
    if *works { &[] } else { &["--no-sandbox"] }
}

pub(crate) fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, limit: Duration, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
