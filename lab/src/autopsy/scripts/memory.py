# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reading the guest's memory in bulk. The direct map is read from the dump's file; the rest through page tables."""

import struct

import drgn
from drgn.helpers.linux.mm import phys_to_virt

from buckets import is_kernel_pointer
from core import Absent

PAGE = 4096
# Where the direct map ends: include/asm/pgtable_64_types.h gives it 64 TiB, with five levels 32 PiB; a guest of the lab
# has far less.
DIRECT_SPAN = 1 << 46


class Memory:
    """Memory by virtual address."""

    def __init__(self, prog, core):
        self.prog = prog
        self.core = core
        self.base = _direct_map(prog)
        self.pages = {}

    def read(self, address, size):
        """Bytes at a virtual address; raises Absent."""
        physical = address - self.base
        if 0 <= physical < DIRECT_SPAN:
            return self.core.physical(physical, size)
        return self._translated(address, size)

    def _translated(self, address, size):
        # QEMU's segments have no virtual addresses, so drgn would take a low address for a physical one.
        if not is_kernel_pointer(address):
            raise Absent(f"{address:#x}")
        try:
            return self.prog.read(address, size)
        except (drgn.FaultError, ValueError, OverflowError):
            raise Absent(f"{address:#x}") from None

    def word(self, address):
        """The 8 bytes at an address as a number; None if they cannot be read."""
        try:
            return int.from_bytes(self.read(address, 8), "little")
        except Absent:
            return None

    def words(self, address, count):
        """Numbers from an address on; raises Absent."""
        return struct.unpack(f"<{count}Q", self.read(address, 8 * count))

    def text(self, address, size=256):
        """The C string at an address, decoded; empty if it cannot be read."""
        for length in (size, 64, 16):
            try:
                return self.read(address, length).split(b"\0", 1)[0].decode("utf-8", "backslashreplace")
            except Absent:
                continue
        return ""

    def record(self, record, address):
        """A structure at an address; raises Absent."""
        return record.unpack(address, self.read(address, record.span))

    def try_record(self, record, address):
        """A structure at an address; None if it cannot be read."""
        try:
            return self.record(record, address)
        except Absent:
            return None

    def stack(self, address, size):
        """As many bytes of a stack as are there, page by page."""
        parts = []
        while size > 0:
            part = min(size, PAGE - address % PAGE)
            try:
                parts.append(self.read(address, part))
            except Absent:
                parts.append(b"\0" * part)
            address, size = address + part, size - part
        return b"".join(parts)


def _direct_map(prog):
    try:
        return prog["page_offset_base"].value_()
    except (KeyError, LookupError, drgn.FaultError):
        return phys_to_virt(prog, 0).value_()
