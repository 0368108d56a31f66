# SPDX-License-Identifier: MIT OR Apache-2.0
"""The rules of the dentry cache, judged on plain values. Needs no drgn.

A guest may be stopped at any moment, so a rule that a task breaks while it changes something is not judged for a
dentry that a moving task has on its stack or in its registers (`world.touched`).
"""

from buckets import dentry_bucket, in_lookup_bucket
from world import DEAD, Findings

NFS_BLOCKED = 1  # NFS_FSDATA_BLOCKED of include/linux/nfs_fs.h.
# Filesystems whose i_nlink is the truth, not a server's or a lower layer's.
LOCAL = {"ext2", "ext3", "ext4", "xfs", "tmpfs", "ramfs", "f2fs"}
# Those of them that keep their names in the dentry cache alone.
PINNED = {"tmpfs", "ramfs"}
# include/linux/fsnotify_backend.h: FS_EVENT_ON_CHILD, and FS_EVENTS_POSS_ON_CHILD without what later kernels added.
EVENT_ON_CHILD = 0x08000000
POSSIBLE_ON_CHILD = 0x0007103F
S_IFMT, S_IFDIR = 0o170000, 0o040000


def judge(world):
    """All rules on a world; returns Findings."""
    found = Findings()
    for rule in RULES:
        rule(world, found)
    return found


# Tables


def in_lookup_table(world, found):
    """Every entry is in lookup, alive, has a parent, is in its bucket, and somebody looks it up."""
    dcache, par = world.dcache, world.flags.mask("PAR_LOOKUP")
    for chain in dcache.lookup:
        if chain.locked:
            continue
        if chain.fault:
            found.add("in-lookup chain is broken", f"bucket {chain.bucket}: {chain.fault}", chain.members[:4])
        for address in chain.members:
            value = dcache.get(address)
            if dcache.is_free(address) or value is None:
                found.add("freed dentry in the in-lookup table", f"{address:#x} in bucket {chain.bucket}", [address])
            elif not value.flags & par:
                found.add("dentry in the in-lookup table that is not in lookup", world.say(value), [address])
            else:
                _in_lookup_entry(world, found, chain.bucket, value)


def _in_lookup_entry(world, found, bucket, value):
    one = [value.address]
    if value.parent in (0, value.address):
        found.add("in-lookup dentry without a parent", world.say(value), one)
    elif bucket != in_lookup_bucket(value.parent, value.hash_len & 0xFFFFFFFF, world.dcache.lookup_bits):
        found.add("in-lookup dentry in the wrong bucket", world.say(value), one)
    if value.count == DEAD and world.quiet(value):
        found.add("dead dentry in the in-lookup table", world.say(value), one)
    if value.hash_pprev:
        found.add("in-lookup dentry that is hashed", world.say(value), one)
    if value.address in world.wait_gone:
        detail = f"{world.say(value)}: {world.wait_gone[value.address]}"
        found.add("in-lookup dentry that nobody looks up", detail, one)


def hash_table(world, found):
    """Every chain ends, its entries are alive, in their bucket, and point back."""
    dcache = world.dcache
    if dcache.hash_shift is None:
        return
    for chain in dcache.hash:
        if chain.fault and not chain.locked:
            found.add("hash chain is broken", f"bucket {chain.bucket}: {chain.fault}", chain.members[-2:])
        before = dcache.hash_base + 8 * chain.bucket
        for address in chain.members:
            value = dcache.dentries.get(address)
            if value is None or (dcache.slabs and dcache.is_free(address)):
                if not chain.locked:
                    found.add("freed dentry in the hash table", f"{address:#x} in bucket {chain.bucket}", [address])
                break
            _hash_entry(world, found, chain, value, before)
            before = address + dcache.dentry.offset["hash_next"]


