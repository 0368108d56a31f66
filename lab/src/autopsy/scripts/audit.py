# SPDX-License-Identifier: MIT OR Apache-2.0
"""The audit of the dentry cache: from the dump to the world that the rules judge, and what they found."""

import time

import drgn

from buckets import is_kernel_pointer
from layout import Record
from rules import judge
from world import Findings, World

# Functions that change which events a directory's children have to report.
MARKING = ("fsnotify_recalc_mask", "fsnotify_set_children_dentry_flags", "fsnotify_add_mark_locked")


def build_world(case, dcache, tasks, names):
    """The world of a dump: which dentries and inodes the stacks of tasks point at."""
    world = World(dcache, case.flags)
    world.path = names.path_of
    world.name_count = case.attempt("references of names", lambda: _name_counter(case), world.name_count)
    world.known_tasks = set(tasks.all) | set(tasks.current.values())
    case.attempt("what stacks point at", lambda: _stacks(world, dcache, tasks, names))
    world.nfs_used = case.attempt("use of the NFS client", lambda: _nfs_used(case), True)
    return world


def _stacks(world, dcache, tasks, names):
    """Fills in who points at what. Tasks on their way come first: they decide which rules are judged."""
    snap = dcache.slabs.snap if dcache.slabs else (lambda word: word if word in dcache.dentries else None)
    inodes = dcache.inodes
    marking = [names.code_of(name) for name in MARKING]
    order = sorted(tasks.all.values(), key=lambda value: not tasks.moving(value))
    for value in order:
        if not tasks.moving(value):
            world.stacks_read = True
        dcache.case.in_time()
        moving, on_cpu = tasks.moving(value), tasks.on_cpu(value)
        words = set(tasks.words(value))
        pointed = {snap(word) for word in words} - {None}
        for address in pointed:
            world.holders.setdefault(address, []).append(value.pid)
        world.all_inodes.update(words & inodes.keys())
        if any(word in code for code in marking for word in words):
            world.marking.update(words & inodes.keys())
        if moving:
            world.touched |= pointed
            world.movers += bool(pointed)
        if on_cpu:
            world.running_words |= words
    world.stacks_read = True


def _name_counter(case):
    record = Record(case.prog, "struct external_name", {"count": "u.count.counter"})
    at = case.prog.type("struct external_name").member("name").offset

    def count(pointer):
        value = case.memory.try_record(record, pointer - at) if is_kernel_pointer(pointer) else None
        return value.count if value else None

    return count


def _nfs_used(case):
    """Whether the NFS client made a call since the boot."""
    prog = case.prog
    try:
        number = prog["nfs_net_id"].value_()
    except LookupError:
        return False
    own = drgn.cast("struct nfs_net *", prog["init_net"].gen.ptr[number])
    if hasattr(own, "rpcstats"):
        return own.rpcstats.rpccnt.value_() > 0
    return prog["nfs_rpcstat"].rpccnt.value_() > 0


def examine(case, world, started):
    """The audit for autopsy.json."""
    if world.stacks_read:
        found = judge(world)
    else:
        # Without them what a task was changing would be blamed.
        case.warn("the dentry cache is not judged: the stacks of running tasks could not be read")
        found = Findings()
    dcache, flags = world.dcache, world.flags
    counted = {
        "dentries": len(world.alive),
        "dead": len(dcache.dentries) - len(world.alive),
        "hashed": sum(len(chain.members) for chain in dcache.hash),
        "in-lookup": sum(len(chain.members) for chain in dcache.lookup),
        "negative": sum(value.flags & flags.type_mask == 0 for value in world.alive),
        "inodes": len(dcache.inodes),
        "superblocks": len(dcache.supers),
        "waiters": len(world.waiters),
        "not-judged": len(world.touched & dcache.dentries.keys()),
    }
    return {
        "counted": counted,
        "violations": found.json(),
        "seconds": round(time.monotonic() - started, 3),
    }
