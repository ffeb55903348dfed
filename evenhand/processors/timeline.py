"""From what identifies many entries to their addresses, in order of time: an integer an entry."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

_BITS = 64  # of an address


class Timeline:
    """A multimap from strings to addresses, like `Index`, whose entries of one string are looked up by their times.

    >>> line = Timeline()
    >>> line.add("u", 30, 3), line.add("u", 10, 1), line.add("u", 20, 2)
    (None, None, None)
    >>> list(line.until("u", 20)), list(line.since("u", 20)), list(line.since("v"))
    ([2, 1], [2, 3], [])
    >>> line.remove("u", 20, 2), list(line.since("u"))
    (None, [1, 3])
    """

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[int, int | list[int]] = {}

    def add(self, name: str, time: int, address: int) -> None:
        """Another address of a name."""
        key, place = hash(name), time << _BITS | address
        held = self._places.get(key)
        if held is None:
            self._places[key] = place
        elif isinstance(held, int):
            self._places[key] = sorted((held, place))
        else:
            insort(held, place)

    def until(self, name: str, time: int) -> Iterator[int]:
        """Candidates up to a time, the latest first; rarely one of another name."""
        held = self._of(name)
        for at in range(bisect_left(held, (time + 1) << _BITS) - 1, -1, -1):
            yield held[at] & ((1 << _BITS) - 1)

    def since(self, name: str, time: int = 0) -> Iterator[int]:
        """Candidates from a time on, the earliest first; rarely one of another name."""
        held = self._of(name)
        for at in range(bisect_left(held, time << _BITS), len(held)):
            yield held[at] & ((1 << _BITS) - 1)

    def remove(self, name: str, time: int, address: int) -> None:
        """Forget an address of a name, if it is held."""
        key, place = hash(name), time << _BITS | address
        held = self._places.get(key)
        if held == place:
            del self._places[key]
        elif isinstance(held, list):
            at = bisect_right(held, place) - 1
            if at >= 0 and held[at] == place:
                del held[at]
            if len(held) == 1:
                self._places[key] = held[0]

    def _of(self, name: str) -> list[int]:
        held = self._places.get(hash(name), [])
        return [held] if isinstance(held, int) else held
