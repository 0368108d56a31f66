# SPDX-License-Identifier: MIT OR Apache-2.0
"""What each blocked task waits for, and who is to end it."""

import nfs
from buckets import is_kernel_pointer
from frames import LOOKUP, blocked_dentry, locking_frames, rpc_task, sleeping_frame


def lookup_dentry(dcache, tasks, value, frames):
    """The dentry whose lookup a task waits to end: from the frame that waits, else from its stack; 0 if it waits for
    one that cannot be told, None if it does not wait so."""
    index = sleeping_frame(frames)
    if index is None or frames[index].function not in LOOKUP:
        return None
    here = [frame for frame in frames[index:] if frame.function in LOOKUP]
    for frame in here:
        address = frame.find("dentry", "dentry")
        if address and is_kernel_pointer(address):
            return address
    return _from_stack(dcache, tasks, value)


def _from_stack(dcache, tasks, value):
    """d_alloc_parallel() has two dentries of one parent and name: its own, which is in lookup but in no table, and the
    one that it waits for."""
    pointed = {word for word in tasks.words(value) if word in dcache.dentries}
    listed = {address for chain in dcache.lookup for address in chain.members}
    entries = [dcache.dentries[address] for address in pointed]
    for own in entries:
        if own.flags & dcache.in_lookup and own.address not in listed:
            for other in entries:
                if other is not own and (other.parent, other.hash_len) == (own.parent, own.hash_len):
                    return other.address
    return 0


class Waits:
    """Collects the waits of all blocked tasks."""

    def __init__(self, case, parts):
        self.case = case
        self.dcache, self.tasks, self.names = parts["dcache"], parts["tasks"], parts["names"]
        self.locks, self.stacks, self.rpc = parts["locks"], parts["stacks"], parts["rpc"]
        self.lookers = parts["lookers"]
        self.in_lookups = self._in_lookups(parts["waiters"])
        self.known = {}  # address of a lock → its description
        self.servers = case.attempt("threads of the NFS server", self._servers, {})
        self.rpc_owner = {}  # address of an RPC task → tid

    def _servers(self):
        return nfs.servers(self.case, self.tasks, self.stacks)

    def _in_lookups(self, waiters):
        """{directory's inode: tasks in a lookup in it}: they hold its i_rwsem, shared unless they own it."""
        found = {}
        pairs = [(tid, address) for tid, address, kind in waiters if kind == "lookup"]
        for tid, address in pairs + [(tid, address) for address, tid in self.lookers.items()]:
            dentry = self.dcache.get(address)
            parent = self.dcache.get(dentry.parent) if dentry else None
            if parent and parent.inode:
                found.setdefault(parent.inode, []).append(tid)
        return found

    def held_locks(self, listed):
        """Adds the locks that the listed tasks hold, by lockdep."""
        for value in listed:
            for held in self.locks.held.get(value.pid, ()):
                found = self.locks.lock_of(held.instance)
                if found and not self.locks.waits_last(held):
                    self._described(*found)

    def _described(self, address, tag):
        lock = self.known.get(address)
        if lock is None:
            lock = self.known[address] = self.locks.describe(address, tag)
            if lock["shared"] and not self.locks.held:
                inode = address - self.dcache.inode.offset["rwsem"]
                lock["owners"] = sorted(set(self.in_lookups.get(inode, lock["owners"])))
        return lock

    def collect(self):
        """The waits; locks get their waiters on the way."""
        sleeping = [
            (value, self.stacks[value.pid])
            for value in self.tasks.all.values()
            if value.pid in self.stacks and self._asleep(value)
        ]
        self.locks.waiting = {value.pid for value, frames in sleeping if locking_frames(frames)}
        found = []
        for value, frames in sleeping:
            wait = self.case.attempt(f"wait of {self.tasks.title(value)}", lambda: self._of(value, frames))
            if wait:
                found.append(wait)
        return found

    def _asleep(self, value):
        return value.state != 0 and not self.tasks.on_cpu(value)

    def _of(self, value, frames):
        within = locking_frames(frames)
        if within:
            return self._lock(value, frames, within)
        dentry = lookup_dentry(self.dcache, self.tasks, value, frames)
        if dentry is not None:
            return self._lookup(value, dentry)
        blocked = blocked_dentry(frames)
        if blocked is not None:
            what = f"{self._function(frames)}: an unlink or rename of {self.names.dentry(blocked)} is under way"
            return _wait(value, "dentry", f"{blocked:#x}", what, [])
        task = rpc_task(frames)
        if task is not None:
            return self._rpc(value, task, frames)
        function = self._function(frames)
        return _wait(value, "event", function, function, [])

    def _function(self, frames):
        index = sleeping_frame(frames)
        return frames[index].function if index is not None else "schedule"

    def _lock(self, value, frames, within):
        caller = frames[len(within)].function if len(within) < len(frames) else "?"
        found = self.locks.waited(value, within)
        if not found:
            return _wait(value, "lock", "", f"{caller}: a lock that is not known", [])
        address, tag = found
        lock = self._described(address, tag)
        lock["waiters"].append(value.pid)
        owners = [tid for tid in lock["owners"] if tid != value.pid]
        return _wait(value, "lock", f"{address:#x}", f"{caller}: {lock['kind']} {lock['name']}", owners)

    def _lookup(self, value, address):
        if not address:
            return _wait(value, "dentry", "", "d_alloc_parallel: a dentry that is not known", [])
        dentry = self.dcache.get(address)
        state = "cannot be read"
        if dentry:
            state = "is in lookup" if dentry.flags & self.dcache.in_lookup else "is not in lookup"
        looker = self.lookers.get(address)
        by = [looker] if looker and looker != value.pid else []
        return _wait(value, "dentry", f"{address:#x}", f"d_alloc_parallel: {self.names.dentry(address)} {state}", by)

    def _rpc(self, value, address, frames):
        task = self.rpc.get(address)
        if task is None:
            return _wait(value, "rpc", "", f"{self._caller(frames)}: an RPC task that is not known", [])
        self.rpc_owner[address] = value.pid
        told = nfs.rpc_json(task, None)
        server = self.servers.get(nfs.transaction(task))
        what = f"{self._caller(frames)}: answer to {told['procedure']}"
        return _wait(value, "rpc", str(told["id"]), what, [server] if server else [])

    def _caller(self, frames):
        for frame in frames:
            if frame.file and frame.file.startswith("fs/") and not frame.inline:
                return frame.function
        return self._function(frames)


def _wait(value, kind, on, what, by):
    return {"tid": value.pid, "kind": kind, "on": on, "what": what, "by": by}
