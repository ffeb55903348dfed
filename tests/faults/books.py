"""What is wrong with what came out of a log: each fault by kind, with examples; nothing at all if the books are right.

I1 nothing lost, I2 nothing counted twice, I3 the state is what its input says, I4 one unit has one variant, I6 repeats
have the same bytes (the numbers are those of `docs/adr`).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson

from evenhand.processors.counts import Counts
from tests.faults.fold import Expected, Moments
from tests.faults.plain import Stored

PREDICTIONS, SCORED, EVIDENCE = "predictions.v1", "scored-predictions.v1", "evidence.v1"
ASSIGNMENTS, OBSERVATIONS = "assignments.v1", "observations.v1"
DECISIONS, DEAD_LETTERS = "decisions.v1", "dead-letters.v1"
EXACT = 1e-9


class Books:
    """All records, by topic and type, and what is wrong with them."""

    def __init__(self, expected: Expected, records: Iterable[Stored], partitions: int) -> None:
        self.expected, self._partitions = expected, partitions
        self.faults: dict[str, list[Any]] = defaultdict(list)
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.repeats = 0
        seen: dict[tuple[str, str], bytes] = {}
        for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
            if record.topic not in {PREDICTIONS, SCORED, EVIDENCE, ASSIGNMENTS, OBSERVATIONS, DECISIONS, DEAD_LETTERS}:
                continue
            event = record.event
            if event["type"] in {"Ticked", "ControlChanged"}:
                continue
            self.events[record.topic].append(event)
            of = record.topic, event["id"]
            if of in seen:
                self.repeats += 1
                # A better copy of a pair takes the place of what was scored before: it is no repeat.
                if seen[of] != record.value and record.topic != SCORED:
                    self.faults["a repeat with other bytes"].append(of)
            else:
                seen[of] = record.value or b""

    def check(self, counts: Counts | None = None) -> dict[str, list[Any]]:
        """The faults, five of each kind. `counts` are attribution's own books."""
        self._assignments()
        self._predictions()
        self._pairs()
        self._dead_letters()
        self._evidence()
        self._decisions()
        if counts is not None:
            self._counts(counts)
        return {kind: found[:5] for kind, found in self.faults.items()}

    def _first(self, topic: str, *fields: str) -> dict[Any, dict[str, Any]]:
        """The first event of each id; an identity (fields) with two ids is a fault."""
        by_id = {event["id"]: event for event in reversed(self.events[topic])}
        found: dict[Any, dict[str, Any]] = {}
        for event in by_id.values():
            of = tuple(event[field] for field in fields) if len(fields) > 1 else event[fields[0]]
            if of in found:
                self.faults[f"{topic}: two events for one"].append(of)
            found[of] = event
        return found

    def _same(self, what: str, found: Iterable[Any], wanted: Iterable[Any]) -> None:
        has, wants = set(found), set(wanted)
        self.faults[f"missing: {what}"] += sorted(wants - has)
        self.faults[f"unknown: {what}"] += sorted(has - wants)
        for kind in (f"missing: {what}", f"unknown: {what}"):
            if not self.faults[kind]:
                del self.faults[kind]

    def _assignments(self) -> None:
        variants: dict[tuple[str, str], set[str]] = defaultdict(set)
        for event in self.events[ASSIGNMENTS]:
            variants[event.get("experiment", ""), event["unit"]].add(event["variant"])
        for of, found in variants.items():
            if len(found) > 1:
                self.faults["one unit, several variants"].append((of, found))

    def _predictions(self) -> None:
        made = self._first(PREDICTIONS, "request_id")
        self._same("prediction", made, self.expected.predictions)
        for request_id, event in made.items():
            wanted = self.expected.predictions.get(request_id)
            if wanted is None:
                continue
            answers = {event["variant"]: event.get("values")}
            answers |= {shadow["variant"]: shadow.get("values") for shadow in event.get("shadows", ())}
            times = wanted.times if wanted.answers[wanted.variant] is not None else None
            right = event["variant"] == wanted.variant and event.get("target_times") == times
            if not right or not _close(answers, wanted.answers):
                self.faults["wrong prediction"].append((event, wanted))

    def _pairs(self) -> None:
        scored: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
        for event in self.events[SCORED]:
            scored[event["request_id"], event["step"]].append(event)
        self._same("pair", scored, self.expected.pairs)
        for of, events in scored.items():
            if len({event["id"] for event in events}) > 1:
                self.faults[f"{SCORED}: two events for one"].append(of)
            wanted = self.expected.pairs.get(of)
            if wanted is not None and not any(
                event["outcome_id"] == wanted.outcome.event["id"] and event["delay_ms"] >= wanted.delay_ms
                for event in events
            ):
                self.faults["wrong pair"].append((of, wanted, events))

    def _dead_letters(self) -> None:
        letters = self._first(DEAD_LETTERS, "topic", "partition", "offset")
        garbage = self.expected.users.garbage
        self._same("dead letter", letters, garbage)
        for place, event in letters.items():
            if place in garbage and event["length"] != len(garbage[place]):
                self.faults["wrong dead letter"].append(event)

    def _evidence(self) -> None:
        reports = self._first(EVIDENCE, "subject", "partition", "first_epoch").values()
        for subject, arms in self.expected.arms.items():
            own = [event for event in reports if event["subject"] == subject]
            for partition in range(self._partitions):
                epochs = [
                    epoch
                    for event in own
                    if event["partition"] == partition
                    for epoch in range(event["first_epoch"], event["last_epoch"] + 1)
                ]
                if sorted(epochs) != list(self.expected.epochs[subject]):
                    self.faults["epochs"].append((subject, partition, sorted(epochs), self.expected.epochs[subject]))
            for name, arm in arms.items():
                parts = [event["variants"][name] for event in own if name in event.get("variants", {})]
                for field in ("served", "predictions", "errors", "matured"):
                    total = sum(part.get(field, 0) for part in parts)
                    if total != getattr(arm, field):
                        self.faults["wrong sum"].append((name, field, total, getattr(arm, field)))
                for field, wanted in zip(("losses", "paired"), arm.moments(), strict=True):
                    pooled = _pool([m for part in parts for m in part.get(field, {}).values()])
                    if pooled.n != wanted.n or not np.allclose(pooled[1:], wanted[1:], rtol=EXACT, atol=0):
                        self.faults["wrong sum"].append((name, field, pooled, wanted))

    def _decisions(self) -> None:
        decided: dict[tuple[str, int], set[str]] = defaultdict(set)
        for event in self.events[DECISIONS]:
            decided[event["subject"], event["epochs"][0]].add(event["id"])
        for of, ids in decided.items():
            if len(ids) > 1:
                self.faults[f"{DECISIONS}: two events for one"].append(of)

    def _counts(self, counts: Counts) -> None:
        expected = self.expected
        errors = {r for r in expected.errors if not _is_expired(expected, r)}
        observed = Counter(event["type"] for event in self.events[OBSERVATIONS])
        wanted = {
            "predictions": len(expected.predictions) - len(expected.errors) - expected.expired,
            "errors": len(errors),
            "matured": expected.matured,
            "never": expected.never,
            "late": sum(pair.late for pair in expected.pairs.values()),
            # Each record of its input counts once, repeats too.
            "metrics": observed["MetricObserved"],
            "records": len(self.events[PREDICTIONS]) + observed["OutcomeObserved"],
        }
        has = {name: getattr(counts, name, None) for name in wanted}
        has["records"] = counts.predictions + counts.errors + counts.outcomes + counts.duplicates + counts.expired
        for name, value in wanted.items():
            if has[name] != value:
                self.faults["wrong count"].append((name, has[name], value))


