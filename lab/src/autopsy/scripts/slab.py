# SPDX-License-Identifier: MIT OR Apache-2.0
"""Every object of one slab cache, by a search for its address in the memory map.

A dentry that leaked hangs on no list, so the slabs are the only place where all dentries can be found.
"""

from collections import namedtuple

from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu_ptr

from buckets import is_kernel_pointer
from core import Absent
from layout import Record, has_member, has_type
from memory import PAGE

CHUNK_PAGES = 32768

Geometry = namedtuple("Geometry", "address size object_size offset red_left random")


class Slabs:
    """The slabs of a cache: pages → slab, and which objects are free."""

    def __init__(self, case, cache):
        self.case = case
        self.memory = case.memory
        self.geometry = _geometry(cache)
        self.page = Record(case.prog, "struct page", {"flags": "flags"}).size
        self.slab = Record(
            case.prog,
            "struct slab",
            {"cache": "slab_cache", "freelist": "freelist", "counters": "counters", "type": "__page_type"},
        )
        self.page_type = _page_type(case.prog)
        self.bases = []  # (address of the first object, number of objects, freelist)
        self.of_page = {}  # page number of the direct map → index into bases
        self.free = set()
        self._find()
        self._cpu_lists(cache)

    def _find(self):
        pattern = self.geometry.address.to_bytes(8, "little")
        at_cache = self.slab.offset["cache"]
        vmemmap = self._vmemmap()
        for first, last in self._frames():
            for start in range(first, last, CHUNK_PAGES):
                count = min(CHUNK_PAGES, last - start)
                data = self._map_part(vmemmap + start * self.page, count)
                found = data.find(pattern)
                while found >= 0:
                    at = found - at_cache
                    if at >= 0 and at % self.page == 0:
                        self._add(start + at // self.page, data, at)
                    found = data.find(pattern, found + 8)

    def _vmemmap(self):
        base = self.case.constant("vmemmap_base", None)
        if base is None:
            raise LookupError("vmemmap_base is not known")
        return base

    def _frames(self):
        for physical, _, size in self.case.core.segments:
            yield physical // PAGE, (physical + size) // PAGE

    def _map_part(self, address, count):
        try:
            return self.memory.read(address, count * self.page)
        except Absent:
            # A section that is not there, or a page of the map that the dump lacks: what can be read is read.
            return self.memory.stack(address, count * self.page)

    def _add(self, frame, data, at):
        value = self.slab.unpack(0, data, at)
        objects = (value.counters >> 16) & 0x7FFF
        if self.page_type is not None and value.type is not None and value.type >> 24 != self.page_type:
            return
        size = self.geometry.size
        if not 0 < objects <= PAGE:
            return
        start = self.memory.base + frame * PAGE
        index = len(self.bases)
        self.bases.append((start + self.geometry.red_left, objects))
        for page in range((objects * size + PAGE - 1) // PAGE):
            self.of_page[(start >> 12) + page] = index
        self._free_list(value.freelist, objects)

    def _free_list(self, address, limit):
        offset, random = self.geometry.offset, self.geometry.random
        while is_kernel_pointer(address) and limit > 0:
            if address in self.free:
                return
            self.free.add(address)
            at = address + offset
            word = self.memory.word(at)
            if word is None:
                return
            if random:
                word ^= random ^ int.from_bytes(at.to_bytes(8, "little"), "big")
            address, limit = word, limit - 1

    def _cpu_lists(self, cache):
        if not has_member(self.case.prog, "struct kmem_cache", "cpu_slab"):
            return
        for cpu in for_each_possible_cpu(self.case.prog):
            local = per_cpu_ptr(cache.cpu_slab, cpu)
            self._free_list(local.freelist.value_(), 1 << 15)

    def snap(self, value):
        """The object that a pointer points at or into; None if it points into no object of the cache."""
        index = self.of_page.get(value >> 12)
        if index is None:
            return None
        base, objects = self.bases[index]
        number = (value - base) // self.geometry.size
        if not 0 <= number < objects:
            return None
        address = base + number * self.geometry.size
        return address if value - address < self.geometry.object_size else None

    def objects(self):
        """Yields (address, bytes of the whole slab, offset in them) of each object in use."""
        size, free = self.geometry.size, self.free
        for base, objects in self.bases:
            try:
                data = self.memory.read(base, size * (objects - 1) + self.geometry.object_size)
            except Absent:
                self.case.warn("a part of the dentries is not in the dump")
                continue
            for number in range(objects):
                address = base + number * size
                if address not in free:
                    yield address, data, number * size


def _geometry(cache):
    random = cache.random.value_() if has_member(cache.prog_, "struct kmem_cache", "random") else 0
    red = cache.red_left_pad.value_() if has_member(cache.prog_, "struct kmem_cache", "red_left_pad") else 0
    # Only with red zones there is a pad on the left; otherwise it is 0.
    return Geometry(cache.value_(), cache.size.value_(), cache.object_size.value_(), cache.offset.value_(), red, random)


def usable(prog):
    """Whether free objects can be told: with sheaves (6.18) some are in per-CPU arrays that are not read here."""
    return has_type(prog, "struct slab") and not has_member(prog, "struct kmem_cache", "cpu_sheaves")


def _page_type(prog):
    """PGTY_slab, which is in the top byte of the page_type of a slab since 6.12; None for older kernels."""
    try:
        for item in prog.type("enum pagetype").enumerators:
            if item.name == "PGTY_slab":
                return item.value
    except LookupError:
        pass
    return None


def quarantined(prog):
    """Whether freed objects may lie in KASAN's quarantine, overwritten at their beginning and on no free list."""
    return has_member(prog, "struct kmem_cache", "kasan_info")
