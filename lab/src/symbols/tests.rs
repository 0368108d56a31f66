// SPDX-License-Identifier: MIT OR Apache-2.0
//! A kernel of one file, made by the host's compiler from a series of two patches, and a console that names its functions.

use super::tree::tests::manifest;
use super::*;
use crate::tree::testing::Git;
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

const BASE: &str = "int held;

__attribute__((noinline)) void rt_spin_lock(void)
{
	held++;
}
";
const PATCHED: &str = "
static inline __attribute__((always_inline)) void wake(void)
{
	rt_spin_lock();
	held--;
}

__attribute__((noinline)) void __d_add(void)
{
	wake();
	held--;
}
";

struct Shelf {
    git: Git,
    manifest: Manifest,
    run: PathBuf,
    job: BootJob,
}

/// A run of that kernel on the shelf; nothing where no compiler makes one.
fn shelf(console: &str, events: &str) -> Option<Shelf> {
    let git = Git::kernel();
    let base = git.commit("base");
    git.write("fs/dcache.c", BASE.as_bytes());
    let first = git.commit("count");
    let start = "void _start(void) { __d_add(); for (;;) ; }\n";
    git.write("fs/dcache.c", format!("{BASE}{PATCHED}{start}").as_bytes());
    let second = git.commit("wake");
    let made = Command::new("gcc")
        .current_dir(git.dir())
        .args([
            "-g",
            "-O1",
            "-static",
            "-nostdlib",
            "-no-pie",
            "-fno-pie",
            "-fcf-protection=none",
        ])
        .args([
            "-fno-optimize-sibling-calls",
            "-o",
            "vmlinux",
            "fs/dcache.c",
        ])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("SKIPPED a test of decoding: no gcc that links a static program");
        return None;
    }
    let run = git.dir().join("run");
    let call = call(&git.dir().join("vmlinux"));
    let (console, events) = (
        console.replace("CALL", &call),
        events.replace("CALL", &call),
    );
    let job = json!({
        "kernel": git.dir(), "cache": "c", "label": "", "append": [], "until_hit": false,
        "machine": {"cpus": 1, "memory_mib": 128, "accel": "tcg", "disks": []},
        "guest": {"protocol": 3, "scenarios": [], "sysctl": {}, "drain_seconds": 1},
        "limits": {"firmware": 1, "kernel": 1, "agent": 1, "scenario_extra": 1, "settle": 1, "drain": 1, "console_mib": 1},
    });
    let recording = json!({
        "format": 2, "outcome": {"as": "completed"}, "seconds": 1.0, "agent_up": null, "first_operation": null,
        "exposure": 1.0, "accel": "tcg", "argv": [], "qemu": "", "release": null, "console_bytes": 1,
        "console_cut": 0, "remarks": [],
    });
    git.write("run/recording.json", recording.to_string().as_bytes());
    git.write("run/console.log", console.as_bytes());
    git.write("run/events.jsonl", events.as_bytes());
    Some(Shelf {
        manifest: manifest(&git, &[base, first, second]),
        run,
        job: serde_json::from_value(job).unwrap(),
        git,
    })
}

/// Where the call within the inlined function returns to, as a symbol with an offset and a wrong size.
fn call(vmlinux: &Path) -> String {
    let mapped = Mapped::open(vmlinux).unwrap();
    let vmlinux = mapped.vmlinux().unwrap();
    let resolver = vmlinux.resolver();
    let text = |offset| format!("__d_add+{offset:#x}/0x1000");
    let inlined = |offset: &u32| {
        let spot = lab_core::symbol::spots(&text(*offset)).remove(0);
        let resolved = resolver.resolve(&spot, true).unwrap();
        resolved.frames.len() == 2 && resolved.frames[0].line == Some(10)
    };
    text((0..40).rfind(inlined).unwrap() + 1)
}

const CONSOLE: &str = "\
[    1.000000][    T1] BUG: sleeping function called from invalid context at kernel/locking/spinlock_rt.c:48
[    1.000001][    T1] 1 lock held by swapper/0/1:
[    1.000002][    T1]  #0: ffff888003c48b50 (&wq){+.+.}-{3:3}, at: CALL
[    1.000003][    T1] Call Trace:
[    1.000004][    T1]  <TASK>
[    1.000005][    T1]  ? rt_spin_lock+0x7/0x1000
[    1.000006][    T1]  CALL
[    1.000007][    T1]  d_splice_alias+0x1/0x20
[    1.000008][    T1]  </TASK>
";

