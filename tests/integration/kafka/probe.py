"""An application on the transport, small enough to be checked by hand: two entry agents, a join and two readers.

A request `id|value` and an outcome `id|value` of one key meet in `attribution`, in either order, and make one pair.
Run by `faust -A tests.integration.kafka.probe worker`.
"""

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence

from aiokafka.partitioner import murmur2

from adapters.kafka.app import make_app
from adapters.kafka.delivery import Batch
from adapters.kafka.reading import reads
from adapters.kafka.running import run
from adapters.kafka.sending import send_rows
from adapters.kafka.settings import KafkaSettings
from evenhand import topics as t
from evenhand.processors.base import Output, Processor, Record, Row

settings = KafkaSettings.from_environment()
app = make_app(settings, app_id=settings.topic_prefix + "probe")


def partition_of(key: bytes, partitions: int) -> int:
    """Where the Java client puts a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


class Route(Processor):
    """Puts each record where its key, which stands in its value, belongs."""

    to: str

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        assert not dict(rows)

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output = Output()
        for record in records:
            key = (record.value or b"").split(b"|")[0].split(b"-")[0]
            output.send(self.to, partition_of(key, self.partitions), Row(key, record.value, []))
        return output


class RouteRequests(Route):
    name, reads, to = "assignment", (t.REQUESTS,), t.ASSIGNMENTS


class RouteOutcomes(Route):
    name, reads, to = "intake", (t.OUTCOMES,), t.OBSERVATIONS


class Join(Processor):
    """Each id's request and outcome, the first of each, make one pair."""

    name, reads = "attribution", (t.ASSIGNMENTS, t.OBSERVATIONS)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self.sides = {key: dict(part.split(b"=") for part in value.split(b"&")) for key, value in rows}

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        return ((key, self._row(key)) for key in self.sides)

    def _row(self, key: bytes) -> bytes:
        return b"&".join(b"=".join(side) for side in sorted(self.sides[key].items()))

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        output, side = Output(), b"request" if topic == t.ASSIGNMENTS else b"outcome"
        for record in records:
            name, value = (record.value or b"").split(b"|")
            sides = self.sides.setdefault(name, {})
            if side in sides:
                continue  # a repeat
            sides[side] = value
            output.rows[name] = self._row(name)
            if len(sides) == 2:
                output.send(t.SCORED, self.partition, Row(record.key, name + b"|" + self._row(name), []))
        return output


for kind in (RouteRequests, RouteOutcomes, Join):
    run(app, kind, name=kind.name, reads=kind.reads)


async def started() -> None:
    """Says that the worker runs: before this a SIGTERM finds no handler and just ends the process."""
    print("started", flush=True)


app.task(started)


@reads(app, t.SCORED, name="fast")
async def fast(batch: Batch) -> None:
    """Reads and drops."""


@reads(app, t.SCORED, name="slow")
async def slow(batch: Batch) -> None:
    """Takes its time, then forwards: what it forwards must be complete."""
    await asyncio.sleep(float(os.environ.get("PROBE_SLOW_S", "0.05")))
    await send_rows(batch, t.EVIDENCE, batch.partition, [(r.key, r.value, []) for r in batch.records])
