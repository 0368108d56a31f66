// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the console reader: consoles of own boots, and reports composed after the kernel's format strings.

use super::*;
use crate::finding::{Class, Weight};

mod clean;
mod families;
mod properties;

/// Reads `log` and compares the signatures, in order.
fn check(log: &str, signatures: &[&str]) -> Vec<Finding> {
    let findings = read(log.as_bytes());
    let found: Vec<&str> = findings
        .iter()
        .map(|finding| finding.signature.as_str())
        .collect();
    assert_eq!(found, signatures, "{log}");
    findings
}

/// Gives each line a time stamp and a caller.
fn printed(caller: &str, from: f64, text: &str) -> String {
    let stamp = |(at, line): (usize, &str)| {
        format!(
            "[{:12.6}][{caller:>6}] {line}\r\n",
            from + at as f64 / 1000.0
        )
    };
    text.lines().enumerate().map(stamp).collect()
}

const SLEEP: &str =
    "BUG: sleeping function called from invalid context at kernel/locking/spinlock_rt.c:48
in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 77, name: storm/3
preempt_count: 1, expected: 0
Preemption disabled at:
[<ffffffff81234567>] d_lookup_done+0x1/0x20
CPU: 1 UID: 0 PID: 77 Comm: storm/3 Not tainted 6.12.117 #1
Call Trace:
 <TASK>
 dump_stack_lvl+0x29/0xe0
 __might_resched+0x10f/0x160
 rt_spin_lock+0x4c/0x100
 ? lock_is_held_type+0x10/0x20
 __wake_up+0x20/0x60
 __d_lookup_unhash_wake.isra.0+0x30/0x50
 __d_add+0x11/0x2c0
 d_splice_alias+0x1/0x2
 do_syscall_64+0x73/0x140
 entry_SYSCALL_64_after_hwframe+0x4b/0x53
 </TASK>";

