// SPDX-License-Identifier: MIT OR Apache-2.0
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(super) const FIXTURES: &[(&str, &str)] = &[
    (
        "lost-wakeup",
        include_str!("../../testdata/autopsy/lost-wakeup.json"),
    ),
    (
        "lock-cycle",
        include_str!("../../testdata/autopsy/lock-cycle.json"),
    ),
    (
        "duplicate-dentries",
        include_str!("../../testdata/autopsy/duplicate-dentries.json"),
    ),
];

/// What drgn read out of real dumps of kernels with seeded bugs.
const REAL: &[(&str, &str)] = &[
    (
        "lookup-wait-lost",
        include_str!("../../testdata/autopsy/lookup-wait-lost.json"),
    ),
    (
        "mark-mutex-cycle",
        include_str!("../../testdata/autopsy/mark-mutex-cycle.json"),
    ),
    (
        "nfs-shared-negative",
        include_str!("../../testdata/autopsy/nfs-shared-negative.json"),
    ),
];

fn real(name: &str) -> Autopsy {
    let (_, text) = REAL.iter().find(|(known, _)| *known == name).unwrap();
    serde_json::from_str(text).unwrap()
}

#[test]
fn real_dumps_are_told_by_what_matters_in_them() {
    let check = |name: &str, wanted: &[&str]| {
        let lines = summary(&real(name));
        for (line, wanted) in lines.iter().zip(wanted) {
            assert_eq!(line, wanted, "{name}");
        }
    };
    check(
        "lookup-wait-lost",
        &[
            "10 tasks wait for dentry \"f32\" (/scenario-0/d0/f32, xfs vda), which is no longer in lookup: a lost wake-up",
            "audit: waiter for a dentry that is not in lookup, 2 times (/scenario-0/d0/f32, w0:76, w4:80)",
        ],
    );
    check(
        "mark-mutex-cycle",
        &[
            "cycle: w1:77 waits for i_rwsem of /scenario-0/s0 (xfs vda, inode 262272), held by w6:82, which waits for \
             mark_mutex of fsnotify_group 0xffff888004050c00, held by w1:77",
        ],
    );
    check(
        "nfs-shared-negative",
        &[
            "audit: two hashed dentries of one parent and name (/scenario-0/d0/f0..............................................)",
            "6 tasks wait for answers of the server: RPC 32 OPEN, RPC 33 CLOSE, RPC 30 OPEN, RPC 34 CLOSE",
        ],
    );
}

#[test]
fn real_dumps_are_reported_whole() {
    for (name, _) in REAL {
        insta::assert_snapshot!(format!("real-{name}"), text(&real(name)));
    }
    let dumps: Vec<(String, Autopsy)> = REAL
        .iter()
        .map(|(name, _)| ((*name).to_owned(), real(name)))
        .collect();
    insta::assert_snapshot!("real-table", Table::of(&dumps).text());
}

pub(super) fn fixture(name: &str) -> Autopsy {
    let (_, text) = FIXTURES.iter().find(|(known, _)| *known == name).unwrap();
    serde_json::from_str(text).unwrap()
}

/// An ELF core of one note segment, as far as its identity goes.
pub(super) fn core_with(vmcoreinfo: &str) -> Vec<u8> {
    let name = b"VMCOREINFO\0\0";
    let mut note = Vec::new();
    for number in [11_u32, vmcoreinfo.len() as u32, 0] {
        note.extend(number.to_le_bytes());
    }
    note.extend(name);
    note.extend(vmcoreinfo.as_bytes());
    note.resize(note.len().next_multiple_of(4), 0);
    let mut core = b"\x7fELF\x02\x01\x01".to_vec();
    core.resize(16, 0);
    for half in [4_u16, 62] {
        core.extend(half.to_le_bytes());
    }
    core.extend(1_u32.to_le_bytes());
    for offset in [0_u64, 64, 0] {
        core.extend(offset.to_le_bytes());
    }
    core.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        core.extend(half.to_le_bytes());
    }
    core.extend(4_u32.to_le_bytes());
    core.extend(0_u32.to_le_bytes());
    for number in [120, 0, 0, note.len() as u64, 0, 4] {
        core.extend(u64::to_le_bytes(number));
    }
    core.extend(note);
    core
}

#[test]
fn an_autopsy_reads_as_it_was_written() {
    for (name, text) in FIXTURES {
        let autopsy = fixture(name);
        let again = serde_json::to_string(&autopsy).unwrap();
        assert_eq!(serde_json::from_str::<Autopsy>(&again).unwrap(), autopsy);
        assert_eq!(autopsy.format, AUTOPSY_FORMAT, "{text}");
        assert!(!autopsy.tasks.is_empty() && autopsy.tasks[0].frames.len() > 5);
    }
    assert_eq!(
        serde_json::from_str::<Autopsy>("{}").unwrap(),
        Autopsy::default()
    );
}

