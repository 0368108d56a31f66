// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence taken from a QEMU that answers, refuses, dies, or writes more than there is room for.

use super::*;
use lab_core::job::{DumpPolicy, DumpRecord};

/// A panic whose dump is what `$1` makes of the descriptor `D`; then the rest of it. Answers all else.
const PANIC: &str = r#"
serve() { echo "Linux version 6.12 (x)" >&$C
    echo '{"event":"GUEST_PANICKED","data":{"action":"pause"}}' >&$Q
    while read -r line <&$Q; do case "$line" in
        *registers*) echo '{"return":"CPU#0 RAX=1","id":"registers"}' >&$Q;;
        *dump-guest-memory*) D=${line##*/fd/}; D=/proc/self/fd/${D%%\"*}; $1;;
        *cont*) echo "Rebooting in 1 seconds.." >&$C;;
        *quit*) exit 0;;
    esac; done; }
dumped() { echo '{"return":{},"id":"dump"}' >&$Q; }
core() { for n in 1 2 3; do echo "the guest's memory $n"; head -c 1000000 /dev/zero; done >$D; dumped; }
noise() { head -c 3000000 /dev/urandom >$D; dumped; }
dies() { head -c 3000000 /dev/zero >$D; kill -9 $$; }
refuses() { echo '{"error":{"class":"GenericError","desc":"out of luck"},"id":"dump"}' >&$Q; }
"#;

fn panicking(dump: &str) -> Rig {
    let mut rig = Rig::new(&format!("{PANIC}{dump}"));
    rig.job.evidence.dump = DumpPolicy::First;
    rig
}

/// What was the guest's memory, and what is told of it.
fn core(rig: &Rig, recording: &Recording) -> (Vec<u8>, DumpRecord) {
    let [record] = recording.dumps.as_slice() else {
        panic!("{recording:#?}");
    };
    let stored = std::fs::read(rig.out().join(&record.file)).unwrap();
    assert_eq!(stored.len() as u64, record.stored);
    (zstd::decode_all(&stored[..]).unwrap(), record.clone())
}

fn left_over(rig: &Rig) -> Vec<String> {
    let names = std::fs::read_dir(rig.out()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains("zst")).collect()
}

#[tokio::test]
async fn a_panic_leaves_a_whole_dump() {
    let rig = panicking("serve core");
    let recording = rig.check(BootOutcome::Panicked).await;
    let (core, record) = core(&rig, &recording);
    let part = |n| {
        [
            format!("the guest's memory {n}\n").into_bytes(),
            vec![0; 1_000_000],
        ]
        .concat()
    };
    assert!(
        core == [part(1), part(2), part(3)].concat(),
        "{}",
        core.len()
    );
    assert_eq!(
        (record.file.as_str(), record.why.as_str()),
        ("vmcore.zst", "panicked")
    );
    assert_eq!(
        (record.bytes, record.whole, record.scenario),
        (3_000_063, true, None)
    );
    assert!(record.stored < 10_000, "{record:?}");
    assert!(recording.remarks.is_empty(), "{:?}", recording.remarks);
    assert!(rig.console().ends_with("Rebooting in 1 seconds..\n"));
    assert_eq!(left_over(&rig), ["vmcore.zst"]);
}

#[tokio::test]
async fn no_dump_is_taken_where_none_is_wanted() {
    let mut rig = panicking("serve core");
    rig.job.evidence.dump = DumpPolicy::None;
    let recording = rig.check(BootOutcome::Panicked).await;
    assert!(recording.dumps.is_empty());
    assert!(left_over(&rig).is_empty());
}

#[tokio::test]
async fn a_dump_beyond_its_limit_is_cut_and_says_so() {
    let mut rig = panicking("serve noise");
    rig.job.evidence.dump_mib = 1;
    let recording = rig.check(BootOutcome::Panicked).await;
    let (core, record) = core(&rig, &recording);
    assert_eq!((record.whole, record.bytes), (false, 3_000_000));
    assert!((1 << 20..2_500_000).contains(&core.len()), "{}", core.len());
    let remark = &recording.remarks[0];
    assert!(
        remark.contains("vmcore.zst is not whole") && remark.contains("dump_mib"),
        "{remark}"
    );
}

/// The dump fails for this reason, and all else of the run is there.
async fn spoilt(rig: &Rig, reason: &str) {
    let recording = rig.check(BootOutcome::Panicked).await;
    assert!(recording.dumps.is_empty(), "{recording:?}");
    assert!(left_over(rig).is_empty(), "{:?}", left_over(rig));
    assert!(
        recording
            .remarks
            .iter()
            .any(|remark| remark.contains(reason)),
        "{:?}",
        recording.remarks
    );
    let registers = std::fs::read_to_string(rig.out().join("registers.txt")).unwrap();
    assert_eq!(registers, "CPU#0 RAX=1");
    assert!(rig.console().starts_with("Linux version"));
}

