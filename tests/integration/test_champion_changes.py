"""The champion changes two hundred times under load: no error, no mixed answer, each by the assigned version."""

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from adapters.kafka.appending import Appender, appender
from adapters.kafka.log_reader import LogReader, log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from evenhand import topics as t
from evenhand.codec import encode
from evenhand.events import CommandGiven, ControlChanged, PredictionMade, PredictionRequested, RequestAssigned, Served
from evenhand.partitioning import partition_of
from evenhand.processors.base import Row
from models.store import ModelStore
from tests.faults.loop import STEPS, Loop
from tests.faults.story import FEATURES, MODEL

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CHANGES, REQUESTS_A_SECOND, SECONDS_A_CHANGE = 200, 500, 0.25
VERSIONS = ("1.0.0", "1.1.0", "1.3.0")
START = 1_700_000_000_000


def command(number: int) -> Row:
    """Make another version champion."""
    served = Served(champion=VERSIONS[number % len(VERSIONS)])
    given = CommandGiven(
        id=f"change-{number}", time=START + number, key=MODEL, model=MODEL, command="apply_configuration", by="test",
        served=served,
    )  # fmt: skip
    return Row(MODEL.encode(), encode(given), [])


def request(number: int, random: np.random.Generator) -> PredictionRequested:
    features = dict(zip(FEATURES, random.normal(size=len(FEATURES)).tolist(), strict=True))
    return PredictionRequested(
        id=f"request-{number}", time=START + number, key=f"key-{number % 40}", model=MODEL, features=features,
        horizon=STEPS,
    )  # fmt: skip


async def change(log: Appender, partitions: int) -> None:
    """Command after command, at their pace."""
    for number in range(1, CHANGES + 1):
        await log.append({(t.COMMANDS, partition_of(MODEL, partitions)): [command(number)]})
        await asyncio.sleep(SECONDS_A_CHANGE)


async def ask(log: Appender, partitions: int, changing: "asyncio.Task[None]") -> tuple[int, float]:
    """Request after request at their pace, for as long as the champion changes; how many there were, how fast."""
    random, sent, start = np.random.default_rng(1), 0, time.monotonic()
    while not changing.done():
        due = int((time.monotonic() - start) * REQUESTS_A_SECOND) + 1
        rows: dict[tuple[str, int], list[Row]] = {}
        for number in range(sent, due):
            made = request(number, random)
            place = (t.REQUESTS, partition_of(made.key, partitions))
            rows.setdefault(place, []).append(Row(made.key.encode(), encode(made), []))
        await log.append(rows)
        sent = due
        await asyncio.sleep(0.05)
    await changing
    return sent, sent / (time.monotonic() - start)


async def everything(reader: LogReader, topic: str) -> dict[int, list[dict[str, object]]]:
    """All records of a topic by partition, in order, with their kind."""
    places = await reader.places(topic)
    found: dict[int, list[dict[str, object]]] = {place.partition: [] for place in places}
    async for record in reader.read(await reader.beginnings(places), await reader.ends(places)):
        found[record.partition].append(msgspec.json.decode(record.value))
    return found


async def told(reader: LogReader, topic: str, kind: str, count: int) -> dict[str, dict[str, object]]:
    """Events of a kind by request, the first of each, once there are so many."""
    deadline = time.monotonic() + 240
    while True:
        records = [one for of in (await everything(reader, topic)).values() for one in of if one["type"] == kind]
        found: dict[str, dict[str, object]] = {}
        for one in records:
            found.setdefault(str(request_of(one)), one)
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {count} {kind}"
        await asyncio.sleep(3)


def request_of(event: dict[str, object]) -> object:
    inner = event.get("request")
    return inner["id"] if isinstance(inner, dict) else event["request_id"]


async def test_two_hundred_changes_of_the_champion_under_load(settings: KafkaSettings, var: Path) -> None:
    await ensure_topics(settings, t.every_topic())
    loop, partitions = Loop(settings, var), settings.partitions
    try:
        for _ in range(2):
            loop.start(EVENHAND_CONTROLS="")
        for worker in loop.workers:
            await loop.member(worker)
        async with appender(settings) as log, log_reader(settings) as reader:
            await log.append({(t.COMMANDS, partition_of(MODEL, partitions)): [command(0)]})
            await first_control(reader)
            changing = asyncio.create_task(change(log, partitions))
            sent, pace = await ask(log, partitions, changing)
            predicted = await told(reader, t.PREDICTIONS, PredictionMade.__name__, sent)
            assigned = await told(reader, t.ASSIGNMENTS, RequestAssigned.__name__, sent)
            asked = await everything(reader, t.REQUESTS)
    finally:
        loop.stop()
    assert pace >= 0.9 * REQUESTS_A_SECOND
    assert sorted(predicted) == sorted(assigned) == sorted(f"request-{number}" for number in range(sent))
    serving = expected(asked)
    assert {name: one["version"] for name, one in assigned.items()} == serving
    assert {name: one["version"] for name, one in predicted.items()} == serving
    assert {one.get("error") for one in predicted.values()} == {None}
    store = ModelStore(loop.home / "models")
    numbers = np.random.default_rng(1)
    rows = {f"request-{number}": list(request(number, numbers).features.values()) for number in range(sent)}  # type: ignore[union-attr]
    for version in VERSIONS:
        names = [name for name in rows if serving[name] == version]
        values = store.load(MODEL, version).forecast(np.array([rows[name] for name in names]), STEPS)
        assert [predicted[name]["values"] for name in names] == values.tolist()
    changes = sum(one["type"] == ControlChanged.__name__ for one in asked[0])
    print(f"{changes - 1} changes, {sent} requests at {pace:.0f} a second")
    assert changes == CHANGES + 1


async def first_control(reader: LogReader) -> None:
    deadline = time.monotonic() + 60
    while not all(of for of in (await everything(reader, t.REQUESTS)).values()):
        assert time.monotonic() < deadline, "no control was written"
        await asyncio.sleep(0.2)


def expected(asked: dict[int, list[dict[str, object]]]) -> dict[str, str]:
    """The champion that held at each request's place in its own partition."""
    found = {}
    for records in asked.values():
        champion = ""
        for one in records:
            if one["type"] == ControlChanged.__name__:
                served = one["served"]
                assert isinstance(served, dict)
                champion = str(served["champion"])
            elif one["type"] == PredictionRequested.__name__:
                found[str(one["id"])] = champion
    return found
