// SPDX-License-Identifier: MIT OR Apache-2.0
//! The driver against a QEMU that is a little shell script: it inherits the same descriptors and misbehaves on demand.

use super::*;
use crate::stop;
use lab_core::boot::Stage;
use lab_core::job::{Accel, Limits, Machine};
use lab_core::outcome::{Blame, BootOutcome};
use lab_wire::{GuestJob, PROTOCOL, Scenario};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

mod evidence;

/// Finds its descriptors in the arguments, as C (console), A (agent) and Q (monitor).
const PRELUDE: &str = r#"#!/bin/bash
case "$*" in --version) echo "QEMU emulator version 0.0 (script)"; exit;; esac
number() { for word in "${words[@]}"; do case "$word" in socket,id=$1,fd=*) echo "${word##*=}";; esac; done; }
words=("$@"); C=$(number console); A=$(number agent); Q=$(number qmp)
hello='{"t_ms":1,"say":"hello","protocol":3,"release":"6.12-test","cpus":2,"mem_kib":1}'
begin='{"t_ms":2,"say":"begin","index":0,"name":"x","fs":"tmpfs"}'
ended='{"t_ms":3,"say":"end","index":0,"how":{"as":"done"},"ops":5,"ran_ms":1500}'
bye='{"t_ms":4,"say":"bye"}'
off='{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}'
"#;

struct Rig {
    folder: tempfile::TempDir,
    job: BootJob,
}

