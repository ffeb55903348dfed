"""What the entry agents of users' topics share: ticks go on to every partition, events to where their key belongs."""

from collections.abc import Iterable, Iterator

from evenhand.codec import encode
from evenhand.envelope import NEVER, cloud_headers
from evenhand.events import Ticked
from evenhand.processors.base import Output, Row

MAX_AHEAD_MS = 86_400_000  # an event further ahead of the ticks than a day has a wrong clock or unit
CLOCK_ROW = b"clock/"


def tick_row(source: str, time_ms: int) -> Row:
    """A tick, as a row."""
    event = Ticked(id=f"{source}@{time_ms}", time=time_ms, key="_clock", source=source)
    return Row(b"_clock", encode(event), cloud_headers("Ticked", event.id, source, time_ms))


class Clock:
    """The last tick in one partition of each topic that an entry agent reads."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take over rows; others than its own are passed over."""
        for key, value in rows:
            if key.startswith(CLOCK_ROW):
                self.seen[key.removeprefix(CLOCK_ROW).decode()] = int(value)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        """A row for each topic."""
        for topic, time in self.seen.items():
            yield CLOCK_ROW + topic.encode(), b"%d" % time

    def seen_at(self, topic: str) -> int:
        """The last tick in this partition of a topic."""
        return self.seen.get(topic, NEVER)


class Route:
    """Puts the rows of one batch on their partitions, each after the ticks that stood before it.

    Of ticks with nothing between them only the last is kept: the others say nothing more.
    """

    def __init__(self, output: Output, topic: str, partitions: int, source: str, seen_at: int) -> None:
        self.output, self.topic, self.partitions, self.source = output, topic, partitions, source
        self.seen_at = seen_at
        self._told = [seen_at] * partitions

    def tick(self, time_ms: int) -> None:
        """Event time has come further."""
        self.seen_at = max(self.seen_at, time_ms)

    def send(self, partition: int, row: Row) -> None:
        """A row to its partition, behind the ticks that stood before it."""
        if self._told[partition] < self.seen_at:
            self._told[partition] = self.seen_at
            self.output.send(self.topic, partition, tick_row(self.source, self.seen_at))
        self.output.send(self.topic, partition, row)

    def finish(self) -> None:
        """The ticks that nothing has followed yet."""
        for partition in range(self.partitions):
            if self._told[partition] < self.seen_at:
                self._told[partition] = self.seen_at
                self.output.send(self.topic, partition, tick_row(self.source, self.seen_at))