fn circular(first: &str, second: &str, at: &str) -> String {
    format!(
        "======================================================
WARNING: possible circular locking dependency detected
6.12.117 #1 Not tainted
------------------------------------------------------
storm/1/4242 is trying to acquire lock:
ffff888003b1a2f8 ({first}#7){{+.+.}}-{{3:3}}, at: {at}+0x21/0x60

but task is already holding lock:
ffff888003b1c2f8 ({second}#9){{+.+.}}-{{3:3}}, at: vfs_rename+0x21/0x60

which lock already depends on the new lock.

the existing dependency chain (in reverse order) is:

-> #1 ({second}#9){{+.+.}}-{{3:3}}:
       __lock_acquire+0x1/0x2
       down_write+0x1/0x2
       lookup_open+0x1/0x2

-> #0 ({first}#7){{+.+.}}-{{3:3}}:
       lock_acquire+0x1/0x2
       lock_two_nondirectories+0x1/0x2

 *** DEADLOCK ***

2 locks held by storm/1/4242:
stack backtrace:
CPU: 0 UID: 0 PID: 4242 Comm: storm/1 Not tainted 6.12.117 #1
Call Trace:
 dump_stack_lvl+0x29/0xe0
 print_circular_bug+0x1/0x2
 {at}+0x21/0x60
"
    )
}

const HUNG: &str = "INFO: task storm/5:912 blocked for more than 10 seconds.
      Not tainted 6.12.117 #1
\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.
task:storm/5         state:D stack:0     pid:912   tgid:900   ppid:1      flags:0x00000006
Call Trace:
 <TASK>
 __schedule+0x40a/0x1500
 schedule+0x3a/0xe0
 d_wait_lookup+0x1/0x2
 d_alloc_parallel+0x3f1/0x4c0
 __lookup_slow+0x60/0x140
 do_syscall_64+0x73/0x140
 </TASK>";

#[test]
fn own_boots_are_read() {
    let crash = include_str!("../../../testdata/console/sysrq-crash.log");
    let findings = check(crash, &["panic/-/kernel panic: sysrq triggered crash"]);
    assert!(!findings[0].torn);
    check(
        include_str!("../../../testdata/console/exit-of-init.log"),
        &["panic/-/kernel panic: Attempted to kill init!"],
    );
    for clean in [
        include_str!("../../../testdata/console/clean-with-sysrq.log"),
        include_str!("../../../testdata/console/clean-with-every-sysrq.log"),
    ] {
        check(clean, &[]);
    }
}

#[test]
fn the_function_is_not_the_messenger() {
    let log = printed("T77", 3.0, SLEEP);
    let findings = check(
        &log,
        &["atomic-sleep/__d_lookup_unhash_wake/BUG: sleeping function called from invalid context"],
    );
    assert_eq!(
        findings[0].title,
        "BUG: sleeping function called from invalid context in __d_lookup_unhash_wake"
    );
    assert_eq!((findings[0].start, findings[0].time), (0, Some(3.0)));
    assert_eq!(findings[0].end, log.len() as u64);
    assert!(!findings[0].torn && !findings[0].after_first);
}

#[test]
fn a_hung_task_is_a_suspicion_named_by_where_it_waits() {
    let findings = check(
        &printed("T20", 30.0, HUNG),
        &["hung-task/d_alloc_parallel/INFO: task hung"],
    );
    assert_eq!(findings[0].weight, Weight::Suspicion);
}

#[test]
fn one_cycle_has_one_signature_from_both_sides() {
    let (inode, rename) = ("&sb->s_type->i_mutex_key", "&type->s_vfs_rename_key");
    let here = read(printed("T1", 1.0, &circular(inode, rename, "lock_rename")).as_bytes());
    let there = read(printed("T9", 7.5, &circular(rename, inode, "do_unlinkat")).as_bytes());
    assert_eq!(here.len(), 1);
    assert_eq!(here[0].title, "possible deadlock in lock_rename");
    assert_eq!(there[0].title, "possible deadlock in do_unlinkat");
    assert_eq!(here[0].signature, there[0].signature);
    assert_eq!(
        here[0].signature,
        format!("lockdep/{inode} + {rename}/possible deadlock")
    );
}

#[test]
fn callers_are_taken_apart_and_the_second_report_is_marked() {
    let (one, two) = (
        printed("T77", 3.0, SLEEP),
        printed(
            "C1",
            3.0,
            "WARNING: CPU: 1 PID: 0 at fs/dcache.c:365 dput+0x10/0x20\nCall Trace:\n evict+0x1/0x2\n iput+0x1/0x2",
        ),
    );
    let mut two = two.lines();
    let log: String = one
        .lines()
        .flat_map(|line| [Some(line), two.next()])
        .flatten()
        .flat_map(|line| [line, "\n"])
        .collect();
    let findings = check(
        &log,
        &[
            "atomic-sleep/__d_lookup_unhash_wake/BUG: sleeping function called from invalid context",
            "warning/dput/WARNING",
        ],
    );
    assert_eq!(
        findings
            .iter()
            .map(|finding| finding.after_first)
            .collect::<Vec<_>>(),
        [false, true]
    );
}

#[test]
fn an_oops_and_its_panic_are_one_finding() {
    let oops = "BUG: kernel NULL pointer dereference, address: 0000000000000058
#PF: supervisor read access in kernel mode
Oops: Oops: 0000 [#1] PREEMPT_RT SMP NOPTI
CPU: 0 UID: 0 PID: 5 Comm: storm Not tainted 6.12.117 #1
RIP: 0010:__d_lookup_rcu+0x3d/0x1a0
Code: 40 00
Call Trace:
 <TASK>
 lookup_fast+0x1/0x2
 </TASK>
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Fatal exception
Kernel Offset: disabled";
    check(
        &printed("T5", 1.0, oops),
        &["oops/__d_lookup_rcu/BUG: unable to handle kernel NULL pointer dereference"],
    );
}

#[test]
fn announced_traps_are_one_finding() {
    let list = "------------[ cut here ]------------
list_del corruption. prev->next should be ffff888003b1a2f8, but was dead000000000122. (prev=ffff888003b1a2f8)
kernel BUG at lib/list_debug.c:62!
Oops: invalid opcode: 0000 [#1] PREEMPT SMP
RIP: 0010:__list_del_entry_valid_or_report+0x1/0x2
Call Trace:
 d_lru_del+0x1/0x2
 dput+0x1/0x2
---[ end trace 0000000000000000 ]---";
    let findings = check(
        &printed("T5", 1.0, list),
        &["list-corruption/d_lru_del/BUG: corrupted list"],
    );
    assert_eq!(findings[0].start, 0);
    let count = "------------[ cut here ]------------
refcount_t: underflow; use-after-free.
WARNING: CPU: 0 PID: 9 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
Call Trace:
 nfs_put_client+0x1/0x2
---[ end trace 0000000000000000 ]---";
    check(
        &printed("T9", 1.0, count),
        &["refcount/nfs_put_client/WARNING: refcount bug"],
    );
}

#[test]
fn stalls_and_lockups_are_named() {
    let soft = "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [storm/2:333]
RIP: 0010:d_walk+0x10/0x20
Call Trace:
 shrink_dcache_parent+0x1/0x2
 __x64_sys_rmdir+0x1/0x2
 do_syscall_64+0x1/0x2";
    let findings = check(
        &printed("C1", 40.0, soft),
        &["soft-lockup/sys_rmdir/BUG: soft lockup"],
    );
    assert!(
        findings[0]
            .alt
            .contains(&"BUG: soft lockup in shrink_dcache_parent".to_owned()),
        "{:?}",
        findings[0].alt
    );
    for (line, class) in [
        (
            "rcu: INFO: rcu_preempt self-detected stall on CPU",
            Class::RcuStall,
        ),
        (
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            Class::RcuStall,
        ),
        (
            "watchdog: Watchdog detected hard LOCKUP on cpu 1",
            Class::HardLockup,
        ),
        (
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 32s!",
            Class::WorkqueueLockup,
        ),
        (
            "BUG: scheduling while atomic: storm/2/333/0x00000002",
            Class::AtomicSleep,
        ),
        ("WARNING: suspicious RCU usage", Class::Rcu),
        (
            "VFS: Busy inodes after unmount of sda (xfs)",
            Class::Filesystem,
        ),
        (
            "BUG: Dentry ffff888119d8a000{i=0,n=keep}  still in use (1) [unmount of tmpfs tmpfs]",
            Class::Filesystem,
        ),
        (
            "unreferenced object 0xffff888003b1a2f8 (size 192):",
            Class::Leak,
        ),
    ] {
        let findings = read(printed("T1", 1.0, line).as_bytes());
        assert_eq!(
            findings
                .iter()
                .map(|finding| finding.class)
                .collect::<Vec<_>>(),
            [class],
            "{line}"
        );
    }
}

#[test]
fn a_second_banner_is_a_reboot_and_a_clean_end_is_none() {
    let boot = "[    0.000000] Linux version 6.12.117 (a@b) #1\n[    1.000000] Run /init as init process\n";
    let end = "[    9.000000] reboot: Power down\n";
    check(&format!("SeaBIOS (version 1.16.2)\n{boot}{end}"), &[]);
    let findings = check(
        &format!("{boot}{boot}{end}"),
        &["reboot/-/unexpected kernel reboot"],
    );
    assert_eq!(findings[0].start, boot.len() as u64);
    check(
        &format!("SeaBIOS (version 1.16.2)\n{boot}SeaBIOS (version 1.16.2)\n{boot}"),
        &["reboot/-/unexpected kernel reboot"],
    );
}

#[test]
fn prefixes_of_all_forms_are_taken_off() {
    for prefix in [
        "",
        "<4>",
        "[    1.234567] ",
        "[    1.234567][    T1] ",
        "[    1.234567] [ C0] ",
        "<4>[1.5] ",
        "Nov 21 02:12:22 host kernel: ",
        "Nov 21 02:12:22 host kernel: [    1.234567] ",
        "\x1b[0m[    1.234567] ",
        "login: [    1.234567] ",
    ] {
        let findings = read(format!("{prefix}kernel BUG at fs/dcache.c:100!\n").as_bytes());
        assert_eq!(findings.len(), 1, "{prefix:?}");
        assert_eq!(
            findings[0].time.is_some(),
            prefix.contains("1.234567") || prefix.contains("1.5"),
            "{prefix:?}"
        );
    }
}

#[test]
fn begun_is_heard_at_the_first_line() {
    let mut reader = Reader::new(Options::default());
    let log = printed("T77", 3.0, SLEEP);
    let first = log.find('\n').unwrap() + 1;
    let begun = Heard::Begun {
        class: Class::AtomicSleep,
        weight: Weight::Finding,
        start: 0,
    };
    assert_eq!(reader.push(&log.as_bytes()[..first]), [begun]);
    assert!(reader.push(&log.as_bytes()[first..]).is_empty() && reader.is_open());
    assert_eq!(reader.flush().len(), 1);
    assert!(!reader.is_open());
}

#[test]
fn a_cut_report_is_torn_and_findings_are_bounded() {
    let log = printed("T77", 3.0, SLEEP);
    let cut = &log[..log.len() - 6];
    assert!(read(cut.as_bytes())[0].torn);
    assert!(read(printed("T7", 1.0, HUNG.lines().next().unwrap()).as_bytes())[0].torn);
    let flood = "kernel BUG at fs/dcache.c:100!\n".repeat(5000);
    assert_eq!(
        read(flood.as_bytes()).len(),
        Options::default().max_findings
    );
}

#[test]
fn excerpts_are_bounded_and_harmless() {
    let log = b"BUG: bad \x1b[2J\xff\r\n line\n\nmore\n".to_vec();
    let mut finding = read(b"kernel BUG at x!\n").remove(0);
    (finding.start, finding.end) = (0, 999);
    assert_eq!(
        excerpt(&log, &finding, 2),
        ["BUG: bad \\u{1b}[2J\\xff", " line", "… 2 more lines"]
    );
    assert_eq!(excerpt(&[], &finding, 2), Vec::<String>::new());
}

#[test]
fn a_stack_from_proc_meets_the_console_s_own_report() {
    let console = "[   63.1][   T21] INFO: task lab-w3:77 blocked for more than 20 seconds.\n\
        [   63.1][   T21]       Not tainted 6.12.117 #1\n\
        [   63.1][   T21] task:lab-w3 state:D stack:0 pid:77 tgid:1 ppid:0 flags:0x00004002\n\
        [   63.1][   T21] Call Trace:\n[   63.1][   T21]  <TASK>\n\
        [   63.1][   T21]  __schedule+0x3f0/0xa10\n[   63.1][   T21]  schedule+0x27/0xf0\n\
        [   63.1][   T21]  d_alloc_parallel+0x3f1/0x4d0\n[   63.1][   T21]  __lookup_slow+0x6a/0x170\n\
        [   63.1][   T21]  </TASK>\n";
    let stack = [
        "[<0>] d_alloc_parallel+0x3f1/0x4d0",
        "[<0>] __lookup_slow+0x6a/0x170",
    ];
    let own = hung("lab-w9", 99, &stack.map(str::to_owned)).unwrap();
    assert_eq!(own.function.as_deref(), Some("d_alloc_parallel"));
    assert_eq!(own.signature, read(console.as_bytes())[0].signature);
    assert_eq!(hung("x", 1, &[]), None);
}

#[test]
fn an_interrupt_in_a_running_tasks_stack_is_not_what_it_is_stuck_in() {
    let stack = [
        "irqentry_exit+0x8a/0xb0",
        "sysvec_reschedule_ipi+0xc1/0x1c0",
        "asm_sysvec_reschedule_ipi+0x1f/0x30",
        "lock_release+0x160/0x290",
        "d_walk+0x42f/0x590",
        "shrink_dcache_parent+0x48/0x2e0",
    ];
    let own = hung("w5", 72, &stack.map(str::to_owned)).unwrap();
    assert_eq!(own.function.as_deref(), Some("shrink_dcache_parent"));
}