def _hash_entry(world, found, chain, value, before):
    if chain.locked or not world.quiet(value):
        return
    if value.count == DEAD:
        found.add("dead dentry in the hash table", f"{world.say(value)}: count {value.count}", [value.address])
    if dentry_bucket(value.hash_len, world.dcache.hash_shift) != chain.bucket:
        found.add("dentry in the wrong hash bucket", f"{world.say(value)} in bucket {chain.bucket}", [value.address])
    if value.hash_pprev != before:
        found.add("d_hash.pprev does not point back", f"{world.say(value)}: {value.hash_pprev:#x}", [value.address])


def hashed_nowhere(world, found):
    """What says that it is hashed is in a chain."""
    dcache = world.dcache
    if not dcache.complete or dcache.hash_shift is None or any(chain.fault for chain in dcache.hash):
        return
    there = {address for chain in dcache.hash for address in chain.members}
    for sb in dcache.supers.values():
        there.update(sb.roots)
    locked = {chain.bucket for chain in dcache.hash if chain.locked}
    for value in world.alive:
        if not value.hash_pprev or value.address in there or not world.quiet(value):
            continue
        if dentry_bucket(value.hash_len, dcache.hash_shift) not in locked:
            found.add("hashed dentry that is in no chain", world.say(value), [value.address])


def twins(world, found):
    """No two hashed dentries of one parent and name."""
    dcache = world.dcache
    compare = world.flags.mask("OP_COMPARE")
    for chain in dcache.hash:
        members = [dcache.dentries[address] for address in chain.members if address in dcache.dentries]
        if len(members) < 2:
            continue
        seen = {}
        for value in members:
            if value.hash_pprev and value.count != DEAD:
                seen.setdefault((value.parent, value.hash_len), []).append(value)
        for same in seen.values():
            if len(same) > 1 and not _told_apart(world, same[0], compare):
                _twins_of(world, found, same)


def _told_apart(world, value, compare):
    """/proc/sys keeps names of several namespaces side by side, which only its d_compare() can tell apart."""
    parent = world.dcache.dentries.get(value.parent)
    sb = world.dcache.supers.get(value.sb)
    return bool(parent and parent.flags & compare and sb and sb.type == "proc")


def _twins_of(world, found, same):
    by_name = {}
    for value in same:
        by_name.setdefault(world.dcache.name(value), []).append(value)
    for twin in by_name.values():
        if len(twin) > 1 and any(world.quiet(value) for value in twin):
            states = ", ".join(f"{v.address:#x} (d_flags {v.flags:#x}, count {v.count})" for v in twin)
            detail = f"«{world.path(twin[0])}»: {states}"
            found.add("two hashed dentries of one parent and name", detail, [v.address for v in twin])


# References and the tree


def references(world, found):
    """Counts that make sense: a parent's covers its children; nothing lives without a reference but on the LRU."""
    flags = world.flags
    killed, kept = flags.mask("DENTRY_KILLED"), flags.mask("LRU_LIST") | flags.mask("GENOCIDE")
    children, disturbed = {}, set()
    for value in world.dcache.dentries.values():
        if value.count < 0 and value.count != DEAD and world.quiet(value):
            found.add("negative reference count", f"{world.say(value)}: {value.count}", [value.address])
    for value in world.alive:
        if value.parent != value.address:
            if not world.quiet(value):
                disturbed.add(value.parent)
            elif not value.flags & killed:
                children[value.parent] = children.get(value.parent, 0) + 1
        if value.count == 0 and not value.flags & kept and world.quiet(value):
            found.add("unreferenced dentry that is not on the LRU", world.say(value), [value.address])
    for address, number in children.items():
        parent = world.dcache.dentries.get(address)
        if parent is None or address in disturbed or not world.quiet(parent) or parent.count == DEAD:
            continue
        if parent.count < number:
            detail = f"{world.say(parent)}: count {parent.count}, {number} children"
            found.add("dentry with more children than references", detail, [address])


