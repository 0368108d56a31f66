# SPDX-License-Identifier: MIT OR Apache-2.0
"""Dentries that are told of in full, and why."""

from drgn.helpers.linux.fs import for_each_mount, mount_dst

import flags
from buckets import is_kernel_pointer

MOST = 500


class Told:
    """The dentries of an autopsy, in the order in which they came up."""

    def __init__(self, case, dcache, names):
        self.case = case
        self.dcache = dcache
        self.names = names
        self.why = {}
        self.waiters = {}

    def add(self, address, why):
        """Wants a dentry told of."""
        if not is_kernel_pointer(address):
            return
        if address not in self.why and len(self.why) >= MOST:
            self.case.warn(f"more than {MOST} dentries of interest; the rest is left out")
            return
        reasons = self.why.setdefault(address, [])
        if why not in reasons and len(reasons) < 16:
            reasons.append(why)

    def wait(self, address, tid):
        """Notes that a task waits for a dentry."""
        if tid not in self.waiters.setdefault(address, []):
            self.waiters[address].append(tid)

    def json(self):
        """The dentries for autopsy.json."""
        found = []
        for address, reasons in self.why.items():
            told = self.case.attempt(f"dentry {address:#x}", lambda: self._one(address, reasons))
            if told:
                found.append(told)
        return found

    def _one(self, address, reasons):
        value = self.dcache.get(address)
        if value is None:
            self.case.warn(f"dentry {address:#x} ({reasons[0]}) cannot be read")
            return None
        in_lookup = bool(value.flags & self.dcache.in_lookup)
        sb = self.dcache.supers.get(value.sb)
        return {
            "address": f"{address:#x}",
            "name": self.names.text(value),
            "path": self.names.path_of(value),
            "flags_raw": f"{value.flags:#x}",
            "flags": self.case.flags.decode(value.flags),
            "hashed": value.hash_pprev != 0,
            "hash_next": f"{value.hash_next:#x}",
            "hash_pprev": f"{value.hash_pprev:#x}",
            "in_lookup": in_lookup,
            "count": value.count,
            "inode": self._inode(value),
            "wait": f"{value.lru_next:#x}" if in_lookup else None,
            "waiters": self.waiters.get(address, []),
            "parent": f"{value.parent:#x}",
            "superblock": self.names.super(value.sb),
            "mount": sb.mount if sb else None,
            "side": sb.side if sb else None,
            "why": reasons,
        }

    def _inode(self, value):
        inode = self.dcache.inode_of(value.inode) if value.inode else None
        if inode is None:
            return None
        directory = flags.kind_of(inode.mode) == "directory"
        return {
            "address": f"{inode.address:#x}",
            "number": inode.number,
            "kind": flags.kind_of(inode.mode),
            "links": inode.links,
            "count": inode.count,
            "dir_seq": inode.dir_seq if directory else None,
        }


def mounts(case, dcache):
    """Notes where superblocks are mounted, the first place of each."""
    for number, mount in enumerate(for_each_mount(case.prog)):
        case.in_time()
        if number > 10_000:
            return
        sb = dcache.supers.get(mount.mnt.mnt_sb.value_())
        if sb and sb.mount is None:
            sb.mount = mount_dst(mount).decode("utf-8", "backslashreplace")
