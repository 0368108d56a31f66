# SPDX-License-Identifier: MIT OR Apache-2.0
"""The dentry cache as it is in the dump: all dentries, the hash table, the in-lookup table, inodes, superblocks,
counters; as plain values, on which the rules work."""

import struct

from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu

import buckets
import slab
from case import FAULTS
from core import Absent
from layout import Record

DENTRY = {
    "flags": "d_flags",
    "seq": ("d_seq.seqcount.sequence", "d_seq.sequence"),
    "hash_next": "d_hash.next",
    "hash_pprev": "d_hash.pprev",
    "parent": "d_parent",
    "hash_len": ("d_name.hash_len", "__d_name.hash_len"),
    "name": ("d_name.name", "__d_name.name"),
    "inode": "d_inode",
    "iname": ("d_iname", "d_shortname"),
    "op": "d_op",
    "sb": "d_sb",
    "fsdata": "d_fsdata",
    # The owner of a sleeping lock under PREEMPT_RT, the lock word otherwise.
    "lock": ("d_lockref.lock.lock.owner", "d_lockref.lock.rlock.raw_lock.val.counter"),
    "count": "d_lockref.count",
    "lru_next": "d_lru.next",
    "lru_prev": "d_lru.prev",
    "sib_next": ("d_sib.next",),
    "sib_pprev": ("d_sib.pprev",),
    "children": ("d_children.first",),
    "alias_next": ("d_u.d_alias.next", "d_alias.next"),
    "alias_pprev": ("d_u.d_alias.pprev", "d_alias.pprev"),
}
INODE = {
    "mode": "i_mode",
    "number": "i_ino",
    "links": "i_nlink",
    "count": "i_count.counter",
    "sb": "i_sb",
    "aliases": "i_dentry.first",
    "dir_seq": "i_dir_seq",
    "fsnotify": "i_fsnotify_mask",
    # Where the lock is; its value is of no use.
    "rwsem": "i_rwsem",
}
SUPER = {"type": "s_type", "id": "s_id", "root": "s_root", "roots": "s_roots.first", "lru": "s_dentry_lru.node"}


class Super:
    """A superblock."""

    def __init__(self, address, kind, ident, root, roots, lru_items):
        self.address = address
        self.type = kind
        self.id = ident
        self.root = root
        self.roots = roots
        self.lru_items = lru_items
        self.mount = None
        self.side = None

    @property
    def title(self):
        """`xfs vdb`."""
        return f"{self.type} {self.id}".strip()


