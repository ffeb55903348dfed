"""Measurements of all partitions to one report for each model, version and epoch."""

from collections.abc import Mapping, Sequence

import msgspec

from evenhand.codec import encode, stable_id
from evenhand.envelope import cloud_headers
from evenhand.events import EpochMeasured, MetricReported
from evenhand.metrics.error_fraction import ErrorFraction
from evenhand.metrics.gauge import Gauge
from evenhand.metrics.missing_labels import MissingLabels
from evenhand.metrics.sketch import Sketch
from evenhand.metrics.throughput import Throughput
from evenhand.processors.base import Output, Row
from evenhand.processors.columns import from_sums
from evenhand.processors.measures import Held, Judge, Places
from evenhand.topics import REPORTS

SOURCE = "/evenhand/reports"


class Reports(Judge):
    """Reports without a version are of what was served, whichever version answered."""

    name = "reports"

    def judge(self, parts: Sequence[Held], output: Output) -> None:
        merged: dict[str, dict[str, Sketch]] = {}
        for part in parts:
            for version, measured in part.measured.versions.items():
                held = merged.setdefault(version, {})
                for name, sketch in from_sums(measured.sketches).items():
                    held[name] = held[name].merge(sketch) if name in held else sketch
        first, late = parts[0].measured, sum(part.measured.late for part in parts)
        places = [place for part in parts for place in part.places]
        merged.setdefault("", {})
        for version in sorted(merged):
            counts = {} if version or first.is_alone else {"late": late}
            self.publish(first, version or None, merged[version], counts, places, output)

    def silent(self, last: EpochMeasured, output: Output) -> None:
        nothing = {"error_fraction": ErrorFraction()}
        self.publish(last, None, nothing, {"late": 0}, [], output)

    def publish(
        self,
        like: EpochMeasured,
        version: str | None,
        sketches: Mapping[str, Sketch],
        counts: Mapping[str, int],
        places: Places,
        output: Output,
    ) -> None:
        """One MetricReported."""
        epoch = like.last_epoch
        values, more = described(sketches, like.epoch_s * 1000)
        event = MetricReported(
            id=stable_id("reported", like.subject, version or "", epoch),
            time=like.time, key=like.model, model=like.model, version=version, epoch=epoch, epoch_s=like.epoch_s,
            values=values, counts={**counts, **more},
        )  # fmt: skip
        headers = [
            ("evidence", msgspec.json.encode(places)),
            *cloud_headers("MetricReported", event.id, SOURCE, event.time),
        ]
        output.send(REPORTS, self.partition, Row(event.key.encode(), encode(event), headers))


def described(sketches: Mapping[str, Sketch], epoch_ms: int) -> tuple[dict[str, float], dict[str, int]]:
    """Values of sketches by their names, and of how many they are.

    >>> described({"error_fraction": ErrorFraction(requests=4, errors=1)}, 1000)
    ({'error_fraction': 0.25}, {'requests': 4, 'errors': 1})
    """
    values: dict[str, float] = {}
    counts: dict[str, int] = {}
    for name, sketch in sorted(sketches.items()):
        of = name.partition("/")[2]
        told = sketch.add(0, epoch_ms).values() if isinstance(sketch, Throughput) else sketch.values()
        if isinstance(sketch, Gauge):
            told = {of if each == "mean" else f"{of}_{each}": value for each, value in told.items()}
            counts[of] = sketch.n
        values |= told
        if isinstance(sketch, ErrorFraction):
            counts |= {"requests": sketch.requests, "errors": sketch.errors}
        elif isinstance(sketch, MissingLabels):
            counts |= {"labels_due": sketch.due, "labels_missing": sketch.missing}
        elif name == "rmse":
            counts["matured"] = int(getattr(sketch, "n", 0))
    return values, counts
