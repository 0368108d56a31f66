// SPDX-License-Identifier: MIT OR Apache-2.0
//! The room with a Python of shell: what it leaves when all goes well, and what it says when not.

use super::*;
use crate::listen;
use crate::stop;
use lab_core::finding::Class;
use lab_core::job::{EvidencePlan, Job};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tempfile::TempDir;

const ID: &str = "00112233445566778899aabbccddeeff00112233";
/// Answers what it is, then takes the script's arguments apart.
const PRELUDE: &str = r#"#!/bin/bash
case "$*" in *platform.python_version*)
  echo "{\"program\":\"$0\",\"folders\":[\"$(dirname "$0")\"],\"drgn\":\"0.0-shell\",\"python\":\"3.0\"}"; exit;; esac
[[ $1 == -I && $2 == -B && $3 == */autopsy.py && -f $3 ]] || exit 77
while [ $# -gt 0 ]; do case $1 in --json) J=$2;; --core) C=$2;; --vmlinux) V=$2;; --only) O=$2;; esac; shift; done
"#;

/// A run's folder with a kernel, a cache, and a Python.
struct Bench {
    root: TempDir,
    job: BootJob,
    recording: Recording,
}

impl Bench {
    fn new(dumps: &[(&str, Option<u32>)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["out", "kernel", "cache", "python"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::write(
            root.path().join("kernel/vmlinux"),
            elf("GNU", 3, &bytes(ID)),
        )
        .unwrap();
        let note = format!("OSRELEASE=6.12\nBUILD-ID={ID}\n");
        let mut memory = elf("VMCOREINFO", 0, note.as_bytes());
        memory.resize(1 << 20, 0);
        let packed = zstd::encode_all(memory.as_slice(), 1).unwrap();
        let recorded = (dumps.iter()).map(|(file, scenario)| {
            fs::write(root.path().join("out").join(file), &packed).unwrap();
            DumpRecord {
                file: (*file).to_owned(),
                why: "test".into(),
                scenario: *scenario,
                bytes: memory.len() as u64,
                stored: packed.len() as u64,
                seconds: 0.1,
                whole: true,
            }
        });
        let recording = recording(recorded.collect());
        let job = job(root.path());
        Self {
            root,
            job,
            recording,
        }
    }

    fn out(&self) -> PathBuf {
        self.root.path().join("out")
    }

    /// Tools whose Python does what the lines say.
    async fn tools(&self, lines: &str) -> Tools {
        let path = self.root.path().join("python/python3");
        fs::write(&path, format!("{PRELUDE}{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let python = Python::find_with(Some(path), &self.job.cache, stop::never()).await;
        Tools::with(python.unwrap(), &self.job.cache, stop::never()).unwrap()
    }

    async fn examine(&self, lines: &str) -> Vec<String> {
        let tools = self.tools(lines).await;
        examine_with(&tools, &self.job, &self.out(), &self.recording).await
    }

    /// One remark, with these words; and no trace of an autopsy or of unpacked memory.
    async fn check(&self, lines: &str, wanted: &[&str]) {
        let remarks = self.examine(lines).await;
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        for words in wanted {
            assert!(remarks[0].contains(words), "{words:?} in {remarks:?}");
        }
        assert!(!remarks[0].contains('\n'));
        assert_eq!(self.left(), ["vmcore.zst"], "{remarks:?}");
    }

    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.out()).unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|e| e.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// An ELF file of one note.
fn elf(name: &str, kind: u32, note: &[u8]) -> Vec<u8> {
    let mut name = [name.as_bytes(), b"\0"].concat();
    let length = name.len() as u32;
    name.resize(name.len().next_multiple_of(4), 0);
    let mut body: Vec<u8> = Vec::new();
    for number in [length, note.len() as u32, kind] {
        body.extend(number.to_le_bytes());
    }
    body.extend([&name, note].concat());
    body.resize(body.len().next_multiple_of(4), 0);
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    for number in [0_u64, 64, 0] {
        elf.extend(number.to_le_bytes());
    }
    elf.extend(b"\0\0\0\0\x40\0\x38\0\x01\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0");
    for number in [120, 0, 0, body.len() as u64, 0, 4_u64] {
        elf.extend(number.to_le_bytes());
    }
    [elf, body].concat()
}

fn job(root: &Path) -> BootJob {
    let text = format!(
        r#"{{"format": 2, "out": "/o", "job": "boot", "kernel": "{0}/kernel", "cache": "{0}/cache", "label": "",
        "machine": {{"cpus": 1, "memory_mib": 128, "accel": "tcg", "disks": []}}, "append": [],
        "guest": {{"protocol": 3, "scenarios": [], "drain_seconds": 1}}, "until_hit": false,
        "limits": {{"firmware": 1, "kernel": 1, "agent": 1, "scenario_extra": 1, "settle": 1, "drain": 1,
        "console_mib": 1}}}}"#,
        root.display()
    );
    let job: Job = serde_json::from_str(&text).unwrap();
    let lab_core::job::Work::Boot(mut boot) = job.work else {
        panic!("a boot")
    };
    boot.evidence = EvidencePlan {
        dump: DumpPolicy::First,
        dump_mib: 64,
        audit: true,
    };
    boot
}

fn recording(dumps: Vec<DumpRecord>) -> Recording {
    let text = r#"{"format": 2, "outcome": {"as": "panicked"}, "seconds": 9, "agent_up": 1, "first_operation": 1,
        "exposure": 5, "accel": "tcg", "argv": [], "qemu": "", "release": null, "console_bytes": 0, "console_cut": 0,
        "remarks": []}"#;
    Recording {
        dumps,
        ..serde_json::from_str(text).unwrap()
    }
}

/// Writes an answer in which a task crashed and, if asked, a rule is broken.
fn answers(rules: &str) -> String {
    format!(
        r#"echo '{{"format":1,"uptime":7.5,"crashed":5,"release":"6.12","tasks":[{{"tid":5,"comm":"w1","frames":
        [{{"function":"panic"}},{{"function":"d_walk"}}]}}],"audit":{{"violations":[{rules}]}}}}' > "$J""#
    )
}

