"""Many small immutable entries in few state rows: a million pending predictions must not be a million rows.

An entry is bytes with one slot a step. Entries of one batch lie in a slab, one row that is never rewritten; what
happened to the slots stands in a second, small row beside it. A slab goes when all of its entries have expired.
In memory an entry costs its bytes, 13 bytes of bookkeeping, and a place in its owner's index.
"""

import heapq
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec

SLAB_BYTES = 60 * 1024
SLOT_BITS = 20
PENDING, MATURED, DEAD = 0, 1, 2


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A new entry: until when it lives, how many slots it has, and its bytes."""

    expiry: int
    slots: int
    data: bytes


class _Slab:
    __slots__ = ("data", "expiry", "flags", "next_expiry", "slot", "start")

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.start, self.slot, self.expiry = array("I", [0]), array("I", [0]), array("q")
        parts, at, slots = [], 0, 0
        for entry in entries:
            parts.append(entry.data)
            at += len(entry.data)
            slots += entry.slots
            self.start.append(at)
            self.slot.append(slots)
            self.expiry.append(entry.expiry)
        self.data = b"".join(parts)
        self.flags = bytearray(slots)
        self.next_expiry = min(self.expiry)

    def entries(self) -> list[Entry]:
        return [
            Entry(self.expiry[i], self.slot[i + 1] - self.slot[i], self.data[self.start[i] : self.start[i + 1]])
            for i in range(len(self.expiry))
        ]


class Slabs:
    r"""The slabs of one kind (`prefix`) in one partition. A slot is addressed by one integer.

    >>> slabs = Slabs(b"p")
    >>> first, second = slabs.add([Entry(100, 1, b"one"), Entry(200, 2, b"two")])
    >>> slabs.data(second), slabs.data(second + 1), slabs.step(second + 1)
    (b'two', b'two', 1)
    >>> slabs.flag(first, MATURED)
    >>> [(data, flags) for _, data, flags in slabs.expire(150)]
    [(b'one', b'\\x01')]
    >>> sorted(slabs.changed_rows())
    [b'p/0000000000000000', b'p/0000000000000000/flags']
    """

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self._slabs: dict[int, _Slab] = {}
        self._next = 0
        self._queue: list[tuple[int, int]] = []  # (next expiry, slab)
        self._new: dict[bytes, bytes | None] = {}
        self._flagged: set[int] = set()

    def _key(self, number: int) -> bytes:
        return b"%s/%016x" % (self.prefix, number)

    def load(self, rows: Iterable[tuple[bytes, bytes]], watermark: int) -> None:
        """Take over rows; others than its own are passed over. What had expired at the watermark was told then."""
        flags: dict[int, bytes] = {}
        for key, value in rows:
            if not key.startswith(self.prefix + b"/"):
                continue
            number = int(key[len(self.prefix) + 1 :][:16], 16)
            if key.endswith(b"/flags"):
                flags[number] = value
            else:
                self._slabs[number] = _Slab(msgspec.msgpack.decode(value, type=list[Entry]))
        for number, slab in self._slabs.items():
            slab.flags[:] = flags.get(number, slab.flags)
            slab.next_expiry = min((time for time in slab.expiry if time >= watermark), default=watermark)
            self._queue.append((slab.next_expiry, number))
            self._next = max(self._next, number + 1)
        heapq.heapify(self._queue)

    def live(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Each entry that has not expired: first address, bytes, flags of its slots."""
        for number, slab in self._slabs.items():
            for i, expiry in enumerate(slab.expiry):
                if expiry >= slab.next_expiry:
                    flags = bytes(slab.flags[slab.slot[i] : slab.slot[i + 1]])
                    yield (number << SLOT_BITS) + slab.slot[i], slab.data[slab.start[i] : slab.start[i + 1]], flags

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows that hold now."""
        for number, slab in self._slabs.items():
            yield self._key(number), msgspec.msgpack.encode(slab.entries())
            yield self._key(number) + b"/flags", bytes(slab.flags)

    def changed_rows(self) -> dict[bytes, bytes | None]:
        """Rows that changed since the last call."""
        rows, self._new = self._new, {}
        for number in self._flagged:
            if number in self._slabs:
                rows[self._key(number) + b"/flags"] = bytes(self._slabs[number].flags)
        self._flagged.clear()
        return rows

    def add(self, entries: Iterable[Entry]) -> list[int]:
        """Keep entries; the address of each one's first slot."""
        addresses: list[int] = []
        part: list[Entry] = []
        size = 0
        for entry in entries:
            if part and size + len(entry.data) > SLAB_BYTES:
                addresses += self._add(part)
                part, size = [], 0
            part.append(entry)
            size += len(entry.data) + 16
        return addresses + (self._add(part) if part else [])

    def _add(self, entries: list[Entry]) -> list[int]:
        number, slab = self._next, _Slab(entries)
        self._next += 1
        self._slabs[number] = slab
        heapq.heappush(self._queue, (slab.next_expiry, number))
        self._new[self._key(number)] = msgspec.msgpack.encode(entries)
        base = number << SLOT_BITS
        return [base + slot for slot in slab.slot[:-1]]

    def _place(self, address: int) -> tuple[_Slab, int, int]:
        slab, slot = self._slabs[address >> SLOT_BITS], address & ((1 << SLOT_BITS) - 1)
        entry = slot if len(slab.flags) == len(slab.expiry) else bisect_right(slab.slot, slot) - 1
        return slab, entry, slot

    def __contains__(self, address: int) -> bool:
        return address >> SLOT_BITS in self._slabs

    def data(self, address: int) -> bytes:
        """The bytes of the entry that has this slot."""
        slab, entry, _ = self._place(address)
        return slab.data[slab.start[entry] : slab.start[entry + 1]]

    def step(self, address: int) -> int:
        """Which of its entry's slots this is, from 0."""
        slab, entry, slot = self._place(address)
        return slot - slab.slot[entry]

    def flags(self, address: int) -> bytes:
        """What happened to all slots of the entry that has this slot."""
        slab, entry, _ = self._place(address)
        return bytes(slab.flags[slab.slot[entry] : slab.slot[entry + 1]])

    def mature(self, address: int) -> bool:
        """Note that a pending slot has matured; whether that was the last of its entry to do so."""
        slab, entry, slot = self._place(address)
        if slab.flags[slot] != PENDING:
            return False
        slab.flags[slot] = MATURED
        self._flagged.add(address >> SLOT_BITS)
        return PENDING not in slab.flags[slab.slot[entry] : slab.slot[entry + 1]]

    def flag(self, address: int, value: int) -> None:
        """Note what happened to a slot."""
        self._slabs[address >> SLOT_BITS].flags[address & ((1 << SLOT_BITS) - 1)] = value
        self._flagged.add(address >> SLOT_BITS)

    def expire(self, watermark: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Each entry whose time the watermark has passed, once: first address, bytes, flags of its slots."""
        while self._queue and self._queue[0][0] < watermark:
            _, number = heapq.heappop(self._queue)
            slab = self._slabs[number]
            since = slab.next_expiry
            for i, expiry in enumerate(slab.expiry):
                if since <= expiry < watermark:
                    flags = bytes(slab.flags[slab.slot[i] : slab.slot[i + 1]])
                    yield (number << SLOT_BITS) + slab.slot[i], slab.data[slab.start[i] : slab.start[i + 1]], flags
            left = [expiry for expiry in slab.expiry if expiry >= watermark]
            if left:
                slab.next_expiry = min(left)
                heapq.heappush(self._queue, (slab.next_expiry, number))
            else:
                del self._slabs[number]
                self._new[self._key(number)] = None
                self._new[self._key(number) + b"/flags"] = None
