"""A model that is watched: measurements of all partitions, drift, decisions and commands, as logs to play with."""

import random
from collections.abc import Collection, Iterable, Sequence

import msgspec
import numpy as np

from evenhand.alerts.policy import AlertPolicy
from evenhand.alerts.rule import AlertRule
from evenhand.codec import encode
from evenhand.events import DriftJudged, EpochMeasured, Event, VersionMeasured
from evenhand.metrics.error_fraction import ErrorFraction
from evenhand.metrics.response_time import ResponseTime
from evenhand.metrics.throughput import Throughput
from evenhand.monitoring import Monitoring
from evenhand.offline import Log, Runner
from evenhand.partitioning import partition_of
from evenhand.processors.alerting import Alerting
from evenhand.processors.base import Row
from evenhand.processors.columns import as_sums
from evenhand.processors.slo import Slo
from evenhand.slo.objective import Objective
from evenhand.topics import ALERTS, DRIFT_SIGNALS, MEASUREMENTS, REPORTS

MODEL, PARTITIONS, EPOCH_S = "m", 3, 60
FIRST = 25_000_080  # an epoch, and the first of an hour
MINE = partition_of(MODEL, PARTITIONS)
ERRORS = Objective(
    name="errors", metric="error_fraction", comparison="<", threshold=0.01, unit="fraction", target=0.99, of="events"
)
SLOW = AlertRule(
    name="slow", metric="response_time_p95_ms", comparison=">", threshold=100, unit="ms", window_s=300, for_s=120,
    severity="critical", channels=("slack",),
)  # fmt: skip
MONITORING = Monitoring(epoch_s=EPOCH_S, objectives=(ERRORS,), alerts=AlertPolicy(rules=(SLOW,)))


def end_of(epoch: int) -> int:
    """When the epoch of this number, from the first on, ended."""
    return (FIRST + epoch + 1) * EPOCH_S * 1000


def measured(
    epochs: Sequence[tuple[int, int, float] | None],
    seed: int = 0,
    monitoring: Monitoring = MONITORING,
    first: int = 0,
    subject: str = f"{MODEL}@1",
) -> dict[int, list[EpochMeasured]]:
    """By partition: (requests, errors, response time) of each epoch, divided; None is an epoch without data.

    Runs of epochs without data are cut anywhere, as the seed says.
    """
    r = random.Random(seed)
    told: dict[int, list[EpochMeasured]] = {}
    for partition in range(PARTITIONS):
        mine: list[EpochMeasured] = []
        run: int | None = None
        for number, epoch in enumerate(epochs, FIRST + first):
            share = None if epoch is None else _share(epoch, partition)
            if share is not None:
                mine += [] if run is None else [_event(partition, run, number - 1, {}, monitoring, subject)]
                mine.append(_event(partition, number, number, share, monitoring, subject))
                run = None
            else:
                run = number if run is None else run
                if r.random() < 0.3:
                    mine.append(_event(partition, run, number, {}, monitoring, subject))
                    run = None
        if run is not None:
            mine.append(_event(partition, run, FIRST + first + len(epochs) - 1, {}, monitoring, subject))
        told[partition] = mine
    return told


def _share(epoch: tuple[int, int, float], partition: int) -> dict[str, VersionMeasured]:
    requests, errors, ms = (epoch[0] // PARTITIONS, epoch[1], epoch[2]) if partition == 0 else (
        epoch[0] // PARTITIONS, 0, epoch[2]
    )  # fmt: skip
    times = ResponseTime().add(np.full(requests, ms))
    counted = ErrorFraction(requests=requests, errors=errors)
    sums = as_sums({"error_fraction": counted, "response_time": times, "throughput": Throughput(requests=requests)})
    return {"": VersionMeasured(sketches=sums)}


def _event(
    partition: int, first: int, last: int, versions: dict[str, VersionMeasured], monitoring: Monitoring, subject: str
) -> EpochMeasured:
    return EpochMeasured(
        id=f"{subject}-{partition}-{first}-{last}", time=(last + 1) * EPOCH_S * 1000, key=MODEL, model=MODEL,
        subject=subject, partition=partition, first_epoch=first, last_epoch=last, epoch_s=EPOCH_S, champion="1",
        monitoring=monitoring, versions=versions, digest=f"{first}" if versions else "",
    )  # fmt: skip


def log_of(told: dict[int, list[EpochMeasured]], others: Iterable[tuple[str, Event]] = (), seed: int = 0) -> Log:
    """A log in which the partitions' reports interleave as the seed says, with repeats."""
    r, log, left = random.Random(seed), Log(PARTITIONS), {p: list(events) for p, events in told.items()}
    rows = []
    while any(left.values()):
        partition = r.choice([p for p, events in left.items() if events])
        event = left[partition].pop(0)
        rows += [Row(MODEL.encode(), encode(event), [])] * (2 if r.random() < 0.1 else 1)
    log.append(MEASUREMENTS, MINE, rows)
    others = list(others)
    for topic, other in others:
        if topic != DRIFT_SIGNALS:
            log.append(topic, MINE, [Row(MODEL.encode(), encode(other), [])])
    scored = {other.time for topic, other in others if topic == REPORTS}
    signals = [other for topic, other in others if topic == DRIFT_SIGNALS]
    for tick in ticks([event for events in told.values() for event in events], scored):
        due = [signal for signal in signals if signal.time <= tick.time]
        signals = signals[len(due) :]
        log.append(DRIFT_SIGNALS, MINE, [Row(MODEL.encode(), encode(one), []) for one in (*due, tick)])
    return log


def ticks(events: Iterable[EpochMeasured], scored: Collection[int] = ()) -> list[DriftJudged]:
    """What the judge of drift says of how far it has come."""
    return [
        DriftJudged(
            id=f"{subject}-{epoch}", time=(epoch + 1) * EPOCH_S * 1000, key=MODEL, model=MODEL, subject=subject,
            epoch=epoch, reported=(epoch + 1) * EPOCH_S * 1000 in scored,
        )
        for epoch, subject in sorted(
            {(epoch, event.subject) for event in events for epoch in range(event.first_epoch, event.last_epoch + 1)}
        )
    ]  # fmt: skip


def judged(log: Log, seed: int | None = None, crash: float = 0.0) -> Log:
    """The log after slo and alerting have read it."""
    Runner(log, [Slo, Alerting]).run(None if seed is None else random.Random(seed), crash, 7)
    return log


def book(log: Log, topic: str = ALERTS) -> list[bytes]:
    """Each event of a topic once, in order of time and id."""
    first: dict[str, tuple[int, bytes]] = {}
    for value in log.values(topic):
        event = msgspec.json.decode(value, type=_Head)
        first.setdefault(event.id, (event.time, value))
    return [value for _, (_, value) in sorted(first.items(), key=lambda item: (item[1][0], item[0]))]


class _Head(msgspec.Struct):
    id: str
    time: int


def said(log: Log, topic: str = ALERTS) -> list[tuple[int, str, str]]:
    """(epoch, status, alert) of the book."""
    found = []
    for value in book(log, topic):
        event = msgspec.json.decode(value, type=_Told)
        found.append(((event.time // EPOCH_S // 1000) - FIRST - 1, event.status, event.labels["alertname"]))
    return found


class _Told(msgspec.Struct):
    time: int
    status: str
    labels: dict[str, str]
