# SPDX-License-Identifier: MIT OR Apache-2.0
"""d_flags and task states by name. Needs no drgn.

Kernels since 6.15 name the bits in `enum dentry_flags`, which the debug information holds. Older ones have macros,
which it does not (without -g3): for them the tables below are used, taken from include/linux/dcache.h.
"""

import re

# include/linux/dcache.h of Linux 6.12; bits did not move since 5.3, only came and went.
MACROS_6_12 = {
    "OP_HASH": 0,
    "OP_COMPARE": 1,
    "OP_REVALIDATE": 2,
    "OP_DELETE": 3,
    "OP_PRUNE": 4,
    "DISCONNECTED": 5,
    "REFERENCED": 6,
    "DONTCACHE": 7,
    "CANT_MOUNT": 8,
    "GENOCIDE": 9,
    "SHRINK_LIST": 10,
    "OP_WEAK_REVALIDATE": 11,
    "NFSFS_RENAMED": 12,
    "FSNOTIFY_PARENT_WATCHED": 14,
    "DENTRY_KILLED": 15,
    "MOUNTED": 16,
    "NEED_AUTOMOUNT": 17,
    "MANAGE_TRANSIT": 18,
    "LRU_LIST": 19,
    "NOKEY_NAME": 25,
    "OP_REAL": 26,
    "PAR_LOOKUP": 28,
    "DENTRY_CURSOR": 29,
    "NORCU": 30,
}
# Names that kernels before 6.12 had on bits that are free in it.
MACROS_OLDER = {"COOKIE": 13, "MAY_FREE": 23, "FALLTHRU": 24}
TYPES_6_12 = ["MISS", "WHITEOUT", "DIRECTORY", "AUTODIR", "REGULAR", "SPECIAL", "SYMLINK"]


class Flags:
    """The bits of d_flags of one kernel."""

    def __init__(self, bits, types, type_shift, type_mask, source):
        self.bits = bits
        self.types = types
        self.type_shift = type_shift
        self.type_mask = type_mask
        self.source = source

    def mask(self, name):
        """The mask of a flag; 0 where this kernel has no such flag."""
        bit = self.bits.get(name)
        return 0 if bit is None else 1 << bit

    def type_of(self, value):
        """Name of the entry type: MISS is a negative dentry."""
        number = (value & self.type_mask) >> self.type_shift
        return self.types.get(number, f"TYPE_{number}")

    def decode(self, value):
        """Names in the order of the bits, the type last; bits without a name as BIT_n."""
        by_bit = {bit: name for name, bit in self.bits.items()}
        rest = value & ~self.type_mask
        names = [by_bit.get(bit, f"BIT_{bit}") for bit in range(32) if rest >> bit & 1]
        return names + [self.type_of(value) + "_TYPE"]


def release_number(release):
    """(6, 12) of `6.12.117-lab`; (0, 0) of what is no release."""
    found = re.match(r"(\d+)\.(\d+)", release or "")
    return (int(found[1]), int(found[2])) if found else (0, 0)


def from_macros(release):
    """The table for a kernel whose debug information has no names."""
    bits = dict(MACROS_6_12)
    if release_number(release) < (6, 12):
        bits.update(MACROS_OLDER)
    source = "include/linux/dcache.h of Linux 6.12"
    return Flags(bits, dict(enumerate(TYPES_6_12)), 20, 7 << 20, source)


def from_enum(pairs):
    """The table from the enumerators (name, value) of `enum dentry_flags`; None if they do not look so.

    A field of several bits (the type) is told by a value of more than one bit whose parts have the names *_TYPE.
    """
    values = {name.replace("DCACHE_", "", 1): value for name, value in pairs}
    type_mask = values.pop("ENTRY_TYPE", None)
    if not type_mask or "PAR_LOOKUP" not in values:
        return None
    shift = (type_mask & -type_mask).bit_length() - 1
    types, bits = {0: "MISS"}, {}
    for name, value in values.items():
        if name.endswith("_TYPE") and value & ~type_mask == 0:
            types[value >> shift] = name[: -len("_TYPE")]
        elif value > 0 and value & (value - 1) == 0:
            bits[name] = value.bit_length() - 1
    return Flags(bits, types, shift, type_mask, "enum dentry_flags")


# include/linux/sched.h; stable since 5.16, when RTLOCK_WAIT came.
_STATES = [(1, "S"), (2, "D"), (4, "T"), (8, "t"), (0x10, "X"), (0x20, "Z"), (0x40, "P")]
TASK_INTERRUPTIBLE = 1
TASK_UNINTERRUPTIBLE = 2
TASK_NOLOAD = 0x400
TASK_RTLOCK_WAIT = 0x1000
EXIT_ZOMBIE = 0x20


def state_letter(state):
    """State letter as in /proc/PID/stat; a task that waits for a sleeping spin lock is `D`."""
    if state & TASK_RTLOCK_WAIT:
        return "D"
    if state & (TASK_UNINTERRUPTIBLE | TASK_NOLOAD) == TASK_UNINTERRUPTIBLE | TASK_NOLOAD:
        return "I"
    for bit, letter in _STATES:
        if state & bit:
            return letter
    return "R"


_KINDS = {
    0o010000: "fifo",
    0o020000: "character device",
    0o040000: "directory",
    0o060000: "block device",
    0o100000: "file",
    0o120000: "symlink",
    0o140000: "socket",
}


def kind_of(mode):
    """What an inode is, by i_mode."""
    return _KINDS.get(mode & 0o170000, f"mode {mode:o}")