#[tokio::test]
async fn qemu_that_is_killed_in_the_middle_of_a_dump_costs_only_the_dump() {
    spoilt(&panicking("serve dies"), "no vmcore.zst: QEMU went").await;
}

#[tokio::test]
async fn qemu_that_refuses_to_dump_is_quoted() {
    let rig = panicking("serve refuses");
    spoilt(&rig, "no vmcore.zst: QEMU gave no dump: out of luck").await;
    assert!(rig.console().ends_with("Rebooting in 1 seconds..\n"));
}

#[tokio::test]
async fn a_disk_that_fills_up_during_a_dump_costs_only_the_dump() {
    let full = r#"ln -s /dev/full "${0%/*}/out/.vmcore.zst.new"; serve noise"#;
    let rig = panicking(full);
    spoilt(&rig, "No space left on device").await;
    // QEMU was not left waiting for a reader: the guest could go on.
    assert!(rig.console().ends_with("Rebooting in 1 seconds..\n"));
}

#[tokio::test]
async fn what_an_earlier_boot_left_is_not_taken_for_this_ones() {
    let rig = Rig::new("exit 1");
    std::fs::create_dir(rig.out()).unwrap();
    let names = [
        "vmcore.zst",
        ".vmcore.zst.new",
        "audit-00.zst",
        "audit.json",
        "autopsy.json",
        "state.txt",
    ];
    for name in names.iter().chain(&["registers.txt", "job.json"]) {
        std::fs::write(rig.out().join(name), "old").unwrap();
    }
    let (_stopper, stop) = stop::channel();
    rig.run(stop, &mut |_| ()).await.unwrap();
    let mut left: Vec<_> = std::fs::read_dir(rig.out())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["console.log", "events.jsonl", "job.json"]);
}

#[tokio::test]
async fn a_held_scenario_is_dumped_and_let_go() {
    let mut rig = Rig::new(
        r#"echo x >&$C; for line in "$hello" "$begin" '{"t_ms":2,"say":"settled","index":0}'; do echo "$line" >&$A; done
        while read -r line <&$Q; do case "$line" in *dump-guest*) break;; esac; done
        D=${line##*/fd/}; echo core >/proc/self/fd/${D%%\"*}; echo '{"return":{},"id":"dump"}' >&$Q
        while read -r line <&$A; do case "$line" in *go*0*) break;; esac; done
        for line in "$ended" "$bye"; do echo "$line" >&$A; done; echo "$off" >&$Q"#,
    );
    rig.job.evidence.audit = true;
    rig.job.guest.hold = true;
    let recording = rig.check(BootOutcome::Completed).await;
    let (core, record) = core(&rig, &recording);
    assert_eq!(core, b"core\n");
    assert_eq!(
        (record.file.as_str(), record.scenario),
        ("audit-00.zst", Some(0))
    );
    assert_eq!(recording.exposure, 1.5);
}

#[tokio::test]
async fn stuck_threads_are_asked_for_the_kernels_state() {
    let rig = Rig::new(
        r#"echo x >&$C; for line in "$hello" "$begin"; do echo "$line" >&$A; done
        echo '{"t_ms":9,"say":"end","index":0,"how":{"as":"stuck","threads":2},"ops":5,"ran_ms":1500}' >&$A
        while read -r line <&$Q; do case "$line" in *registers*) break;; esac; done
        echo '{"return":"CPU#0","id":"registers"}' >&$Q
        while read -r line <&$A; do case "$line" in *state*) break;; esac; done
        echo '{"t_ms":9500,"say":"state","path":"/proc/meminfo","text":"MemTotal: 1 kB\n"}' >&$A
        echo '{"t_ms":9500,"say":"state-end"}' >&$A
        while read -r line <&$Q; do case "$line" in
            *sysrq*) id=${line#*sysrq-}; echo "{\"return\":{},\"id\":\"sysrq-${id:0:1}\"}" >&$Q; read -r -n1 key <&$C; echo "sysrq: $key" >&$C;;
            *quit*) exit 0;;
        esac; done"#,
    );
    let recording = rig.check(BootOutcome::ThreadsStuck { threads: 2 }).await;
    let state = std::fs::read_to_string(rig.out().join("state.txt")).unwrap();
    assert_eq!(
        state,
        "== /proc/meminfo, 9.500 s after the guest's boot\nMemTotal: 1 kB\n\n"
    );
    let keys: Vec<_> = rig
        .console()
        .lines()
        .filter_map(|line| line.strip_prefix("sysrq: ").map(str::to_owned))
        .collect();
    assert_eq!(keys, ["l", "w", "d", "t"], "{:?}", recording.remarks);
}
