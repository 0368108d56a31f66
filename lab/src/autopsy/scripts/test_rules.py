# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tests of the rules on a small dentry cache made by hand."""

import unittest
from types import SimpleNamespace

import buckets
import flags
import rules
import world

FLAGS = flags.from_macros("6.12.117")
PAR_LOOKUP, LRU, OP_COMPARE = FLAGS.mask("PAR_LOOKUP"), FLAGS.mask("LRU_LIST"), FLAGS.mask("OP_COMPARE")
DIRECTORY, REGULAR = 2 << 20, 4 << 20
ROOT, FIRST, SB, TABLE, DIR_INODE, INODE = 0x10000, 0x20000, 0x900, 0x1000000, 0x5000, 0x6000
OFFSET = {"hash_next": 8, "sib_next": 160, "children": 176, "alias_next": 184, "lru_next": 144, "iname": 56}


def dentry(address, name=b"n", hash_=7, parent=ROOT, inode=0, count=1, **more):
    value = dict(
        address=address,
        flags=(REGULAR if inode else 0),
        seq=2,
        hash_next=0,
        hash_pprev=0,
        parent=parent,
        hash_len=len(name) << 32 | hash_,
        name=address + OFFSET["iname"],
        inode=inode,
        iname=name + b"\0" * (40 - len(name)),
        sb=SB,
        fsdata=0,
        lock=0,
        count=count,
        lru_next=address + OFFSET["lru_next"],
        lru_prev=address + OFFSET["lru_next"],
        sib_next=0,
        sib_pprev=0,
        children=0,
        alias_next=0,
        alias_pprev=1 if inode else 0,
    )
    value.update(more)
    return SimpleNamespace(**value)


class FakeDcache:
    def __init__(self, *dentries):
        root = dentry(ROOT, b"/", inode=DIR_INODE, count=9, flags=DIRECTORY)
        root.parent = ROOT
        self.dentries = {value.address: value for value in (root,) + dentries}
        self.dentry = SimpleNamespace(offset=OFFSET)
        self.in_lookup = PAR_LOOKUP
        self.inodes = {DIR_INODE: inode(DIR_INODE, 0o040755, ROOT)}
        self.supers = {
            SB: SimpleNamespace(address=SB, type="xfs", title="xfs vdb", root=ROOT, roots=[], lru_items=None)
        }
        self.hash, self.lookup, self.hash_shift, self.hash_base, self.lookup_bits = [], [], 16, TABLE, 10
        self.slabs, self.complete, self.counters, self.rt, self.freed = None, True, {}, True, set()
        self.quarantined = False

    def get(self, address):
        return self.dentries.get(address)

    def is_free(self, address):
        return address in self.freed

    def name(self, value):
        return value.iname[: value.hash_len >> 32]

    def hash_in(self, *dentries, bucket=0):
        chain = buckets.Chain(bucket, False)
        before = TABLE + 8 * bucket
        for value in dentries:
            value.hash_pprev, before = before, value.address + OFFSET["hash_next"]
            chain.members.append(value.address)
        self.hash.append(chain)

    def look_up(self, value, bucket=None):
        value.flags |= PAR_LOOKUP
        right = buckets.in_lookup_bucket(value.parent, value.hash_len & 0xFFFFFFFF)
        chain = buckets.Chain(right if bucket is None else bucket, False)
        chain.members.append(value.address)
        self.lookup.append(chain)


def inode(address, mode, first, **more):
    aliases = first + OFFSET["alias_next"] if first else 0
    value = dict(
        address=address, mode=mode, number=131, links=1, count=1, sb=SB, aliases=aliases, dir_seq=2, fsnotify=0
    )
    value.update(more)
    return SimpleNamespace(**value)


