"""Series whose change points people have annotated (river's copies, Alan Turing Institute): F1 at equal false alarms.

Each detector has a grid of settings. Its false alarms are counted on the same series shuffled, where nothing changes;
the most sensitive setting with at most one in 1,000 events is taken. A change is found by an alarm within a tenth of
the series' length after it (at least 20 events); other alarms are wrong. Precision is against all annotators together,
recall is the mean over them, as in van den Burg & Williams (2020). River has every day of Apple and Brent, annotators
saw every 3rd and about every 16th.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river.drift import datasets as series

from evenhand.drift import Detector, detector
from evenhand.drift.panel import panel_of
from tests.benchmarks.drift.streams import Floats

Row = dict[str, Any]
Times = list[int]
Finder = Callable[[Floats], Times]
FALSE_PER_1000 = 1.0


def standing(values: Floats) -> Floats:
    """In standard deviations of the first 100 events: what a detector with absolute thresholds needs."""
    head = values[:100]
    return np.asarray((values - head.mean(0)) / (head.std(0) + 1e-9), np.float64)


def each_column(make: Callable[[], Detector[Any]]) -> Finder:
    """A detector of river's on each column, started again after each alarm."""

    def find(values: Floats) -> Times:
        found = set()
        for column in standing(values).T:
            one, at = make(), 0
            while at < len(column):
                state = one.update(one.start(), column[at:])
                if state.alarm_at is None:
                    break
                at += state.alarm_at
                found.add(at)
        return sorted(found)

    return find


def jointly(learn: int, per_100k: float) -> Finder:
    """Our panel, whose reference is what it saw after the last alarm."""

    def find(values: Floats) -> Times:
        found, at = [], 0
        while at + learn < len(values):
            head = values[at : at + learn]
            panel = panel_of({str(i): column for i, column in enumerate(head.T)}, per_100k=per_100k, thin=False)
            rest = values[at + learn :]
            state = panel.update(panel.start(), {str(i): column for i, column in enumerate(rest.T)})
            if state.alarm_at is None:
                break
            at += learn + state.alarm_at
            found.append(at)
        return found

    return find


def finders() -> Iterator[tuple[str, list[Finder]]]:
    """Settings of each detector, the most sensitive first."""
    yield "panel", [jointly(40, rate) for rate in (1e5, 5e4, 2e4, 1e4, 5e3, 2e3, 1e3, 5e2, 2e2, 1e2)]
    thresholds = [2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0]
    grids: list[tuple[str, str, list[Any]]] = [
        ("adwin", "delta", [0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.002]),
        ("page_hinkley", "threshold", thresholds),
        ("kswin", "alpha", [0.01, 0.005, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 1e-5]),
    ]
    for kind, name, values in grids:
        yield kind, [each_column(lambda k=kind, n=name, v=value: detector(k, {n: v})) for value in values]  # type: ignore[misc]


def score(found: Times, annotated: dict[Any, Times], length: int) -> float:
    """F1 of the alarms."""
    within = max(20, length // 10)
    everything = sorted({change for changes in annotated.values() for change in changes})

    def hits(changes: Times) -> int:
        left, count = list(found), 0
        for change in changes:
            inside = [time for time in left if change <= time <= change + within]
            if inside:
                left.remove(inside[0])
                count += 1
        return count

    if not found or not everything:
        return 0.0
    precision = hits(everything) / len(found)
    recall = float(np.mean([hits(changes) / len(changes) for changes in annotated.values() if changes]))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _table(data: Any, step: int) -> NDArray[np.float64]:
    rows = [list(target.values()) if isinstance(target, dict) else [target] for _, target in data]
    return np.array(rows, np.float64)[::step]


def annotated(say: Callable[[str], None]) -> list[Row]:
    """F1 of each detector over the series."""
    steps = {"Apple": 3, "Bitcoin": 1, "BrentSpotPrice": 16, "Occupancy": 1, "RunLog": 1}
    tables = {name: getattr(series, name)() for name in steps}
    loaded = {name: (_table(data, steps[name]), data.annotations) for name, data in tables.items()}
    events = sum(len(values) for values, _ in loaded.values())
    rng, rows = np.random.default_rng(31), []
    shuffled = [rng.permutation(values) for values, _ in loaded.values() for _ in range(3)]
    for name, settings in finders():
        wrong, find = np.inf, settings[-1]
        for find in settings:
            wrong = sum(len(find(values)) for values in shuffled) / (3 * events) * 1000
            if wrong <= FALSE_PER_1000:
                break
        scores = {one: score(find(values), marks, len(values)) for one, (values, marks) in loaded.items()}
        mean = float(np.mean(list(scores.values())))
        say(f"{name:22} F1 {mean:.3f} at {wrong:.2f} false alarms in 1,000: "
            + ", ".join(f"{one} {value:.2f}" for one, value in scores.items()))  # fmt: skip
        rows.append({"detector": name, "stream": "annotated series", "f1": mean, "false_alarms_per_100k": 100 * wrong,
                     "median_delay": None, "missed": None, "us_per_event_feature": None})  # fmt: skip
    return rows
