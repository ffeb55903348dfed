"""The lifecycle in Quix Streams 3: one streaming dataframe from requests to pairs, a second one for the sums.

The fewest hops that Quix allows: assignment and both models run in one chain without a topic between them, and the
join reads predictions from that chain instead of from their topic. Sums are kept per variant, which Quix does by the
key of the scored topic. State is RocksDB with changelog topics, at least once.

Settings, each from the documentation of Quix Streams and librdkafka: `commit_interval` 1 s (its default of 5 s would
only add to the end of a short run), bytes deserialized by msgspec instead of JSON dicts, RocksDB's write options left
as shipped, `linger.ms` 20 and `batch.num.messages` 100,000 for throughput, `queue.buffering.max.messages` 1 million,
`acks` all, `fetch.min.bytes` 1 and larger prefetch queues.
"""

import os
from pathlib import Path
from typing import Any

from quixstreams import Application, State
from quixstreams.models import Serializer

from evenhand.codec import decoder, encode
from evenhand.events import (
    ControlChanged,
    OutcomeObserved,
    PredictionMade,
    PredictionRequested,
    PredictionScored,
    Ticked,
)
from evenhand.topics import EVIDENCE, OUTCOMES, PREDICTIONS, REQUESTS, SCORED
from tests.benchmarks import steps
from tests.benchmarks.arms import LoadedArms
from tests.benchmarks.workload import EXPERIMENT, RING

COMMIT_INTERVAL_S = 1.0
PRODUCER: dict[str, Any] = {
    "acks": "all",
    "linger.ms": 20,
    "batch.num.messages": 100_000,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 1_000_000,
    "compression.type": "none",
}
CONSUMER: dict[str, Any] = {"queued.min.messages": 100_000, "fetch.wait.max.ms": 50}

requested = decoder(PredictionRequested, Ticked, ControlChanged)
observed = decoder(OutcomeObserved, Ticked)
to_sum = decoder(PredictionScored, Ticked)
Joinable = PredictionMade | OutcomeObserved | Ticked


class PairBytes(Serializer):  # type: ignore[misc,unused-ignore]
    """A keyed pair is written as its bytes."""

    def __call__(self, value: tuple[bytes, bytes], ctx: object) -> bytes:
        return value[1]


class Pipeline:
    """The steps as Quix calls them."""

    def __init__(self, arms: LoadedArms) -> None:
        self.arms = arms

    def predict(self, value: bytes) -> PredictionMade | Ticked | None:
        """Assign, then both models predict."""
        event = requested.decode(value)
        if isinstance(event, PredictionRequested):
            return steps.predicted(self.arms, [steps.assigned(EXPERIMENT, RING, event)])[0]
        return event if isinstance(event, Ticked) else None

    @staticmethod
    def join(event: Joinable, state: State) -> list[tuple[bytes, bytes]]:
        """Pairs, or ticks for every variant: what goes to the scored topic, with its key."""
        if isinstance(event, Ticked):
            tick = encode(event)
            return [(name.encode(), tick) for name in steps.ARMS]
        known = state.get_bytes(event.request_id or "")
        row, pair = steps.joined(steps.held.decode(known) if known else None, event)
        state.set_bytes(event.request_id or "", encode(row))
        return [] if pair is None else [(pair.variant.encode(), encode(pair))]

    @staticmethod
    def add(value: bytes, state: State) -> bytes | None:
        """Sums of what a variant served; told at each tick."""
        event = to_sum.decode(value)
        known: bytes | None = state.get_bytes("sums")
        if not isinstance(event, PredictionScored):
            return known
        row = steps.evidence.decode(known) if known else steps.Evidence()
        row.add(event)
        state.set_bytes("sums", row.encode())
        return None


def main() -> None:
    """Run until terminated."""
    prefix, home = os.environ["BENCH_PREFIX"], Path(os.environ["BENCH_HOME"])
    app = Application(
        broker_address=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        consumer_group=f"{prefix}quix",
        auto_offset_reset="earliest",
        state_dir=home / "quix",
        commit_interval=COMMIT_INTERVAL_S,
        producer_extra_config=PRODUCER,
        consumer_extra_config=CONSUMER,
        consumer_poll_timeout=0.1,
        loglevel="WARNING",
    )
    pipeline = Pipeline(LoadedArms(Path(os.environ["BENCH_MODELS"])))

    def topic(name: str, value_serializer: Any = "bytes") -> Any:
        return app.topic(
            prefix + name, key_deserializer="bytes", value_deserializer="bytes", key_serializer="bytes",
            value_serializer=value_serializer,
        )  # fmt: skip

    predictions, scored, sums = topic(PREDICTIONS), topic(SCORED, PairBytes()), topic(EVIDENCE)
    made = app.dataframe(topic(REQUESTS)).apply(pipeline.predict).filter(lambda event: event is not None)
    made.filter(lambda event: isinstance(event, PredictionMade)).apply(encode).to_topic(predictions)
    outcomes = app.dataframe(topic(OUTCOMES)).apply(observed.decode)
    pairs = made.concat(outcomes).apply(pipeline.join, stateful=True, expand=True)
    pairs.to_topic(scored, key=lambda pair: pair[0])
    app.dataframe(scored).apply(pipeline.add, stateful=True).filter(lambda row: row is not None).to_topic(sums)
    app.run()


if __name__ == "__main__":
    main()
