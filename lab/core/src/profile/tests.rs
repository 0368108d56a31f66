// SPDX-License-Identifier: MIT OR Apache-2.0
//! What profiles must do, on small libraries.

use super::*;
use proptest::prelude::*;

fn library(files: &[(&str, &str)]) -> Library {
    let mut library = Library::default();
    for (file, text) in files {
        library.add_own(file, text);
    }
    library
}

fn error(text: &str) -> String {
    library(&[
        ("p/x.yaml", text),
        ("p/fragments/base.config", "CONFIG_A=y\n"),
    ])
    .resolve("x")
    .unwrap_err()
    .to_string()
}

const BASE: &str = "\
description: the base
config:
  fragments: base.config
  options: {B: 3, NAME: hello}
machine: {cpus: 4}
kernel_args: [console=ttyS0]
sysctl: {kernel.panic: 0, net.ipv4.conf.eth0/1.forwarding: 1}
suites:
  workload:
  - scenario: lookup-storm
    seconds: 7
limits: {drain: 20}
";

const CHILD: &str = "\
extends: [base]
config:
  options:
    A: n
    CONFIG_C: {value: y, optional: true}
machine: {memory: 2048}
kernel_args: [quiet]
sysctl: {kernel/panic: 1}
time_factor: 1.5
";

fn child() -> Profile {
    let files = [
        ("p/base.yaml", BASE),
        ("p/child.yaml", CHILD),
        ("p/fragments/base.config", "CONFIG_A=y\n"),
    ];
    library(&files).resolve("child").unwrap()
}

