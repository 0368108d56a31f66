// SPDX-License-Identifier: MIT OR Apache-2.0
//! One report of each kind, composed after the kernel's format strings: which class, which function.

use super::{printed, read};

/// A report: its first lines, and a stack below them, innermost first.
fn report(head: &str, frames: &str) -> String {
    let mut text = format!("{head}\nCPU: 1 PID: 77 Comm: storm/3 Not tainted 6.12.117 #1\n");
    if !frames.is_empty() {
        text += "Call Trace:\n <TASK>\n";
        for frame in frames.split(' ') {
            text += &format!(" {frame}+0x12/0x340\n");
        }
        text += " </TASK>\n";
    }
    text
}

/// Head, stack, signature.
type Known<'a> = (&'a str, &'a str, &'a str);

fn check(known: &[Known<'_>]) {
    let mut wrong = Vec::new();
    for (head, frames, signature) in known {
        let text = report(head, frames);
        for log in [text.clone(), printed("T77", 3.0, &text)] {
            let findings = read(log.as_bytes());
            let found: Vec<&str> = findings
                .iter()
                .map(|finding| finding.signature.as_str())
                .collect();
            if found != [*signature] {
                wrong.push(format!(
                    "{head}\n   wanted {signature}\n   found  {found:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Every report of the tables below, whole.
pub(super) fn reports() -> Vec<String> {
    [TRAPS, WARNINGS, SANITIZERS, FILESYSTEMS]
        .into_iter()
        .flatten()
        .map(|(head, frames, _)| report(head, frames))
        .collect()
}

const SYSCALL: &str = "do_syscall_64 entry_SYSCALL_64_after_hwframe";

#[test]
fn hung_tasks_are_named_by_whom_they_wait_in() {
    let head = "INFO: task storm/3:77 blocked for more than 20 seconds.\n\
        \x20     Not tainted 6.12.117 #1\n\
        \"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.\n\
        task:storm/3 state:D stack:0 pid:77 tgid:77 ppid:1 flags:0x00000006";
    for (frames, function) in [
        (
            "d_wait_lookup d_alloc_parallel __lookup_slow walk_component",
            "d_alloc_parallel",
        ),
        (
            "d_alloc_parallel __lookup_slow walk_component",
            "d_alloc_parallel",
        ),
        (
            "schedule_preempt_disabled rwsem_down_read_slowpath down_read walk_component path_lookupat",
            "walk_component",
        ),
        (
            "rwsem_down_write_slowpath down_write open_last_lookups path_openat",
            "open_last_lookups",
        ),
        (
            "schedule_rtlock rtlock_slowlock_locked rt_spin_lock lockref_get_not_dead lookup_fast",
            "lookup_fast",
        ),
        (
            "rt_mutex_slowlock_block.constprop.0 __rwbase_read_lock down_read lookup_slow walk_component",
            "lookup_slow",
        ),
        (
            "rt_mutex_schedule rwbase_write_lock down_write do_unlinkat",
            "do_unlinkat",
        ),
        (
            "io_schedule folio_wait_bit_common folio_wait_writeback __filemap_fdatawait_range file_write_and_wait_range nfs_file_fsync",
            "nfs_file_fsync",
        ),
        (
            "rpc_wait_bit_killable __wait_on_bit out_of_line_wait_on_bit __rpc_execute rpc_execute rpc_run_task nfs4_call_sync_sequence",
            "rpc_run_task",
        ),
        (
            "schedule_timeout __wait_for_common wait_for_completion __flush_work xlog_cil_push_now xlog_cil_force_seq",
            "xlog_cil_push_now",
        ),
        (
            "schedule_timeout ___down_common __down down xfs_buf_lock xfs_buf_find_lock xfs_buf_get_map",
            "xfs_buf_get_map",
        ),
        (
            "rwsem_down_write_slowpath down_write_nested xfs_ilock xfs_create",
            "xfs_create",
        ),
        (
            "percpu_rwsem_wait __percpu_down_read __sb_start_write mnt_want_write filename_create",
            "mnt_want_write",
        ),
        ("__mutex_lock __fdget_pos ksys_getdents64", "__fdget_pos"),
        ("__mutex_lock lock_rename do_renameat2", "lock_rename"),
        (
            "__inode_wait_for_writeback inode_wait_for_writeback evict iput do_unlinkat",
            "evict",
        ),
        (
            "__wait_on_freeing_inode find_inode_fast iget_locked ext4_lookup",
            "find_inode_fast",
        ),
        (
            "schedule_timeout __synchronize_srcu fsnotify_mark_destroy_workfn process_one_work kthread",
            "synchronize_rcu",
        ),
        (
            "exp_funnel_lock synchronize_rcu_expedited namespace_unlock path_umount",
            "synchronize_rcu",
        ),
        (
            "__mutex_lock rtnl_lock addrconf_dad_work process_one_work kthread",
            "rtnl_lock",
        ),
        (
            "jbd2_log_wait_commit jbd2_complete_transaction ext4_sync_file",
            "jbd2_complete_transaction",
        ),
        (
            "wait_transaction_locked add_transaction_credits start_this_handle jbd2__journal_start",
            "add_transaction_credits",
        ),
        // Nothing but waits.
        ("request_wait_answer", "request_wait_answer"),
    ] {
        let frames = format!("__schedule schedule {frames} {SYSCALL}");
        let signature = format!("hung-task/{function}/INFO: task hung");
        let text = report(head, &frames);
        let findings = read(printed("T21", 60.0, &text).as_bytes());
        assert_eq!(findings.len(), 1, "{text}");
        assert_eq!(findings[0].signature, signature, "{text}");
        assert!(!findings[0].torn);
    }
    check(&[
        (
            "INFO: task storm/3:77 blocked in I/O wait for more than 20 seconds.",
            "__schedule io_schedule folio_wait_bit_common filemap_fault __do_fault",
            "hung-task/filemap_fault/INFO: task hung",
        ),
        (
            "INFO: task storm/3:77 can't die for more than 143 seconds.",
            "__schedule schedule p9_client_rpc",
            "hung-task/p9_client_rpc/INFO: task can't die",
        ),
    ]);
}

#[test]
fn what_loops_is_named() {
    let tick = "nmi_cpu_backtrace rcu_dump_cpu_stacks rcu_sched_clock_irq update_process_times tick_nohz_handler \
        __hrtimer_run_queues hrtimer_interrupt __sysvec_apic_timer_interrupt sysvec_apic_timer_interrupt asm_sysvec_apic_timer_interrupt";
    let tick = tick.split_whitespace().collect::<Vec<_>>().join(" ");
    let walk =
        format!("{tick} d_walk shrink_dcache_parent vfs_rmdir do_rmdir __x64_sys_rmdir {SYSCALL}");
    let worker = format!("{tick} nfs4_run_state_manager process_one_work worker_thread kthread");
    for (head, frames, signature) in [
        (
            "rcu: INFO: rcu_preempt self-detected stall on CPU\nrcu: \t1-....: (2099 ticks this GP) idle=4c6/1/0x4 softirq=6/6 fqs=126",
            walk.as_str(),
            "rcu-stall/sys_rmdir/INFO: rcu detected stall",
        ),
        (
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\nrcu: \t(detected by 0, t=2102 jiffies, g=1, q=6 ncpus=2)",
            &worker,
            "rcu-stall/nfs4_run_state_manager/INFO: rcu detected stall",
        ),
        (
            "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 21 jiffies s: 33 root: 0x2/.",
            &walk,
            "rcu-stall/sys_rmdir/INFO: rcu detected stall",
        ),
        (
            "INFO: rcu_tasks detected stalls on tasks:",
            "__schedule schedule d_alloc_parallel lookup_open",
            "rcu-stall/lookup_open/INFO: rcu detected stall",
        ),
        (
            "watchdog: Watchdog detected hard LOCKUP on cpu 1",
            "d_walk shrink_dcache_parent __x64_sys_rmdir do_syscall_64",
            "hard-lockup/sys_rmdir/BUG: hard lockup",
        ),
        (
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu 1",
            "d_walk shrink_dcache_parent __x64_sys_rmdir do_syscall_64",
            "hard-lockup/sys_rmdir/BUG: hard lockup",
        ),
        (
            "watchdog: CPU 3 self-detected hard LOCKUP @ d_walk+0x1/0x2",
            "d_walk shrink_dcache_parent __se_sys_rmdir system_call_exception",
            "hard-lockup/rmdir/BUG: hard lockup",
        ),
        (
            "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [kworker/0:1:77]",
            "d_walk shrink_dcache_for_umount generic_shutdown_super cleanup_mnt task_work_run",
            "soft-lockup/cleanup_mnt/BUG: soft lockup",
        ),
    ] {
        check(&[(head, frames, signature)]);
    }
    let csd = "smp: csd: Detected non-responsive CSD lock (#1) on CPU#0, waiting 5000000032 ns for CPU#01 do_nothing+0x0/0x10(0x0).";
    check(&[
        (
            csd,
            "smp_call_function_single_async __x64_sys_rmdir do_syscall_64",
            "soft-lockup/smp_call_function/non-responsive CSD lock",
        ),
        (
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 32s!",
            "",
            "workqueue-lockup/-/BUG: workqueue lockup",
        ),
    ]);
}

const TRAPS: &[Known<'_>] = &[
    (
        "BUG: unable to handle page fault for address: ffff888003b1a2f8\n#PF: supervisor write access in kernel mode\nOops: Oops: 0002 [#1] PREEMPT SMP\nRIP: 0010:d_lru_add+0x1/0x2",
        "dput path_put",
        "oops/d_lru_add/BUG: unable to handle kernel paging request",
    ),
    (
        "BUG: unable to handle kernel NULL pointer dereference at 0000000000000010\nIP: [<ffffffff81234567>] dput+0x1/0x2\nOops: 0000 [#1] SMP",
        "path_put",
        "oops/dput/BUG: unable to handle kernel NULL pointer dereference",
    ),
    (
        "Oops: general protection fault, probably for non-canonical address 0xdffffc0000000000: 0000 [#1] PREEMPT SMP KASAN PTI\nKASAN: null-ptr-deref in range [0x0000000000000000-0x0000000000000007]\nRIP: 0010:__d_lookup+0x1/0x2",
        "d_lookup",
        "oops/__d_lookup/general protection fault",
    ),
    (
        "general protection fault: 0000 [#1] SMP\nRIP: 0010:[<ffffffff81234567>]  [<ffffffff81234567>] __d_lookup+0x1/0x2",
        "d_lookup",
        "oops/__d_lookup/general protection fault",
    ),
    (
        "Oops: divide error: 0000 [#1] PREEMPT SMP\nRIP: 0010:statfs_by_dentry+0x1/0x2",
        "user_statfs",
        "oops/statfs_by_dentry/divide error",
    ),
    (
        "int3: 0000 [#1] SMP\nRIP: 0010:dput+0x1/0x2",
        "path_put",
        "oops/dput/int3",
    ),
    (
        "Unable to handle kernel paging request at virtual address dfff800000000003\nMem abort info:\n  ESR = 0x0000000096000005\nInternal error: Oops: 0000000096000005 [#1] PREEMPT SMP\npc : dput+0x1/0x2\nlr : path_put+0x1/0x2",
        "dput path_put",
        "oops/dput/BUG: unable to handle kernel paging request",
    ),
    (
        "Unable to handle kernel NULL pointer dereference at virtual address 00000008\nInternal error: Oops: 17 [#1] SMP ARM\nPC is at dput+0x1/0x2\nLR is at path_put+0x1/0x2",
        "path_put",
        "oops/dput/BUG: unable to handle kernel NULL pointer dereference",
    ),
    (
        "Unable to handle kernel access to user memory without uaccess routines at virtual address 0000000000000018\nOops [#1]\nepc : dput+0x1/0x2 ra : path_put+0x1/0x2",
        "path_put",
        "oops/dput/BUG: unable to handle kernel paging request",
    ),
    (
        "Oops - illegal instruction [#1]\nepc : dput+0x1/0x2 ra : path_put+0x1/0x2",
        "path_put",
        "oops/dput/Oops",
    ),
    (
        "BUG: Kernel NULL pointer dereference on read at 0x00000018\nFaulting instruction address: 0xc000000000123456\nOops: Kernel access of bad area, sig: 11 [#1]\nNIP [c000000000123456] dput+0x1/0x2\nLR [c000000000123456] path_put+0x1/0x2",
        "path_put",
        "oops/dput/BUG: unable to handle kernel NULL pointer dereference",
    ),
    (
        "Unable to handle kernel pointer dereference in virtual kernel address space\nFailing address: 0000000000000000 TEID: 0000000000000483\nOops: 0004 ilc:2 [#1] SMP",
        "dput path_put",
        "oops/dput/BUG: unable to handle kernel paging request",
    ),
    (
        "illegal operation: 0001 ilc:1 [#1] SMP",
        "dput path_put",
        "oops/dput/Oops",
    ),
    (
        "kernel BUG at fs/inode.c:611!\nOops: invalid opcode: 0000 [#1] PREEMPT SMP\nRIP: 0010:clear_inode+0x1/0x2",
        "evict",
        "bug/clear_inode/kernel BUG",
    ),
    (
        "kernel BUG at fs/inode.c:611!\nInternal error: Oops - BUG: 00000000f2000800 [#1] PREEMPT SMP\npc : clear_inode+0x1/0x2",
        "evict",
        "bug/clear_inode/kernel BUG",
    ),
    (
        "kernel BUG at fs/inode.c:611!\nKernel BUG [#1]\nepc : clear_inode+0x1/0x2 ra : evict+0x1/0x2",
        "evict",
        "bug/clear_inode/kernel BUG",
    ),
    (
        "traps: PANIC: double fault, error_code: 0x0\nOops: double fault: 0000 [#1] PREEMPT SMP\nRIP: 0010:d_walk+0x1/0x2",
        "d_walk",
        "stack-overflow/d_walk/PANIC: double fault",
    ),
    (
        "BUG: TASK stack guard page was hit at ffffc9000123 (stack is ffffc9000124..ffffc9000128)\nOops: stack guard page: 0000 [#1] PREEMPT SMP\nRIP: 0010:follow_link+0x1/0x2",
        "walk_component __x64_sys_openat do_syscall_64",
        "stack-overflow/sys_openat/BUG: stack guard page was hit",
    ),
    (
        "Insufficient stack space to handle exception!\nESR: 0x96000047 -- DABT (current EL)\npc : d_walk+0x1/0x2",
        "d_walk",
        "stack-overflow/d_walk/kernel stack overflow",
    ),
    (
        "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: d_path+0x1/0x2",
        "dump_stack panic",
        "stack-overflow/d_path/kernel panic: stack is corrupted",
    ),
    (
        "CFI failure at vfs_read+0x1/0x2 (target: nfs_read+0x0/0x2; expected type: 0x12345678)\nOops: invalid opcode: 0000 [#1]\nRIP: 0010:vfs_read+0x1/0x2",
        "ksys_read",
        "bug/vfs_read/CFI failure",
    ),
];

#[test]
fn traps_of_all_machines_are_named() {
    check(TRAPS);
}

const WARNINGS: &[Known<'_>] = &[
    (
        "------------[ cut here ]------------\nWARNING: CPU: 1 PID: 77 at fs/dcache.c:365 dput+0x10/0x20",
        "path_put",
        "warning/dput/WARNING",
    ),
    (
        "------------[ cut here ]------------\nWARNING: fs/dcache.c:365 at dput+0x10/0x20, CPU#1: storm/77",
        "path_put",
        "warning/dput/WARNING",
    ),
    (
        "------------[ cut here ]------------\nWARNING: at fs/dcache.c:365 dput+0x10/0x20()",
        "warn_slowpath_common path_put",
        "warning/dput/WARNING",
    ),
    (
        "------------[ cut here ]------------\nVFS: brelse: Trying to free free buffer\nWARNING: CPU: 1 PID: 77 at fs/buffer.c:1235 __brelse+0x40/0x50",
        "ext4_put_super",
        "warning/__brelse/WARNING",
    ),
    (
        "------------[ cut here ]------------\nrefcount_t: addition on 0; use-after-free.\nWARNING: CPU: 1 PID: 77 at lib/refcount.c:25 refcount_warn_saturate+0x74/0x110\nRIP: 0010:refcount_warn_saturate+0x74/0x110",
        "nfs_get_client",
        "refcount/nfs_get_client/WARNING: refcount bug",
    ),
    (
        "------------[ cut here ]------------\nrefcount_t: underflow; use-after-free.\nWARNING: lib/refcount.c:28 at refcount_warn_saturate+0x74/0x110, CPU#0: a/1",
        "nfs_put_client",
        "refcount/nfs_put_client/WARNING: refcount bug",
    ),
    (
        "list_add corruption. prev->next should be next (ffff888003b1a2f8), but was dead000000000100. (prev=ffff888003b1a2f8).\n------------[ cut here ]------------\nkernel BUG at lib/list_debug.c:32!\nOops: invalid opcode: 0000 [#1]\nRIP: 0010:__list_add_valid_or_report+0x1/0x2",
        "list_lru_add d_lru_add dput",
        "list-corruption/d_lru_add/BUG: corrupted list",
    ),
    (
        "list_del corruption, ffff888003b1a2f8->next is LIST_POISON1 (dead000000000100)\n------------[ cut here ]------------\nWARNING: CPU: 1 PID: 77 at lib/list_debug.c:56 __list_del_entry_valid_or_report+0x1/0x2",
        "d_lru_del dput",
        "list-corruption/d_lru_del/BUG: corrupted list",
    ),
    (
        "------------[ cut here ]------------\nODEBUG: free active (active state 0) object: ffff888003b1a2f8 object type: work_struct hint: nfs4_renew_state+0x0/0x2\nWARNING: CPU: 1 PID: 77 at lib/debugobjects.c:514 debug_print_object+0x1/0x2\nRIP: 0010:debug_print_object+0x1/0x2",
        "debug_check_no_obj_freed kfree nfs4_free_client",
        "object-debug/nfs4_free_client/WARNING: ODEBUG bug",
    ),
    (
        "usercopy: Kernel memory exposure attempt detected from SLUB object 'dentry' (offset 0, size 300)!\n------------[ cut here ]------------\nkernel BUG at mm/usercopy.c:102!\nRIP: 0010:usercopy_abort+0x1/0x2",
        "__check_heap_object __check_object_size filldir64 dcache_readdir",
        "usercopy/filldir64/BUG: bad usercopy",
    ),
    (
        "memcpy: detected buffer overflow: 129 byte write of buffer size 128\n------------[ cut here ]------------\nkernel BUG at lib/string_helpers.c:1040!\nRIP: 0010:__fortify_panic+0x1/0x2",
        "nfs_readlink_req vfs_readlink",
        "bug/nfs_readlink_req/kernel BUG",
    ),
    (
        "------------[ cut here ]------------\nWARNING: CPU: 1 PID: 77 at lib/string_helpers.c:1032 __fortify_report+0x1/0x2\nmemcpy: detected buffer overflow: 129 byte write of buffer size 128",
        "__fortify_panic nfs_readlink_req",
        "warning/nfs_readlink_req/WARNING",
    ),
    (
        "BUG: memory leak\nunreferenced object 0xffff888003b1a2f8 (size 192):\n  comm \"storm/3\", pid 77, jiffies 4294937296\n  backtrace (crc 8e6a3b3c):",
        "kmem_cache_alloc_lru_noprof __d_alloc d_alloc_parallel",
        "leak/__d_alloc/memory leak",
    ),
    (
        "Leaked POSIX lock on dev=0x8:0x1 ino=0x4d2 fl_owner=ffff888003b1a2f8 fl_flags=0x1 fl_type=0x1 fl_pid=77",
        "",
        "leak/-/leaked file locks",
    ),
];

#[test]
fn warnings_of_all_ages_are_named() {
    check(WARNINGS);
}

const SANITIZERS: &[Known<'_>] = &[
    (
        "BUG: KASAN: slab-use-after-free in __d_lookup_rcu+0x3d/0x1a0\nRead of size 4 at addr ffff888003b1a2f8 by task storm/3/77",
        "dump_stack_lvl print_report kasan_report __d_lookup_rcu lookup_fast",
        "kasan/__d_lookup_rcu/KASAN: slab-use-after-free Read",
    ),
    (
        "BUG: KASAN: slab-use-after-free in __list_del_entry_valid_or_report+0x3d/0x1a0\nRead of size 8 at addr ffff888003b1a2f8 by task storm/3/77",
        "dump_stack_lvl print_report kasan_report __list_del_entry_valid_or_report d_lru_del dput",
        "kasan/d_lru_del/KASAN: slab-use-after-free Read",
    ),
    (
        "BUG: KASAN: double-free in kfree+0x3d/0x1a0\nFree of addr ffff888003b1a2f8 by task storm/3/77",
        "dump_stack_lvl kasan_report_invalid_free kfree put_fs_context",
        "kasan/put_fs_context/KASAN: double-free",
    ),
    (
        "BUG: KFENCE: use-after-free read in dput+0x1/0x2",
        "",
        "kfence/dput/KFENCE: use-after-free read",
    ),
    (
        "BUG: KMSAN: uninit-value in strlen+0x1/0x2",
        "strlen d_alloc_pseudo alloc_file_pseudo",
        "kmsan/d_alloc_pseudo/KMSAN: uninit-value",
    ),
    (
        "BUG: KCSAN: data-race in __d_drop / dget_parent",
        "",
        "kcsan/__d_drop/KCSAN: data-race",
    ),
    (
        "UBSAN: array-index-out-of-bounds in fs/namei.c:100:2\nindex 5 is out of range for type 'int [4]'",
        "dump_stack_lvl __ubsan_handle_out_of_bounds link_path_walk",
        "ubsan/link_path_walk/UBSAN: array-index-out-of-bounds",
    ),
];

#[test]
fn sanitizers_are_named() {
    check(SANITIZERS);
}

#[test]
fn lock_reports_are_named() {
    let lock =
        "ffff888003b1a2f8 (&sb->s_type->i_mutex_key#3/1){+.+.}-{3:3}, at: do_unlinkat+0x21/0x60";
    for (head, signature) in [
        (format!("WARNING: possible recursive locking detected\n6.12.117 #1 Not tainted\nstorm/3/77 is trying to acquire lock:\n{lock}\n\nbut task is already holding lock:\n{lock}"), "lockdep/&sb->s_type->i_mutex_key/1/possible deadlock"),
        (format!("WARNING: inconsistent lock state\n6.12.117 #1 Not tainted\ninconsistent {{IN-SOFTIRQ-W}} -> {{SOFTIRQ-ON-W}} usage.\nstorm/3/77 [HC0[0]:SC0[0]:HE1:SE1] takes:\n{lock}"), "lockdep/&sb->s_type->i_mutex_key/1/inconsistent lock state"),
        ("WARNING: bad unlock balance detected!\n6.12.117 #1 Not tainted\nstorm/3/77 is trying to release lock (&dentry->d_lock) at:\n[<ffffffff81234567>] dput+0x1/0x2\nbut there are no more locks to release!".to_owned(), "lockdep/&dentry->d_lock/WARNING: bad unlock balance"),
        (format!("[ BUG: Invalid wait context ]\n6.12.117 #1 Not tainted\nstorm/3/77 is trying to lock:\n{lock}\nother info that might help us debug this:\ncontext-{{4:4}}"), "lockdep/&sb->s_type->i_mutex_key/1/WARNING: invalid wait context"),
        (format!("WARNING: lock held when returning to user space!\n6.12.117 #1 Not tainted\nstorm/3/77 is leaving the kernel with locks still held!\n1 lock held by storm/3/77:\n #0: {lock}"), "lockdep/do_unlinkat/WARNING: lock held when returning to user space"),
        (format!("WARNING: storm/3/77 still has locks held!\n6.12.117 #1 Not tainted\n1 lock held by storm/3/77:\n #0: {lock}"), "lockdep/do_unlinkat/WARNING: still has locks held"),
        (format!("WARNING: held lock freed!\n6.12.117 #1 Not tainted\nstorm/3/77 is freeing memory ffff888003b1a000-ffff888003b1afff, with a lock still held there!\n{lock}"), "lockdep/&sb->s_type->i_mutex_key/1/WARNING: held lock freed"),
        ("INFO: trying to register non-static key.\nThe code is fine but needs lockdep annotation, or maybe\nturning off the locking correctness validator.".to_owned(), "lockdep/do_unlinkat/INFO: trying to register non-static key"),
        ("BUG: spinlock bad magic on CPU#1, storm/3/77\n lock: 0xffff888003b1a2f8, .magic: 00000000, .owner: <none>/-1, .owner_cpu: 0".to_owned(), "lockdep/do_unlinkat/BUG: spinlock bad magic"),
        ("BUG: key ffff888003b1a2f8 has not been registered!".to_owned(), "lockdep/do_unlinkat/BUG: key not registered"),
        ("BUG: using smp_processor_id() in preemptible [00000000] code: storm/3/77\ncaller is do_unlinkat+0x1/0x2".to_owned(), "lockdep/do_unlinkat/BUG: using smp_processor_id() in preemptible code"),
        ("BUG: workqueue leaked atomic, lock or RCU: kworker/0:1[77]\n     preempt=0x00000001 lock=0->0 RCU=0->0 workfn=nfs4_renew_state\n     last function: nfs4_renew_state".to_owned(), "lockdep/nfs4_renew_state/BUG: workqueue leaked lock or atomic"),
        ("DEBUG_LOCKS_WARN_ON(1)\nWARNING: CPU: 1 PID: 77 at kernel/locking/lockdep.c:232 __lock_acquire+0x1/0x2\nRIP: 0010:__lock_acquire+0x1/0x2".to_owned(), "lockdep/do_unlinkat/WARNING: locking bug"),
        ("WARNING: suspicious RCU usage\n6.12.117 #1 Not tainted\nfs/dcache.c:2280 suspicious rcu_dereference_check() usage!".to_owned(), "rcu/do_unlinkat/WARNING: suspicious RCU usage"),
        ("[ INFO: suspicious RCU usage. ]\n4.4.0 #1 Not tainted".to_owned(), "rcu/do_unlinkat/WARNING: suspicious RCU usage"),
        ("BUG: scheduling while atomic: storm/3/77/0x00000002".to_owned(), "atomic-sleep/do_unlinkat/BUG: scheduling while atomic"),
        ("BUG: assuming atomic context at fs/dcache.c:100".to_owned(), "atomic-sleep/do_unlinkat/BUG: assuming atomic context"),
    ] {
        let frames = "dump_stack_lvl __lock_acquire lock_acquire down_write do_unlinkat";
        check(&[(&head, frames, signature)]);
    }
}

const FILESYSTEMS: &[Known<'_>] = &[
    (
        "XFS: Assertion failed: ip->i_nlink > 0, file: fs/xfs/xfs_inode.c, line: 77\n------------[ cut here ]------------\nkernel BUG at fs/xfs/xfs_message.c:102!\nRIP: 0010:assfail+0x1/0x2",
        "xfs_droplink xfs_remove",
        "filesystem/xfs_droplink/XFS: Assertion failed",
    ),
    (
        "XFS (vda): Corruption of in-memory data (0x8) detected at xfs_trans_cancel+0x1/0x2 (fs/xfs/xfs_trans.c:1098).  Shutting down filesystem.",
        "",
        "filesystem/xfs_trans_cancel/XFS: filesystem shut down",
    ),
    (
        "XFS (vda): Internal error xfs_trans_cancel at line 1097 of file fs/xfs/xfs_trans.c.  Caller xfs_create+0x1/0x2",
        "dump_stack xfs_error_report xfs_trans_cancel xfs_create",
        "filesystem/xfs_create/XFS: internal error",
    ),
    (
        "XFS (vda): Metadata corruption detected at xfs_dir3_data_verify+0x1/0x2, xfs_dir3_data block 0x38",
        "",
        "filesystem/xfs_dir3_data_verify/XFS: metadata corruption",
    ),
    (
        "EXT4-fs error (device vda): ext4_lookup:1813: inode #12: comm storm/3: deleted inode referenced: 13",
        "",
        "filesystem/ext4_lookup/EXT4-fs error",
    ),
    (
        "EXT4-fs error (device vda) in ext4_orphan_add:2900: Corrupt filesystem",
        "",
        "filesystem/ext4_orphan_add/EXT4-fs error",
    ),
    (
        "BTRFS: error (device vda: state A) in btrfs_finish_ordered_io:123: errno=-28 No space left",
        "",
        "filesystem/btrfs_finish_ordered_io/BTRFS error",
    ),
    (
        "NFS: state manager: lease expired failed on NFSv4 server 10.0.2.2 with error 13",
        "",
        "filesystem/-/NFS: state manager failed",
    ),
    (
        "NFS: __nfs4_reclaim_open_state: Lock reclaim failed!",
        "",
        "filesystem/-/NFS: lock reclaim failed",
    ),
    (
        "NFS: 10.0.2.2: lost 3 locks",
        "",
        "filesystem/-/NFS: lost locks",
    ),
    (
        "VFS: Busy inodes after unmount of vda (xfs)\n------------[ cut here ]------------\nkernel BUG at fs/super.c:650!\nRIP: 0010:generic_shutdown_super+0x1/0x2",
        "kill_block_super",
        "filesystem/-/VFS: Busy inodes after unmount",
    ),
    (
        "------------[ cut here ]------------\nBUG: Dentry ffff888003b1a2f8{i=1f,n=file}  still in use (1) [unmount of xfs vda]\nWARNING: CPU: 1 PID: 77 at fs/dcache.c:1536 umount_check+0x1/0x2",
        "d_walk do_one_tree shrink_dcache_for_umount generic_shutdown_super",
        "filesystem/unmount/BUG: Dentry still in use",
    ),
    (
        "VFS: Close: file count is 0 (f_op=xfs_file_operations)\n------------[ cut here ]------------\nkernel BUG at fs/open.c:1507!\nRIP: 0010:filp_flush+0x1/0x2",
        "__x64_sys_close",
        "filesystem/-/VFS: Close: file count is zero (use-after-free)",
    ),
    (
        "BUG: Bad page state in process storm  pfn:12345\npage: refcount:-1 mapcount:0",
        "bad_page free_unref_page do_exit",
        "memory/do_exit/BUG: Bad page state",
    ),
    (
        "BUG dentry (Not tainted): Poison overwritten",
        "",
        "memory/-/BUG: Poison overwritten",
    ),
];

#[test]
fn filesystems_speak_for_themselves() {
    check(FILESYSTEMS);
    // Images that a workload made are not the kernel's fault.
    for line in [
        "EXT4-fs error (device loop0): ext4_lookup:1813: inode #12: comm storm/3: deleted inode referenced: 13",
        "XFS (loop1): Metadata corruption detected at xfs_dir3_data_verify+0x1/0x2, xfs_dir3_data block 0x38",
        "XFS (vda): User initiated shutdown received.",
    ] {
        assert_eq!(read(printed("T1", 1.0, line).as_bytes()), [], "{line}");
    }
}
