"""What every contestant is given: the same requests, outcomes and ticks, byte for byte, and what must come of them.

Event time runs at 500 requests a second over 500 series, with a tick a second in every partition, as it would live.
Outcomes come an hour later, one in fifty never, one in a hundred twice. All records lie where murmur2 of their key
belongs, so that a contestant without an entry agent of its own need not move them.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from evenhand.codec import encode, stable_id
from evenhand.events import ControlChanged, Event, OutcomeObserved, PredictionRequested, Served, Ticked
from evenhand.experiments.assignment import Ring
from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.partitioning import partitions_of
from evenhand.topics import METRICS, OUTCOMES, PARTITIONS, REQUESTS
from tests.benchmarks.arms import truth
from tests.benchmarks.steps import ARMS, CHALLENGER, CHAMPION, FEATURES, MODEL, PAIRED, Arms

Floats = NDArray[np.float64]
Rows = list[tuple[bytes, bytes]]

START_MS = 1_700_002_800_000  # a full hour
APART_MS = 2
SERIES = 500
HOUR_MS = 3_600_000
WAIT_S = 7_200
EPOCH_S, GRACE_S = 10, 10

EXPERIMENT = Experiment(
    name="bench",
    model=MODEL,
    champion=CHAMPION,
    variants=tuple(Variant(name=name, version=version, weight=50) for name, version in ARMS.items()),
    epoch_s=EPOCH_S,
    grace_s=GRACE_S,
    rule=Rule(minimum_sample_size=10**9, minimum_exposures=10**9),  # judges, but never stops the trial
)
RING = Ring(EXPERIMENT)
SERVED = Served(champion=ARMS[CHAMPION], wait_s=WAIT_S, experiment=EXPERIMENT)


@dataclass
class Workload:
    """Records by topic and partition, and what a run over them must lead to."""

    requests: int
    records: dict[str, list[Rows]]
    request_ids: frozenset[str]
    matched_ids: frozenset[str]
    expected: dict[str, tuple[int, float, float]] = field(default_factory=dict)  # n, mean, m2 by sum

    @property
    def matched(self) -> int:
        """How many requests have an outcome."""
        return len(self.matched_ids)


@cache
def workload(requests: int, arms: Arms) -> Workload:
    """The records for a number of requests."""
    generator = np.random.default_rng(requests)
    features = generator.standard_normal((requests, FEATURES)).round(6)
    values = truth(features) + 0.1 * generator.standard_normal(requests)
    has_outcome, twice = generator.random(requests) >= 0.02, generator.random(requests) < 0.01
    keys = [f"series-{i % SERIES}" for i in range(requests)]
    places = partitions_of([key.encode() for key in keys], PARTITIONS)
    asked, seen, doubled = Lanes(START_MS), Lanes(START_MS + HOUR_MS), list[tuple[int, int, OutcomeObserved]]()
    for i, (key, place) in enumerate(zip(keys, places, strict=True)):
        time = START_MS + 1000 + i * APART_MS
        asked.tick(time)
        seen.tick(time + HOUR_MS)
        event = PredictionRequested(
            id=f"r-{i:07d}",
            time=time,
            key=key,
            model=MODEL,
            features=features[i].tolist(),
            unit=f"user-{i * 7919 % 9973}",
        )
        asked.add(place, event)
        if doubled and doubled[0][0] <= i:
            seen.add(doubled[0][1], doubled.pop(0)[2])
        if has_outcome[i]:
            outcome = OutcomeObserved(
                id=f"o-{i:07d}", time=time + HOUR_MS, key=key, value=float(values[i]), request_id=f"r-{i:07d}"
            )
            seen.add(place, outcome)
            if twice[i]:
                doubled.append((i + 200, place, outcome))
    for _, place, outcome in doubled:
        seen.add(place, outcome)
    end = START_MS + HOUR_MS + requests * APART_MS + (WAIT_S + 3 * (EPOCH_S + GRACE_S)) * 1000
    still = Lanes(START_MS)
    for lanes in (asked, seen, still):
        lanes.tick(end - end % 1000)
    ids = [f"r-{i:07d}" for i in range(requests)]
    return Workload(
        requests=requests,
        records={
            REQUESTS: [[control_row(), *rows] for rows in asked.rows],
            OUTCOMES: seen.rows,
            METRICS: still.rows,
        },
        request_ids=frozenset(ids),
        matched_ids=frozenset(one for one, has in zip(ids, has_outcome, strict=True) if has),
        expected=expected_sums(arms, features[has_outcome], values[has_outcome]),
    )


class Lanes:
    """Records of a topic by partition, with a tick a second."""

    def __init__(self, time_ms: int) -> None:
        self.rows: list[Rows] = [[] for _ in range(PARTITIONS)]
        self.told = 0
        self.tick(time_ms)

    def tick(self, time_ms: int) -> None:
        """Tell every partition of each full second."""
        second = time_ms - time_ms % 1000
        if second > self.told:
            self.told = second
            for rows in self.rows:
                rows.append((b"_clock", encode(Ticked(id=f"tick-{second}", time=second, key="_clock", source="clock"))))

    def add(self, partition: int, event: Event) -> None:
        """Append an event."""
        self.rows[partition].append((event.key.encode(), encode(event)))


def control_row() -> tuple[bytes, bytes]:
    """What holds from the front of the log on."""
    control = ControlChanged(
        id=stable_id("bench"), time=START_MS, key=MODEL, model=MODEL, served=SERVED, digest="bench", cause="bench"
    )
    return MODEL.encode(), encode(control)


def expected_sums(arms: Arms, features: Floats, outcomes: Floats) -> dict[str, tuple[int, float, float]]:
    """Squared error of each variant, and the paired difference, by numpy on the whole input."""
    losses = {name: (np.array(arms.ask(name, features).values)[:, 0] - outcomes) ** 2 for name in ARMS}
    sums = {**losses, PAIRED: losses[CHALLENGER] - losses[CHAMPION]}
    return {name: (len(x), float(x.mean()), float(((x - x.mean()) ** 2).sum())) for name, x in sums.items()}