impl Rig {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qemu");
        std::fs::write(&program, format!("{PRELUDE}{script}")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("bzImage"), b"").unwrap();
        let job = job(folder.path());
        Self { folder, job }
    }

    fn out(&self) -> std::path::PathBuf {
        self.folder.path().join("out")
    }

    fn console(&self) -> String {
        let bytes = std::fs::read(self.out().join("console.log")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    async fn run(
        &self,
        stop: Stop,
        progress: &mut (dyn FnMut(VmProgress) + Send),
    ) -> Result<Recording> {
        let qemu = Qemu::at(&self.folder.path().join("qemu")).await?;
        let vm = Vm {
            qemu: &qemu,
            job: &self.job,
            initramfs: b"guest",
            disks: &[],
        };
        vm.run(&self.out(), stop, progress).await
    }

    /// Runs without a stop; it must be over soon.
    async fn check(&self, wanted: BootOutcome) -> Recording {
        let (_stopper, stop) = stop::channel();
        let recording = self.run(stop, &mut |_| ()).await.unwrap();
        assert_eq!(recording.outcome, wanted, "{recording:#?}");
        recording
    }
}

pub(crate) fn job(kernel: &Path) -> BootJob {
    let scenario = Scenario {
        name: "x".into(),
        fs: "tmpfs".into(),
        threads: 1,
        names: 1,
        dirs: 1,
        seconds: 1,
        seed: 1,
        pause_us: 0,
        mix: Default::default(),
    };
    BootJob {
        kernel: kernel.to_owned(),
        cache: kernel.join("cache"),
        label: "test".into(),
        machine: Machine {
            cpus: 2,
            memory_mib: 256,
            accel: Accel::Tcg,
            disks: Vec::new(),
        },
        append: vec!["nokaslr".into()],
        guest: GuestJob {
            protocol: PROTOCOL,
            scenarios: vec![scenario],
            sysctl: Default::default(),
            drain_seconds: 1,
            hold: false,
        },
        limits: Limits {
            firmware: 20,
            kernel: 20,
            agent: 20,
            scenario_extra: 20,
            settle: 1,
            drain: 20,
            console_mib: 1,
        },
        until_hit: false,
        evidence: Default::default(),
        gdb: None,
    }
}

#[tokio::test]
async fn a_good_guest_completes_and_is_recorded() {
    let rig = Rig::new(
        r#"echo "Linux version 6.12 (x)" >&$C
        for line in "$hello" "$begin" "not json" "$ended" "$bye"; do echo "$line" >&$A; done
        echo "$off" >&$Q"#,
    );
    let recording = rig.check(BootOutcome::Completed).await;
    assert_eq!(recording.exposure, 1.5);
    assert_eq!(recording.release.as_deref(), Some("6.12-test"));
    assert_eq!(rig.console(), "Linux version 6.12 (x)\n");
    assert_eq!(recording.console_bytes, 23);
    let text = std::fs::read_to_string(rig.out().join("events.jsonl")).unwrap();
    let (records, damaged) = lab_core::boot::read_records(&text);
    assert_eq!(damaged, 0, "{text}");
    let guest =
        |record: &&lab_core::boot::Record| matches!(record.what, lab_core::boot::Said::Guest(_));
    assert_eq!(records.iter().filter(guest).count(), 4);
    assert!(text.contains(r#""from":"garbage""#), "{text}");
}

#[tokio::test]
async fn a_last_word_is_heard_before_the_power_off_that_follows_it() {
    // All of it is in the sockets before the lab reads any: only its own order of reading decides.
    let rig = Rig::new(
        r#"echo "Linux version 6.12 (x)" >&$C
        for line in "$hello" "$begin" "$ended" "$bye"; do echo "$line" >&$A; done; echo "$off" >&$Q"#,
    );
    for _ in 0..12 {
        rig.check(BootOutcome::Completed).await;
    }
}

#[tokio::test]
async fn qemu_that_refuses_its_arguments_is_named_with_its_words() {
    let rig = Rig::new("echo 'qemu: invalid accelerator kvmm' >&2; exit 1");
    let reason = "QEMU exited with code 1: qemu: invalid accelerator kvmm".to_owned();
    rig.check(BootOutcome::QemuDied { reason }).await;
}

#[tokio::test]
async fn qemu_killed_from_outside_is_the_rigs() {
    let rig = Rig::new("echo hi >&$C; kill -9 $$");
    let reason = "QEMU was killed by signal 9".to_owned();
    rig.check(BootOutcome::QemuDied { reason }).await;
}

#[tokio::test]
async fn a_panic_is_asked_for_registers_and_then_heard_out() {
    let rig = Rig::new(
        r#"echo "Linux version 6.12 (x)" >&$C
        echo '{"event":"GUEST_PANICKED","data":{"action":"pause"}}' >&$Q
        while read -r line <&$Q; do case "$line" in
            *registers*) echo '{"return":"CPU#0 RAX=1","id":"registers"}' >&$Q;;
            *cont*) echo "the rest" >&$C; echo "${off/shutdown/reset}" >&$Q; exit 0;;
        esac; done"#,
    );
    let recording = rig.check(BootOutcome::Panicked).await;
    assert!(recording.seconds < 10.0, "{}", recording.seconds);
    let registers = std::fs::read_to_string(rig.out().join("registers.txt")).unwrap();
    assert_eq!(registers, "CPU#0 RAX=1");
    assert!(rig.console().ends_with("the rest\n"));
}

#[tokio::test]
async fn a_flood_neither_hides_the_agent_nor_grows() {
    let rig = Rig::new(
        r#"echo "$hello" >&$A; (sleep 0.3; echo "$begin" >&$A; echo "$ended" >&$A) &
        head -c 40000000 /dev/zero | tr '\0' x >&$C; wait; echo end >&$C; echo "$off" >&$Q"#,
    );
    let recording = rig.check(BootOutcome::Completed).await;
    assert_eq!(recording.console_bytes, 40_000_004);
    assert_eq!(recording.console_cut, 40_000_004 - (2 << 20));
    let console = rig.console();
    assert!(console.len() < (2 << 20) + 100);
    assert!(console.ends_with("xxend\n"));
}

#[tokio::test]
async fn a_disk_that_is_full_ends_the_boot_as_the_rigs() {
    let rig = Rig::new(
        "echo hi >&$C; while read -r line <&$Q; do case \"$line\" in *quit*) exit 0;; esac; done",
    );
    std::fs::create_dir(rig.out()).unwrap();
    std::os::unix::fs::symlink("/dev/full", rig.out().join("console.log")).unwrap();
    let (_stopper, stop) = stop::channel();
    let recording = rig.run(stop, &mut |_| ()).await.unwrap();
    assert_eq!(recording.outcome.blame(), Blame::Rig);
    let words = format!("{:?}", recording.outcome);
    assert!(
        words.contains("console.log") && words.contains("No space"),
        "{words}"
    );
}

#[tokio::test]
async fn a_stop_in_order_reaches_the_guest() {
    let rig = Rig::new(
        r#"echo x >&$C; echo "$hello" >&$A; echo "$begin" >&$A
        while read -r line <&$A; do case "$line" in *stop*) echo "$bye" >&$A; echo "$off" >&$Q; exit 0;; esac; done"#,
    );
    let (stopper, stop) = stop::channel();
    let stopper = std::sync::Mutex::new(stopper);
    let mut progress = |what: VmProgress| {
        if what.news == News::Stage(Stage::Scenario { index: 0 }) {
            stopper.lock().unwrap().escalate();
        }
    };
    let recording = rig.run(stop, &mut progress).await.unwrap();
    assert_eq!(recording.outcome, BootOutcome::Interrupted);
    assert!(recording.seconds < 10.0, "{}", recording.seconds);
}

#[tokio::test]
async fn a_stop_at_once_kills_what_does_not_listen() {
    let rig = Rig::new("echo $$ >&$C; trap '' TERM; while :; do sleep 0.1; done");
    let (stopper, stop) = stop::channel();
    let mut progress = |what: VmProgress| {
        if what.news == News::Stage(Stage::Kernel) {
            stopper.escalate();
            stopper.escalate();
        }
    };
    let recording = rig.run(stop, &mut progress).await.unwrap();
    assert_eq!(recording.outcome, BootOutcome::Interrupted);
    assert!(recording.seconds < 10.0, "{}", recording.seconds);
    let pid = rig.console().trim().to_owned();
    assert!(!Path::new("/proc").join(pid).exists());
}