const BROKEN: &str = r#"{"rule":"dead and hashed","times":2}"#;

#[tokio::test]
async fn a_dump_becomes_an_autopsy_and_a_finding() {
    let bench = Bench::new(&[("vmcore.zst", None)]);
    // The script sees core and vmlinux whole, and is not asked for a part.
    let look = r#"[[ $(head -c4 "$C" | tail -c3) == ELF && -s $V && -z $O ]] || exit 5
        [[ $(stat -c %s "$C") == 1048576 ]] || exit 6; "#;
    let remarks = bench.examine(&format!("{look}{}", answers(BROKEN))).await;
    assert_eq!(remarks, Vec::<String>::new());
    assert_eq!(
        bench.left(),
        ["autopsy.json", "autopsy.svg", "autopsy.txt", "vmcore.zst"]
    );
    let text = fs::read_to_string(bench.out().join(AUTOPSY_TXT)).unwrap();
    assert!(text.contains("w1:5 crashed in d_walk()"), "{text}");
    let told = lines(&bench.out());
    assert_eq!(told[0], "w1:5 crashed in d_walk()");
    let found = listen::derive(&bench.out(), &bench.job, &bench.recording)
        .unwrap()
        .findings;
    let audit = found
        .iter()
        .find(|f| f.class == Class::DcacheAudit)
        .unwrap();
    assert_eq!(
        (audit.title.as_str(), audit.time),
        ("dentry cache: dead and hashed", Some(7.5))
    );
}

