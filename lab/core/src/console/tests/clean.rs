// SPDX-License-Identifier: MIT OR Apache-2.0
//! What looks like trouble and is none: no line here may become a finding.

use super::{printed, read};

/// Lines of kernels that boot, run and end as they should.
const KERNEL: &str = "Command line: console=ttyS0 panic=1 oops=panic panic_on_warn=1 hung_task_panic=1 softlockup_panic=1
lockdep is turned off
INFO: lockdep is turned off.
INFO: NMI handler (nmi_cpu_backtrace_handler) took too long to run: 8.399 msecs
traps: storm[3615] general protection fault ip:7feb96eb56a1 sp:20000fd0 error:0 in storm
traps: storm[3615] trap divide error ip:7feb96eb56a1 sp:20000fd0 error:0 in storm
traps: storm[3615] trap invalid opcode ip:7feb96eb56a1 sp:20000fd0 error:0 in storm
storm[3615]: segfault at 0 ip 00007f2f sp 00007ffc error 4 in storm[400000+1000] likely on CPU 1 (core 1, socket 0)
Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible via Spectre v2 BHB attacks!
rcu: RCU lockdep checking is enabled.
rcu: \tRCU CPU stall warnings timeout set to 21 (rcu_cpu_stall_timeout).
rcu: INFO: Stall ended before state dump start
Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar
| Locking API testsuite:
                                 | spin |wlock |rlock |mutex | wsem | rsem |rtmutex
                     A-A deadlock:  ok  |  ok  |  ok  |  ok  |  ok  |  ok  |  ok  |
      hard-irqs-on + irq-safe-A/12:  ok  |  ok  |  ok  |
Good, all 394 testcases passed! |
ODEBUG: selftest passed
ODEBUG: 0 of 0 active objects replaced
ODEBUG: Out of memory. ODEBUG disabled
kmemleak: Kernel memory leak detector initialized (mem pool available: 15000)
kmemleak: Automatic memory scanning thread started
kasan: KernelAddressSanitizer initialized
kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)-0x(____ptrval____)
test_kasan: kasan: test: running kmalloc_oob_right
KTAP version 1
    # Subtest: list_sorting
    ok 1 list_sort: BUG_ON is not hit
# overflow: pass:12 fail:0 skip:0 total:12
workqueue: xlog_cil_push_work hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND
hrtimer: interrupt took 5291340 ns
clocksource: timekeeping watchdog on CPU0: Marking clocksource 'tsc' as unstable because the skew is too large:
sched: DL replenish lagged too much
perf: interrupt took too long (3985 > 3976), lowering kernel.perf_event_max_sample_rate to 50000
systemd[1]: Hostname set to <guest>.
systemd[1]: Started systemd-udevd.service - Rule-based Manager for Device Events and Files.
systemd-journald[77]: Received client request to flush runtime journal.
audit: type=1404 audit(1700000000.123:2): enforcing=1 old_enforcing=0 auid=4294967295
EXT4-fs (vda): INFO: recovery required on readonly filesystem
EXT4-fs (vda): recovery complete
EXT4-fs (vda): mounted filesystem 5d1c8f9e-0000-4000-8000-000000000000 r/w with ordered data mode. Quota mode: none.
EXT4-fs warning (device vda): ext4_multi_mount_protect:326: MMP interval 42 higher than expected, please wait.
XFS (vda): Mounting V5 Filesystem 5d1c8f9e-0000-4000-8000-000000000000
XFS (vda): Ending clean mount
XFS (vda): User initiated shutdown received.
XFS (vda): Corruption warning: Metadata has LSN (1:2) ahead of current LSN (1:1).
XFS (loop4): WARNING: Reset corrupted AGFL on AG 0. 1 blocks leaked. Please unmount and run xfs_repair.
BTRFS info (device vda): using crc32c (crc32c-intel) checksum algorithm
nfs: server 10.0.2.2 not responding, still trying
nfs: server 10.0.2.2 OK
NFSD: Using nfsdcld client tracking operations.
NFSD: no clients to reclaim, skipping NFSv4 grace period (net f0000000)
nfsd: last server has exited, flushing export cache
NFS: state manager started on 10.0.2.2
VFS: some message that is not an error
debug: unmapping init [mem 0x1-0x2]
Memory cgroup out of memory: Killed process 77 (storm) total-vm:1kB
Kernel panic timeouts are set
sysrq: HELP : loglevel(0-9) reboot(b) crash(c) show-all-locks(d) terminate-all-tasks(e) memory-full-oom-kill(f)
sysrq: Show Blocked State
task:storm/5         state:D stack:0     pid:912   tgid:900   ppid:1      flags:0x00000006
Call Trace:
 <TASK>
 __schedule+0x40a/0x1500
 d_alloc_parallel+0x3f1/0x4c0
 </TASK>
Showing busy workqueues and worker pools:
workqueue events: flags=0x0
  pwq 2: cpus=0 node=0 flags=0x0 nice=0 active=1 refcnt=2
    pending: vmstat_shepherd
Mem-Info:
Node 0 DMA free:15360kB boost:0kB min:28kB low:40kB high:52kB
0 pages HighMem/MovableOnly
reboot: Power down
reboot: Restarting system";

/// Lines of programs in the guest.
const PROGRAMS: &str =
    "[  OK  ] Started systemd-udevd.service - Rule-based Manager for Device Events and Files.
[FAILED] Failed to start bug.service - A BUG: that is not one.
[    0.5] not a line of the kernel, BUG: said a program
guest login: root
ok 1 selftests: mm: test_BUG_ON_is_off
not ok 2 selftests: lockdep: WARNING_at_each_level # SKIP
# PASS: INFO: rcu torture names
testcase BUG: none, WARNING: none, Oops: none
WARNING: cache is cold
WARNING: apt does not have a stable CLI interface. Use with caution in scripts.
make: *** WARNING: at least one job failed
python3: Warning: at line 3
kernel panic: not today, said the user
the program says: kernel BUG at lunch
Booting Linux version names by hand
fuseblk: Unknown parameter 'Linux version 6.12 Decompressing Linux... done. Booting the kernel.'
Linux version names are long";

#[test]
fn ordinary_lines_are_no_findings() {
    for line in KERNEL.lines() {
        assert_eq!(read(printed("T1", 1.0, line).as_bytes()), [], "{line}");
    }
    for line in PROGRAMS.lines() {
        assert_eq!(read(format!("{line}\n").as_bytes()), [], "{line}");
    }
    let all = printed("T1", 1.0, KERNEL) + PROGRAMS + "\n" + &printed("C0", 2.0, KERNEL);
    assert_eq!(read(all.as_bytes()), []);
}

#[test]
fn a_dump_that_was_asked_for_is_not_the_report_s() {
    let report = printed("T77", 3.0, super::SLEEP);
    let dump = printed(
        "T77",
        4.0,
        "sysrq: Show Blocked State\ntask:storm/5 state:D stack:0\nCall Trace:\n <TASK>\n d_alloc_parallel+0x3f1/0x4c0\n </TASK>",
    );
    let findings = read(format!("{report}{dump}").as_bytes());
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].end, report.len() as u64);
}