#[tokio::test]
async fn a_missing_qemu_names_its_package() {
    let error = Qemu::at(Path::new("/nonexistent/qemu")).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/qemu"), "{error}");
    assert!(error.hint_text().unwrap().contains("qemu-system-x86"));
}

#[tokio::test]
async fn a_missing_kernel_is_an_error_with_its_path() {
    let rig = Rig::new("exit 0");
    std::fs::remove_file(rig.folder.path().join("bzImage")).unwrap();
    let (_stopper, stop) = stop::channel();
    let error = rig.run(stop, &mut |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("bzImage"), "{error}");
}

#[tokio::test]
async fn a_lab_that_is_gone_takes_qemu_with_it() {
    let rig = Rig::new("echo $$ >&$C; while :; do sleep 0.1; done");
    let (_stopper, stop) = stop::channel();
    let run = tokio::time::timeout(Duration::from_millis(700), rig.run(stop, &mut |_| ())).await;
    assert!(run.is_err());
    let pid = rig.console().trim().to_owned();
    for _ in 0..50 {
        let stat =
            std::fs::read_to_string(Path::new("/proc").join(&pid).join("stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the script still runs as {pid}");
}

#[tokio::test]
async fn a_report_on_the_console_is_told_and_ends_a_run_until_hit() {
    let mut rig = Rig::new(
        r#"echo "$hello" >&$A; echo "$begin" >&$A
        echo "[    1.0] BUG: sleeping function called from invalid context at kernel/locking/spinlock_rt.c:48" >&$C
        while read -r line <&$A; do case "$line" in *stop*) echo "$bye" >&$A; echo "$off" >&$Q; exit 0;; esac; done"#,
    );
    rig.job.until_hit = true;
    let (_stopper, stop) = stop::channel();
    let mut found = Vec::new();
    let mut progress = |what: VmProgress| {
        if let News::Found(finding) = what.news {
            found.push(finding.class);
        }
    };
    let recording = rig.run(stop, &mut progress).await.unwrap();
    assert_eq!(recording.outcome, BootOutcome::StoppedAtHit);
    assert_eq!(found, [lab_core::finding::Class::AtomicSleep]);
}

async fn probed(script: &str) -> (Rig, Probe) {
    let rig = Rig::new(script);
    let qemu = Qemu::at(&rig.folder.path().join("qemu")).await.unwrap();
    let (_stopper, stop) = stop::channel();
    let cache = rig.folder.path().join("cache");
    let probe = probe::probe_with(&qemu, &cache, stop).await.unwrap();
    (rig, probe)
}

#[tokio::test]
async fn a_probe_that_does_not_run_is_tcg_with_its_reason_and_is_remembered() {
    let (rig, probe) = probed("echo 'KVM internal error. Suberror: 1' >&2; sleep 60").await;
    assert_eq!(probe.accel, Accel::Tcg);
    assert!(probe.seconds < 4.0 && probe.reason.len() > 10, "{probe:?}");
    // Remembered: a QEMU that would now do something else is not asked.
    let program = rig.folder.path().join("qemu");
    std::fs::write(&program, format!("{PRELUDE}exit 85")).unwrap();
    let qemu = Qemu::at(&program).await.unwrap();
    let (_stopper, stop) = stop::channel();
    let again = probe::probe_with(&qemu, &rig.folder.path().join("cache"), stop).await;
    assert_eq!(again.unwrap(), probe);
}

#[tokio::test]
async fn kvm_is_only_used_where_it_beats_the_translator() {
    async fn check(slow: &str) -> (Accel, String) {
        let script = format!(r#"case "$*" in *"-accel {slow}"*) sleep 0.5;; esac; exit 85"#);
        let rig = Rig::new(&script);
        let qemu = Qemu::at(&rig.folder.path().join("qemu")).await.unwrap();
        probe::race(&qemu).await.unwrap()
    }
    assert_eq!(check("tcg").await.0, Accel::Kvm);
    let (accel, reason) = check("kvm").await;
    assert_eq!(accel, Accel::Tcg);
    assert!(reason.contains("translated"), "{reason}");
}

#[tokio::test]
async fn the_boot_sector_runs_in_a_real_machine() {
    let qemu = match Qemu::find().await {
        Ok(qemu) => qemu,
        Err(error) => {
            println!("SKIPPED the_boot_sector_runs_in_a_real_machine: {error}");
            return;
        }
    };
    let ran = probe::try_boot(&qemu, "tcg").await.unwrap();
    assert!(ran.is_ok(), "{ran:?}");
}
