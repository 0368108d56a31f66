# SPDX-License-Identifier: MIT OR Apache-2.0
"""From a dump to the whole of autopsy.json. Each part is on its own: a fault costs that part, and a warning tells."""

import drgn
from drgn.helpers.linux.panic import panic_task

import audit
import dentries
import graph
import nfs
import stacks
import waits
from case import FAULTS, Case
from dcache import Dcache
from frames import BLOCKED, LOOKUP, blocked_dentry
from locks import Locks
from names import Names
from tasks import PF_KTHREAD, Tasks

FORMAT = 1
MOST_LISTED = 400
MOST_WITH_ARGUMENTS = 200
# Where a sleeping task must be for its stack to be told.
_OF_INTEREST = ("fs/dcache", "fs/namei", "fs/nfs", "fs/notify", "fs/exportfs", "fs/namespace", "fs/super", "fs/inode")
_OF_INTEREST += ("fs/xfs", "fs/ext4", "fs/overlayfs", "fs/readdir", "fs/open", "fs/fhandle", "net/sunrpc/clnt")
_OF_INTEREST += ("net/sunrpc/sched", "mm/shmem", "kernel/locking")
# Functions in which threads idle.
_IDLE = {"svc_recv", "xfsaild", "kjournald2", "inotify_read", "fanotify_read", "nfs4_callback_svc", "worker_thread"}
_IDLE |= {"rcu_gp_kthread", "kswapd", "khugepaged", "devtmpfsd", "lockd", "nfsd", "smpboot_thread_fn", "kthreadd"}


def make(prog, dump, vmlinux_id, audit_only, started, seconds):
    """The autopsy of a dump as the value of autopsy.json."""
    case = Case(prog, dump, seconds)
    told = _head(case, dump, vmlinux_id)
    tasks = case.attempt("tasks", lambda: Tasks(case))
    dcache = case.attempt("dentry cache", lambda: _dcache(case))
    if tasks is None or dcache is None:
        return told
    work = case.attempt("what tasks point at", lambda: Work(case, tasks, dcache, started))
    if work:
        work.audit(told) if audit_only else work.all(told)
    told["warnings"] = case.warnings
    return told


def _head(case, dump, vmlinux_id):
    if dump.missing:
        case.warn(
            f"the dump is cut short: {dump.missing >> 20} MiB of the guest's memory are missing, and with them perhaps"
            " what would excuse a violation"
        )
    return {
        "format": FORMAT,
        "drgn": drgn.__version__,
        "release": dump.info.get("OSRELEASE", ""),
        "build_id": dump.build_id or vmlinux_id,
        "uptime": 0.0,
        "crashed": None,
        "tasks": [],
        "locks": [],
        "waits": [],
        "dentries": [],
        "rpc": [],
        "audit": None,
        "warnings": case.warnings,
    }


def _dcache(case):
    found = Dcache(case)
    found.load()
    return found


