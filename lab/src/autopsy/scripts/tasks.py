# SPDX-License-Identifier: MIT OR Apache-2.0
"""All tasks as records, which of them were on their way, and what their stacks point at."""

import struct

import drgn
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.percpu import per_cpu

import flags
from buckets import is_kernel_pointer
from case import FAULTS
from layout import Record, has_member

PF_KTHREAD = 0x00200000
MOST_TASKS = 200_000

TASK = {
    "state": ("__state", "state"),
    "exit_state": "exit_state",
    "on_cpu": "on_cpu",
    "on_rq": "on_rq",
    "pid": "pid",
    "tgid": "tgid",
    "comm": "comm",
    "pf": "flags",
    "stack": "stack",
    "sp": "thread.sp",
    "cpu": ("thread_info.cpu", "cpu"),
    "ran": "se.exec_start",
    "tasks": "tasks.next",
    "siblings": "thread_node.next",
    "signal": "signal",
    "lockdep_depth": "lockdep_depth",
    "pi_blocked_on": "pi_blocked_on",
}


class Tasks:
    """The tasks of a dump, by the address of their task_struct."""

    def __init__(self, case):
        self.case = case
        self.memory = case.memory
        self.record = Record(case.prog, "struct task_struct", TASK)
        self.head = Record(case.prog, "struct signal_struct", {"threads": "thread_head.next"})
        self.stack_size = _stack_size(case)
        self.all = {}
        self.by_tid = {}
        self.current = {}  # CPU → task that runs on it
        self.registers = {}  # task on a CPU → values of its registers
        self.now = 0
        case.attempt("list of tasks", self._walk)
        case.attempt("tasks on CPUs", self._on_cpus)
        self._stacks = {}

    def _walk(self):
        init = self.case.prog["init_task"].address_
        first = self.memory.record(self.record, init)
        offset, address, seen = self.record.offset["tasks"], first.tasks, {init}
        while True:
            task = address - offset
            if task in seen:
                return
            seen.add(task)
            value = self.memory.try_record(self.record, task) if is_kernel_pointer(task) else None
            if value is None or len(self.all) > MOST_TASKS:
                self.case.warn(f"the list of tasks is broken after {len(self.all)} tasks")
                return
            self._threads(value)
            address = value.tasks

    def _threads(self, leader):
        self._add(leader)
        head = leader.signal + self.head.offset["threads"]
        offset, address = self.record.offset["siblings"], leader.siblings
        while address != head and is_kernel_pointer(address) and len(self.all) <= MOST_TASKS:
            value = self.memory.try_record(self.record, address - offset)
            if value is None or value.address in self.all:
                return
            self._add(value)
            address = value.siblings

    def _add(self, value):
        self.all[value.address] = value
        self.by_tid.setdefault(value.pid, value)

    def _on_cpus(self):
        prog = self.case.prog
        for cpu in for_each_online_cpu(prog):
            queue = per_cpu(prog["runqueues"], cpu)
            self.current[cpu] = queue.curr.value_()
            clock = queue.clock_task if hasattr(queue, "clock_task") else queue.clock
            self.now = max(self.now, clock.value_())
            if self.current[cpu] not in self.all:  # An idle task: not in the list, but it may have crashed.
                value = self.memory.try_record(self.record, self.current[cpu])
                if value and value.pid:
                    self._add(value)
        for address in self.current.values():
            self.registers[address] = self._registers(address)

    def _registers(self, address):
        try:
            frame = self.trace(address)[0]
            return [value for value in frame.registers().values() if isinstance(value, int)]
        except (IndexError,) + FAULTS:
            return []

    def trace(self, address):
        """drgn's stack trace of a task; raises what drgn raises."""
        return self.case.prog.stack_trace(drgn.Object(self.case.prog, "struct task_struct *", address))

    # What a task does

    def comm(self, value):
        """Name of a task."""
        return value.comm.split(b"\0")[0].decode("utf-8", "backslashreplace")

    def title(self, value):
        """`w3:71`."""
        return f"{self.comm(value)}:{value.pid}"

    def letter(self, value):
        """State letter as in /proc/PID/stat."""
        return flags.state_letter((value.state | (value.exit_state or 0)) & 0x1FFF)

    def on_cpu(self, value):
        """Whether it ran when the guest was stopped."""
        if not self.current:
            return bool(value.on_cpu)  # The run queues are not in the dump; the task itself knows, if not as surely.
        return self.current.get(value.cpu) == value.address

    def moving(self, value):
        """Whether it was on its way: running, preempted, woken, or waiting for a sleeping spin lock of PREEMPT_RT. Such
        a task may have left what it works on in the middle of a change."""
        if value.exit_state:
            return False
        on_its_way = value.state == 0 or value.state & flags.TASK_RTLOCK_WAIT
        return bool(self.on_cpu(value) or value.on_rq or on_its_way)

    def blocked(self, value):
        """Whether it is in the state D, waits for a lock of PREEMPT_RT, or does not run though it holds locks."""
        return self.letter(value) == "D" or bool(value.pi_blocked_on or value.lockdep_depth)

    def waited(self, value):
        """Seconds since it last ran; None where it runs or that is not known."""
        if not value.ran or value.on_rq or self.on_cpu(value) or self.now <= value.ran:
            return None
        return round((self.now - value.ran) / 1e9, 3)

    # What its stack holds

    def live_stack(self, value):
        """(lowest address in use, end) of a task's kernel stack; all of it while the task runs."""
        end = value.stack + self.stack_size
        if self.on_cpu(value) or not value.stack <= value.sp < end:
            return value.stack, end
        return value.sp & ~7, end

    def words(self, value):
        """The words on a task's stack, and in its registers while it runs."""
        found = self._stacks.get(value.address)
        if found is None:
            low, end = self.live_stack(value)
            data = self.memory.stack(low, end - low)
            found = list(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) // 8 * 8]))
            found += [word & 0xFFFFFFFFFFFFFFFF for word in self.registers.get(value.address, ())]
            self._stacks[value.address] = found
        return found

    def on_stack_of(self, address):
        """The task in whose live stack an address lies; None if there is none."""
        for value in self.all.values():
            if value.stack <= address < value.stack + self.stack_size:
                return value if address >= self.live_stack(value)[0] else None
        return None


def _stack_size(case):
    """Size of a kernel stack: of the union that describes it, else from where the first one ends, else 16 KiB, doubled
    for KASAN as in arch/x86/include/asm/page_64_types.h."""
    prog = case.prog
    try:
        return drgn.sizeof(prog.type("union thread_union"))
    except LookupError:
        pass
    try:
        return prog.symbol("__end_init_stack").address - prog.symbol("__start_init_stack").address
    except LookupError:
        return 32768 if has_member(prog, "struct task_struct", "kasan_depth") else 16384