#[tokio::test]
async fn clean_audits_are_removed_and_broken_ones_kept() {
    let dumps = [
        ("audit-00.zst", Some(0)),
        ("audit-01.zst", Some(1)),
        ("audit-02.zst", Some(2)),
    ];
    let mut bench = Bench::new(&dumps);
    // The second of three is broken; the third cannot be read.
    let (clean, broken) = (answers(""), answers(BROKEN));
    let lines = format!(
        "[[ $O == audit ]] || exit 5; case $(stat -c %s \"$V\") in 1*) {clean};; 2*) {broken};; *) exit 1;; esac"
    );
    // What the shell can tell the three by is the size of the vmlinux: it changes between them.
    let tools = bench.tools(&lines).await.unboxed();
    let vmlinux = bench.root.path().join("kernel/vmlinux");
    let real = fs::read(&vmlinux).unwrap();
    let mut audits = Vec::new();
    for (number, size) in [(0_usize, 1000), (1, 2000), (2, 3000)] {
        let mut padded = real.clone();
        padded.resize(size, 0);
        fs::write(&vmlinux, padded).unwrap();
        let dump = &bench.recording.dumps[number];
        audits.push(audit(&tools, &bench.job, &bench.out(), dump, number as u32).await);
    }
    assert_eq!(bench.left(), ["audit-01.zst", "audit-02.zst"]);
    assert!(!audits[0].as_ref().unwrap().0.kept && audits[1].as_ref().unwrap().0.kept);
    assert!(
        audits[2]
            .as_ref()
            .unwrap_err()
            .to_string()
            .contains("ended with 1")
    );
    // A profile that keeps no dumps keeps none of these either.
    bench.job.evidence.dump = DumpPolicy::None;
    fs::write(&vmlinux, [real, vec![0; 2000]].concat()).unwrap();
    let dump = &bench.recording.dumps[1];
    assert!(
        !audit(&tools, &bench.job, &bench.out(), dump, 1)
            .await
            .unwrap()
            .0
            .kept
    );
    assert_eq!(bench.left(), ["audit-02.zst"]);
}

#[tokio::test]
async fn audits_stand_on_the_shelf_by_scenario() {
    let bench = Bench::new(&[("audit-00.zst", Some(0)), ("audit-01.zst", Some(1))]);
    assert_eq!(bench.examine(&answers(BROKEN)).await, Vec::<String>::new());
    let audits = audits(&bench.out()).unwrap().unwrap().audits;
    let told: Vec<(u32, bool)> = audits
        .iter()
        .map(|audit| (audit.scenario, audit.kept))
        .collect();
    assert_eq!(told, [(0, true), (1, true)]);
    assert_eq!(
        lines(&bench.out()),
        [
            "audit after scenario 0: dead and hashed, 2×",
            "audit after scenario 1: dead and hashed, 2×"
        ]
    );
    assert!(stored(&bench.out()).unwrap().unwrap().audit.is_some());
}

#[tokio::test]
async fn each_way_to_fail_is_one_clear_line() {
    let bench = Bench::new(&[("vmcore.zst", None)]);
    let check = |lines, wanted| bench.check(lines, wanted);
    check(
        "echo 'not an ELF core' >&2; exit 2",
        &[
            "no autopsy of vmcore.zst",
            "cannot open the dump: not an ELF core",
        ],
    )
    .await;
    check(
        "echo \"$V has build id 1\"; exit 3",
        &[
            "another kernel",
            "kernel/vmlinux has build id 1",
            "build that kernel",
        ],
    )
    .await;
    check(
        "echo Traceback; echo KeyError; exit 1",
        &["ended with 1: Traceback; KeyError"],
    )
    .await;
    check("kill -9 $$", &["killed by signal 9", "out of memory?"]).await;
    check(
        "echo '{\"format\": 1, ' > \"$J\"",
        &["read the scripts' answer"],
    )
    .await;
    check("echo '{\"format\": 99}' > \"$J\"", &["format 99"]).await;
    check("true", &["read the scripts' answer", "No such file"]).await;
}

#[tokio::test]
async fn a_script_that_hangs_is_ended_with_all_its_children() {
    let bench = Bench::new(&[("vmcore.zst", None)]);
    let tools = bench.tools("echo reading; sleep 1000 & sleep 1000").await;
    let tools = tools.limited(Duration::from_millis(700));
    let begun = std::time::Instant::now();
    let remarks = examine_with(&tools, &bench.job, &bench.out(), &bench.recording).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(
        remarks[0].contains("took longer than 0 s: reading"),
        "{remarks:?}"
    );
    assert_eq!(bench.left(), ["vmcore.zst"]);
}