fn decoded(shelf: &Shelf) -> Option<String> {
    let text = std::fs::read_to_string(shelf.run.join("decoded.txt")).ok()?;
    let commit = &shelf.manifest.patches[1].commit;
    let id = text
        .lines()
        .find(|line| line.starts_with("vmlinux: "))
        .unwrap();
    Some(
        text.replace(id, "vmlinux: ID")
            .replace(commit.as_str(), "COMMIT"),
    )
}

#[test]
fn a_report_is_kept_with_its_source_and_the_patches_that_wrote_it() {
    let Some(shelf) = shelf(CONSOLE, "") else {
        return;
    };
    decode_run(Some(&shelf.manifest), 2, &shelf.run, &shelf.job).unwrap();
    let text = decoded(&shelf).unwrap();
    let bytes = text
        .lines()
        .find(|line| line.starts_with("bytes: "))
        .unwrap();
    insta::assert_snapshot!(text.replace(bytes, "bytes: BYTES"));
    let finding = &listen::read_console(&shelf.run.join("console.log")).unwrap()[0];
    let shown = excerpt(&shelf.run, finding, 40, Detail::All)
        .unwrap()
        .join("\n");
    assert!(
        shown.contains("wake (fs/dcache.c:10) [inline] «line of patch 2»"),
        "{shown}"
    );
    let few = excerpt(&shelf.run, finding, 3, Detail::All).unwrap();
    assert_eq!(few.last().unwrap(), "… 6 more lines");
    let upto = |most| excerpt(&shelf.run, finding, most, Detail::Touched).unwrap();
    // A cut leaves no frame that was inlined into what it took away.
    assert_eq!(upto(6).len(), 7);
    assert!(
        upto(7)[9].trim_start().starts_with("16: wake();"),
        "{:?}",
        upto(7)
    );

    // The same once more changes nothing; without a finding there is nothing to keep.
    let before = std::fs::metadata(shelf.run.join("decoded.txt")).unwrap();
    decode_run(Some(&shelf.manifest), 2, &shelf.run, &shelf.job).unwrap();
    let after = std::fs::metadata(shelf.run.join("decoded.txt")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    shelf.git.write("run/console.log", b"all is well\n");
    decode_run(Some(&shelf.manifest), 2, &shelf.run, &shelf.job).unwrap();
    assert_eq!(decoded(&shelf), None);
    assert!(excerpt(&shelf.run, finding, 3, Detail::All).unwrap().len() <= 3);
}

#[test]
fn a_stuck_threads_own_stack_is_decoded_too() {
    let event = r#"{"host_ms":1,"from":"guest","said":{"t_ms":6000,"say":"stuck","index":0,"tid":71,"comm":"w3","state":"D","op":"unlink d0/n3","wchan":"x","stack":["[<0>] rt_spin_lock+0x7/0x1000","[<0>] CALL"]}}"#;
    let Some(shelf) = shelf("", &format!("{event}\n")) else {
        return;
    };
    decode_run(Some(&shelf.manifest), 2, &shelf.run, &shelf.job).unwrap();
    let text = decoded(&shelf).unwrap_or_default();
    assert!(
        text.contains("  | w3:71 never came back from: unlink d0/n3\n"),
        "{text}"
    );
    assert!(
        text.contains("(fs/dcache.c:16) «line of patch 2»"),
        "{text}"
    );
}

#[test]
fn a_vmlinux_that_is_gone_is_said_and_costs_nothing_else() {
    let Some(shelf) = shelf(CONSOLE, "") else {
        return;
    };
    std::fs::remove_file(shelf.git.dir().join("vmlinux")).unwrap();
    let error = decode_run(Some(&shelf.manifest), 2, &shelf.run, &shelf.job).unwrap_err();
    assert!(error.to_string().contains("vmlinux"), "{error}");
    shelf.git.write("vmlinux", b"no kernel");
    let error = decode_run(Some(&shelf.manifest), 2, &shelf.run, &shelf.job).unwrap_err();
    assert!(error.to_string().contains("no object file"), "{error}");
    let finding = &listen::read_console(&shelf.run.join("console.log")).unwrap()[0];
    assert_eq!(
        excerpt(&shelf.run, finding, 40, Detail::All).unwrap().len(),
        9
    );
}