def tree(world, found):
    """Parents are alive, of the same filesystem, and no dentry is left of a filesystem that is gone."""
    dcache = world.dcache
    for value in world.alive:
        parent = dcache.dentries.get(value.parent)
        if parent is value or not world.quiet(value):
            pass
        elif parent is None:
            if dcache.complete:
                found.add("dentry whose parent is freed", f"{world.say(value)}: {value.parent:#x}", [value.address])
        elif parent.count == DEAD and world.quiet(parent):
            found.add("living dentry of a dead parent", world.say(value), [value.address, value.parent])
        elif parent.sb != value.sb:
            found.add("dentry and its parent are of two filesystems", world.say(value), [value.address])
        if dcache.supers and value.sb not in dcache.supers and world.quiet(value):
            detail = f"{world.say(value)}: superblock {value.sb:#x}, count {value.count}"
            found.add("dentry of a filesystem that is gone", detail, [value.address])


def siblings(world, found):
    """Lists of children link both ways and hold children of one parent."""
    dcache = world.dcache
    offset = dcache.dentry.offset
    sib, children = offset["sib_next"], offset["children"]
    for value in world.alive:
        if value.parent == value.address or not value.sib_pprev or not world.quiet(value):
            continue
        parent = dcache.dentries.get(value.parent)
        if parent is None or not world.quiet(parent):
            continue
        if value.sib_pprev == value.parent + children:
            linked = parent.children == value.address + sib
        else:
            before = dcache.dentries.get(value.sib_pprev - sib)
            linked = before and before.sib_next == value.address + sib and before.parent == value.parent
            if before and not world.quiet(before):
                continue
        if not linked:
            found.add("list of children is broken", world.say(value), [value.address, value.parent])


# Inodes


def aliases(world, found):
    """A positive dentry is on its inode's list, a negative one on none; an inode has a reference a dentry; a directory
    has one dentry."""
    dcache, flags = world.dcache, world.flags
    offset = dcache.dentry.offset["alias_next"]
    of_inode, disturbed = {}, set()
    for value in world.alive:
        if not world.quiet(value):
            disturbed.add(value.inode)
            continue
        if (value.flags & flags.type_mask == 0) != (value.inode == 0) and flags.type_of(value.flags) != "WHITEOUT":
            detail = f"{world.say(value)}: {flags.type_of(value.flags)}, inode {value.inode:#x}"
            found.add("type of a dentry and its inode disagree", detail, [value.address])
        if value.inode:
            of_inode.setdefault(value.inode, []).append(value)
        elif value.alias_pprev and not value.flags & dcache.in_lookup:
            found.add("negative dentry on the list of an inode", world.say(value), [value.address])
    for address, values in of_inode.items():
        inode = dcache.inodes.get(address)
        if inode is None or address in disturbed:
            continue
        listed = _listed(dcache, inode, offset)
        if listed is None:
            found.add("list of an inode's dentries is broken", world.say(values[0]), [values[0].address])
            continue
        _inode_of(world, found, inode, values, listed)


def _listed(dcache, inode, offset):
    listed, address = set(), inode.aliases
    while address:
        value = dcache.dentries.get(address - offset)
        if value is None or value.address in listed or len(listed) > 1_000_000:
            return None
        listed.add(value.address)
        address = value.alias_next
    return listed


def _inode_of(world, found, inode, values, listed):
    # The NFS client keeps the root of a superblock off the list, so that its inode can have another dentry.
    values = [value for value in values if value.address in listed or value.address not in world.roots]
    for value in values:
        if value.address not in listed:
            found.add("positive dentry that is not on its inode's list", world.say(value), [value.address])
    if values and inode.count < len(values):
        detail = f"{world.say(values[0])}: i_count {inode.count}, {len(values)} dentries"
        found.add("inode with more dentries than references", detail, [v.address for v in values])
    if len(values) > 1 and inode.mode & S_IFMT == S_IFDIR:
        detail = ", ".join(world.say(value) for value in values[:4])
        found.add("directory with more than one dentry", detail, [v.address for v in values])