#[tokio::test]
async fn a_stop_ends_it_and_says_how_to_go_on() {
    let bench = Bench::new(&[("vmcore.zst", None)]);
    let tools = bench.tools("sleep 1000").await;
    let (stopper, stop) = stop::channel();
    let tools = Tools::with(tools.python().clone(), &bench.job.cache, stop).unwrap();
    let out = bench.out();
    let work = examine_with(&tools, &bench.job, &out, &bench.recording);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stopper.escalate();
    };
    let (remarks, ()) = tokio::join!(work, stopping);
    assert!(
        remarks[0].contains("stopped on request") && remarks[0].contains("lab autopsy"),
        "{remarks:?}"
    );
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let bench = Bench::new(&[("vmcore.zst", None)]);
    let vmlinux = bench.root.path().join("kernel/vmlinux");
    fs::write(&vmlinux, elf("GNU", 3, &[1; 20])).unwrap();
    bench
        .check(
            &answers(""),
            &["build id 0011", "has 0101", "build that kernel again"],
        )
        .await;
    fs::remove_file(&vmlinux).unwrap();
    bench
        .check(
            &answers(""),
            &["vmlinux is not there", "kernel/vmlinux", "lab autopsy RUN"],
        )
        .await;
    let absent = Python::find_with(None, &bench.job.cache, stop::never())
        .await
        .unwrap_err();
    assert_eq!(absent.to_string(), "drgn is not installed");
    assert!(absent.hint_text().unwrap().contains("lab setup"));
    let wrong = Python::find_with(Some("/bin/false".into()), &bench.job.cache, stop::never()).await;
    assert!(
        wrong
            .unwrap_err()
            .to_string()
            .contains("/bin/false is no Python that works")
    );
    let without = bench.root.path().join("python/without");
    fs::write(
        &without,
        "#!/bin/sh\necho '{\"program\":\"/p\",\"folders\":[],\"drgn\":null,\"python\":\"3\"}'\n",
    )
    .unwrap();
    fs::set_permissions(&without, fs::Permissions::from_mode(0o755)).unwrap();
    let wrong = Python::find_with(Some(without), &bench.job.cache, stop::never()).await;
    assert!(wrong.unwrap_err().to_string().contains("has no drgn"));
    fs::remove_file(bench.out().join("vmcore.zst")).unwrap();
    fs::write(&vmlinux, elf("GNU", 3, &bytes(ID))).unwrap();
    let remarks = bench.examine(&answers("")).await;
    assert!(
        remarks[0].contains("failed to unpack") && remarks[0].contains("No such file"),
        "{remarks:?}"
    );
}

