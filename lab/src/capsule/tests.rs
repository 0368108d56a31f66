// SPDX-License-Identifier: MIT OR Apache-2.0
//! A capsule unpacked and run by the host's sh, with a QEMU that is a script.

use super::{Options, write};
use crate::store::{RunAt, file};
use lab_core::job::{JOB_FORMAT, Job, Work};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONSOLE: &str = "[    0.000000][    T0] Linux version 6.12.0-mini\n\
[    1.234567][   T71] BUG: sleeping function called from invalid context at kernel/locking/spinlock_rt.c:48\n\
[    1.234568][   T71] in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 71, name: w3\n\
[    1.234569][   T71] Call Trace:\n\
[    1.234570][   T71]  <TASK>\n\
[    1.234571][   T71]  __might_resched+0x1d2/0x2a0\n\
[    1.234572][   T71]  rt_spin_lock+0x3c/0x110\n\
[    1.234573][   T71]  __d_add+0x51/0x240\n\
[    1.234574][   T71]  d_splice_alias+0x99/0x350\n\
[    1.234575][   T71]  </TASK>\n";
const BYE: &str = r#"{"t_ms":4,"say":"bye"}"#;

struct Rig {
    home: tempfile::TempDir,
    run: RunAt,
}

impl Rig {
    /// A finished run with this console, of a kernel of a few bytes.
    fn new(console: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("runs/rt-0003-01");
        let kernel = home.path().join("kernel");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&kernel).unwrap();
        for name in ["bzImage", "vmlinux", "config"] {
            fs::write(kernel.join(name), name).unwrap();
        }
        let mut job = crate::vm::tests::job(&kernel);
        job.append = vec!["a='b c'".into()];
        job.guest.hold = true;
        job.machine.disks = vec![lab_core::job::Disk { mib: 5, fs: None }];
        let whole = Job {
            format: JOB_FORMAT,
            out: folder.clone(),
            work: Work::Boot(job),
        };
        file::write_json(&folder.join("job.json"), &whole).unwrap();
        fs::write(folder.join("console.log"), console).unwrap();
        fs::write(folder.join("vmcore.zst"), "dump").unwrap();
        fs::write(folder.join(".lock"), "").unwrap();
        let recording = serde_json::json!({
            "format": JOB_FORMAT, "outcome": {"as": "completed"}, "seconds": 12.0, "agent_up": 1.0,
            "first_operation": 1.5, "exposure": 1.0, "accel": "tcg", "argv": [], "qemu": "QEMU 7.2",
            "release": "6.12.0-mini", "console_bytes": 1, "console_cut": 0, "remarks": [],
        });
        file::write_json(&folder.join("recording.json"), &recording).unwrap();
        let run = RunAt {
            folder,
            id: "rt-0003-01".into(),
            set: None,
        };
        Self { home, run }
    }

    fn capsule(&self, name: &str, options: Options) -> PathBuf {
        let path = self.home.path().join(name);
        write(&self.run, options, &path).unwrap();
        path
    }

    /// Unpacks into a fresh folder, and gives that of the run.
    fn unpacked(&self) -> PathBuf {
        let capsule = self.capsule("x.tar.zst", Options::default());
        let to = self.home.path().join("fresh");
        let bytes = zstd::decode_all(fs::File::open(capsule).unwrap()).unwrap();
        tar::Archive::new(&bytes[..]).unpack(&to).unwrap();
        to.join("rt-0003-01")
    }

    /// What run.sh says, with a QEMU that prints this console and whose agent says this.
    fn ran(&self, console: &str, agent: &str, more: &str) -> (Option<i32>, String) {
        let folder = self.unpacked();
        let qemu = self.home.path().join("qemu");
        fs::write(self.home.path().join("console"), console).unwrap();
        let script = format!(
            "#!/bin/sh\n{more}\nprintf '%s\\n' \"$@\" >argv\ncat '{}' | tee console.log\necho '{agent}' >agent.jsonl\n",
            self.home.path().join("console").display()
        );
        fs::write(&qemu, script).unwrap();
        fs::set_permissions(&qemu, fs::Permissions::from_mode(0o755)).unwrap();
        let mut sh = Command::new("sh");
        sh.arg("run.sh")
            .current_dir(&folder)
            .env("QEMU", qemu)
            .env("ACCEL", "tcg");
        let output = sh.env("LIMIT", "3").output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

fn names(capsule: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let bytes = zstd::decode_all(fs::File::open(capsule).unwrap()).unwrap();
    let mut archive = tar::Archive::new(&bytes[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        assert_eq!(
            (
                entry.header().mtime().unwrap(),
                entry.header().uid().unwrap()
            ),
            (super::TIME, 0)
        );
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, (entry.header().mode().unwrap(), content))
    });
    entries.collect()
}

