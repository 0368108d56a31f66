# SPDX-License-Identifier: MIT OR Apache-2.0
"""What things are called, for people: paths of dentries, inodes, what an address lies in."""

import bisect

import drgn

import flags
from case import FAULTS
from layout import Record, member_at

DEEPEST = 128
_RECORDS = {
    "path": {"dentry": "dentry"},
    "qstr": {"name": "name", "hash_len": "hash_len"},
    "file": {"dentry": ("f_path.dentry", "__f_path.dentry")},
    "filename": {"name": "name"},
    "nameidata": {"dentry": "path.dentry", "name": "last.name"},
}


class Names:
    """Names of what is in a dump."""

    def __init__(self, case, dcache, tasks):
        self.case = case
        self.dcache = dcache
        self.tasks = tasks
        self.sorted = {}
        self.records = {}

    def record(self, name):
        """The record of a structure by which a frame leads to a name; raises LookupError."""
        if name not in self.records:
            self.records[name] = Record(self.case.prog, f"struct {name}", _RECORDS[name])
        return self.records[name]

    def text(self, value):
        """Name of a dentry as text."""
        return self.dcache.name(value).decode("utf-8", "backslashreplace")

    def dentry(self, address):
        """`«n7»` of a dentry."""
        value = self.dcache.get(address)
        return f"«{self.text(value)}»" if value else "«?»"

    def path_of(self, value):
        """Path from the root of its filesystem; what is disconnected begins with `…/`."""
        parts = []
        for _ in range(DEEPEST):
            parent = value.parent
            if parent == value.address:
                top = self.dcache.supers.get(value.sb)
                connected = not top or top.root == value.address or value.address in top.roots
                return ("/" if connected else "…/" if parts else self.text(value)) + "/".join(reversed(parts))
            parts.append(self.text(value))
            value = self.dcache.get(parent)
            if value is None:
                break
        return "…/" + "/".join(reversed(parts))

    def super(self, address):
        """`xfs vdb`."""
        found = self.dcache.supers.get(address)
        return found.title if found else f"superblock {address:#x} (not mounted)"

    def inode(self, address):
        """`/export/d3 (xfs vdb, inode 131)`."""
        value = self.dcache.inode_of(address)
        if value is None:
            return f"inode {address:#x}"
        first = self.dcache.get(value.aliases - self.dcache.dentry.offset["alias_next"]) if value.aliases else None
        path = self.path_of(first) if first else flags.kind_of(value.mode)
        return f"{path} ({self.super(value.sb)}, inode {value.number})"

    def describe(self, variable):
        """What a frame's variable holds."""
        text = f"{variable.address:#x}"
        if variable.address >= (1 << 64) - 4095:
            return f"error {variable.address - (1 << 64)}"
        about = self._about(variable) if variable.address else ""
        return f"{text} {about}" if about else text

    def _about(self, variable):
        try:
            about = _ABOUT.get(variable.kind)
            return about(self, variable.address) if about else ""
        except FAULTS:
            return ""

    def _inode_about(self, address):
        value = self.dcache.inode_of(address)
        return f"({flags.kind_of(value.mode)} {value.number}, {self.super(value.sb)})" if value else ""

    def _qstr_about(self, address):
        value = self.case.memory.record(self.record("qstr"), address)
        return f"«{self.case.memory.text(value.name)[: value.hash_len >> 32]}»"

    def _filename_about(self, address):
        return f"«{self.case.memory.text(self.case.memory.record(self.record('filename'), address).name)}»"

    def _nameidata_about(self, address):
        value = self.case.memory.record(self.record("nameidata"), address)
        return f"at {self.dentry(value.dentry)}, last «{self.case.memory.text(value.name)}»"

    def _task_about(self, address):
        value = self.tasks.all.get(address)
        return self.tasks.title(value) if value else ""

    def code_of(self, function):
        """The addresses of a function's code; none if it is not known."""
        try:
            symbol = self.case.prog.symbol(function)
        except FAULTS:
            return range(0)
        return range(symbol.address, symbol.address + max(symbol.size, 1))

    # What an address lies in

    def place(self, address):
        """(member's type, `member of what`) of an address in a dentry, an inode, a superblock, a stack or a global
        variable; None if it lies in nothing that is known."""
        found = self._in_dentry(address) or self._in_sorted(address)
        return found or self._in_stack(address) or self._in_symbol(address)

    def _in_dentry(self, address):
        slabs = self.dcache.slabs
        start = slabs.snap(address) if slabs else None
        if start is None:
            return None
        value = self.dcache.get(start)
        if value is None:
            return None
        kind, member = member_at(self.case.prog.type("struct dentry"), address - start)
        return kind, f"{member} of {self.path_of(value)} ({self.super(value.sb)})"

    def _in_sorted(self, address):
        for name, known, title in (
            ("struct inode", self.dcache.inodes, self.inode),
            ("struct super_block", self.dcache.supers, self.super),
        ):
            order = self.sorted.get(name)
            if order is None or len(order) != len(known):
                order = self.sorted[name] = sorted(known)
            at = bisect.bisect_right(order, address) - 1
            kind = self.case.prog.type(name)
            if at >= 0 and address - order[at] < drgn.sizeof(kind):
                place, member = member_at(kind, address - order[at])
                return place, f"{member} of {title(order[at])}"
        return None

    def _in_stack(self, address):
        owner = self.tasks.on_stack_of(address)
        return (None, f"on the stack of {self.tasks.title(owner)}") if owner else None

    def _in_symbol(self, address):
        try:
            symbol = self.case.prog.symbol(address)
        except FAULTS:
            return None
        return None, symbol.name


def _dentry_of(record):
    """What to tell of a structure that leads to a dentry."""

    def about(names, address):
        value = names.case.memory.record(names.record(record), address)
        return names.dentry(value.dentry) if names.dcache.get(value.dentry) else ""

    return about


_ABOUT = {
    "dentry": Names.dentry,
    "inode": Names._inode_about,
    "super_block": Names.super,
    "path": _dentry_of("path"),
    "file": _dentry_of("file"),
    "qstr": Names._qstr_about,
    "filename": Names._filename_about,
    "nameidata": Names._nameidata_about,
    "task_struct": Names._task_about,
    "char": lambda names, address: f"«{names.case.memory.text(address)}»",
}
