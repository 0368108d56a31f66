# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tests of what needs neither drgn nor a dump: `python3 -B -m unittest` in this folder."""

import os
import struct
import tempfile
import unittest

import buckets
import core
import flags
import frames
import graph


class FlagsTest(unittest.TestCase):
    def test_macros_decode_in_order_of_bits_type_last(self):
        table = flags.from_macros("6.12.117")
        value = 1 << 28 | 1 << 19 | 1 << 6 | 2 << 20
        self.assertEqual(table.decode(value), ["REFERENCED", "LRU_LIST", "PAR_LOOKUP", "DIRECTORY_TYPE"])
        self.assertEqual(table.decode(0), ["MISS_TYPE"])

    def test_a_bit_without_a_name_is_told_by_number(self):
        self.assertEqual(flags.from_macros("6.12.0").decode(1 << 24), ["BIT_24", "MISS_TYPE"])
        self.assertEqual(flags.from_macros("6.1.170").decode(1 << 24), ["FALLTHRU", "MISS_TYPE"])

    def test_an_enum_wins_over_the_table(self):
        table = flags.from_enum(
            [("DCACHE_ENTRY_TYPE", 7 << 19), ("DCACHE_PAR_LOOKUP", 1 << 24), ("DCACHE_DIRECTORY_TYPE", 2 << 19)]
        )
        self.assertEqual(table.mask("PAR_LOOKUP"), 1 << 24)
        self.assertEqual(table.type_of(2 << 19), "DIRECTORY")
        self.assertEqual(table.decode(1 << 24 | 2 << 19), ["PAR_LOOKUP", "DIRECTORY_TYPE"])

    def test_an_enum_of_another_kind_is_not_taken(self):
        self.assertIsNone(flags.from_enum([("FIRST", 1)]))

    def test_states(self):
        for state, letter in ((0, "R"), (1, "S"), (2, "D"), (0x402, "I"), (0x1000, "D"), (0x20, "Z")):
            self.assertEqual(flags.state_letter(state), letter)


