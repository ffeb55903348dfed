"""What users of the fault tests tell, second by second: seeded, and without anything of evenhand.

Outcomes come before their request as often as after it; some events are slow, some late, some beyond the wait, some
come again through another client, and one record in a hundred is garbage.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from tests.faults.plain import METRICS, OUTCOMES, REQUESTS

MODEL = "line"
FEATURES = ("x", "y", "z")
CLIENTS = ("consistent_random", "none", "murmur2_random")  # partitioner with a key, no key, partitioner with a key
IN_TIME = 0.9  # of the grace
EACH = -1  # a record for every partition of its topic
POISON = (
    b"", b"{", b"\xff\xfe\x00", b"[]", b"null", b'"text"', b'{"type":"Nothing"}', b"x" * 300_000,
    b'{"type":"PredictionRequested","id":"a"}', b'{"type":"OutcomeObserved","id":"a","time":1700000000,"key":"k"}',
    b'{"type":"OutcomeObserved","id":"a","time":1700000000000,"key":"k","value":NaN,"request_id":"r"}',
    b'{"type":"PredictionRequested","id":"a","time":1700000000000,"key":"k","model":"strange","features":[1.0]}',
)  # fmt: skip


class Told(NamedTuple):
    """A record on its way: by which client, and to which partition if it is not the client's to choose."""

    topic: str
    key: str | None
    value: bytes | None
    client: int = 0
    partition: int | None = None


@dataclass(frozen=True, kw_only=True)
class Story:
    """How many requests within how many seconds, from `start_ms` on, and how long everything may take."""

    requests: int = 1_500
    seconds: int = 60
    start_ms: int = 1_700_000_040_000
    grace_s: int = 10
    epoch_s: int = 10
    wait_s: int = 30
    horizon_s: int = 5
    seed: int = 1
    repeated: float = 0.05
    garbage: float = 0.01
    model: str = MODEL
    features: tuple[str, ...] = FEATURES
    shuffle: int | None = None  # other ways within the grace: no decision may depend on them

    @property
    def last_second(self) -> int:
        """When every wait is over, and the epochs in which the last ones end are closed."""
        return self.seconds + 2 * self.wait_s + 3 * self.epoch_s + self.grace_s

    def told(self) -> dict[int, list[Told]]:
        """What arrives in each second, in order of arrival."""
        r = random.Random(self.seed)
        way = None if self.shuffle is None else random.Random(self.shuffle)
        arrivals: list[tuple[float, Told]] = []
        for i in range(self.requests):
            for at, delay, sent in self._request(r, i):
                arrival, told = at + delay, sent
                if way is not None:
                    arrival = at + way.uniform(0, IN_TIME * self.grace_s) if delay <= self.grace_s else arrival
                    told = sent._replace(client=way.randrange(3))
                arrivals.append((arrival, told))
                while r.random() < self.repeated:
                    again = told._replace(client=(told.client + 1) % 3)
                    arrivals.append((arrival + r.expovariate(1 / self.grace_s), again))
        for _ in range(int(len(arrivals) * self.garbage)):
            topic = r.choice((REQUESTS, OUTCOMES, METRICS))
            arrivals.append((r.uniform(0, self.seconds), Told(topic, "garbage", r.choice(POISON), r.randrange(3))))
        seconds: dict[int, list[Told]] = defaultdict(list)
        for arrival, told in sorted(arrivals, key=lambda pair: pair[0]):
            seconds[max(0, min(int(arrival), self.last_second - 1))].append(told)
        return seconds

    def _request(self, r: random.Random, i: int) -> Iterator[tuple[float, float, Told]]:
        """When something happens, how long it takes to arrive, and what arrives."""
        at, key = r.uniform(0, self.seconds), f"k{r.randrange(80)}"
        x = [r.gauss(0, 1) for _ in self.features]
        steps = 2 if r.random() < 0.1 else 1
        asked: dict[str, Any] = {
            "type": "PredictionRequested", "id": f"r{i}", "time": self._ms(at), "key": key, "model": self.model,
            "features": dict(zip(self.features, x, strict=True)) if r.random() < 0.5 else x,
        }  # fmt: skip
        if steps > 1:
            asked["horizon"] = steps
        if r.random() < 0.7:
            asked["unit"] = f"user-{r.randrange(60)}"
        if r.random() < 0.003:
            asked["features"] = x[:-1]  # an error that its user sees
        yield at, self._delay(r), self._told(REQUESTS, asked, r)
        if r.random() < 0.05:
            metric = {
                "type": "MetricObserved",
                "id": f"m{i}",
                "time": self._ms(at),
                "key": key,
                "name": "n",
                "value": x[0],
            }
            yield at, self._delay(r), self._told(METRICS, metric, r)
        if r.random() < 0.05:
            return  # no outcome ever
        for step in range(1, steps + 1):
            yield from self._outcomes(r, asked, step, x[0] + r.gauss(0, 0.1))

    def _outcomes(
        self, r: random.Random, asked: dict[str, Any], step: int, value: float
    ) -> Iterator[tuple[float, float, Told]]:
        at = (asked["time"] - self.start_ms) / 1000
        known = max(0.0, at + r.uniform(0.5, self.grace_s) * r.choice((-1, 1)))
        event: dict[str, Any] = {
            "type": "OutcomeObserved", "id": f"o-{asked['id']}-{step}", "time": self._ms(known), "key": asked["key"],
            "value": value,
        }  # fmt: skip
        if r.random() < 0.2:
            step_ms = self.horizon_s * 1000
            event["target_time"] = asked["time"] - asked["time"] % step_ms + step * step_ms
        else:
            event["request_id"] = asked["id"]
            if step > 1 or r.random() < 0.2:
                event["step"] = step
        yield known, self._delay(r), self._told(OUTCOMES, event, r)
        if r.random() < 0.01:
            other = {
                **event,
                "id": event["id"] + "-no",
                "value": value + 1,
                "time": event["time"] + r.randint(-900, 900),
            }
            yield known, self._delay(r), self._told(OUTCOMES, other, r)

    def _delay(self, r: random.Random) -> float:
        fate = r.random()
        if fate < 0.005:
            return self.wait_s + r.uniform(1, self.wait_s)
        if fate < 0.04:
            return self.grace_s + r.uniform(1.1, self.grace_s)  # ticks are a second apart
        return min(IN_TIME * self.grace_s, r.expovariate(1 / (1 if fate < 0.9 else self.grace_s / 3)))

    def _ms(self, at_s: float) -> int:
        return self.start_ms + int(at_s * 1000)

    @staticmethod
    def _told(topic: str, event: dict[str, Any], r: random.Random) -> Told:
        return Told(topic, event["key"], orjson.dumps(event), r.randrange(3))


def poisoned(topics: tuple[str, ...] = (REQUESTS, OUTCOMES, METRICS)) -> list[Told]:
    """Garbage for every partition, so that it is the first or the last record there; a tombstone too."""
    return [Told(topic, None, value, partition=EACH) for topic in topics for value in (b"{", None)]


def tick(time_ms: int) -> list[Told]:
    """A tick for every partition that users write."""
    value = orjson.dumps({"type": "Ticked", "id": f"clock@{time_ms}", "time": time_ms, "key": "_clock"})
    return [Told(topic, None, value, partition=EACH) for topic in (REQUESTS, OUTCOMES, METRICS)]
