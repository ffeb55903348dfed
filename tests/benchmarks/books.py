"""The same books for every contestant: nothing lost, nothing invented, and the sums that numpy gives on the input."""

from dataclasses import dataclass
from typing import Any

import msgspec

from evenhand.codec import decoder
from evenhand.events import ControlChanged, EvidenceReported, PredictionMade, PredictionScored, Ticked
from tests.benchmarks.log import Seen
from tests.benchmarks.steps import PAIRED, Evidence, Sum
from tests.benchmarks.workload import Workload

made = decoder(PredictionMade, Ticked, ControlChanged)
scored = decoder(PredictionScored, Ticked, ControlChanged)
summed: msgspec.json.Decoder[Evidence] = msgspec.json.Decoder(Evidence)
reported = decoder(EvidenceReported)
METRIC = "squared_error"


@dataclass
class Books:
    """What was found in a contestant's output topics."""

    predictions: int
    scored: int
    errors: list[str]
    repeats: int
    finished_ms: int  # when the broker appended the last output that was expected

    @property
    def balance(self) -> bool:
        """Whether all of it is right."""
        return not self.errors


def check(work: Workload, predictions: list[Seen], pairs: list[Seen], sums: list[Seen]) -> Books:
    """Compare what a contestant wrote with what its input demands."""
    errors: list[str] = []
    first_made, repeats = _firsts(predictions, made, PredictionMade, errors)
    first_scored, again = _firsts(pairs, scored, PredictionScored, errors)
    for what, found, wanted in (
        ("predictions", set(first_made), work.request_ids),
        ("scored predictions", set(first_scored), work.matched_ids),
    ):
        if missing := len(wanted - found):
            errors.append(f"{missing} of {len(wanted)} {what} are missing")
        if strange := len(found - wanted):
            errors.append(f"{strange} {what} answer nothing that was asked")
    totals, told_ms = totals_of(sums)
    for name, expected in work.expected.items():
        total = totals.get(name, Sum())
        if not total.close_to(*expected):
            errors.append(f"sum {name!r} is {[total.n, total.mean, total.m2]}, numpy says {list(expected)}")
    finished = max([told_ms, *first_made.values(), *first_scored.values()])
    return Books(len(first_made), len(first_scored), errors, repeats + again, finished)


def _firsts(
    seen: list[Seen], decode: msgspec.json.Decoder[Any], wanted: type, errors: list[str]
) -> tuple[dict[str, int], int]:
    """When each request's first output was appended, and how many repeats there were."""
    first: dict[str, int] = {}
    content: dict[str, bytes | None] = {}
    repeats = 0
    for record in seen:
        event = decode.decode(record.value or b"")
        if not isinstance(event, wanted):
            continue
        name: str = event.request_id  # type: ignore[attr-defined]
        if name in first:
            repeats += 1
            if content[name] != record.value:
                errors.append(f"{name} has two contents")
        else:
            first[name], content[name] = record.appended_ms, record.value
    return first, repeats


def totals_of(sums: list[Seen]) -> tuple[dict[str, Sum], int]:
    """Sums over everything, and when the last row that counts was appended.

    A baseline tells running totals, one row a key, of which the last counts; and of rows that say the same the first.
    evenhand reports each epoch of a partition once.
    """
    running: dict[tuple[bytes | None, int], Seen] = {}
    epochs: dict[str, tuple[EvidenceReported, int]] = {}
    for record in sums:
        value = record.value or b""
        if b'"EvidenceReported"' in value:
            report = reported.decode(value)
            epochs.setdefault(report.id, (report, record.appended_ms))
        else:
            place = (record.key, record.partition)
            if place not in running or running[place].value != value:
                running[place] = record
    totals: dict[str, Sum] = {}
    told = [0]
    for record in running.values():
        told.append(record.appended_ms)
        for name, total in summed.decode(record.value or b"").sums.items():
            totals.setdefault(name, Sum()).merge(total)
    for report, appended_ms in epochs.values():
        for name, variant in report.variants.items():
            for key, moments in ((name, variant.losses), (PAIRED, variant.paired)):
                if METRIC in moments:
                    n, mean, m2, *_ = msgspec.structs.astuple(moments[METRIC])
                    totals.setdefault(key, Sum()).merge(Sum(n, mean, m2))
                    told.append(appended_ms)
    return totals, max(told)
