"""What the simulated users of the demo do, given the hours of a market and a seed: who asks, and what comes when.

Every draw is a hash of the seed and of what is drawn, so that nothing depends on the order in which it is asked. Most
outcomes come in time, some beyond the grace, some twice, some after the wait is over, and some never.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from evenhand.codec import encode
from evenhand.events import OutcomeObserved, PredictionRequested
from evenhand.processors.base import Row
from evenhand.topics import OUTCOMES, PARTITIONS, REQUESTS

SECOND_MS, MINUTE_MS, HOUR_MS = 1000, 60_000, 3_600_000


class Hour(NamedTuple):
    """What is known of a market at a full hour, and the outcome that the next full hour will show."""

    time: int
    features: Mapping[str, float] | None  # None: nobody asks
    outcome: float | None  # None: it never becomes known


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """The habits of the users.

    Requests do not cross a multiple of `scene_ms`, the places where a control may stand, whatever their way: so
    another order of production asks the same versions. With `shuffle`, everything takes other ways within the grace.
    """

    model: str
    grace_ms: int
    wait_ms: int
    scene_ms: int
    seed: int = 7
    key: str = "BTC-USD"
    requests_an_hour: int = 6
    units: int = 40
    partitions: int = PARTITIONS
    fed_fraction: float = 0.5  # hours whose outcome is told once for all, by target time; else each user reports
    slow_fraction: float = 0.15
    late_fraction: float = 0.03
    lost_fraction: float = 0.03  # half of them never come, half when the wait is over
    repeated_fraction: float = 0.02
    shuffle: int | None = None


class Told(NamedTuple):
    """An event on its way: when it arrives, and where."""

    arrival: int
    event_id: str
    topic: str
    partition: int
    value: bytes


class Users:
    """Tells, hour by hour, what arrives."""

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.requests = 0  # distinct ones
        self._underway: dict[int, list[Told]] = defaultdict(list)  # by the hour of their arrival

    def tell(self, hour: Hour) -> list[Told]:
        """What arrives from this full hour on and before the next, in order of arrival; hours are told in order."""
        for told in self._of_hour(hour):
            self._underway[told.arrival - told.arrival % HOUR_MS].append(told)
        return sorted(self._underway.pop(hour.time, ()))

    def _of_hour(self, hour: Hour) -> Iterator[Told]:
        plot, asked = self.plot, []
        if hour.features is None:
            return
        features = dict(hour.features)
        for number in range(plot.requests_an_hour):
            request = PredictionRequested(
                id=f"ask-{plot.seed}-{hour.time // HOUR_MS}-{number}",
                time=hour.time + int(self._draw("ask", hour.time, number) * (HOUR_MS - MINUTE_MS)),
                key=plot.key,
                model=plot.model,
                features=features,
                unit=f"user-{int(self._draw('unit', hour.time, number) * plot.units)}",
            )
            self.requests += 1
            asked.append(request)
            end = request.time - request.time % plot.scene_ms + plot.scene_ms - 1
            for copy, arrival in enumerate(self._arrivals(request.id, request.time)):
                yield self._told(REQUESTS, request, copy, min(arrival, end))
        if hour.outcome is not None:
            yield from self._outcomes(hour.time + HOUR_MS, hour.outcome, asked)

    def _outcomes(self, target_time: int, value: float, asked: list[PredictionRequested]) -> Iterator[Told]:
        plot = self.plot
        if self._draw("fed", target_time) < plot.fed_fraction:
            time = target_time + int(self._draw("close", target_time) * MINUTE_MS)
            outcomes = [
                OutcomeObserved(
                    id=f"close-{plot.seed}-{target_time // HOUR_MS}", time=time, key=plot.key,
                    value=value, target_time=target_time,
                )
            ]  # fmt: skip
        else:
            outcomes = [
                OutcomeObserved(
                    id=f"saw-{request.id}", time=target_time + int(self._draw("saw", request.id) * HOUR_MS / 2),
                    key=plot.key, value=value, request_id=request.id,
                )
                for request in asked
            ]  # fmt: skip
        for outcome in outcomes:
            for copy, arrival in enumerate(self._delayed(outcome)):
                yield self._told(OUTCOMES, outcome, copy, arrival)

    def _delayed(self, outcome: OutcomeObserved) -> Iterator[int]:
        plot, fate = self.plot, self._draw("fate", outcome.id)
        jitter = 0.0 if plot.shuffle is None else self._draw("way", plot.shuffle, outcome.id) * HOUR_MS
        if fate < plot.lost_fraction / 2:
            return
        if fate < plot.lost_fraction:
            yield int(outcome.time + plot.wait_ms + 2 * HOUR_MS + jitter)
        elif fate < plot.lost_fraction + plot.late_fraction:  # an hour more: ticks come once an hour
            longest = max(0, min(12 * HOUR_MS, plot.wait_ms - plot.grace_ms - 5 * HOUR_MS))
            yield int(outcome.time + plot.grace_ms + HOUR_MS + self._draw("late", outcome.id) * longest + jitter)
        else:
            yield from self._arrivals(outcome.id, outcome.time)

    def _arrivals(self, event_id: str, time: int) -> Iterator[int]:
        """Once or twice, and never later than the grace allows."""
        plot = self.plot
        for copy in range(1 + (self._draw("again", event_id) < plot.repeated_fraction)):
            if plot.shuffle is not None:
                yield time + int(self._draw("way", plot.shuffle, event_id, copy) * plot.grace_ms)
            elif copy or self._draw("slow", event_id) < plot.slow_fraction:
                yield time + int(self._draw("slowness", event_id, copy) * plot.grace_ms)
            else:
                yield time + int(self._draw("network", event_id) * 2 * SECOND_MS)

    def _told(self, topic: str, event: PredictionRequested | OutcomeObserved, copy: int, arrival: int) -> Told:
        drawn = self._draw("partition", event.id, copy, self.plot.shuffle)
        return Told(arrival, event.id, topic, int(drawn * self.plot.partitions), encode(event))

    def _draw(self, *what: object) -> float:
        """A number from 0 to below 1."""
        raw = blake2b("/".join(map(str, (self.plot.seed, *what))).encode(), digest_size=8).digest()
        return (int.from_bytes(raw, "big") >> 11) / 2**53


def rows(told: list[Told]) -> dict[tuple[str, int], list[Row]]:
    """Events as rows of their partitions. Users send no headers, and no key."""
    placed: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for each in told:
        placed[each.topic, each.partition].append(Row(None, each.value, []))
    return placed