#[test]
fn a_child_is_laid_over_what_it_extends() {
    let child = child();
    insta::assert_snapshot!(child.to_yaml(), @r#"
# child: p/base.yaml, p/child.yaml
description: ''
machine:
  cpus: 4
  disk: 512
  memory: 2048
kernel_args:
- console=ttyS0
- quiet
sysctl:
  kernel/panic: '1'
  net/ipv4/conf/eth0.1/forwarding: '1'
suites:
  workload:
  - scenario: lookup-storm
    fs: tmpfs
    threads: 12
    names: 8
    dirs: 2
    seconds: 7
    pause_us: 0
    mix: {}
  - scenario: lookup-storm
    fs: xfs
    threads: 12
    names: 8
    dirs: 2
    seconds: 7
    pause_us: 0
    mix: {}
limits:
  agent: 30
  build: 14400
  console_mib: 16
  drain: 20
  dump_mib: 512
  firmware: 30
  kernel: 60
  scenario_extra: 30
  settle: 10
time_factor: 1.5
dump: first
audit: false
config:
  start: allnoconfig
  options:
    A: 'n'  # p/child.yaml:4
    B: '3'  # p/base.yaml:4
    C: {value: 'y', optional: true}  # p/child.yaml:5
    NAME: '"hello"'  # p/base.yaml:4
"#);
    assert_eq!(child.limits().drain, 30);
    assert_eq!(child.limits().console_mib, 16);
    assert_eq!(child.config.options.len(), 5);
}

#[test]
fn what_is_shown_is_a_profile_of_the_same_digest() {
    let child = child();
    let again = library(&[("p/again.yaml", &child.to_yaml())])
        .resolve("again")
        .unwrap();
    assert_eq!(again.digest(), child.digest());
    let other = library(&[("p/o.yaml", &child.to_yaml().replace("cpus: 4", "cpus: 5"))]);
    assert_ne!(other.resolve("o").unwrap().digest(), child.digest());
}

#[test]
fn trials_of_the_lab_may_be_named_and_are_not_listed() {
    let named = BASE.replace("lookup-storm", "misbehave-stuck");
    let files = [
        ("p/base.yaml", named.as_str()),
        ("p/fragments/base.config", "CONFIG_A=y\n"),
    ];
    let profile = library(&files).resolve("base").unwrap();
    let on: Vec<_> = profile
        .scenarios(1, None)
        .into_iter()
        .map(|s| s.fs)
        .collect();
    assert_eq!(on, ["xfs", "ext4"]);
}

#[test]
fn scenarios_have_seeds_of_their_own_that_one_number_repeats() {
    let child = child();
    let scenarios = child.scenarios(1, Some(3));
    assert_eq!(scenarios, child.scenarios(1, Some(3)));
    let seen: Vec<_> = scenarios
        .iter()
        .map(|s| (s.fs.as_str(), s.seconds))
        .collect();
    assert_eq!(seen, [("tmpfs", 3), ("xfs", 3)]);
    assert_ne!(scenarios[0].seed, scenarios[1].seed);
    assert_ne!(scenarios[0].seed, child.scenarios(2, None)[0].seed);
    assert_eq!(child.scenarios(1, None)[0].seconds, 7);
    assert_eq!(
        child.machine(Accel::Tcg).disks,
        [Disk {
            mib: 512,
            fs: Some("xfs".into())
        }]
    );
}

#[test]
fn mistakes_are_told_with_place_key_and_what_is_accepted() {
    insta::assert_snapshot!(error("machine:\n  cpu: 3\n"), @"p/x.yaml:2: machine: unknown field `cpu`, expected one of `cpus`, `memory`, `disk` (did you mean `cpus`?)");
    insta::assert_snapshot!(error("machine:\n  cpus: 0\n"), @"p/x.yaml:2: machine.cpus: invalid value: integer `0`, expected a whole number from 1 to 512");
    insta::assert_snapshot!(error("description: x\nmachine:\n  memory: lots\n"), @r#"p/x.yaml:3: machine.memory: invalid type: string "lots", expected a whole number from 128 to 4194304"#);
    insta::assert_snapshot!(error("descripton: x\n"), @"p/x.yaml:1: unknown field `descripton`, expected one of `description`, `extends`, `config`, `machine`, `kernel_args`, `sysctl`, `suites`, `limits`, `time_factor`, `dump`, `audit` (did you mean `description`?)");
    insta::assert_snapshot!(error("\nextends: bas\n"), @"p/x.yaml:2: extends: no profile `bas`; there are: x");
    insta::assert_snapshot!(error("extends: x\n"), @"p/x.yaml:1: extends: goes in a circle: p/x.yaml → p/x.yaml");
    insta::assert_snapshot!(error("config:\n  fragments: [base.confg]\n"), @"p/x.yaml:2: config.fragments: no fragment `base.confg` (did you mean `base.config`?); there are: base.config");
    insta::assert_snapshot!(error("config:\n  options:\n    A-B: y\n"), @"p/x.yaml:3: config.options: `A-B` is no name of a symbol; accepted: letters, digits, underscore");
    insta::assert_snapshot!(error("config:\n  options:\n    A: y\n    A: n\n"), @"p/x.yaml:3: config.options: A is given twice");
    insta::assert_snapshot!(error("config:\n  options: [A]\n"), @"p/x.yaml:2: config.options: invalid type: sequence, expected a map such as `PREEMPT: y`");
    insta::assert_snapshot!(error("suites:\n  workload:\n  - scenario: lookup-strom\n"), @"p/x.yaml:3: suites.workload.scenario: `lookup-strom` is no scenario (did you mean `lookup-storm`?); accepted: lookup-storm, rename-web, rcu-walk, lockref, negative, shrink, nfs-open, nfs-unlink, handles, fsnotify, ci-lookup, rt-dirseq, proc-walk, mixed");
    insta::assert_snapshot!(error("suites:\n  workload:\n  - {scenario: nfs-unlink, fs: xfs}\n"), @"p/x.yaml:3: suites.workload.fs: `xfs` is no filesystem of nfs-unlink; accepted: nfs4.2");
    insta::assert_snapshot!(error("suites:\n  workload:\n  - {scenario: nfs-unlink, treads: 3}\n"), @"p/x.yaml:3: suites.workload[0]: unknown field `treads`, expected one of `scenario`, `fs`, `threads`, `names`, `dirs`, `seconds`, `pause_us`, `mix` (did you mean `threads`?)");
    insta::assert_snapshot!(error("time_factor: 0\n"), @"p/x.yaml:1: time_factor: 0 is out of bounds; accepted: 0.1 to 100");
    insta::assert_snapshot!(error("sysctl:\n  ../../etc/passwd: 0\n"), @"p/x.yaml:1: `../../etc/passwd` is no sysctl; accepted: `kernel.panic` or `kernel/panic`");
    insta::assert_snapshot!(error("a: [\n"), @"p/x.yaml:1: unknown field `a`, expected one of `description`, `extends`, `config`, `machine`, `kernel_args`, `sysctl`, `suites`, `limits`, `time_factor`, `dump`, `audit`");
}

#[test]
fn circles_are_refused_with_the_way_they_go() {
    let files = [
        ("p/a.yaml", "extends: b\n"),
        ("p/b.yaml", "description: b\nextends: c\n"),
        ("p/c.yaml", "extends: a\n"),
    ];
    let error = library(&files).resolve("a").unwrap_err().to_string();
    insta::assert_snapshot!(error, @"p/c.yaml:1: extends: goes in a circle: p/a.yaml → p/b.yaml → p/c.yaml → p/a.yaml");
}

#[test]
fn a_shared_ancestor_counts_once() {
    let files = [
        ("p/a.yaml", "kernel_args: [a]\n"),
        ("p/b.yaml", "extends: a\n"),
        ("p/c.yaml", "extends: a\n"),
        ("p/d.yaml", "extends: [b, c]\n"),
    ];
    assert_eq!(library(&files).resolve("d").unwrap().kernel_args, ["a"]);
}

#[test]
fn an_own_profile_stands_before_the_shipped_one_and_may_extend_it() {
    let mut library = library(&[(
        "here/fast.yaml",
        "extends: shipped/fast\nmachine: {cpus: 8}\n",
    )]);
    library.add_shipped("shipped/fast.yaml", "machine: {memory: 300}\n");
    let fast = library.resolve("fast").unwrap();
    assert_eq!((fast.cpus, fast.memory_mib), (8, 300));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s).{0,300}") {
        let mut library = Library::default();
        library.add_own("x.yaml", &text);
        let _ = library.resolve("x").map_err(|e| e.to_string());
    }
}

#[test]
fn scenarios_may_be_chosen_and_keep_what_the_profile_says_of_them() {
    let child = child();
    let asked = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        child.only(&names)
    };
    assert_eq!(asked(&[]).unwrap(), child);
    let own = child.workload[0].clone();
    let one = asked(&[&format!("{}/{}", own.scenario, own.fs), "shrink"]).unwrap();
    assert_eq!(one.workload[0], own);
    let fs: Vec<_> = one.workload[1..].iter().map(|l| l.fs.as_str()).collect();
    assert_eq!(fs, ["tmpfs", "xfs"]);
    assert!(asked(&["strom"]).unwrap_err().contains("no scenario strom"));
    assert!(
        asked(&["shrink/zfs"])
            .unwrap_err()
            .contains("tmpfs, xfs, ext4")
    );
}
