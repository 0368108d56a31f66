# SPDX-License-Identifier: MIT OR Apache-2.0
"""Locks: what they are, who owns them, who holds them by lockdep's lists."""

import drgn

from buckets import is_kernel_pointer
from case import FAULTS
from layout import has_member, has_type, member_at

# Structure → kind in autopsy.json. The first that a locking function's frames hold is the lock that is waited for: the
# ones behind are parts of the ones before.
KINDS = {
    "rw_semaphore": "rwsem",
    "mutex": "mutex",
    "spinlock": "spinlock",
    "rt_mutex": "rt-mutex",
    "semaphore": "semaphore",
    "rwbase_rt": "rwbase",
    "rt_mutex_base": "rt-mutex",
}
# kernel/locking/rwsem.c: flags in the low bits of owner, the writer's bit of count and where readers are counted.
OWNER_FLAGS = 7
WRITER_LOCKED = 1
READER_SHIFT = 8
# include/linux/rwbase_rt.h.
READER_BIAS, WRITER_BIAS = 1 << 31, 1 << 30
MOST_HELD = 48


class Held:
    """A lock in a task's list of held locks."""

    def __init__(self, tid, instance, name, shared, at):
        self.tid = tid
        self.instance = instance
        self.name = name
        self.shared = shared
        self.at = at


