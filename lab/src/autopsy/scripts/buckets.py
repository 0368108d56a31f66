# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where the kernel puts things: hash buckets, lists, poison. Needs no drgn."""

GOLDEN_RATIO_32 = 0x61C88647
IN_LOOKUP_SHIFT = 10
L1_CACHE_BYTES = 64
POISON = (0x6B6B6B6B6B6B6B6B, 0xA56B6B6B6B6B6B6B, 0x5A5A5A5A5A5A5A5A, 0xCCCCCCCCCCCCCCCC)
LIST_POISON = (0xDEAD000000000100, 0xDEAD000000000122)


def hash_32(value, bits):
    """hash_32() of include/linux/hash.h."""
    return ((value * GOLDEN_RATIO_32) & 0xFFFFFFFF) >> (32 - bits)


def in_lookup_bucket(parent, name_hash, bits=IN_LOOKUP_SHIFT):
    """Bucket of in_lookup_hashtable, as in_lookup_hash() of fs/dcache.c finds it: the sum is an unsigned int."""
    return hash_32((name_hash + parent // L1_CACHE_BYTES) & 0xFFFFFFFF, bits)


def dentry_bucket(name_hash, shift):
    """Bucket of dentry_hashtable, as d_hash() of fs/dcache.c finds it; `shift` is d_hash_shift."""
    return (name_hash & 0xFFFFFFFF) >> shift


def is_kernel_pointer(value):
    """Whether it can point into the kernel's half of x86-64, with four or five levels of page tables."""
    return value >= 0xFF00000000000000 and value not in POISON and value < 0xFFFFFFFFFFFFF001


def poisoned(value):
    """Whether a word is what freed or never written memory holds."""
    return value in POISON or value in LIST_POISON


class Chain:
    """One walked chain: its members in order, and what was wrong with it."""

    def __init__(self, bucket, locked):
        self.bucket = bucket
        self.locked = locked
        self.members = []
        self.fault = None


def walk(head, next_of, limit=100_000):
    """Walks a chain of addresses from `head`; `next_of(address)` gives the next one, 0 at the end, None if it cannot
    be read. Returns (members, fault); fault is None, `circle`, `wild pointer` or `endless`."""
    members, seen = [], set()
    address = head
    while address:
        if address in seen:
            return members, "circle"
        if len(members) >= limit:
            return members, "endless"
        following = next_of(address)
        if following is None:
            return members, "wild pointer"
        seen.add(address)
        members.append(address)
        address = following
    return members, None
