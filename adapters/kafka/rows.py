"""How rows of state are framed.

Every row has its owner's term in the header `g`. A new owner first appends an owner record, then reads up to it: what
a frozen predecessor writes afterwards has a lower term and stands behind a higher one, so that every reader ignores
it. The position row holds the last offset applied of each source topic. A reset row makes readers forget what stands
before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from evenhand.errors import EvenhandError

OURS = b"\x00"  # keys that begin so are ours, and never a processor's
POSITION, OWNER, RESET = b"\x00position", b"\x00owner", b"\x00reset"
TERM = "g"


class StateError(EvenhandError):
    """A state topic cannot be used. The message names the topic, the partition, the offset and what to do."""


class Term(NamedTuple):
    """Who wrote a row; later owners have greater terms.

    The generation is the consumer group's. The epoch grows when the group was deleted, or forgotten after a long time
    without members, and its generations began again.
    """

    epoch: int
    generation: int


def write_term(term: Term) -> list[tuple[str, bytes]]:
    """The headers of a row.

    >>> write_term(Term(0, 12))
    [('g', b'0.12')]
    """
    return [(TERM, b"%d.%d" % term)]


def read_term(headers: Sequence[tuple[str, bytes]]) -> Term:
    """Undo `write_term`. Raises ValueError.

    >>> read_term([("g", b"0.12")])
    Term(epoch=0, generation=12)
    """
    for name, value in headers:
        if name == TERM:
            epoch, _, generation = value.partition(b".")
            return Term(int(epoch), int(generation))
    raise ValueError(f"a row without the header {TERM!r}")


def position_row(position: Mapping[str, int]) -> tuple[bytes, bytes]:
    r"""The row that says what has been applied: the last offset by bare topic name.

    >>> position_row({"outcomes.v1": 41})
    (b'\x00position', b'{"outcomes.v1":41}')
    """
    return POSITION, msgspec.json.encode(dict(sorted(position.items())))


def framed(
    rows: Iterable[tuple[bytes, bytes | None]], term: Term
) -> list[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]:
    """Rows as they are sent."""
    headers = write_term(term)
    return [(key, value, headers) for key, value in rows]


def corrupt(topic: str, partition: int, offset: int, cause: BaseException) -> StateError:
    """The error for a row that cannot be used."""
    return StateError(
        f"{topic}[{partition}]: the row at offset {offset} cannot be used: {type(cause).__name__}: {cause}. The state "
        "can be built again from the agent's input topics: stop all workers, and see adapters/kafka/rebuild.py"
    )