#[test]
fn reports_read_from_top_to_bottom() {
    for (name, _) in FIXTURES {
        insta::assert_snapshot!(*name, text(&fixture(name)));
    }
}

#[test]
fn a_lost_wake_up_is_the_root_of_all_who_wait_behind_it() {
    let autopsy = fixture("lost-wakeup");
    let graph = Graph::of(&autopsy);
    assert!(graph.cycles.is_empty());
    let [root] = graph.roots.as_slice() else {
        panic!("{:?}", graph.roots)
    };
    let node = &graph.nodes[root.nodes[0]];
    assert_eq!(
        (node.kind, node.title.as_str(), root.waiting),
        (Kind::Dentry, "dentry \"n3\"", 5)
    );
    assert_eq!(graph.order()[0], root.nodes[0]);
    assert_eq!(
        headlines(&autopsy, &graph)[0],
        "5 tasks wait for dentry \"n3\" (/p/q/n3, xfs vda), which is no longer in lookup: a lost wake-up"
    );
}

#[test]
fn a_cycle_is_told_once_the_way_it_runs() {
    let autopsy = fixture("lock-cycle");
    let graph = Graph::of(&autopsy);
    let lines = headlines(&autopsy, &graph);
    assert_eq!(graph.cycles.len(), 1, "{lines:?}");
    assert_eq!(
        lines[0],
        "cycle: w1:91 waits for i_rwsem of /watched (xfs vda, inode 132), held by w2:92, which waits for mark_mutex of \
         an inotify group, held by w1:91"
    );
    assert_eq!(graph.roots[0].waiting, 5);
}

#[test]
fn a_crash_is_named_by_its_function_not_by_the_panic() {
    let lines = summary(&fixture("duplicate-dentries"));
    assert_eq!(
        lines[0],
        "w8:118 crashed in d_splice_alias() at fs/dcache.c:2958"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("w2:112 waits for i_rwsem of /d0")),
        "{lines:?}"
    );
    assert!(
        lines.contains(
            &"audit: two hashed dentries of one parent and name, 32 times (/d0/f00012)".to_owned()
        ),
        "{lines:?}"
    );
}

#[test]
fn a_panic_that_was_called_for_is_named_by_its_caller() {
    let frame = |function: &str| Frame {
        function: function.to_owned(),
        ..Frame::default()
    };
    let check = |functions: &[&str], wanted: &str| {
        let frames = functions.iter().map(|f| frame(f)).collect();
        let task = Task {
            frames,
            ..Task::default()
        };
        assert_eq!(crash_frames(&task)[0].function, wanted, "{functions:?}");
    };
    check(&["panic", "watchdog", "kthread"], "watchdog");
    check(
        &["panic", "oops_end", "die", "exc_x", "asm_exc_x", "d_lookup"],
        "d_lookup",
    );
    // The exception from user space stands outermost, and nothing below it.
    check(
        &[
            "panic",
            "do_exit",
            "do_user_addr_fault",
            "asm_exc_page_fault",
        ],
        "do_exit",
    );
    check(&["panic"], "panic");
    // Whoever is told of the panic stands further in.
    let told = [
        "pvpanic_send_event",
        "notifier_call_chain",
        "panic",
        "sysrq_handle_crash",
        "ksys_write",
    ];
    check(&told, "sysrq_handle_crash");
}

#[test]
fn an_unfinished_lookup_and_a_holder_that_runs_are_told_apart() {
    let mut autopsy = fixture("lost-wakeup");
    autopsy.dentries[0].in_lookup = true;
    let lines = summary(&autopsy);
    assert!(
        lines[0].contains("its lookup was begun and never ended"),
        "{lines:?}"
    );
    // Somebody is looking it up: then he is the end of all waits.
    for wait in autopsy
        .waits
        .iter_mut()
        .filter(|wait| wait.kind == "dentry")
    {
        wait.by = vec![75];
    }
    autopsy.waits.retain(|wait| wait.tid != 75);
    autopsy.locks.clear();
    autopsy.audit = None;
    autopsy.tasks[4].on_cpu = true;
    let lines = summary(&autopsy);
    let wanted = "4 tasks wait for dentry \"n3\", held by w5:75, which runs in";
    assert!(lines[0].starts_with(wanted), "{lines:?}");
}

