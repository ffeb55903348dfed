"""A version goes on from what has matured in the log, the same whatever order the log is read in."""

from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from aiokafka.structs import TopicPartition

from evenhand.codec import encode
from evenhand.errors import EvenhandError
from evenhand.events import PredictionRequested, PredictionScored, Ticked
from evenhand.topics import REQUESTS, SCORED
from models.card import Description, Source
from models.ensemble import Ensemble
from models.signature import Signature
from models.store import ModelStore
from trainer.updating import Learner, newest, reproduce, update

HOUR = 3_600_000
START = 1_500_000_000_000 // HOUR * HOUR
SIGNATURE = Signature(features=("a", "b"), target="y", unit="fraction", horizon_s=3600, max_horizon=2)
EXPERTS = {"experts": [{"kind": "ridge", "parameters": {"alpha": 1.0}}, {"kind": "online"}]}


class Record(NamedTuple):
    partition: int
    offset: int
    value: bytes | None


class Log:
    """Partitions in memory, read in one order or the other."""

    def __init__(self, *, backwards: bool = False) -> None:
        self.records: dict[TopicPartition, list[bytes]] = {
            TopicPartition(topic, number): [] for topic in (REQUESTS, SCORED) for number in (0, 1)
        }
        self.backwards, self.begins = backwards, 0

    async def places(self, *topics: str) -> list[TopicPartition]:
        return [place for place in self.records if place.topic in topics]

    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, self.begins)

    async def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: len(self.records[place]) for place in places}

    async def read(
        self, start: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[Record]:
        for place in sorted(start, reverse=self.backwards):
            for offset in range(start[place], len(self.records[place]) if end is None else end[place]):
                yield Record(place.partition, offset, self.records[place][offset])


def tell(log: Log, hours: range, slope: float) -> None:
    """Two series with three requests an hour, which share the outcome of each step, and what is no request."""
    for hour in hours:
        for partition, key in enumerate(("BTC", "ETH")):
            random = np.random.default_rng([hour, partition])
            row, noise = random.normal(size=2), random.normal(size=2)
            values = {"a": float(row[0]), "b": float(row[1])}
            for copy in range(3):
                made = PredictionRequested(
                    id=f"{key}-{hour}-{copy}", time=START + hour * HOUR + copy * 60_000, key=key, model="m",
                    features=values if copy != 1 else list(values.values()), horizon=2,
                )  # fmt: skip
                log.records[TopicPartition(REQUESTS, partition)].append(encode(made))
                for step in (1, 2):
                    outcome = 0.01 * (slope * float(row[0]) * (step == 1) + float(noise[step - 1]))
                    event = PredictionScored(
                        id=f"scored-{made.id}-{step}", time=made.time + step * HOUR, key=key, request_id=made.id,
                        model="m", variant="v", version="1.0.0", cluster=f"{key}@{hour + step}", step=step, value=0.0,
                        outcome=outcome, outcome_id=f"o-{key}-{hour}-{step}", delay_ms=0,
                    )  # fmt: skip
                    log.records[TopicPartition(SCORED, partition)] += [encode(event)] * (1 + (copy == 2))  # repeats
    log.records[TopicPartition(REQUESTS, 0)] += [b"{", encode(Ticked(id="t", time=START, key="clock"))]
    log.records[TopicPartition(SCORED, 0)].append(encode(Ticked(id="t", time=START, key="clock")))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    random = np.random.default_rng(1)
    rows = random.normal(size=(1000, 2))
    targets = 0.01 * (rows[:, :1] * [1.0, 0.0] + random.normal(size=(1000, 2)))
    made = ModelStore(tmp_path / "models")
    made.save("m", "1.0.0", Ensemble(SIGNATURE, EXPERTS).fit(rows, targets), Description(summary="first"))
    return made


async def test_it_learns_once_from_what_requests_share_and_names_the_offsets(store: ModelStore) -> None:
    log = Log()
    tell(log, range(300), slope=-1.0)
    found = await update(log, store, "m", "1.0.0")
    assert (found.version, found.rows, found.outcomes) == ("1.0.1", 600, 1200)
    assert found.sources == (Source(SCORED, 0, 0, 2400), Source(SCORED, 1, 0, 2399))
    before, after = store.load("m", "1.0.0"), store.load("m", "1.0.1")
    assert isinstance(before, Ensemble)
    assert isinstance(after, Ensemble)
    assert after.step_weights(0)[0] < 0.1 < before.step_weights(0)[0]  # ridge is wrong now
    card = store.describe("m", "1.0.1")
    assert card.description.origin.follows == "1.0.0"
    assert card.description.origin.matured_to == START + (299 + 2) * HOUR
    assert card.description.origin.answer == tuple(
        after.forecast(np.array([card.description.origin.example]), 2)[0].tolist()
    )


async def test_what_the_training_has_seen_is_not_learned_twice(store: ModelStore) -> None:
    about = Description(summary="later", trained_to=START + 100 * HOUR)
    store.save("m", "1.1.0", store.load("m", "1.0.0"), about)
    log = Log()
    tell(log, range(120), slope=1.0)
    found = await update(log, store, "m", "1.1.0")
    # Of hour 99, whose first step ends when the training did, only the second one is new.
    assert (found.rows, found.outcomes) == (2 * 21, 2 * (20 * 2 + 1))
    assert (await reproduce(log, store, "m", "1.1.1")).verdict == "identical"


async def test_in_two_goes_and_in_any_order_it_is_the_same_to_the_byte(store: ModelStore, tmp_path: Path) -> None:
    log, whole = Log(), Log(backwards=True)
    tell(log, range(80), slope=1.0)
    await update(log, store, "m", "1.0.0")
    tell(log, range(80, 160), slope=1.0)
    second = await update(log, store, "m", "1.0.1")
    assert (second.version, second.rows) == ("1.0.2", 160)
    tell(whole, range(80), slope=1.0)
    tell(whole, range(80, 160), slope=1.0)
    other = ModelStore(tmp_path / "other")
    other.save("m", "1.0.0", store.load("m", "1.0.0"), store.describe("m", "1.0.0").description)
    await update(whole, other, "m", "1.0.0")
    assert other.load("m", "1.0.1").save() == store.load("m", "1.0.2").save()
    assert other.describe("m", "1.0.1").description.origin.sources == second.sources
    with pytest.raises(EvenhandError, match="no outcomes have matured for m since"):
        await update(log, store, "m", "1.0.2")


async def test_features_of_other_versions_teach_nothing(store: ModelStore) -> None:
    log = Log()
    tell(log, range(5), slope=1.0)
    place = TopicPartition(REQUESTS, 0)
    changed = []
    for raw in log.records[place]:
        event = msgspec.json.decode(raw) if raw != b"{" else {}
        if event.get("type") == "PredictionRequested":
            event["features"] = {"a": 1.0, "other": 2.0}
            raw = msgspec.json.encode(event)  # noqa: PLW2901
        changed.append(raw)
    log.records[place] = changed
    assert (await update(log, store, "m", "1.0.0")).rows == 5  # those of the other series


async def test_it_goes_on_each_time_that_enough_has_matured(store: ModelStore) -> None:
    log, learner = Log(), Learner(store, {"m": 100, "nobody's": 1})
    store.save("m", "1.1.0", store.load("m", "1.0.0"), Description(summary="another"))
    tell(log, range(20), slope=1.0)  # two series of two steps: 80 outcomes
    assert await learner.look(log, {"m": "1.0.0"}) == []
    tell(log, range(20, 25), slope=1.0)  # fewer than 100 records, but 100 outcomes in all
    (first,) = await learner.look(log, {"m": "1.0.0"})
    assert (first.follows, first.version, first.outcomes) == ("1.0.0", "1.0.1", 100)  # not a patch of 1.1.0
    assert await learner.look(log, {"m": "1.0.0"}) == []
    tell(log, range(25, 55), slope=1.0)
    (second,) = await learner.look(log, {"m": "1.0.0"})
    assert (second.follows, second.version, second.outcomes) == ("1.0.1", "1.0.2", 120)
    assert newest(store, "m", "1.0.0") == "1.0.2"
    assert newest(store, "m", "1.1.0") == "1.1.0"
    assert [
        each.outcomes for each in await learner.look(log, {"m": "1.1.0"})
    ] == []  # nothing is new since the last look
    assert [each.version for each in await Learner(store, {"m": 100}).look(log, {"m": "1.1.0"})] == ["1.1.1"]


async def test_what_is_normal_is_still_known(store: ModelStore) -> None:
    rows = np.random.default_rng(3).normal(size=(500, 2))
    store.save("m", "1.1.0", store.load("m", "1.0.0"), Description(summary="with a reference"), rows)
    log = Log()
    tell(log, range(5), slope=1.0)
    made = await update(log, store, "m", "1.1.0")
    normal = store.reference("m", made.version)
    assert normal is not None
    np.testing.assert_array_equal(np.column_stack([normal["a"], normal["b"]]), rows)


async def test_what_went_on_goes_on_again_to_the_byte_from_what_the_log_has_kept(store: ModelStore) -> None:
    log = Log()
    tell(log, range(40), slope=1.0)
    await update(log, store, "m", "1.0.0")
    tell(log, range(40, 80), slope=-1.0)
    await update(log, store, "m", "1.0.1")
    tell(log, range(80, 120), slope=1.0)  # later ones are none of theirs
    for version in ("1.0.1", "1.0.2"):
        assert (await reproduce(log, store, "m", version)).verdict == "identical"
    log.records[TopicPartition(SCORED, 1)][100:140] = [encode(Ticked(id="t", time=START, key="clock"))] * 40
    assert (await reproduce(log, store, "m", "1.0.1")).verdict == "differs"
    assert (await reproduce(log, store, "m", "1.0.2")).verdict == "identical"  # from 1.0.1 as it is
    log.begins = 1
    with pytest.raises(EvenhandError, match="begins at 1 by now"):
        await reproduce(log, store, "m", "1.0.1")
