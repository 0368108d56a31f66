# SPDX-License-Identifier: MIT OR Apache-2.0
"""The ELF files: the dump's memory and notes, and the build ids of dump and vmlinux. Needs no drgn."""

import mmap
import re
import struct

PT_LOAD = 1
PT_NOTE = 4
NT_GNU_BUILD_ID = 3
EM_X86_64 = 62

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NOTE = struct.Struct("<III")


class Refused(Exception):
    """The file is not what it must be; the words say what to try."""


class Absent(Exception):
    """Memory that the dump does not hold."""


class Elf:
    """A little-endian 64-bit ELF file, mapped. Raises OSError and Refused."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            try:
                self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise Refused(f"{path} is empty; was the disk full when it was written?") from None
        self.size = len(self.data)
        self._check()

    def _check(self):
        head = self.data[: _HEADER.size]
        if head[:4] == b"\x28\xb5\x2f\xfd":
            raise Refused(f"{self.path} is compressed; unpack it with zstd -d first")
        if len(head) < _HEADER.size or head[:4] != b"\x7fELF":
            raise Refused(f"{self.path} is not an ELF file; a dump must be one that QEMU wrote as ELF")
        if head[4] != 2 or head[5] != 1:
            raise Refused(f"{self.path} is not a little-endian 64-bit ELF file")
        self.header = _HEADER.unpack(head)
        self.machine = self.header[2]

    def programs(self):
        """Yields (type, offset, virtual, physical, size in the file) of each program header."""
        offset, size, count = self.header[5], self.header[9], self.header[10]
        if count == 0xFFFF:  # More than fit: the number is in the first section header.
            count = self._section(0)[7]
        for number in range(count):
            at = offset + number * size
            if at + _PROGRAM.size > self.size:
                return
            kind, _, file_at, virtual, physical, in_file, _, _ = _PROGRAM.unpack_from(self.data, at)
            yield kind, file_at, virtual, physical, in_file

    def _section(self, number):
        return _SECTION.unpack_from(self.data, self.header[6] + number * self.header[11])

    def notes(self):
        """Yields (name, type, content) of each note in the program headers."""
        for kind, offset, _, _, size in self.programs():
            if kind == PT_NOTE:
                yield from notes(self.data[offset : min(offset + size, self.size)])


def notes(data):
    """Yields (name, type, content) of the notes in `data`; ends where one is cut off."""
    at = 0
    while at + _NOTE.size <= len(data):
        name_size, size, kind = _NOTE.unpack_from(data, at)
        at += _NOTE.size
        name = data[at : at + name_size].rstrip(b"\0")
        at += (name_size + 3) & ~3
        if at + size > len(data):
            return
        yield name.decode("ascii", "replace"), kind, data[at : at + size]
        at += (size + 3) & ~3


def vmcoreinfo(text):
    """The lines of a VMCOREINFO note, by their left sides."""
    found = {}
    for line in text.decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip()] = value.strip("\0 ")
    return found


class Core(Elf):
    """A dump of a guest: its vmcoreinfo, and its physical memory by address."""

    def __init__(self, path):
        super().__init__(path)
        if self.machine != EM_X86_64:
            raise Refused(f"{path} is of machine {self.machine}; only dumps of x86-64 can be read")
        self.info = {}
        for name, _, content in self.notes():
            if name == "VMCOREINFO":
                self.info = vmcoreinfo(content)
        self.segments = sorted(
            (physical, offset, size) for kind, offset, _, physical, size in self.programs() if kind == PT_LOAD and size
        )
        self.missing = sum(min(size, max(0, offset + size - self.size)) for _, offset, size in self.segments)

    @property
    def build_id(self):
        """GNU build id of the dumped kernel, or nothing."""
        return self.info.get("BUILD-ID", "").lower()

    def physical(self, address, size):
        """Reads physical memory; raises Absent where the dump has not all of it."""
        for start, offset, length in self.segments:
            if start <= address and address + size <= start + length:
                at = offset + address - start
                if at + size <= self.size:
                    return self.data[at : at + size]
        raise Absent(f"physical {address:#x}")


def build_id(path):
    """GNU build id of an ELF file, from its notes; empty if it has none. Raises OSError and Refused."""
    elf = Elf(path)
    for name, kind, content in elf.notes():
        if name == "GNU" and kind == NT_GNU_BUILD_ID:
            return content.hex()
    return ""


def same_build(dump, vmlinux):
    """Whether two build ids may be of one kernel; an unknown one may."""
    hexadecimal = re.compile(r"[0-9a-f]+$")
    if not hexadecimal.match(dump or "") or not hexadecimal.match(vmlinux or ""):
        return True
    return dump == vmlinux