def links(world, found):
    """An inode has no more hashed dentries than links; and where the dentries are all that a filesystem has of its
    names, not fewer. Whoever changes either has the dentry or the inode on its stack meanwhile."""
    dcache = world.dcache
    of_inode, busy = {}, set()
    for value in world.alive:
        sb = dcache.supers.get(value.sb)
        if value.inode and sb and sb.type in LOCAL and value.parent != value.address:
            of_inode.setdefault(value.inode, []).append(value)
            if value.address in world.holders:
                busy.add(value.inode)
    for address, values in of_inode.items():
        inode = dcache.inodes.get(address)
        if inode is None or address in busy or address in world.all_inodes:
            continue
        hashed = [value for value in values if value.hash_pprev]
        directory = inode.mode & S_IFMT == S_IFDIR
        names = min(inode.links, 1) if directory else inode.links
        detail = f"{world.say(values[0])}: inode {inode.number}, {inode.links} links, {len(hashed)} hashed dentries"
        if len(hashed) > names:
            found.add("more hashed dentries of an inode than it has links", detail, [v.address for v in hashed])
        elif len(hashed) < names and dcache.supers[values[0].sb].type in PINNED:
            found.add("linked inode of tmpfs that has lost its name", detail, [v.address for v in values])


def watched(world, found):
    """A child of a directory whose children are watched knows it, or its events are lost."""
    dcache, flag = world.dcache, world.flags.mask("FSNOTIFY_PARENT_WATCHED")
    watching = {}
    for value in world.alive:
        if not value.inode or value.flags & flag or value.parent == value.address:
            continue
        at = value.parent
        if at not in watching:
            parent = dcache.dentries.get(at)
            inode = dcache.inodes.get(parent.inode) if parent and parent.inode else None
            mask = inode.fsnotify if inode and inode.fsnotify is not None else 0
            busy = inode and inode.address in world.marking
            watching[at] = mask & EVENT_ON_CHILD and mask & POSSIBLE_ON_CHILD and not busy
        if watching[at] and value.address not in world.holders:
            found.add("child of a watched directory without its flag", world.say(value), [value.address])


# Lists and numbers


def lru(world, found):
    """The flag of the LRU says what the list says, and lists link both ways."""
    dcache, flags = world.dcache, world.flags
    offset = dcache.dentry.offset["lru_next"]
    on = flags.mask("LRU_LIST") | flags.mask("SHRINK_LIST")
    for value in world.alive:
        if value.flags & dcache.in_lookup or not world.quiet(value):
            continue
        own = value.address + offset
        if value.flags & on and value.lru_next in (own, 0):
            found.add("dentry with the LRU's flag that is on no list", world.say(value), [value.address])
        elif not value.flags & on and value.lru_next != own:
            found.add("dentry on a list without the LRU's flag", world.say(value), [value.address])
        elif value.flags & on:
            after = dcache.dentries.get(value.lru_next - offset)
            if after and after.lru_prev != own and world.quiet(after) and not after.flags & dcache.in_lookup:
                found.add("LRU list is broken", world.say(value), [value.address, after.address])


def numbers(world, found):
    """Counters equal what is there, but for changes that were under way."""
    dcache, flags = world.dcache, world.flags
    if not dcache.complete:
        return
    lru_flag, shrink = flags.mask("LRU_LIST"), flags.mask("SHRINK_LIST")
    unused = negative = 0
    of_super = {}
    # A dead dentry may still be on a shrink list; but in KASAN's quarantine its flags are no flags.
    for value in world.alive if dcache.quarantined else dcache.dentries.values():
        if value.flags & lru_flag:
            unused += 1
            if not value.flags & shrink:
                of_super[value.sb] = of_super.get(value.sb, 0) + 1
                negative += value.flags & flags.type_mask == 0
    slack = 2 * world.movers
    counts = [("nr_dentry", len(world.alive)), ("nr_dentry_unused", unused)]
    # The NFS client gives negative dentries an inode while they are on the LRU, which nobody counts.
    counts += [] if world.nfs_used else [("nr_dentry_negative", negative)]
    for name, real in counts:
        counted = dcache.counters.get(name)
        if counted is not None and abs(counted - real) > slack:
            found.add(f"{name} is wrong", f"{name} is {counted}, and there are {real}")
    for address, sb in dcache.supers.items():
        real = of_super.get(address, 0)
        if sb.lru_items is not None and abs(sb.lru_items - real) > slack:
            found.add("number of dentries on an LRU is wrong", f"{sb.title}: {sb.lru_items}, and there are {real}")