#[tokio::test]
async fn a_dump_cut_short_is_read_as_far_as_it_goes_but_not_audited() {
    let mut bench = Bench::new(&[("vmcore.zst", None)]);
    let path = bench.out().join("vmcore.zst");
    let mut noise: Vec<u8> = fs::read(&path)
        .map(|p| zstd::decode_all(p.as_slice()).unwrap())
        .unwrap();
    noise.extend((0..2_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
    let packed = zstd::encode_all(noise.as_slice(), 1).unwrap();
    fs::write(&path, &packed[..packed.len() * 9 / 10]).unwrap();
    bench.recording.dumps[0].whole = false;
    let remarks = bench.examine(&answers(BROKEN)).await;
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(
        remarks[0].starts_with("vmcore.zst: the dump was cut short after 2 MiB"),
        "{remarks:?}"
    );
    let autopsy = stored(&bench.out()).unwrap().unwrap();
    assert!(
        autopsy.audit.is_none() && autopsy.warnings[0].contains("no audit"),
        "{autopsy:?}"
    );
    let remarks = bench.examine("echo 'no notes'; exit 2").await;
    assert!(
        remarks[0].contains("no notes") && remarks[0].contains("dump_mib"),
        "{remarks:?}"
    );
}

#[tokio::test]
async fn nothing_of_an_earlier_boot_is_left_to_mislead() {
    let bench = Bench::new(&[]);
    for name in [
        AUTOPSY_JSON,
        AUTOPSY_TXT,
        AUTOPSY_SVG,
        AUDIT_JSON,
        ".core-x.elf",
    ] {
        fs::write(bench.out().join(name), "{}").unwrap();
    }
    let remarks = examine(&bench.job, &bench.out(), &bench.recording, stop::never()).await;
    assert_eq!((remarks.unwrap().len(), bench.left().len()), (0, 0));
}

#[tokio::test]
async fn the_box_shows_nothing_else_and_lets_nothing_out() {
    if let Err(error) = crate::build::sandbox_works() {
        return eprintln!("NOT CHECKED: the box of the scripts: {error}");
    }
    let bench = Bench::new(&[("vmcore.zst", None)]);
    let secret = bench.root.path().join("secret");
    fs::write(&secret, "x").unwrap();
    let look = format!(
        "[[ -e {0} || -e /root || -e /home ]] && exit 41; (echo x > \"$C\") 2>/dev/null && exit 42\n\
         (echo x > \"$V\") 2>/dev/null && exit 43; [[ $(ls /sys/class/net 2>/dev/null) ]] && exit 44\n\
         [[ $(wc -l < /proc/net/dev) -gt 3 ]] && exit 45; [[ ${{LAB_CACHE+x}}$USER ]] && exit 46\n",
        secret.display()
    );
    let remarks = bench.examine(&format!("{look}{}", answers(""))).await;
    assert_eq!(remarks, Vec::<String>::new());
}

/// A small filesystem of its own, where this process may mount one.
struct Small(PathBuf);

impl Small {
    fn mounted(path: PathBuf) -> Option<Self> {
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "lab-test"])
            .arg(&path)
            .output();
        mount
            .is_ok_and(|output| output.status.success())
            .then_some(Self(path))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

#[tokio::test]
async fn a_full_disk_costs_the_autopsy_alone() {
    let bench = Bench::new(&[("vmcore.zst", None)]);
    let dump = fs::read(bench.out().join("vmcore.zst")).unwrap();
    let Some(_small) = Small::mounted(bench.out()) else {
        return eprintln!("NOT CHECKED: a full disk: this user may not mount");
    };
    fs::write(bench.out().join("vmcore.zst"), dump).unwrap();
    bench
        .check(&answers(""), &["MiB are free in", "make room there"])
        .await;
}

impl Bench {
    /// The boot as a command finds it later.
    fn shelved(&self) -> crate::store::RunAt {
        let job = Job {
            format: 2,
            out: self.out(),
            work: lab_core::job::Work::Boot(self.job.clone()),
        };
        file::write_json(&self.out().join("job.json"), &job).unwrap();
        file::write_json(&self.out().join("recording.json"), &self.recording).unwrap();
        crate::store::RunAt {
            folder: self.out(),
            id: "rt-0001-01".into(),
            set: None,
        }
    }
}

#[tokio::test]
async fn an_autopsy_outlives_its_dump() {
    let bench = Bench::new(&[("vmcore.zst", None)]);
    bench.examine(&answers("")).await;
    fs::remove_file(bench.out().join("vmcore.zst")).unwrap();
    let at = bench.shelved();
    let told = again(&at, stop::never()).await.unwrap();
    assert_eq!(told.autopsy.crashed, Some(5));
    assert!(
        told.remarks[0].contains("the dump was not kept"),
        "{:?}",
        told.remarks
    );
    fs::remove_file(bench.out().join(AUTOPSY_JSON)).unwrap();
    let error = again(&at, stop::never()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there is no autopsy of rt-0001-01: the dump was not kept")
    );
    assert!(
        error.hint_text().unwrap().contains("`dump: all`"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_boot_without_dumps_says_whose_choice_that_was() {
    let mut bench = Bench::new(&[]);
    let hint = async |bench: &Bench| {
        let error = again(&bench.shelved(), stop::never()).await.unwrap_err();
        assert!(
            error.to_string().contains("this boot left no dump"),
            "{error}"
        );
        error.hint_text().unwrap().to_owned()
    };
    assert!(
        hint(&bench)
            .await
            .contains("kept of the first of each kind")
    );
    bench.job.evidence.dump = DumpPolicy::None;
    assert!(hint(&bench).await.contains("takes no dumps"));
    fs::write(bench.out().join(AUTOPSY_JSON), "{\"format\": 99}").unwrap();
    let error = again(&bench.shelved(), stop::never()).await.unwrap_err();
    assert!(error.to_string().contains("has format 99"), "{error}");
    fs::write(bench.out().join(AUTOPSY_JSON), "{\"for").unwrap();
    assert!(lines(&bench.out())[0].contains("autopsy.json"));
}