class Work:
    """The parts of an autopsy, in order."""

    def __init__(self, case, tasks, dcache, started):
        self.case = case
        self.tasks = tasks
        self.dcache = dcache
        self.started = started
        self.names = Names(case, dcache, tasks)
        self.frames = {}  # tid → frames of tasks that are told of
        self.listed = []
        self.world = audit.build_world(case, dcache, tasks, self.names)
        self.told = dentries.Told(case, dcache, self.names)
        self.locks = None

    def audit(self, told):
        """The audit alone."""
        told["uptime"] = self._uptime()
        self._places()
        self.case.attempt("stacks of waiters", self._waiters_only)
        self.case.attempt("stacks of blocked tasks", self._blocked_only)
        self._lookups()
        self._audit(told)
        if self.frames:
            self._waits(told)
        told["dentries"] = self.told.json()

    def all(self, told):
        """Everything."""
        attempt = self.case.attempt
        told["uptime"] = self._uptime()
        told["crashed"] = crashed = self._crashed()
        self._places()
        attempt("stacks", lambda: self._stacks(crashed))
        self._lookups()
        self._audit(told)
        self._waits(told)
        attempt("dentries on stacks", self._on_stacks)
        told["tasks"] = [one for one in (self._task(value) for value in self.listed) if one]
        told["dentries"] = self.told.json()

    def _places(self):
        self.case.attempt("mounts", lambda: dentries.mounts(self.case, self.dcache))
        self.case.attempt("exported filesystems", lambda: nfs.sides(self.case, self.dcache))

    def _uptime(self):
        return round(self.tasks.now / 1e9, 3)

    def _crashed(self):
        try:
            thread = self.case.prog.crashed_thread()
            return thread.tid
        except FAULTS:
            pass
        try:
            return panic_task(self.case.prog).pid.value_()
        except FAULTS:
            return None

    # Stacks

    def _stacks(self, crashed):
        """Unwinds the tasks of interest: crashed, on a CPU, blocked, and sleeping in the code under test."""
        order = sorted(self.tasks.all.values(), key=lambda value: self._rank(value, crashed))
        for value in order:
            self.case.in_time()
            rank = self._rank(value, crashed)
            if rank > 3 or not (rank < 3 or self._may_matter(value)):
                continue
            if len(self.listed) >= MOST_LISTED:
                self.case.warn(f"more than {MOST_LISTED} tasks of interest; the rest is left out")
                return
            frames = self._unwind(value)
            if rank < 3 or _in_code_under_test(frames):
                self.frames[value.pid] = frames
                self.listed.append(value)

    def _rank(self, value, crashed):
        if value.pid == crashed:
            return 0
        if self.tasks.on_cpu(value):
            return 1
        if self.tasks.blocked(value):
            return 2
        return 3 if self.tasks.letter(value) in "SRIT" else 4

    def _may_matter(self, value):
        """Whether a sleeping task's stack points at a dentry or an inode: most do not, and unwinding is dear."""
        words = self.tasks.words(value)
        slabs = self.dcache.slabs
        if slabs and any(slabs.snap(word) for word in words):
            return True
        return not slabs or any(word in self.dcache.inodes for word in words)

    def _unwind(self, value):
        arguments = len(self.listed) < MOST_WITH_ARGUMENTS
        title = f"stack of {self.tasks.title(value)}"
        return self.case.attempt(title, lambda: stacks.unwind(self.tasks, value, arguments), [])

    def _waiters_only(self):
        """For an audit alone: unwinds the sleeping tasks whose stacks hold a return address of a function that waits
        for a dentry."""
        codes = [self.names.code_of(name) for name in LOOKUP + BLOCKED]
        for value in self.tasks.all.values():
            self.case.in_time()
            if self.tasks.moving(value) or value.exit_state:
                continue
            words = self.tasks.words(value)
            if any(word in code for code in codes for word in words):
                self.frames[value.pid] = self._unwind(value)

    def _blocked_only(self):
        """For an audit alone: unwinds blocked tasks, for circles of owners."""
        for value in self.tasks.all.values():
            if len(self.frames) >= MOST_LISTED:
                return
            self.case.in_time()
            if value.pid not in self.frames and not self.tasks.on_cpu(value) and self.tasks.blocked(value):
                self.frames[value.pid] = self._unwind(value)

    # Lookups and the audit

    def _lookups(self):
        self.case.attempt("waiters of lookups", self._find_waiters)
        self.case.attempt("in-lookup dentries", self._find_lookers)

    def _find_waiters(self):
        for value in self.tasks.all.values():
            frames = self.frames.get(value.pid)
            if not frames or self.tasks.moving(value):
                continue
            dentry = waits.lookup_dentry(self.dcache, self.tasks, value, frames)
            blocked = blocked_dentry(frames)
            for address, kind in ((dentry, "lookup"), (blocked, "blocked")):
                if address:
                    self.world.waiters.append((value.pid, address, kind))
                    self.told.wait(address, value.pid)
                    self.told.add(address, f"{self.tasks.title(value)} waits for it")

    def _find_lookers(self):
        waiting = {tid for tid, _, _ in self.world.waiters}
        for chain in self.dcache.lookup:
            for address in chain.members:
                self.told.add(address, "in the in-lookup table")
                value = self.dcache.get(address)
                if value:
                    self._looker(value, waiting)

    def _looker(self, value, waiting):
        """Who looks a dentry up: the task whose stack its wait queue lies on. An NFS unlink has its wait queue in its
        own memory, and no task."""
        queue = value.lru_next
        task = self.tasks.on_stack_of(queue)
        if task:
            self.world.lookers[value.address] = task.pid
            self.told.add(value.address, f"{self.tasks.title(task)} looks it up")
        elif self._on_a_stack(queue):
            self.world.wait_gone[value.address] = f"d_wait {queue:#x} is on a part of a stack that is free"
        elif not self._in_slab(queue):
            self.world.wait_gone[value.address] = f"d_wait {queue:#x} is nowhere"
        else:
            holders = [tid for tid in self.world.holders.get(value.address, ()) if tid not in waiting]
            if holders:
                self.world.lookers[value.address] = holders[0]

    def _on_a_stack(self, address):
        return any(one.stack <= address < one.stack + self.tasks.stack_size for one in self.tasks.all.values())

    def _in_slab(self, address):
        return self.case.memory.word(address & ~7) is not None and address >> 40 == self.case.memory.base >> 40

    def _audit(self, told):
        told["audit"] = self.case.attempt("audit", lambda: audit.examine(self.case, self.world, self.started))
        for violation in (told["audit"] or {}).get("violations", ()):
            for address in violation["dentries"]:
                self.told.add(int(address, 16), f"violation: {violation['rule']}")

    # Locks and waits

    def _waits(self, told):
        case = self.case
        self.locks = locks = case.attempt("locks", lambda: Locks(case, self.tasks, self.names))
        rpc = {task.value_(): task for task in case.attempt("RPC tasks", lambda: nfs.rpc_tasks(case), [])}
        if locks is None:
            return
        for frames in self.frames.values():
            locks.learn(frames)
        parts = {
            "dcache": self.dcache,
            "tasks": self.tasks,
            "names": self.names,
            "locks": locks,
            "stacks": self.frames,
            "rpc": rpc,
            "lookers": self.world.lookers,
            "waiters": self.world.waiters,
        }
        found = waits.Waits(case, parts)
        told["waits"] = found.collect()
        case.attempt("locks that are held", lambda: found.held_locks(self.listed))
        told["locks"] = [_public(lock) for lock in found.known.values()]
        told["rpc"] = case.attempt(
            "RPC tasks in flight",
            lambda: [nfs.rpc_json(task, found.rpc_owner.get(address)) for address, task in rpc.items()],
            [],
        )
        case.attempt("circles of owners", lambda: self._circles(told))

    def _circles(self, told):
        edges = {}
        for wait in told["waits"]:
            edges.setdefault(wait["tid"], []).extend(wait["by"])
        by_tid = {wait["tid"]: wait for wait in told["waits"]}
        for circle in graph.circles(edges):
            # Only locks have owners that are sure; who ends a lookup may yet do so without the one that waits.
            steps = [f"{tid} waits for {by_tid[tid]['what']}" for tid in circle if tid in by_tid]
            if told["audit"] is not None:
                told["audit"]["violations"].append(
                    {
                        "rule": "circle of tasks that wait for each other",
                        "detail": "; ".join(steps),
                        "dentries": [],
                        "tasks": circle,
                        "times": 1,
                    }
                )

    # Tasks

    def _on_stacks(self):
        for value in self.listed:
            for number, frame in enumerate(self.frames[value.pid]):
                for variable in frame.variables:
                    if variable.kind == "dentry":
                        why = f"{variable.name} in frame {number} ({frame.function}) of {self.tasks.title(value)}"
                        self.told.add(variable.address, why)

    def _task(self, value):
        return self.case.attempt(f"task {value.pid}", lambda: self._task_json(value))

    def _task_json(self, value):
        frames = self.frames[value.pid]
        return {
            "tid": value.pid,
            "pid": value.tgid,
            "comm": self.tasks.comm(value),
            "state": self.tasks.letter(value),
            "address": f"{value.address:#x}",
            "cpu": value.cpu,
            "on_cpu": self.tasks.on_cpu(value),
            "kernel_thread": bool(value.pf & PF_KTHREAD),
            "side": nfs.side_of(frames),
            "waited": self.tasks.waited(value),
            "frames": [frame.json(self.names.describe) for frame in frames],
            "held": self.locks.held_json(value) if self.locks else [],
        }


def _public(lock):
    return {key: value for key, value in lock.items() if key != "dep_map"}


def _in_code_under_test(frames):
    if not frames or any(frame.function in _IDLE for frame in frames[:8]):
        return False
    return any(frame.file and frame.file.startswith(_OF_INTEREST) for frame in frames)
