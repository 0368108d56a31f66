// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forge, on a tree that keeps make's contract in miniature: the same targets, real make, real gcc.

use super::*;
use crate::stop;
use lab_core::job::{ConfigOption, ConfigRequest};
use std::path::PathBuf;
use std::sync::Mutex;

/// A repository to put trees in.
pub(super) struct Tree {
    folder: tempfile::TempDir,
    repo: git2::Repository,
}

impl Tree {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repo = git2::Repository::init_bare(folder.path()).unwrap();
        Self { folder, repo }
    }
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
    /// A tree of path, mode and text.
    pub(super) fn tree(&self, files: &[(&str, i32, &str)]) -> git2::Oid {
        let empty = self.repo.treebuilder(None).unwrap().write().unwrap();
        let mut update = git2::build::TreeUpdateBuilder::new();
        for (path, mode, text) in files {
            let blob = self.repo.blob(text.as_bytes()).unwrap();
            let mode = match mode {
                0o120_000 => git2::FileMode::Link,
                0o100_755 => git2::FileMode::BlobExecutable,
                _ => git2::FileMode::Blob,
            };
            update.upsert(*path, blob, mode);
        }
        let empty = self.repo.find_tree(empty).unwrap();
        update.create_updated(&self.repo, &empty).unwrap()
    }
    fn commit(&self, files: &[(&str, &str)]) -> String {
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, 0o100_644, *text))
            .collect();
        let tree = self.repo.find_tree(self.tree(&files)).unwrap();
        let who = git2::Signature::new("a", "a@b", &git2::Time::new(0, 0)).unwrap();
        self.repo
            .commit(None, &who, &who, "x", &tree, &[])
            .unwrap()
            .to_string()
    }
}