class Locks:
    """Locks of a dump."""

    def __init__(self, case, tasks, names):
        self.case = case
        self.prog = case.prog
        self.tasks = tasks
        self.names = names
        self.rt = has_type(case.prog, "struct rwbase_rt") and has_member(case.prog, "struct rw_semaphore", "rwbase")
        self.containers = {}  # (structure, address) that frames told of, for the names of locks in them.
        self.held = {}  # tid → [Held], first taken first
        self.holders = {}  # lockdep_map → [Held]
        case.attempt("held locks", self._lockdep)

    # Lockdep

    def _lockdep(self):
        if not has_member(self.prog, "struct task_struct", "held_locks"):
            return
        if not self.case.constant("debug_locks", 1):
            self.case.warn("lockdep was off at the time of the dump, so its lists of held locks are not used")
            return
        for value in self.tasks.all.values():
            if value.lockdep_depth:
                self.case.in_time()
                self.case.attempt(f"held locks of {self.tasks.title(value)}", lambda: self._held_by(value))

    def _held_by(self, value):
        task = drgn.Object(self.prog, "struct task_struct", address=value.address)
        for number in range(min(value.lockdep_depth, MOST_HELD)):
            entry = task.held_locks[number]
            instance = entry.instance.value_()
            shared = entry.read.value_() != 0
            held = Held(value.pid, instance, self._class(entry), shared, self._function(entry.acquire_ip.value_()))
            self.held.setdefault(value.pid, []).append(held)
            self.holders.setdefault(instance, []).append(held)

    def _class(self, entry):
        try:
            known = self.prog["lock_classes"][entry.class_idx]
            name = known.name.string_().decode("utf-8", "backslashreplace")
            subclass = known.subclass.value_()
            version = known.name_version.value_()
            return name + (f"#{version}" if version > 1 else "") + (f"/{subclass}" if subclass else "")
        except FAULTS:
            return "?"

    def _function(self, address):
        try:
            return self.prog.symbol(address).name
        except FAULTS:
            return None

    # What a frame tells of

    def learn(self, frames):
        """Remembers the structures that frames point at: locks may lie in them."""
        for frame in frames:
            for variable in frame.variables:
                if variable.kind.startswith(("fsnotify", "rpc", "svc", "super", "mount")) and variable.address:
                    self.containers[variable.address] = variable.kind

    def waited(self, value, frames):
        """(address, structure) of the lock that a task waits for, by the frames of the locking functions it is in, by
        lockdep, or by the waiter of an rt_mutex; None if none of them knows."""
        for tag in KINDS:
            for frame in frames:
                address = frame.find(tag)
                if address and is_kernel_pointer(address):
                    return self._whole(address, tag)
        found = self._last_taken(value)
        return found or self._pi_lock(value)

    def _whole(self, address, tag):
        """A part of a lock as the lock it is part of."""
        if tag == "rwbase_rt" and self.rt:
            return address - self.prog.type("struct rw_semaphore").member("rwbase").offset, "rw_semaphore"
        return address, tag

    def _last_taken(self, value):
        """Lockdep notes a lock before it is waited for, so it is the last one of a task that waits."""
        taken = self.held.get(value.pid)
        return self.lock_of(taken[-1].instance) if taken else None

    def _pi_lock(self, value):
        if not value.pi_blocked_on:
            return None
        waiter = drgn.Object(self.prog, "struct rt_mutex_waiter", address=value.pi_blocked_on)
        address = waiter.lock.value_()
        place = self.names.place(address)
        tag = getattr(place[0], "tag", None) if place else None
        if tag == "rw_semaphore":
            address -= self.prog.type("struct rw_semaphore").member("rwbase").offset
            address -= self.prog.type("struct rwbase_rt").member("rtmutex").offset
        return address, tag if tag in KINDS else "rt_mutex_base"

    # A lock

    def describe(self, address, tag):
        """A lock for autopsy.json, without its waiters."""
        lock = drgn.Object(self.prog, f"struct {tag}", address=address)
        dep_map = lock.dep_map.address_of_().value_() if has_member(self.prog, f"struct {tag}", "dep_map") else 0
        try:
            owners, shared = _OWNERS[tag](self, lock)
        except FAULTS as error:
            self.case.warn(f"owner of {tag} {address:#x}: {error}")
            owners, shared = [], False
        return {
            "address": f"{address:#x}",
            "kind": KINDS[tag],
            "name": self._name(address, tag, dep_map),
            "owners": owners,
            "shared": shared,
            "waiters": [],
            "dep_map": dep_map,
        }

    def _name(self, address, tag, dep_map):
        place = self.names.place(address)
        if place and not place[1].startswith("on the stack"):
            return place[1]
        for start, kind in self.containers.items():
            whole = self.prog.type(f"struct {kind}")
            if start <= address < start + drgn.sizeof(whole):
                return f"{member_at(whole, address - start)[1]} of {kind} {start:#x}"
        if dep_map:
            name = drgn.Object(self.prog, "struct lockdep_map", address=dep_map).name.value_()
            if name:
                return self.case.memory.text(name)
        return place[1] if place else f"{KINDS[tag]} {address:#x}"

    def _tids(self, *addresses):
        found = []
        for address in addresses:
            value = self.tasks.all.get(address)
            if value and value.pid not in found:
                found.append(value.pid)
        return found

    def _rwsem(self, sem):
        if self.rt:
            return self._rwbase(sem.rwbase, sem)
        owner = sem.owner.counter.value_() & ~OWNER_FLAGS & 0xFFFFFFFFFFFFFFFF
        count = sem.count.counter.value_() & 0xFFFFFFFFFFFFFFFF
        if count & WRITER_LOCKED:
            return self._tids(owner), False
        if (count & 0x7FFFFFFFFFFFFFFF) >> READER_SHIFT:
            return self._readers(sem) or self._tids(owner), True
        return [], False

    def _rwbase(self, base, sem=None):
        readers = base.readers.counter.value_() & 0xFFFFFFFF
        if readers == WRITER_BIAS:
            return self._tids(base.rtmutex.owner.value_() & ~1), False
        if readers & ~READER_BIAS:
            # A writer that waits for the readers to leave owns the rtmutex, not the semaphore.
            return self._readers(sem) if sem is not None else [], True
        return [], False

    def _readers(self, sem):
        if not has_member(self.prog, "struct rw_semaphore", "dep_map"):
            return []
        held = self.holders.get(sem.dep_map.address_of_().value_(), [])
        return [one.tid for one in held if one.shared and not self.waits_last(one)]

    def held_json(self, value):
        """The locks that a task holds for autopsy.json; the one that it only waits for is left out."""
        return [self._held_one(one) for one in self.held.get(value.pid, ()) if not self.waits_last(one)]

    def _held_one(self, held):
        found = self.lock_of(held.instance)
        place = self.names.place(held.instance)
        return {
            "address": f"{found[0] if found else held.instance:#x}",
            "class": held.name,
            "name": place[1] if place and found else None,
            "shared": held.shared,
            "at": held.at,
        }

    def lock_of(self, instance):
        """(address, structure) of the lock whose lockdep_map lies at an address, where that is in something known."""
        place = self.names.place(instance)
        tag = getattr(place[0], "tag", None) if place else None
        if tag not in KINDS or not has_member(self.prog, f"struct {tag}", "dep_map"):
            return None
        return instance - self.prog.type(f"struct {tag}").member("dep_map").offset, tag

    def waits_last(self, held):
        """Whether a task only waits for the lock at the end of its list."""
        taken = self.held[held.tid]
        return taken[-1] is held and held.tid in self.waiting

    # Tasks that wait for a lock; set before locks are described.
    waiting = frozenset()

    def _mutex(self, mutex):
        if has_member(self.prog, "struct mutex", "rtmutex"):
            return self._tids(mutex.rtmutex.owner.value_() & ~1), False
        return self._tids(mutex.owner.counter.value_() & ~OWNER_FLAGS & 0xFFFFFFFFFFFFFFFF), False

    def _spinlock(self, lock):
        if has_member(self.prog, "struct spinlock", "lock"):
            return self._tids(lock.lock.owner.value_() & ~1), False
        dep_map = lock.dep_map.address_of_().value_() if has_member(self.prog, "struct spinlock", "dep_map") else 0
        return [one.tid for one in self.holders.get(dep_map, ()) if not self.waits_last(one)], False

    def _rt_mutex(self, lock):
        base = lock.rtmutex if hasattr(lock, "rtmutex") else lock
        return self._tids(base.owner.value_() & ~1), False


_OWNERS = {
    "rw_semaphore": Locks._rwsem,
    "mutex": Locks._mutex,
    "spinlock": Locks._spinlock,
    "rt_mutex": Locks._rt_mutex,
    "rt_mutex_base": Locks._rt_mutex,
    "rwbase_rt": lambda self, lock: self._rwbase(lock),
    "semaphore": lambda self, lock: ([], False),
}