#[test]
fn a_capsule_holds_all_and_is_the_same_each_time() {
    let rig = Rig::new(CONSOLE);
    let one = rig.capsule("one.tar.zst", Options::default());
    let two = rig.capsule("two.tar.zst", Options::default());
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    let all = names(&one);
    let has: Vec<&str> = all
        .keys()
        .map(|name| name.strip_prefix("rt-0003-01/").unwrap())
        .collect();
    let wanted = "README bzImage config disk0.img initramfs.cpio kvm-probe.img recorded/console.log \
                  recorded/job.json recorded/recording.json run.sh";
    assert_eq!(has.join(" "), wanted);
    assert_eq!(all["rt-0003-01/run.sh"].0, 0o755);
    assert_eq!(all["rt-0003-01/disk0.img"].1.len(), 5 << 20);
    let readme = String::from_utf8(all["rt-0003-01/README"].1.clone()).unwrap();
    insta::assert_snapshot!(readme);
    // Nobody would let the guest go on.
    let initramfs = &all["rt-0003-01/initramfs.cpio"].1;
    let hold = br#""hold": false"#;
    assert!(initramfs.windows(hold.len()).any(|at| at == hold));
    let more = Options {
        vmlinux: true,
        dump: true,
    };
    let more = names(&rig.capsule("more.tar.zst", more));
    assert_eq!(more["rt-0003-01/vmlinux"].1, b"vmlinux");
    assert_eq!(more["rt-0003-01/recorded/vmcore.zst"].1, b"dump");
}

#[test]
fn a_capsule_that_cannot_be_made_leaves_nothing() {
    let rig = Rig::new(CONSOLE);
    fs::remove_file(rig.home.path().join("kernel/vmlinux")).unwrap();
    let to = rig.home.path().join("x.tar.zst");
    let options = Options {
        vmlinux: true,
        dump: false,
    };
    let error = write(&rig.run, options, &to).unwrap_err().to_string();
    assert!(error.contains("put vmlinux into it"), "{error}");
    fs::remove_file(rig.home.path().join("kernel/bzImage")).unwrap();
    let error = write(&rig.run, Options::default(), &to).unwrap_err();
    assert!(
        error.to_string().contains("is no longer at")
            && error.hint_text().unwrap().contains("lab replay")
    );
    let left = fs::read_dir(rig.home.path()).unwrap().flatten();
    assert!(
        left.map(|e| e.file_name())
            .all(|name| !name.to_string_lossy().contains("new") && name != "x.tar.zst")
    );
}

#[test]
fn the_script_sees_the_finding_again() {
    let rig = Rig::new(CONSOLE);
    let again = CONSOLE
        .replace("1.23", "9.87")
        .replace(":48", ":52")
        .replace("+0x51", "+0x77")
        .replace("T71", "T8");
    let (code, said) = rig.ran(&again, BYE, "");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("SEEN: BUG: sleeping function called from invalid context in __d_add"),
        "{said}"
    );
    let argv = fs::read_to_string(rig.home.path().join("fresh/rt-0003-01/argv")).unwrap();
    insta::assert_snapshot!(
        argv.trim_end()
            .replace("\n-", "\t-")
            .replace('\n', " ")
            .replace('\t', "\n")
    );
}

#[test]
fn the_script_says_what_else_came_of_it() {
    let rig = Rig::new(CONSOLE);
    let other = CONSOLE.replace("__d_add", "__d_move");
    let (code, said) = rig.ran(&other, BYE, "");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("not seen: BUG: "), "{said}");
    let (code, said) = rig.ran("[    0.0] Linux version\n", "{}", "");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("did not come to its end"), "{said}");
    let (code, said) = rig.ran("", "", "echo refused >&2; exit 7");
    assert_eq!(code, Some(125), "{said}");
    assert!(said.contains("QEMU ended with 7"), "{said}");
}

#[test]
fn the_script_ends_what_hangs() {
    let rig = Rig::new(CONSOLE);
    let (code, said) = rig.ran(
        "",
        "",
        "echo '[    0.0] Linux version' >console.log; exec sleep 60",
    );
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("QEMU ended with 137"), "{said}");
}

#[test]
fn words_are_quoted_for_a_shell() {
    let check = |word: &str, wanted: &str| assert_eq!(super::quoted(word), wanted);
    check("if=none,id=disk0", "if=none,id=disk0");
    check("", "''");
    check("a b", "'a b'");
    check("it's $HOME", r"'it'\''s $HOME'");
}