def decision_log(records: Iterable[Stored]) -> list[bytes]:
    """The first record of each decision, in order of time and id."""
    return told(records, DECISIONS)


def told(records: Iterable[Stored], topic: str) -> list[bytes]:
    """The first record of each event of a topic, in order of time and id."""
    first: dict[str, bytes] = {}
    for record in sorted(records, key=lambda r: (r.topic, r.partition, r.offset)):
        if record.topic == topic:
            first.setdefault(record.event["id"], record.value or b"")
    return sorted(first.values(), key=lambda value: ((event := orjson.loads(value))["time"], event["id"]))


def total_counts(rows: Mapping[int, Any]) -> Counts:
    """Attribution's books over all partitions, out of what its state topic says."""
    total: Counter[str] = Counter()
    for loaded in rows.values():
        if b"counts" in loaded.rows:
            total.update(orjson.loads(loaded.rows[b"counts"][0]))
    return Counts(**total)


def _is_expired(expected: Expected, request_id: str) -> bool:
    prediction = expected.predictions[request_id]
    return bool(prediction.request.seen_at > prediction.request.event["time"] + prediction.wait_ms)


def _close(has: Mapping[str, list[float] | None], wants: Mapping[str, list[float] | None]) -> bool:
    if has.keys() != wants.keys():
        return False
    for name, values in wants.items():
        found = has[name] or None
        if (found is None) != (values is None):
            return False
        if found is not None and values is not None and not np.allclose(found, values, rtol=EXACT, atol=1e-12):
            return False
    return True


def _pool(parts: list[list[float]]) -> Moments:
    """Count, mean and squared deviations of all parts together, by the law of total variance."""
    if not parts:
        return Moments(0, 0.0, 0.0)
    n, mean, m2 = np.array([part[:3] for part in parts], float).T  # the fourth is what rounding took from the mean
    if not n.sum():
        return Moments(0, 0.0, 0.0)
    centre = float((n * mean).sum() / n.sum())
    return Moments(int(n.sum()), centre, float((m2 + n * (mean - centre) ** 2).sum()))