def sequences(world, found):
    """A sequence is odd only while somebody writes; that of a directory only while its writer runs."""
    for value in world.alive:
        if value.seq & 1 and world.quiet(value):
            found.add("d_seq is odd and nobody writes", f"{world.say(value)}: {value.seq}", [value.address])
    for inode in world.dcache.inodes.values():
        if inode is None or inode.dir_seq is None or inode.mode & S_IFMT != S_IFDIR or not inode.dir_seq & 1:
            continue
        if inode.address not in world.running_words:
            detail = f"directory {inode.number}: i_dir_seq {inode.dir_seq}"
            found.add("i_dir_seq is odd and its writer does not run", detail)


def locks(world, found):
    """Whoever owns a d_lock is there. Under PREEMPT_RT the lock knows its owner; otherwise only a task on a CPU can."""
    for value in world.alive:
        if not value.lock or not world.quiet(value):
            continue
        if not world.dcache.rt:
            found.add("d_lock is held and nobody is at it", f"{world.say(value)}: {value.lock:#x}", [value.address])
        elif value.lock & ~1 and value.lock & ~1 not in world.known_tasks:
            found.add("d_lock is owned by a task that is gone", f"{world.say(value)}: {value.lock:#x}", [value.address])


def names(world, found):
    """Names are as long as they say, and a long one has a reference for each dentry that uses it."""
    dcache = world.dcache
    users = {}
    for value in world.alive:
        if not world.quiet(value):
            continue
        if value.name != value.address + dcache.dentry.offset["iname"]:
            users.setdefault(value.name, []).append(value)
        else:
            length = value.hash_len >> 32
            if length >= len(value.iname) or value.iname[length]:
                found.add("name and its length disagree", f"{world.say(value)}: {length}", [value.address])
    for pointer, values in users.items():
        count = world.name_count(pointer)
        if count is not None and count < len(values):
            detail = f"{world.say(values[0])}: {count} references, {len(values)} dentries"
            found.add("long name with fewer references than dentries", detail, [v.address for v in values])


# Tasks


def waiters(world, found):
    """Who sleeps for a lookup to end, or for an NFS unlink to end, sleeps for one that has not ended."""
    par = world.flags.mask("PAR_LOOKUP")
    for tid, address, kind in world.waiters:
        value = world.dcache.get(address)
        if value is None or world.dcache.is_free(address):
            found.add("waiter for a dentry that is freed", f"task {tid}: {address:#x}", [address], [tid])
        elif not world.quiet(value):
            continue
        elif kind == "lookup" and not value.flags & par:
            detail = f"task {tid} waits for {world.say(value)}, d_flags {value.flags:#x}"
            found.add("waiter for a dentry that is not in lookup", detail, [address], [tid])
        elif kind == "blocked" and value.fsdata != NFS_BLOCKED:
            detail = f"task {tid} waits for {world.say(value)}, d_fsdata {value.fsdata:#x}"
            found.add("waiter for an NFS unlink that is over", detail, [address], [tid])


RULES = [
    waiters,
    in_lookup_table,
    twins,
    hash_table,
    hashed_nowhere,
    references,
    tree,
    siblings,
    aliases,
    links,
    watched,
    lru,
    numbers,
    sequences,
    locks,
    names,
]
