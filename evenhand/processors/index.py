"""From what identifies an entry to its address, in two machine words an entry."""


class Index:
    """A multimap from strings to addresses, keyed by the strings' hashes.

    Strings that share a hash share a place: who looks one up gets candidates, and compares what they say of
    themselves. So a collision costs a comparison and never an event.

    >>> index = Index()
    >>> index.add("r-1", 5), index.add("r-1", 7), sorted(index.find("r-1")), list(index.find("r-2"))
    (None, None, [5, 7], [])
    >>> index.remove("r-1", 5), list(index.find("r-1"))
    (None, [7])
    """

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[int, int | list[int]] = {}

    def add(self, name: str, address: int) -> None:
        """Another address of a name."""
        key = hash(name)
        held = self._places.get(key)
        if held is None:
            self._places[key] = address
        elif isinstance(held, int):
            self._places[key] = [held, address]
        else:
            held.append(address)

    def __contains__(self, name: str) -> bool:
        """Whether there is any candidate: cheaper than to look for those that there seldom are."""
        return hash(name) in self._places

    def find(self, name: str) -> tuple[int, ...]:
        """Candidates: all addresses of the name, rarely one of another name."""
        held = self._places.get(hash(name))
        if held is None:
            return ()
        return (held,) if isinstance(held, int) else tuple(held)

    def remove(self, name: str, address: int) -> None:
        """Forget an address of a name, if it is held."""
        key = hash(name)
        held = self._places.get(key)
        if held == address:
            del self._places[key]
        elif isinstance(held, list) and address in held:
            held.remove(address)
            if len(held) == 1:
                self._places[key] = held[0]