#[test]
fn a_lock_without_a_name_is_told_by_the_function_that_waits() {
    let wait = |tid| Wait {
        tid,
        kind: "lock".into(),
        what: "mnt_want_write: a lock that is not known".into(),
        ..Wait::default()
    };
    let autopsy = Autopsy {
        waits: vec![wait(1), wait(2)],
        ..Autopsy::default()
    };
    assert_eq!(
        summary(&autopsy),
        [
            "2 tasks wait for a lock that is not known in mnt_want_write(), held by no task that was found"
        ]
    );
}

#[test]
fn an_odd_sequence_is_told() {
    let mut autopsy = fixture("lost-wakeup");
    autopsy.dentries[1].inode.as_mut().unwrap().dir_seq = Some(19);
    let lines = summary(&autopsy);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("i_dir_seq of dentry \"q\"")),
        "{lines:?}"
    );
}

/// Text of a stranger's kernel that would act on a terminal or a page.
const HOSTILE: &str = "a\u{1b}[2J<script>&\"'\n\t\u{202e}\u{9b}]]>\u{ffff}";

#[test]
fn hostile_names_act_on_nothing() {
    let text_of = FIXTURES[0]
        .1
        .replace("\\\"n3\\\"", "n3")
        .replace("n3", "HOSTILE")
        .replace("\"w1\"", "\"HOSTILE\"");
    let mut value: serde_json::Value = serde_json::from_str(&text_of).unwrap();
    fn spoil(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = text.replace("HOSTILE", HOSTILE),
            serde_json::Value::Array(all) => all.iter_mut().for_each(spoil),
            serde_json::Value::Object(all) => all.values_mut().for_each(spoil),
            _ => {}
        }
    }
    spoil(&mut value);
    let autopsy: Autopsy = serde_json::from_value(value).unwrap();
    assert_eq!(autopsy.dentries[0].name, HOSTILE);
    let plain = text(&fixture("lost-wakeup")).lines().count();
    let report = text(&autopsy);
    assert_eq!(report.lines().count(), plain, "{report}");
    let tables = Table::of(&[(HOSTILE.to_owned(), autopsy.clone())]).text();
    for text in [&report, &svg(&autopsy), &tables] {
        let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!text.contains(acts), "{text}");
    }
    assert!(!svg(&autopsy).contains("<script"));
}

/// A kernel of tasks and locks at random: `owns` and `wants` are pairs of task and lock.
fn kernel(owns: &[(i32, i32)], wants: &[(i32, i32)]) -> Autopsy {
    let tids: BTreeSet<i32> = owns.iter().chain(wants).map(|(tid, _)| *tid).collect();
    let numbers: BTreeSet<i32> = owns.iter().chain(wants).map(|(_, lock)| *lock).collect();
    let of = |pairs: &[(i32, i32)], lock: i32| -> Vec<i32> {
        pairs
            .iter()
            .filter(|pair| pair.1 == lock)
            .map(|pair| pair.0)
            .collect()
    };
    Autopsy {
        tasks: (tids.into_iter())
            .map(|tid| Task {
                tid,
                comm: "w".into(),
                ..Task::default()
            })
            .collect(),
        locks: (numbers.into_iter())
            .map(|lock| Lock {
                address: format!("0x{lock:x}"),
                name: format!("lock {lock}"),
                owners: of(owns, lock),
                waiters: of(wants, lock),
                ..Lock::default()
            })
            .collect(),
        ..Autopsy::default()
    }
}

