"""The lifecycle in stock faust-streaming: an agent per step, a table row per prediction; not evenhand's transport.

Settings, each from Faust's own documentation: raw bytes in and out (msgspec decodes, Faust's codecs are slower), a
memory store (its fastest), `stream_buffer_maxsize` 131,072 ("may let you process over 30,000 events a second"),
`broker_max_poll_records` and `consumer_max_fetch_size` raised, a linger and 1 MB batches for the producer, acks=all
(Faust's default), a commit a second so that the larger buffer does not build up.

`BENCH_VARIANT` picks how it sends and reads:

- `buffered`: `await topic.send(...)`, as the documentation writes it: waits for the producer's buffer, not for the ack.
- `acked`: waits for the broker's ack of each send before the next event is read: what at-least-once needs, because
  stock Faust commits without waiting for outstanding sends.
- `take`: `buffered`, and inference reads up to 500 requests at a time with `stream.take`, so that the models predict in
  batches. (`take` acknowledges all 500 when one of them fails.)
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import faust

from evenhand.codec import decoder, encode
from evenhand.events import (
    ControlChanged,
    OutcomeObserved,
    PredictionMade,
    PredictionRequested,
    PredictionScored,
    RequestAssigned,
    Ticked,
)
from evenhand.topics import ASSIGNMENTS, EVIDENCE, OUTCOMES, PARTITIONS, PREDICTIONS, REQUESTS, SCORED
from tests.benchmarks import steps
from tests.benchmarks.arms import LoadedArms
from tests.benchmarks.workload import EXPERIMENT, RING

VARIANT = os.environ.get("BENCH_VARIANT", "buffered")
PREFIX = os.environ["BENCH_PREFIX"]
SETTINGS: dict[str, Any] = {
    "store": "memory://",
    "topic_partitions": PARTITIONS,
    "stream_buffer_maxsize": 131_072,
    "broker_max_poll_records": 10_000,
    "consumer_max_fetch_size": 4 << 20,
    "broker_commit_interval": 1.0,
    "producer_acks": -1,
    "producer_linger": 0.0 if VARIANT == "acked" else 0.005,
    "producer_max_batch_size": 1_000_000,
    "producer_max_request_size": 1_000_000,
    "topic_disable_leader": True,
    "stream_wait_empty": False,
}
TAKE = 500

app = faust.App(
    f"{PREFIX}faust",
    broker=f"kafka://{os.environ['KAFKA_BOOTSTRAP_SERVERS']}",
    datadir=str(Path(os.environ["BENCH_HOME"]) / "faust"),
    **SETTINGS,
)
arms = LoadedArms(Path(os.environ["BENCH_MODELS"]))
BYTES: dict[str, Any] = {
    "key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw",
}  # fmt: skip


def topic(*names: str) -> Any:
    """Topics of this run, as bytes."""
    return app.topic(*(PREFIX + name for name in names), schema=faust.Schema(**BYTES), partitions=PARTITIONS)


assignments, predictions, scored, sums = topic(ASSIGNMENTS), topic(PREDICTIONS), topic(SCORED), topic(EVIDENCE)
pending = app.Table("pending", partitions=PARTITIONS, schema=faust.Schema(**BYTES))
evidence = app.Table("evidence", partitions=PARTITIONS, schema=faust.Schema(**BYTES))
requested = decoder(PredictionRequested, Ticked, ControlChanged)
to_predict = decoder(RequestAssigned, Ticked)
to_join = decoder(PredictionMade, OutcomeObserved, Ticked)
to_sum = decoder(PredictionScored, Ticked)
Stream = Any


async def send(to: Any, key: bytes | None, value: bytes, partition: int | None = None) -> None:
    """One event to a topic, in the variant's way."""
    sent = await to.send(key=key, value=value, partition=partition)
    if VARIANT == "acked":
        await sent


@app.agent(topic(REQUESTS), name="assignment")
async def assignment(stream: Stream) -> None:
    """A salted hash of the unit picks the version."""
    async for record in stream.events():
        event = requested.decode(record.value)
        if isinstance(event, PredictionRequested):
            await send(assignments, record.key, encode(steps.assigned(EXPERIMENT, RING, event)))
        elif isinstance(event, Ticked):
            await send(assignments, record.key, record.value, record.message.partition)


async def batches(stream: Stream) -> AsyncIterator[list[Any]]:
    """What inference reads at a time."""
    if VARIANT == "take":
        async for events in stream.take_events(TAKE, within=0.05):
            yield events
    else:
        async for event in stream.events():
            yield [event]


@app.agent(assignments, name="inference")
async def inference(stream: Stream) -> None:
    """Both models predict."""
    async for records in batches(stream):
        events = [to_predict.decode(record.value) for record in records]
        wanted = [event for event in events if isinstance(event, RequestAssigned)]
        made = iter(steps.predicted(arms, wanted) if wanted else [])
        for record, event in zip(records, events, strict=True):
            value = record.value if isinstance(event, Ticked) else encode(next(made))
            await send(predictions, record.key, value, record.message.partition)


@app.agent(topic(PREDICTIONS, OUTCOMES), name="attribution")
async def attribution(stream: Stream) -> None:
    """Joins in either order: a row per prediction."""
    async for record in stream.events():
        event = to_join.decode(record.value)
        if not isinstance(event, PredictionMade | OutcomeObserved):
            await send(scored, record.key, record.value, record.message.partition)
            continue
        row_key = (event.request_id or "").encode()
        known = pending.get(row_key)
        row, pair = steps.joined(steps.held.decode(known) if known else None, event)
        if pair is not None:
            await send(scored, record.key, encode(pair), record.message.partition)
        pending[row_key] = encode(row)


@app.agent(scored, name="evidence")
async def summing(stream: Stream) -> None:
    """Sums of a partition, told at each tick."""
    async for record in stream.events():
        event = to_sum.decode(record.value)
        row_key = b"%d" % record.message.partition
        known = evidence.get(row_key)
        if not isinstance(event, PredictionScored):
            if known:
                await send(sums, row_key, known, record.message.partition)
            continue
        row = steps.evidence.decode(known) if known else steps.Evidence()
        row.add(event)
        evidence[row_key] = row.encode()
