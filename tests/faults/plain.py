"""What stands in topics, read without anything of evenhand: records, valid events, and whose turn it is.

Nothing here imports the code under test. JSON comes from orjson, hashes from the standard library, and what makes an
event valid is written down again from what users are told.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

REQUESTS, OUTCOMES, METRICS = "prediction-requests.v1", "outcomes.v1", "metrics.v1"
USERS_TOPICS = (REQUESTS, OUTCOMES, METRICS)
LARGEST = 256 * 1024
DAY_MS = 86_400_000
TIMES = range(946_684_800_000, 4_102_444_800_001)
_TAKEN = {
    REQUESTS: {"PredictionRequested", "Ticked", "ControlChanged"},
    OUTCOMES: {"OutcomeObserved", "Ticked"},
    METRICS: {"MetricObserved", "Ticked"},
}


class Stored(NamedTuple):
    """A record of a topic (bare name)."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    headers: Mapping[str, bytes] = {}

    @property
    def event(self) -> dict[str, Any]:
        """Its JSON."""
        decoded: dict[str, Any] = orjson.loads(self.value or b"")
        return decoded


@dataclass
class Seen:
    """A valid event of a user, and the last tick before the copy of it that had the least delay."""

    event: dict[str, Any]
    seen_at: int
    control: dict[str, Any] | None = None

    @property
    def delay_ms(self) -> int:
        """How far it stood behind the ticks of its own partition."""
        return max(0, self.seen_at - int(self.event["time"]))


class Users:
    """What users wrote into the log: valid events by id, places of garbage, and how far the ticks have come."""

    def __init__(self) -> None:
        self.requests: dict[str, Seen] = {}
        self.outcomes: dict[str, Seen] = {}
        self.garbage: dict[tuple[str, int, int], bytes] = {}
        self.controls: dict[str, dict[str, Any]] = {}  # by id
        self.watermark = -1
        self.copies = 0

    @classmethod
    def read(cls, records: Iterable[Stored]) -> "Users":
        """Read all partitions of the users' topics."""
        users = cls()
        partitions: dict[tuple[str, int], list[Stored]] = defaultdict(list)
        for record in records:
            if record.topic in USERS_TOPICS:
                partitions[record.topic, record.partition].append(record)
        reached = [users._read(topic, of) for (topic, _), of in sorted(partitions.items())]
        users.watermark = min(reached, default=-1)
        return users

    def _read(self, topic: str, records: list[Stored]) -> int:
        tick, holding = -1, dict[str, dict[str, Any]]()
        for record in sorted(records, key=lambda record: record.offset):
            event = valid(topic, record.value)
            kind = event["type"] if event else "garbage"
            if event is None or (kind not in {"Ticked", "ControlChanged"} and self._refused(event, tick, holding)):
                self.garbage[topic, record.partition, record.offset] = record.value or b""
            elif kind == "Ticked":
                tick = max(tick, int(event["time"]))
            elif kind == "ControlChanged":
                self.controls[event["id"]] = event
                held = holding.get(event["model"])
                if held is None or (held["time"], held["id"]) < (event["time"], event["id"]):
                    holding[event["model"]] = event
            elif kind != "MetricObserved":
                kept = self.requests if kind == "PredictionRequested" else self.outcomes
                known = kept.get(event["id"])
                self.copies += known is not None
                if known is None or tick < known.seen_at:
                    kept[event["id"]] = Seen(event, tick, holding.get(event.get("model", "")))
        return tick

    @staticmethod
    def _refused(event: dict[str, Any], tick: int, holding: Mapping[str, Any]) -> bool:
        unknown = event["type"] == "PredictionRequested" and event["model"] not in holding
        return unknown or (tick >= 0 and event["time"] > tick + DAY_MS)


def valid(topic: str, value: bytes | None) -> dict[str, Any] | None:
    """The event in a record of a users' topic, or None where it is garbage."""
    if not value or len(value) > LARGEST:
        return None
    try:
        event = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(event, dict) or event.get("type") not in _TAKEN[topic]:
        return None
    good = _is_text(event.get("id")) and _is_text(event.get("key")) and event.get("time") in TIMES
    if event["type"] == "PredictionRequested":
        features = event.get("features")
        numbers = list(features.values()) if isinstance(features, dict) else features
        good = good and _is_text(event.get("model")) and isinstance(numbers, list) and bool(numbers)
        good = good and all(map(_is_number, numbers or [])) and event.get("horizon", 1) in range(1, 65)
    elif event["type"] == "OutcomeObserved":
        good = good and _is_number(event.get("value")) and (("request_id" in event) != ("target_time" in event))
    elif event["type"] == "MetricObserved":
        good = good and _is_number(event.get("value")) and _is_text(event.get("name"))
    return event if good else None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 256


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def variant_of(experiment: Mapping[str, Any], unit: str) -> str:
    """Whose turn it is: the place of blake2b(salt, 0x1f, unit) among the variants' weights, of 2^64."""
    salt = experiment.get("salt") or experiment["name"]
    raw = hashlib.blake2b(f"{salt}\x1f{unit}".encode(), digest_size=8).digest()
    place, so_far = int.from_bytes(raw, "big"), 0
    total = sum(variant["weight"] for variant in experiment["variants"])
    for variant in experiment["variants"]:
        so_far += variant["weight"]
        if place < (so_far << 64) // total:
            return str(variant["name"])
    raise AssertionError("the weights cover everything")