const MAKEFILE: &str = r"
OBJ := $(patsubst %.c,$(O)/%.o,$(wildcard fs/*.c))
allnoconfig:
	@printf 'CONFIG_OLD=y\n' > $(O)/.config
olddefconfig:
	@grep -v -e LOSE -e NOSUCH $(O)/.config > $(O)/.c2; mv $(O)/.c2 $(O)/.config
bzImage: vmlinux
	@mkdir -p $(O)/arch/x86/boot; cp $(O)/vmlinux $(O)/arch/x86/boot/bzImage
vmlinux: $(OBJ)
	@echo '  LD      vmlinux'
	@gcc -nostdlib -r -o $(O)/vmlinux $(OBJ)
	@echo map > $(O)/System.map
	@mkdir -p $(O)/include/config; echo 6.12.0-x > $(O)/include/config/kernel.release
$(O)/%.o: %.c
	@mkdir -p $(dir $@)
	@echo '  CC      $*.o'
	@gcc -Wall -c -o $@ $(CURDIR)/$<
";
const KCONFIG: &str = "config A\n\tbool \"a\"\nif NET\nconfig LOSE\n\tbool \"l\"\nendif\n";
const A: &str = "int a(void) { return 1; }\n";
const B: &str = "int b(void) { return 2; }\n";

struct Rig {
    tree: Tree,
    cache: tempfile::TempDir,
    job: BuildJob,
}

fn option(name: &str, optional: bool) -> ConfigOption {
    ConfigOption {
        name: name.to_owned(),
        value: "y".to_owned(),
        optional,
        origin: "x.config:1".to_owned(),
    }
}

impl Rig {
    fn new() -> Self {
        let cache = tempfile::tempdir().unwrap();
        let tree = Tree::new();
        let job = BuildJob {
            tree: tree.path().to_owned(),
            commit: String::new(),
            label: "base".to_owned(),
            profile: "fast".to_owned(),
            config: ConfigRequest {
                start: "allnoconfig".to_owned(),
                options: vec![option("A", false)],
            },
            touched: vec!["fs/a.c".to_owned()],
            cache: cache.path().to_owned(),
            cores: 2,
            no_sandbox: false,
            limit_seconds: 120,
        };
        Self { tree, cache, job }
    }
    fn at(&mut self, files: &[(&str, &str)]) {
        let plain = [
            ("Makefile", MAKEFILE),
            ("Kconfig", KCONFIG),
            ("fs/a.c", A),
            ("fs/b.c", B),
        ];
        let rest = plain
            .iter()
            .filter(|(path, _)| files.iter().all(|(other, _)| other != path));
        let all: Vec<_> = files.iter().chain(rest).copied().collect();
        self.job.commit = self.tree.commit(&all);
    }
    async fn build(&self) -> BuildReport {
        let (_stopper, stop) = stop::channel();
        self.build_until(stop).await
    }
    async fn build_until(&self, stop: Stop) -> BuildReport {
        let out = tempfile::tempdir().unwrap();
        let report = run(&self.job, out.path(), |_| {}, stop).await.unwrap();
        let stored = fs::read(out.path().join("build.json")).unwrap();
        let stored: BuildReport = serde_json::from_slice(&stored).unwrap();
        assert_eq!(
            (&stored.outcome, &stored.key),
            (&report.outcome, &report.key)
        );
        report
    }
    fn slot(&self) -> PathBuf {
        let slots = fs::read_dir(self.cache.path().join("slots")).unwrap();
        let mut slots: Vec<_> = slots.flatten().map(|entry| entry.path()).collect();
        assert_eq!(slots.len(), 1);
        slots.remove(0)
    }
}

#[tokio::test]
async fn a_kernel_is_made_once_and_then_by_difference() {
    let mut rig = Rig::new();
    rig.at(&[]);
    let first = rig.build().await;
    assert_eq!(first.outcome, BuildOutcome::Built, "{first:?}");
    assert_eq!(
        (first.objects, first.reused, first.release.as_deref()),
        (3, false, Some("6.12.0-x"))
    );
    let kernel = first.kernel.clone().unwrap();
    for name in [
        "bzImage",
        "vmlinux",
        "System.map",
        "config",
        "build.log",
        "known.json",
    ] {
        assert!(kernel.join(name).is_file(), "{name}");
    }
    let again = rig.build().await;
    assert!(again.reused && again.kernel == first.kernel && again.make_seconds == 0.0);
    rig.at(&[("fs/a.c", "int a(void) { int x; return 3; }\n")]);
    let second = rig.build().await;
    assert_eq!((second.outcome, second.objects), (BuildOutcome::Built, 2));
    let warning = &second.warnings[0];
    assert_eq!(
        (warning.file.as_deref(), warning.line),
        (Some("fs/a.c"), Some(1))
    );
    assert!(warning.message.contains("unused variable"), "{warning:?}");
}

#[tokio::test]
async fn broken_code_is_told_in_the_compilers_words_and_remembered() {
    let mut rig = Rig::new();
    rig.at(&[("fs/a.c", "int a(void)\n{\n\treturn nosuch;\n}\n")]);
    let report = rig.build().await;
    let BuildOutcome::Broken { error } = &report.outcome else {
        panic!("{report:?}")
    };
    assert_eq!(
        (error.file.as_deref(), error.line),
        (Some("fs/a.c"), Some(3))
    );
    assert!(error.message.contains("undeclared"), "{error:?}");
    assert!(
        error
            .context
            .iter()
            .any(|line| line.contains("return nosuch;")),
        "{error:?}"
    );
    assert!(report.kernel.is_none());
    let again = rig.build().await;
    assert!(again.reused && again.outcome == report.outcome);
    rig.at(&[]);
    assert_eq!(rig.build().await.outcome, BuildOutcome::Built);
}

#[tokio::test]
async fn a_lost_option_fails_by_name_unless_it_may_be_lost() {
    let mut rig = Rig::new();
    rig.at(&[]);
    rig.job
        .config
        .options
        .extend([option("LOSE", false), option("NOSUCH", false)]);
    let report = rig.build().await;
    let BuildOutcome::ConfigLost { options } = &report.outcome else {
        panic!("{report:?}")
    };
    insta::assert_snapshot!(options.join("\n"), @"CONFIG_LOSE=y (x.config:1) came out as n; it depends on NET; unset here: NET");
    rig.job.config.options[1].optional = true;
    let report = rig.build().await;
    assert_eq!(report.outcome, BuildOutcome::Built);
    insta::assert_snapshot!(report.lost_options.join("\n"), @r#"
CONFIG_LOSE=y (x.config:1) came out as n, which the profile allows; it depends on NET; unset here: NET
CONFIG_NOSUCH=y (x.config:1): this tree has no such symbol
"#);
}

#[tokio::test]
async fn the_sandbox_hides_home_network_and_secrets_and_keeps_the_source() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let secret = tempfile::NamedTempFile::new().unwrap();
    let path = secret.path().display();
    let home = std::env::var("HOME").unwrap();
    let spy = format!(
        "spy:\n\t@test ! -e {path} && echo tmp-hidden\n\t@test ! -e {home} && echo home-hidden\n\t@bash -c 'echo > /dev/tcp/127.0.0.1/{port}' 2>/dev/null || echo no-network\n\t@touch fs/a.c 2>/dev/null || echo source-kept\n\t@env | grep -c -e CARGO -e TOKEN -e SSH || echo no-secrets\n\t@ls /proc | grep -c '^[0-9]' | awk '$$1 < 20 {{print \"own-processes\"}}'\nallnoconfig: spy\n"
    );
    let mut rig = Rig::new();
    let makefile = format!("{MAKEFILE}{spy}");
    rig.at(&[("Makefile", &makefile)]);
    let report = rig.build().await;
    assert_eq!(report.outcome, BuildOutcome::Built, "{report:?}");
    let log = fs::read_to_string(report.kernel.unwrap().join("build.log")).unwrap();
    for seen in [
        "tmp-hidden",
        "home-hidden",
        "no-network",
        "source-kept",
        "no-secrets",
        "own-processes",
    ] {
        assert!(log.lines().any(|line| line == seen), "{seen}: {log}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
}

#[tokio::test]
async fn output_that_is_a_link_is_not_followed() {
    let mut rig = Rig::new();
    let makefile = MAKEFILE.replace(
        "@echo map > $(O)/System.map",
        "@ln -sf /etc/shadow $(O)/System.map",
    );
    rig.at(&[("Makefile", &makefile)]);
    let report = rig.build().await;
    let BuildOutcome::RigFailed { reason } = report.outcome else {
        panic!("{report:?}")
    };
    assert!(reason.contains("System.map is a symbolic link"), "{reason}");
}

fn alive(marker: &str) -> usize {
    let holds = |path: PathBuf| {
        fs::read(path.join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(marker))
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| holds(entry.path()))
        .count()
}

#[tokio::test]
async fn limit_and_stop_leave_nothing_running_and_the_next_build_is_right() {
    for (no_sandbox, seconds) in [(false, "86391"), (true, "86392")] {
        let mut rig = Rig::new();
        rig.job.no_sandbox = no_sandbox;
        rig.at(&[]);
        assert_eq!(rig.build().await.outcome, BuildOutcome::Built);
        // The object is half written, newer than its source, when make is killed.
        let hang =
            format!("trap '' TERM; printf torn > $@; sleep {seconds} & sleep {seconds}; wait");
        let makefile = MAKEFILE.replace("@gcc -Wall -c -o $@ $(CURDIR)/$<", &format!("@{hang}"));
        let changed = "int a(void) { return 9; }\n";
        rig.at(&[("Makefile", &makefile), ("fs/a.c", changed)]);
        rig.job.limit_seconds = 2;
        assert_eq!(rig.build().await.outcome, BuildOutcome::TimedOut);
        assert_eq!(alive(&format!("sleep\0{seconds}")), 0);
        rig.job.limit_seconds = 120;
        let (stopper, stop) = stop::channel();
        let (report, ()) = tokio::join!(rig.build_until(stop), async {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            stopper.escalate();
            stopper.escalate();
        });
        assert_eq!(report.outcome, BuildOutcome::Interrupted);
        assert_eq!(alive(&format!("sleep\0{seconds}")), 0);
        rig.at(&[("fs/a.c", changed)]);
        let report = rig.build().await;
        assert_eq!(report.outcome, BuildOutcome::Built, "{report:?}");
        assert_eq!(report.objects, 2);
    }
}

#[tokio::test]
async fn a_folder_torn_by_a_kill_is_mended() {
    let mut rig = Rig::new();
    rig.at(&[]);
    rig.build().await;
    let slot = rig.slot();
    fs::write(slot.join("state.json"), b"{\"format\":1,\"tr").unwrap();
    fs::write(slot.join("src/fs/b.c"), "torn").unwrap();
    rig.at(&[("fs/a.c", "int a(void) { return 5; }\n")]);
    let report = rig.build().await;
    assert_eq!(report.outcome, BuildOutcome::Built, "{report:?}");
    assert_eq!(fs::read_to_string(slot.join("src/fs/b.c")).unwrap(), B);
}

#[tokio::test]
async fn two_builds_of_one_key_end_as_one() {
    let mut rig = Rig::new();
    rig.at(&[]);
    let (one, two) = tokio::join!(rig.build(), rig.build());
    assert_eq!(one.outcome, BuildOutcome::Built);
    assert_eq!(one.kernel, two.kernel);
    assert!(
        one.reused != two.reused
            || fs::read_dir(rig.cache.path().join("slots"))
                .unwrap()
                .count()
                == 2
    );
}

#[tokio::test]
async fn progress_never_goes_beyond_what_is_expected() {
    let mut rig = Rig::new();
    rig.at(&[]);
    let seen = Mutex::new(Vec::new());
    let out = tempfile::tempdir().unwrap();
    let (_stopper, stop) = stop::channel();
    run(
        &rig.job,
        out.path(),
        |now| seen.lock().unwrap().push(now),
        stop,
    )
    .await
    .unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(seen.iter().all(|now| now.done <= now.expected));
    let phases: Vec<_> = seen.iter().map(|now| now.phase).collect();
    for phase in [
        Phase::Waiting,
        Phase::Checkout,
        Phase::Configuring,
        Phase::Making,
        Phase::Storing,
    ] {
        assert!(phases.contains(&phase), "{phase:?}");
    }
    assert!(seen.iter().any(|now| now.file == "fs/a.o"));
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_the_users_mistake() {
    let mut rig = Rig::new();
    rig.job.commit = "0123456789012345678901234567890123456789".to_owned();
    let (_stopper, stop) = stop::channel();
    let out = tempfile::tempdir().unwrap();
    let error = run(&rig.job, out.path(), |_| {}, stop).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Usage);
    assert!(
        error.to_string().contains("failed to find commit 01234"),
        "{error}"
    );
}