class Dcache:
    """The dentry cache of a dump."""

    def __init__(self, case):
        self.case = case
        self.memory = case.memory
        prog = case.prog
        self.dentry = Record(prog, "struct dentry", DENTRY)
        self.inode = Record(prog, "struct inode", INODE)
        self.rt = self.dentry.size and _is_rt(prog)
        self.dentries = {}
        self.inodes = {}
        self.supers = {}
        self.slabs = None
        self.hash = []  # Chains of dentry_hashtable that are not empty.
        self.lookup = []  # Chains of in_lookup_hashtable that are not empty.
        self.hash_shift = None
        self.names = {}
        self.counters = {}
        # Every dentry was found, so that a missing one is missing.
        self.complete = False
        self.quarantined = slab.quarantined(prog)
        flag = case.flags
        self.in_lookup = flag.mask("PAR_LOOKUP")

    def load(self):
        """Reads it all, part by part."""
        attempt = self.case.attempt
        attempt("superblocks", self._supers)
        attempt("slabs of dentries", self._slabs)
        attempt("dentry hash table", self._hash_table)
        attempt("in-lookup table", self._lookup_table)
        attempt("dentries that hang on others", self._closure)
        attempt("inodes", self._inodes)
        attempt("counters of dentries", self._counters)

    # Dentries

    def get(self, address):
        """A dentry that lies there, read now if it was not before; None if memory is not there or no dentry."""
        found = self.dentries.get(address)
        if found is None and buckets.is_kernel_pointer(address) and address % 8 == 0:
            found = self.memory.try_record(self.dentry, address)
        return found

    def is_free(self, address):
        """Whether a pointer to a dentry points at freed memory, or at none of the cache's."""
        if self.slabs is None:
            return False
        return self.slabs.snap(address) != address or address in self.slabs.free

    def name(self, value):
        """Name of a dentry, as bytes; what is not there of a long one is `?`."""
        inline = value.address + self.dentry.offset["iname"]
        length = min(value.hash_len >> 32, 1024)
        if value.name == inline:
            return value.iname[:length] if length < len(value.iname) else value.iname.split(b"\0")[0]
        try:
            return self.memory.read(value.name, length)
        except (Absent, OverflowError, ValueError):
            return b"?"

    def _slabs(self):
        if not slab.usable(self.case.prog):
            self.case.warn("dentries are found by their links only: this kernel's slabs are of a kind not known here")
            return
        self.slabs = slab.Slabs(self.case, self.case.prog["dentry_cache"])
        record, dentries = self.dentry, self.dentries
        span, size = record.span, record.struct.size
        for address, data, at in self.slabs.objects():
            if at + span <= len(data):
                dentries[address] = record.unpack(address, data, at)
            else:
                found = self.memory.try_record(record, address)
                if found:
                    dentries[address] = found
        self.complete = bool(dentries) and not self.case.core.missing and size > 0

    def _closure(self):
        """What the tables and trees lead to and was not found yet, where slabs are of no use."""
        if self.complete:
            return
        work = [sb.root for sb in self.supers.values()]
        work += [address for chain in self.hash + self.lookup for address in chain.members]
        sibling = self.dentry.offset["sib_next"]
        seen = set()
        while work:
            address = work.pop()
            if address in seen or not buckets.is_kernel_pointer(address):
                continue
            seen.add(address)
            value = self.dentries.get(address) or self.memory.try_record(self.dentry, address)
            if value is None:
                continue
            self.dentries[address] = value
            work.append(value.parent)
            work += [link - sibling for link in (value.children, value.sib_next) if link]

    # Tables

    def _hash_table(self):
        prog = self.case.prog
        table = prog["dentry_hashtable"].value_()
        self.hash_shift = prog["d_hash_shift"].value_()
        count = 1 << (32 - self.hash_shift)
        heads = struct.unpack(f"<{count}Q", self._table(table, 8 * count))
        offset = self.dentry.offset["hash_next"]
        self.hash = self._chains(heads, offset, lambda value: value.hash_next)
        self.hash_base = table

    def _table(self, address, size):
        try:
            return self.memory.read(address, size)
        except Absent:
            self.case.warn("a part of the dentry hash table is not in the dump")
            return self.memory.stack(address, size)

    def _lookup_table(self):
        table = self.case.prog["in_lookup_hashtable"]
        count = len(table)
        self.lookup_bits = count.bit_length() - 1
        heads = struct.unpack(f"<{count}Q", self._table(table.address_, 8 * count))
        self.lookup_base = table.address_
        offset = self.dentry.offset["alias_next"]
        self.lookup = self._chains(heads, offset, lambda value: value.alias_next)

    def _chains(self, heads, offset, link):
        found = []
        dentries, record = self.dentries, self.dentry

        def following(address):
            value = dentries.get(address)
            if value is None:
                value = self.memory.try_record(record, address) if buckets.is_kernel_pointer(address) else None
                if value is None:
                    return None
            after = link(value)
            return after - offset if after else 0

        for bucket, head in enumerate(heads):
            if head & ~1:
                chain = buckets.Chain(bucket, bool(head & 1))
                chain.members, chain.fault = buckets.walk((head & ~1) - offset, following)
                found.append(chain)
        return found

    # What dentries belong to

    def _supers(self):
        record = Record(self.case.prog, "struct super_block", SUPER)
        heads = self.case.prog["super_blocks"].address_of_()
        for number, sb in enumerate(list_for_each_entry("struct super_block", heads, "s_list")):
            if number > 10_000:
                self.case.warn("the list of superblocks does not end")
                return
            address = sb.value_()
            value = self.memory.try_record(record, address)
            if value is None or address in self.supers:
                self.case.warn("the list of superblocks is broken")
                return
            self.supers[address] = self._super(sb, value)

    def _super(self, sb, value):
        kind = self.memory.text(self.memory.word(value.type) or 0, 32)
        ident = value.id.split(b"\0")[0].decode("utf-8", "backslashreplace")
        roots, address = [], value.roots & ~1
        while address and len(roots) < 10_000:
            root = address - self.dentry.offset["hash_next"]
            roots.append(root)
            following = self.get(root)
            address = following.hash_next if following else 0
        return Super(value.address, kind, ident, value.root, roots, _lru_items(sb))

    def _inodes(self):
        inodes, record = self.inodes, self.inode
        for value in self.dentries.values():
            address = value.inode
            if address and address not in inodes:
                inodes[address] = self.memory.try_record(record, address)

    def inode_of(self, address):
        """An inode; None if it cannot be read."""
        if address not in self.inodes:
            self.inodes[address] = self.memory.try_record(self.inode, address)
        return self.inodes[address]

    def _counters(self):
        prog = self.case.prog
        for name in ("nr_dentry", "nr_dentry_unused", "nr_dentry_negative"):
            total = 0
            for cpu in for_each_possible_cpu(prog):
                total += per_cpu(prog[name], cpu).value_()
            self.counters[name] = total


def _lru_items(sb):
    """Number of items that the superblock's LRU says it has; None where cgroups have lists of their own."""
    try:
        lru = sb.s_dentry_lru
        node = lru.node[0]
        return node.nr_items.value_() if hasattr(node, "nr_items") else node.lru.nr_items.value_()
    except FAULTS:
        return None


def _is_rt(prog):
    try:
        return prog.type("struct spinlock").has_member("lock")
    except (LookupError, TypeError):
        return False