class RulesTest(unittest.TestCase):
    def found(self, dcache, **more):
        made = world.World(dcache, FLAGS)
        for key, value in more.items():
            setattr(made, key, value)
        return rules.judge(made).by_rule

    def test_a_sound_cache_breaks_no_rule(self):
        file, cold = dentry(FIRST, inode=INODE), dentry(FIRST + 0x200, b"m", hash_=9)
        dcache = FakeDcache(file, cold)
        dcache.inodes[INODE] = inode(INODE, 0o100644, FIRST)
        dcache.hash_in(file)
        dcache.look_up(cold)
        self.assertEqual(self.found(dcache), {})

    def test_twins_are_found_by_name_not_by_hash(self):
        one, two, other = dentry(FIRST), dentry(FIRST + 0x200), dentry(FIRST + 0x400, b"x")
        dcache = FakeDcache(one, two, other)
        dcache.hash_in(one, other, two)
        found = self.found(dcache)
        self.assertEqual(list(found), ["two hashed dentries of one parent and name"])
        self.assertEqual(found["two hashed dentries of one parent and name"]["dentries"], [FIRST, FIRST + 0x200])

    def test_names_in_proc_sys_are_told_apart_by_d_compare(self):
        one, two = dentry(FIRST), dentry(FIRST + 0x200)
        dcache = FakeDcache(one, two)
        dcache.hash_in(one, two)
        dcache.dentries[ROOT].flags |= OP_COMPARE
        dcache.supers[SB].type = "proc"
        self.assertEqual(self.found(dcache), {})

    def test_what_a_moving_task_works_on_is_not_judged(self):
        dying = dentry(FIRST, count=world.DEAD)
        dcache = FakeDcache(dying)
        dcache.hash_in(dying)
        self.assertEqual(list(self.found(dcache)), ["dead dentry in the hash table"])
        self.assertEqual(self.found(dcache, touched={FIRST}), {})

    def test_wrong_buckets(self):
        hashed, cold = dentry(FIRST, hash_=1 << 16), dentry(FIRST + 0x200)
        dcache = FakeDcache(hashed, cold)
        dcache.hash_in(hashed, bucket=3)
        dcache.look_up(cold, bucket=1)
        self.assertEqual(
            set(self.found(dcache)), {"dentry in the wrong hash bucket", "in-lookup dentry in the wrong bucket"}
        )

    def test_a_waiter_whose_dentry_left_the_lookup_lost_its_wake_up(self):
        dcache = FakeDcache(dentry(FIRST))
        found = self.found(dcache, waiters=[(71, FIRST, "lookup")])
        self.assertEqual(found["waiter for a dentry that is not in lookup"]["tasks"], [71])
        dcache.look_up(dcache.dentries[FIRST])
        self.assertEqual(self.found(dcache, waiters=[(71, FIRST, "lookup")]), {})

    def test_a_freed_dentry_in_the_in_lookup_table(self):
        dcache = FakeDcache(dentry(FIRST))
        dcache.look_up(dcache.dentries[FIRST])
        dcache.freed.add(FIRST)
        self.assertEqual(list(self.found(dcache)), ["freed dentry in the in-lookup table"])

    def test_counts(self):
        dcache = FakeDcache(dentry(FIRST, count=0), dentry(FIRST + 0x200, count=-1), dentry(FIRST + 0x400))
        dcache.dentries[ROOT].count = 1
        self.assertEqual(
            set(self.found(dcache)),
            {
                "negative reference count",
                "unreferenced dentry that is not on the LRU",
                "dentry with more children than references",
            },
        )

    def test_an_odd_directory_sequence_needs_a_writer_that_runs(self):
        dcache = FakeDcache()
        dcache.inodes[DIR_INODE].dir_seq = 3
        self.assertEqual(list(self.found(dcache)), ["i_dir_seq is odd and its writer does not run"])
        self.assertEqual(self.found(dcache, running_words={DIR_INODE}), {})

    def test_a_ghost_is_hashed_though_its_inode_is_deleted(self):
        ghost = dentry(FIRST, inode=INODE)
        dcache = FakeDcache(ghost)
        dcache.inodes[INODE] = inode(INODE, 0o100644, FIRST, links=0)
        dcache.hash_in(ghost)
        self.assertEqual(list(self.found(dcache)), ["more hashed dentries of an inode than it has links"])
        self.assertEqual(self.found(dcache, holders={FIRST: [71]}), {})

    def test_a_linked_file_of_tmpfs_is_hashed(self):
        dcache = FakeDcache(dentry(FIRST, inode=INODE))
        dcache.inodes[INODE] = inode(INODE, 0o100644, FIRST)
        self.assertEqual(self.found(dcache), {})
        dcache.supers[SB].type = "tmpfs"
        self.assertEqual(list(self.found(dcache)), ["linked inode of tmpfs that has lost its name"])

    def test_a_child_of_a_watched_directory_has_the_flag(self):
        child = dentry(FIRST, inode=INODE)
        dcache = FakeDcache(child)
        dcache.inodes[INODE] = inode(INODE, 0o100644, FIRST)
        dcache.inodes[DIR_INODE].fsnotify = rules.EVENT_ON_CHILD | 0x2
        self.assertEqual(list(self.found(dcache)), ["child of a watched directory without its flag"])
        child.flags |= FLAGS.mask("FSNOTIFY_PARENT_WATCHED")
        self.assertEqual(self.found(dcache), {})

    def test_counters_may_be_off_by_what_is_under_way(self):
        dcache = FakeDcache()
        dcache.counters = {"nr_dentry": 3, "nr_dentry_unused": 0, "nr_dentry_negative": 0}
        self.assertEqual(list(self.found(dcache)), ["nr_dentry is wrong"])
        self.assertEqual(self.found(dcache, movers=1), {})


if __name__ == "__main__":
    unittest.main()
