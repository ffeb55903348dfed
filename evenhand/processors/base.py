"""What a processor is: the pure part of an agent, one instance for each partition that the agent owns.

It takes records and returns what to send and which rows of its state changed. It knows no Kafka, clock or
randomness, so the same records give the same output wherever they are processed: in a Faust worker, in a replay,
or in memory (`evenhand.offline`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar, NamedTuple, Protocol


class Record(Protocol):
    """A consumed record; `aiokafka.ConsumerRecord` is one."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


Headers = list[tuple[str, bytes]]


class Row(NamedTuple):
    """A record to produce."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class Output:
    """What a batch leads to: rows to send, in order for each (topic, partition), and the state rows that changed."""

    __slots__ = ("rows", "sends")

    def __init__(self) -> None:
        self.sends: dict[tuple[str, int], list[Row]] = {}
        self.rows: dict[bytes, bytes | None] = {}  # None deletes

    def send(self, topic: str, partition: int, row: Row) -> None:
        """Add a row to what goes to a partition of a topic."""
        self.sends.setdefault((topic, partition), []).append(row)


class Processor(ABC):
    """One partition of an agent. `apply` may change the instance; an instance whose batch failed is thrown away."""

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition, self.partitions = partition, partitions

    @abstractmethod
    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over the rows of a changelog, once, before the first batch."""

    @abstractmethod
    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """All rows that hold now."""

    @abstractmethod
    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        """Process records of one of `reads`, in offset order, none of which was applied before."""