proptest! {
    #[test]
    fn locks_taken_in_order_make_no_cycle(pairs in proptest::collection::vec((0..40_i32, 0..40_i32), 0..60)) {
        // Each task owns locks below its own number and wants those from it on.
        let owns: Vec<(i32, i32)> = pairs.iter().filter(|(t, l)| l < t).copied().collect();
        let wants: Vec<(i32, i32)> = pairs.iter().filter(|(t, l)| l >= t).copied().collect();
        let autopsy = kernel(&owns, &wants);
        let graph = Graph::of(&autopsy);
        prop_assert!(graph.cycles.is_empty(), "{:?}", graph.cycles);
        prop_assert!(graph.edges.iter().all(|edge| edge.cycle.is_none()));
        prop_assert_eq!(graph.roots.is_empty(), wants.is_empty());
        prop_assert!(!text(&autopsy).contains("cycle"));
        prop_assert!(!svg(&autopsy).contains("class=\"cycle\""));
    }

    #[test]
    fn a_ring_among_others_is_found_whole(
        ring in 2..30_i32,
        others in proptest::collection::vec((100..140_i32, 0..140_i32), 0..60),
    ) {
        // Task i owns lock i and wants lock i+1; the others want and own nothing of use to the ring.
        let owns: Vec<(i32, i32)> = (0..ring).map(|i| (i, i)).collect();
        let mut wants: Vec<(i32, i32)> = (0..ring).map(|i| (i, (i + 1) % ring)).collect();
        wants.extend(&others);
        let autopsy = kernel(&owns, &wants);
        let graph = Graph::of(&autopsy);
        prop_assert_eq!(graph.cycles.len(), 1);
        let cycle = &graph.cycles[0];
        prop_assert_eq!(cycle.nodes.len() as i32, 2 * ring);
        prop_assert_eq!(cycle.way.len() as i32, 2 * ring);
        for (at, from) in cycle.way.iter().enumerate() {
            let to = cycle.way[(at + 1) % cycle.way.len()];
            prop_assert!(graph.edge(*from, to).is_some_and(|edge| edge.cycle == Some(0)));
        }
        let root = graph.roots.iter().find(|root| root.cycle == Some(0)).unwrap();
        let behind: BTreeSet<i32> =
            others.iter().filter(|(_, lock)| *lock < ring).map(|(tid, _)| *tid).collect();
        prop_assert_eq!(root.waiting, ring as usize + behind.len());
        let told: Vec<String> =
            headlines(&autopsy, &graph).into_iter().filter(|l| l.starts_with("cycle: ")).collect();
        prop_assert_eq!(told.len(), 1);
    }

    #[test]
    fn all_who_wait_stand_in_the_order_once(pairs in proptest::collection::vec((0..30_i32, 0..30_i32), 0..60)) {
        let (owns, wants) = pairs.split_at(pairs.len() / 2);
        let graph = Graph::of(&kernel(owns, wants));
        let order: BTreeSet<usize> = graph.order().into_iter().collect();
        prop_assert_eq!((order.len(), graph.order().len()), (graph.nodes.len(), graph.nodes.len()));
    }
}

#[test]
fn a_chain_as_long_as_a_kernel_has_tasks_is_no_trouble() {
    let chain = 30_000;
    let owns: Vec<(i32, i32)> = (0..chain).map(|i| (i, i)).collect();
    let wants: Vec<(i32, i32)> = (1..chain).map(|i| (i, i - 1)).collect();
    let autopsy = Autopsy {
        waits: (wants.iter())
            .map(|(tid, lock)| Wait {
                tid: *tid,
                kind: "lock".into(),
                on: format!("0x{lock:x}"),
                by: vec![*lock],
                ..Wait::default()
            })
            .collect(),
        ..Autopsy::default()
    };
    assert_eq!(owns.len(), chain as usize);
    let graph = Graph::of(&autopsy);
    assert_eq!(
        (graph.roots.len(), graph.roots[0].waiting),
        (1, chain as usize - 1)
    );
    assert!(text(&autopsy).contains("deeper ones are left out"));
    assert!(svg(&autopsy).contains("nodes are not drawn"));
}

#[test]
fn dumps_stand_side_by_side() {
    let first = fixture("duplicate-dentries");
    let mut second = first.clone();
    second.uptime = 31.0;
    second.dentries[0].name = "f00907".into();
    second.dentries[0].count = -128;
    second.tasks[0].comm = "w3".into();
    let third = fixture("lock-cycle");
    let table = Table::of(&[("rt-0001-01".into(), first), ("rt-0001-02".into(), second)]);
    insta::assert_snapshot!("table-of-two", table.text());
    let row = |field: &str| table.rows.iter().find(|row| row.field == field).unwrap();
    assert!(row("crashed in").agree && row("dentry in d_splice_alias: d_flags").agree);
    assert!(!row("dentry in d_splice_alias: count").agree);
    let alone = Table::of(&[("one".into(), third)]);
    insta::assert_snapshot!("table-of-one", alone.text());
    let cycles = alone.rows.iter().find(|row| row.field == "cycles").unwrap();
    assert_eq!(
        cycles.values[0].as_deref(),
        Some("i_rwsem → task → mark_mutex → task")
    );
}

#[test]
fn a_cycle_has_one_shape_wherever_its_telling_begins() {
    let autopsy = fixture("lock-cycle");
    let mut other = autopsy.clone();
    other.waits.reverse();
    other.locks.reverse();
    for task in &mut other.tasks {
        task.tid = 200 - task.tid;
    }
    for lock in &mut other.locks {
        lock.owners
            .iter_mut()
            .chain(&mut lock.waiters)
            .for_each(|tid| *tid = 200 - *tid);
    }
    for wait in &mut other.waits {
        wait.tid = 200 - wait.tid;
        wait.by.iter_mut().for_each(|tid| *tid = 200 - *tid);
    }
    let table = Table::of(&[("a".into(), autopsy), ("b".into(), other)]);
    let cycles = table.rows.iter().find(|row| row.field == "cycles").unwrap();
    assert!(cycles.agree, "{cycles:?}");
}