class BucketsTest(unittest.TestCase):
    def test_hash_32_is_the_kernels(self):
        # GOLDEN_RATIO_32 itself is the product for 1; its top ten bits are 0x187.
        self.assertEqual(buckets.hash_32(1, 10), 0x61C88647 >> 22)
        self.assertEqual(buckets.hash_32(0, 10), 0)

    def test_the_sum_of_an_in_lookup_bucket_wraps_at_32_bits(self):
        parent = 0xFFFF888003A1C0C0
        whole = buckets.in_lookup_bucket(parent, 0xFFFFFFFF)
        self.assertEqual(whole, buckets.hash_32((0xFFFFFFFF + parent // 64) & 0xFFFFFFFF, 10))
        self.assertTrue(0 <= whole < 1024)

    def test_only_the_low_half_of_hash_len_chooses_the_bucket(self):
        self.assertEqual(buckets.dentry_bucket(5 << 32 | 0x80000000, 15), 0x80000000 >> 15)

    def test_poison_is_no_pointer(self):
        self.assertFalse(buckets.is_kernel_pointer(0x6B6B6B6B6B6B6B6B))
        self.assertFalse(buckets.is_kernel_pointer(8))
        self.assertTrue(buckets.is_kernel_pointer(0xFFFF888003A1C0C0))

    def test_walks_end(self):
        follow = {1: 2, 2: 3, 3: 0, 5: 6, 6: 5, 8: None}
        self.assertEqual(buckets.walk(1, follow.get), ([1, 2, 3], None))
        self.assertEqual(buckets.walk(5, follow.get), ([5, 6], "circle"))
        self.assertEqual(buckets.walk(8, follow.get), ([], "wild pointer"))
        self.assertEqual(buckets.walk(1, lambda at: at + 1, limit=4)[1], "endless")


def stack(*named):
    """Frames of `function file` each, with their variables."""
    made = []
    for text, *variables in named:
        function, _, file = text.partition(" ")
        frame = frames.Frame(function, file or None, 1, False)
        frame.variables = [frames.Variable(*variable) for variable in variables]
        made.append(frame)
    return made


SLEEP = [("context_switch kernel/sched/core.c",), ("schedule kernel/sched/core.c",)]
ADDRESS = 0xFFFF888003C99680


class FramesTest(unittest.TestCase):
    def test_files_are_relative_to_the_tree_however_the_build_named_them(self):
        for path in (
            "../src/fs/dcache.c",
            "/usr/src/linux-6.12/fs/dcache.c",
            "/home/me/linux/fs/dcache.c",
            "fs/dcache.c",
        ):
            self.assertEqual(frames.relative(path), "fs/dcache.c")
        self.assertEqual(frames.relative("./include/linux/fs.h"), "include/linux/fs.h")
        self.assertIsNone(frames.relative(""))

    def test_the_frame_that_sleeps_is_the_first_that_is_no_helper(self):
        found = stack(*SLEEP, ("d_wait_lookup fs/dcache.c",), ("d_alloc_parallel fs/dcache.c",))
        self.assertEqual(found[frames.sleeping_frame(found)].function, "d_wait_lookup")
        self.assertEqual(frames.locking_frames(found), [])

    def test_a_lock_is_waited_for_in_locking_functions_up_to_their_caller(self):
        found = stack(
            *SLEEP,
            ("rtlock_slowlock kernel/locking/rtmutex.c",),
            ("rt_spin_lock kernel/locking/spinlock_rt.c", ("lock", "spinlock", ADDRESS)),
            ("spin_lock include/linux/spinlock_rt.h",),
            ("dput fs/dcache.c",),
        )
        within = frames.locking_frames(found)
        self.assertEqual([frame.function for frame in within][-1], "spin_lock")
        self.assertEqual(within[3].find("spinlock"), ADDRESS)

    def test_waits_for_an_rpc_and_for_an_unlink(self):
        rpc = stack(
            *SLEEP,
            ("rpc_wait_bit_killable net/sunrpc/sched.c",),
            ("__rpc_execute net/sunrpc/sched.c", ("task", "rpc_task", ADDRESS)),
        )
        self.assertEqual(frames.rpc_task(rpc), ADDRESS)
        self.assertIsNone(frames.blocked_dentry(rpc))
        unlink = stack(*SLEEP, ("__nfs_lookup_revalidate fs/nfs/dir.c", ("dentry", "dentry", ADDRESS)))
        self.assertEqual(frames.blocked_dentry(unlink), ADDRESS)
        self.assertIsNone(frames.rpc_task(unlink))

    def test_an_error_is_not_a_dentry(self):
        unlink = stack(*SLEEP, ("__nfs_lookup_revalidate fs/nfs/dir.c", ("dentry", "dentry", (1 << 64) - 17)))
        self.assertIsNone(frames.blocked_dentry(unlink))


class GraphTest(unittest.TestCase):
    def test_no_circle(self):
        self.assertEqual(graph.circles({1: [2], 2: [3], 4: [3]}), [])

    def test_circles_once_each_from_the_smallest(self):
        edges = {3: [1], 1: [2], 2: [3], 9: [8], 8: [9], 5: [1]}
        self.assertEqual(graph.circles(edges), [[1, 2, 3], [8, 9]])

    def test_one_that_waits_for_itself(self):
        self.assertEqual(graph.circles({7: [7]}), [[7]])

    def test_the_shortest_of_a_knot(self):
        self.assertEqual(graph.circles({1: [2, 3], 2: [3], 3: [1]}), [[1, 3]])

    def test_a_long_chain_is_no_recursion(self):
        edges = {number: [number + 1] for number in range(50_000)}
        edges[50_000] = [0]
        self.assertEqual(len(graph.circles(edges)[0]), 50_001)


def elf(programs, body, machine=62):
    """A small ELF file: program headers (type, offset from the body, physical, size), then the body."""
    head = 64 + 56 * len(programs)
    data = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 4, machine, 1, 0, 64, 0, 0, 64, 56, len(programs), 64, 0, 0
    )
    for kind, offset, physical, size in programs:
        data += struct.pack("<IIQQQQQQ", kind, 0, head + offset, 0, physical, size, size, 0)
    return data + body


def note(name, kind, content):
    pad = lambda part: part + b"\0" * (-len(part) % 4)  # noqa: E731
    return struct.pack("<III", len(name) + 1, len(content), kind) + pad(name + b"\0") + pad(content)


class CoreTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def file(self, data):
        path = os.path.join(self.folder.name, "core")
        with open(path, "wb") as out:
            out.write(data)
        return path

    def dump(self, cut=0):
        info = note(b"VMCOREINFO", 0, b"OSRELEASE=6.12.117\nBUILD-ID=00FF\nSYMBOL(x)=1\n")
        body = info + bytes(range(256))
        programs = [(core.PT_NOTE, 0, 0, len(info)), (core.PT_LOAD, len(info), 0x1000, 256)]
        data = elf(programs, body)
        return core.Core(self.file(data[: len(data) - cut]))

    def test_notes_and_memory(self):
        dump = self.dump()
        self.assertEqual(dump.info["OSRELEASE"], "6.12.117")
        self.assertEqual(dump.build_id, "00ff")
        self.assertEqual(dump.physical(0x1010, 4), b"\x10\x11\x12\x13")
        self.assertEqual(dump.missing, 0)
        with self.assertRaises(core.Absent):
            dump.physical(0x10FE, 4)

    def test_a_dump_cut_short_gives_what_is_there(self):
        dump = self.dump(cut=100)
        self.assertEqual(dump.missing, 100)
        self.assertEqual(dump.physical(0x1000, 2), b"\0\1")
        with self.assertRaises(core.Absent):
            dump.physical(0x10F0, 2)

    def test_what_is_no_dump_is_refused_with_what_to_do(self):
        for data, words in ((b"", "empty"), (b"\x28\xb5\x2f\xfd....", "zstd -d"), (b"KDUMP   " * 20, "not an ELF")):
            with self.assertRaisesRegex(core.Refused, words):
                core.Core(self.file(data))
        with self.assertRaisesRegex(core.Refused, "machine 183"):
            core.Core(self.file(elf([], b"", machine=183)))

    def test_build_ids(self):
        content = note(b"GNU", core.NT_GNU_BUILD_ID, b"\xab\xcd")
        self.assertEqual(core.build_id(self.file(elf([(core.PT_NOTE, 0, 0, len(content))], content))), "abcd")
        self.assertTrue(core.same_build("", "abcd"))
        self.assertFalse(core.same_build("abce", "abcd"))

    def test_notes_that_are_cut_off_end(self):
        self.assertEqual(list(core.notes(note(b"GNU", 3, b"abcd")[:-2])), [])


if __name__ == "__main__":
    unittest.main()
