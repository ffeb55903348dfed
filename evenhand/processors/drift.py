"""Measurements of all partitions to alarms of drift: what has drifted, why, and when there is a new reference."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from evenhand.codec import encode, stable_id
from evenhand.drift.estimator import EstimatorState, take
from evenhand.drift.line import Line
from evenhand.drift.lowest import merged
from evenhand.drift.signals import told
from evenhand.drift.watch import DriftBegan
from evenhand.envelope import cloud_headers
from evenhand.events import (
    DriftCleared,
    DriftDetected,
    DriftFinding,
    DriftJudged,
    EpochMeasured,
    MetricReported,
    SampledRow,
)
from evenhand.processors.base import Output, Row
from evenhand.processors.drift_state import Watching, WatchingState, sample_row
from evenhand.processors.measures import Held, Judge, Places
from evenhand.topics import DRIFT_SIGNALS, REPORTS

SOURCE = "/evenhand/drift"
WATCHING_ROW, SAMPLE_ROW = b"w/", b"l/"
DETECTORS: dict[str, str] = {"inputs": "rank_legendre", "predictions": "rank_legendre", "losses": "loss_increase"}


class References(Protocol):
    """Where the training samples of versions come from: columns by feature, in order of time, or None."""

    def reference(self, model: str, version: str) -> Mapping[str, Any] | None: ...


class Drift(Judge):
    """Judges drift of the models whose key is in its partition."""

    name = "drift"

    def __init__(self, partition: int, partitions: int, references: References | None = None) -> None:
        super().__init__(partition, partitions)
        self.references = references
        self.watching: dict[str, Watching] = {}
        self._stored: dict[bytes, bytes] = {}
        self._has_reported = False

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        every = list(rows)
        super().load(every)
        samples: dict[str, dict[bytes, bytes]] = {}
        for key, value in every:
            if key.startswith(SAMPLE_ROW):
                samples.setdefault(key.removeprefix(SAMPLE_ROW).decode().rsplit("/", 3)[0], {})[key] = value
        for key, value in every:
            if key.startswith(WATCHING_ROW):
                subject = key.removeprefix(WATCHING_ROW).decode()
                state = msgspec.json.decode(value, type=WatchingState)
                known = self._reference(state.model, state.champion, state)
                self.watching[subject] = Watching.restored(state, known, samples.get(subject, {}))
                self._stored[key] = value
                self._stored.update(samples.get(subject, {}))

    def rows(self) -> Iterator[tuple[bytes, bytes]]:
        yield from super().rows()
        yield from self._stored.items()

    def _reference(self, model: str, version: str, state: WatchingState | None) -> Mapping[str, Any] | None:
        """A version's training sample; one that was not there when the watch began is not looked for later."""
        if self.references is None or (state is not None and not state.has_training):
            return None
        return self.references.reference(model, version)

    def judge(self, parts: Sequence[Held], output: Output) -> None:
        first = parts[0].measured
        rule = first.monitoring.drift
        if rule is None or first.is_alone:
            return
        places = [place for part in parts for place in part.places]
        watching = self.watching.get(first.subject)
        if watching is None or watching.champion != first.champion:
            if watching is not None:
                self._end(first, first.subject, watching, f"version {first.champion} serves now", output)
            known = self._reference(first.model, first.champion, None)
            watching = self.watching[first.subject] = Watching.begun(first, rule, known)
        size, champion = first.monitoring.rows, first.champion
        versions = [part.measured.versions.get(champion) for part in parts]
        rows = {
            "inputs": merged([part.measured.inputs for part in parts], size),
            "predictions": merged([each.predictions for each in versions if each], size),
            "losses": merged([each.losses for each in versions if each], size),
        }
        if first.monitoring.cluster_s:
            rows = {kind: watching.fresh(kind, each) for kind, each in rows.items()}
        for kind, line in watching.lines.items():
            self._watch(first, watching, kind, line, rows[kind], places, output)
        values = {f"drift_score_{kind}": line.score for kind, line in watching.lines.items()}
        values["drift_score"] = max(values.values(), default=0.0)
        if watching.has_estimator:
            values |= self._estimate(first, watching, rows["predictions"], rows["losses"], places, output)
        counts = {f"drift_rows_{kind}": len(rows[kind]) for kind in watching.lines}
        self._put(WATCHING_ROW + first.subject.encode(), encode(watching.state()), output)
        self._report(first, values, counts, places, output)
        self._has_reported = True

    def _watch(
        self,
        first: EpochMeasured,
        watching: Watching,
        kind: str,
        line: Line,
        rows: Sequence[SampledRow],
        places: Places,
        output: Output,
    ) -> None:
        epoch, generation = first.last_epoch, line.watch.generation
        signals, fresh = line.take(epoch, first.epoch_s * 1000, rows)
        if fresh:  # of the reference that comes next
            self._put(sample_row(first.subject, kind, generation + 1, epoch), encode_rows(fresh), output)
        if line.watch.generation != generation:
            for key in [key for key in self._stored if key.startswith(sample_row(first.subject, kind, generation))]:
                self._put(key, None, output)
        common = self._common(first, kind, line.watch.generation)
        for signal in signals:
            if not isinstance(signal, DriftBegan):
                size = (
                    None if line.watch.panel is None else min(f.reference.n for f in line.watch.panel.features.values())
                )
                event = DriftCleared(
                    id=stable_id("drift-cleared", first.subject, kind, generation), reason=signal.reason,
                    detector=DETECTORS[kind], reference_size=size, **common,
                )  # fmt: skip
                self._send(event, places, output)
                continue
            found = tuple(
                DriftFinding(
                    feature=each.feature, cause=each.cause, statistic=each.statistic, effect_size=each.effect_size,
                    rows_ago=each.events_ago,
                )
                for each in signal.verdict.findings
            )  # fmt: skip
            panel = line.watch.panel
            self._send(
                DriftDetected(
                    id=stable_id("drift", first.subject, kind, generation), detector=DETECTORS[kind],
                    feature=found[0].feature, cause=found[0].cause, statistic=signal.verdict.statistic,
                    threshold=signal.verdict.threshold, effect_size=found[0].effect_size,
                    reference_size=0 if panel is None else panel.features[found[0].feature].reference.n,
                    window_size=found[0].rows_ago, findings=found, evidence_digest=first.digest, **common,
                ),
                places, output,
            )  # fmt: skip

    def _estimate(
        self,
        first: EpochMeasured,
        watching: Watching,
        predictions: Sequence[SampledRow],
        losses: Sequence[SampledRow],
        places: Places,
        output: Output,
    ) -> dict[str, float]:
        before = watching.estimator
        watching.estimator, estimate, said = take(watching.estimator_rule, before, predictions, losses)
        for each in said:
            kind = "estimate" if each in {"distrusted", "trusted"} else "expected_loss"
            shared = self._common(first, kind, before.generation)
            name = stable_id("estimate", first.subject, each, before.generation, first.last_epoch)
            if each in {"relieved", "trusted"}:
                reason = (
                    "the predicted loss is back where it was" if each == "relieved" and "distrusted" not in said else
                    "the estimate is not to be believed" if each == "relieved" else "calibrated anew on outcomes"
                )  # fmt: skip
                self._send(DriftCleared(id=name, detector="early_warning", reason=reason, **shared), places, output)
            elif estimate is not None:
                of = estimate.predicted_loss if each == "warned" else estimate.actual_loss
                over = estimate.reference_loss if each == "warned" else estimate.predicted_loss
                ratio = of / over if over else 0.0
                self._send(
                    DriftDetected(
                        id=name, statistic=ratio, threshold=1 + watching.rule.warning_margin, effect_size=ratio - 1,
                        reference_size=_size(before), window_size=0 if before.warned is None else before.warned.matured,
                        feature=first.monitoring.loss, evidence_digest=first.digest, detector="early_warning",
                        cause="loss", **shared,
                    ),
                    places, output,
                )  # fmt: skip
        if estimate is None:
            return {}
        return {
            "predicted_loss": estimate.predicted_loss, "actual_loss": estimate.actual_loss,
            "reference_loss": estimate.reference_loss, "early_warning": float(watching.estimator.is_warning),
            "estimate_trusted": float(estimate.trusted),
        }  # fmt: skip

    def passed(self, like: EpochMeasured, epochs: range, silent_since: int | None, output: Output) -> None:
        """Tell how far it has come, so that alerts wait for no more and for no less."""
        reported, self._has_reported = self._has_reported, False
        for epoch in epochs if silent_since is None else told(epochs, silent_since, like.epoch_s):
            tick = DriftJudged(
                id=stable_id("drift-judged", like.subject, epoch), time=(epoch + 1) * like.epoch_s * 1000,
                key=like.model, model=like.model, subject=like.subject, epoch=epoch, reported=reported,
            )  # fmt: skip
            headers = cloud_headers("DriftJudged", tick.id, SOURCE, tick.time)
            output.send(DRIFT_SIGNALS, self.partition, Row(tick.key.encode(), encode(tick), headers))

    def ended(self, subject: str, by: EpochMeasured, output: Output) -> None:
        watching = self.watching.pop(subject, None)
        if watching is not None:
            self._end(by, subject, watching, "another policy of monitoring holds now", output)
            self._put(WATCHING_ROW + subject.encode(), None, output)

    def _end(self, first: EpochMeasured, subject: str, watching: Watching, reason: str, output: Output) -> None:
        """Another version serves, or another policy holds: what has drifted is over, and its samples go."""
        drifted: list[tuple[str, str, int]] = []
        for of, line in watching.lines.items():
            if line.watch.phase == "drifted":
                drifted.append((of, DETECTORS[of], line.watch.generation))
        estimator = watching.estimator
        drifted += [("expected_loss", "early_warning", estimator.generation)] * estimator.is_warning
        drifted += [("estimate", "early_warning", estimator.generation)] * estimator.is_distrusted
        for kind, detector, generation in drifted:
            common = {**self._common(first, kind, generation), "version": watching.champion}
            name = stable_id("drift-over", subject, kind, watching.champion, first.last_epoch)
            self._send(DriftCleared(id=name, detector=detector, reason=reason, **common), [], output)
        for key in [key for key in self._stored if key.startswith(SAMPLE_ROW + f"{subject}/".encode())]:
            self._put(key, None, output)

    def _common(self, first: EpochMeasured, kind: str, generation: int) -> dict[str, Any]:
        return {
            "time": first.time, "key": first.model, "model": first.model, "kind": kind, "version": first.champion,
            "epoch": first.last_epoch, "epoch_s": first.epoch_s, "generation": generation,
        }  # fmt: skip

    def _report(
        self,
        first: EpochMeasured,
        values: Mapping[str, float],
        counts: Mapping[str, int],
        places: Places,
        output: Output,
    ) -> None:
        event = MetricReported(
            id=stable_id("drift-reported", first.subject, first.last_epoch), time=first.time, key=first.model,
            model=first.model, version=first.champion, epoch=first.last_epoch, epoch_s=first.epoch_s,
            values=dict(values), counts=dict(counts),
        )  # fmt: skip
        headers = [
            ("evidence", msgspec.json.encode(places)),
            *cloud_headers("MetricReported", event.id, SOURCE, event.time),
        ]
        output.send(REPORTS, self.partition, Row(event.key.encode(), encode(event), headers))

    def _send(self, event: DriftDetected | DriftCleared, places: Places, output: Output) -> None:
        headers = [
            ("evidence", msgspec.json.encode(places)),
            *cloud_headers(type(event).__name__, event.id, SOURCE, event.time),
        ]
        output.send(DRIFT_SIGNALS, self.partition, Row(event.key.encode(), encode(event), headers))

    def _put(self, key: bytes, value: bytes | None, output: Output) -> None:
        output.rows[key] = value
        if value is None:
            self._stored.pop(key, None)
        else:
            self._stored[key] = value


def _size(state: EstimatorState) -> int:
    return 0 if state.reference is None else state.reference.n


def encode_rows(rows: Sequence[SampledRow]) -> bytes:
    """Rows of a sample as a state row."""
    return msgspec.json.encode(rows)
