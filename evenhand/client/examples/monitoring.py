"""Performance monitoring by its document's names: in the process of whoever predicts, by the rules that the loop uses.

    from evenhand.client.examples import create_performance_monitor

    monitor = create_performance_monitor(monitoring_interval=60, enable_slack_alerts=True, enable_email_alerts=True)
    monitor.start_monitoring()
    monitor.record_prediction(model_name="crypto_transformer", prediction=0.3, response_time=12.5, actual=0.2)

Once in `monitoring_interval` seconds what was recorded is summed up and every rule is judged; alerts are told on the
console and by the channels of the environment (SLACK_WEBHOOK_URL, SMTP_SERVER, MONITORING_WEBHOOK_URL, ...). Nothing is
needed but this process; `monitor.configuration()` is the same as a config/alerts.yaml, for the loop.
"""

import asyncio
import logging
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from evenhand.alerts.configured import Alerts
from evenhand.client.examples.alert_rules import AlertManager
from evenhand.client.identity import now_ms
from evenhand.drift.line import Line
from evenhand.drift.watch import WatchRule
from evenhand.events import AlertRouted, SampledRow, ServiceLevelReported
from evenhand.metrics.error_fraction import ErrorFraction
from evenhand.metrics.response_time import ResponseTime
from evenhand.metrics.rmse import Rmse
from evenhand.metrics.sketch import Sketch
from evenhand.processors.columns import as_sums, from_sums
from evenhand.processors.merged_epochs import Sums, merge_sums
from evenhand.slo.indicator import JUDGED, counts_of, values_of

if TYPE_CHECKING:
    from adapters.notifiers.base import Channel

__all__ = ["PerformanceMonitor", "create_performance_monitor"]

log = logging.getLogger(__name__)
_DRIFT = WatchRule(per_month=1.0, reference_size=500)


class _Interval:
    """What was recorded of a model since the last judgement."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.pairs: list[tuple[float, float]] = []
        self.directions: list[float] = []
        self.inputs: list[dict[str, float]] = []
        self.requests = self.errors = 0

    def sums(self, readings: Mapping[str, float]) -> Sums:
        from evenhand.metrics.accuracy import Accuracy
        from evenhand.metrics.gauge import Gauge

        found: dict[str, Sketch] = {name: Gauge().add(np.array([value])) for name, value in readings.items()}
        if self.requests:
            found["error_fraction"] = ErrorFraction().add(self.requests, self.errors)
        if self.times:
            found["response_time"] = ResponseTime().add(np.array(self.times))
        if self.pairs:
            predicted, actual = np.array(self.pairs).T
            found["rmse"] = Rmse().add(predicted, actual)
        if self.directions:
            found["accuracy"] = Accuracy(n=len(self.directions), points=float(np.sum(self.directions)))
        return as_sums(found)


class PerformanceMonitor:
    """Judges what is recorded, once an interval: in a thread of its own, or whenever `check` is called."""

    def __init__(self, interval_s: float, channels: "dict[str, Channel]", clock: Callable[[], int]) -> None:
        self.alert_manager = AlertManager()
        self._interval_ms, self._channels, self._clock = round(interval_s * 1000), channels, clock
        self._open: dict[str, _Interval] = defaultdict(_Interval)
        self._recent: dict[str, dict[int, Sums]] = defaultdict(dict)
        self._drift: dict[str, Line] = {}
        self._last: dict[str, float] = {}
        self._lock, self._ended = threading.RLock(), threading.Event()
        self._thread: threading.Thread | None = None

    def start_monitoring(self) -> None:
        """Judge once an interval from here on. The process may end at any time."""
        if self._thread is None:
            self._ended.clear()
            self._thread = threading.Thread(target=self._run, name="monitoring", daemon=True)
            self._thread.start()

    def stop_monitoring(self) -> None:
        """Judge what is left, and end."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._thread = None
            self.check()

    def record_prediction(
        self,
        *,
        model_name: str,
        prediction: float,
        response_time: float | None = None,
        actual: float | None = None,
        input_features: Mapping[str, float] | Sequence[float] | None = None,
        error: bool = False,
    ) -> None:
        """A prediction, how many milliseconds it took, the truth if it is known, and what went in.

        Accuracy is of the direction: whether prediction and truth lie on the same side of the truth before. With
        `error`, there was no answer.
        """
        with self._lock:
            held = self._open[model_name]
            held.requests, held.errors = held.requests + 1, held.errors + bool(error)
            if response_time is not None:
                held.times.append(float(response_time))
            if actual is not None and not error:
                held.pairs.append((float(prediction), float(actual)))
                before = self._last.get(model_name)
                if before is not None:
                    held.directions.append(0.5 + 0.5 * float(np.sign(prediction - before) * np.sign(actual - before)))
                self._last[model_name] = float(actual)
            if input_features is not None:
                held.inputs.append(_named(input_features))

    def check(self) -> tuple[AlertRouted, ...]:
        """Judge what was recorded since the last time, and tell whoever is to be told."""
        with self._lock:
            end = self._clock()
            told = [one for model in list(self._open) for one in self._judge(model, end)]
        for one in told:
            self._tell(one)
        return tuple(told)

    def configuration(self) -> dict[str, Any]:
        """The rules as the content of a config/alerts.yaml."""
        rules = [one.plain() for one in self.alert_manager.alert_rules]
        return {"monitoring_interval": max(1, self._interval_ms // 1000), "rules": rules}

    def get_metrics(self, model_name: str) -> dict[str, float]:
        """What was measured in the last interval that was judged."""
        with self._lock:
            recent = self._recent[model_name]
            return values_of(from_sums(recent[max(recent)])) if recent else {}

    def _judge(self, model: str, end: int) -> list[AlertRouted]:
        held, self._open[model] = self._open[model], _Interval()
        sums, recent = held.sums(_readings()), self._recent[model]
        recent[end] = sums
        rules = self.alert_manager.policy().rules
        longest = max([rule.window_s * 1000 for rule in rules], default=0)
        for old in [at for at in recent if at <= end - max(longest, self._interval_ms)]:
            del recent[old]
        windows: dict[str, dict[str, float]] = {}
        for window_s in {rule.window_s for rule in rules}:
            merged: Sums = {}
            for at, each in recent.items():
                merged = merge_sums(merged, each) if at > end - window_s * 1000 else merged
            windows[str(window_s)] = values_of(from_sums(merged))
        seconds = max(1, self._interval_ms // 1000)
        common: dict[str, Any] = {"key": model, "model": model, "subject": model, "epoch": 0, "epoch_s": seconds}
        values = values_of(from_sums(sums)) | {"throughput_per_s": held.requests / seconds}
        events = [
            ServiceLevelReported(
                id=f"{model}@{end}", time=end, values=values, counts=counts_of(from_sums(sums)), windows=windows,
                **common,
            )
        ]  # fmt: skip
        score = self._score(model, end, held)
        if score is not None:
            values = dict.fromkeys(JUDGED & {"drift_score"}, score)
            events.append(
                ServiceLevelReported(id=f"{model}@{end}/drift", time=end, values=values, judged=True, **common)
            )
        return [one for event in events for one in self.alert_manager.judge(event)]

    def _score(self, model: str, end: int, held: _Interval) -> float | None:
        """The part of the budget of one false alarm a month that the inputs' drift has used up."""
        if not held.inputs:
            return None
        line = self._drift.get(model)
        if line is None:
            line = self._drift[model] = Line(_DRIFT, tuple(held.inputs[0]))
        rows = [
            SampledRow(f"{end:016x}{number:08x}", end, tuple(row.get(name, 0.0) for name in line.names))
            for number, row in enumerate(held.inputs)
        ]
        line.take(end // self._interval_ms, self._interval_ms, rows)
        return line.score

    def _tell(self, alert: AlertRouted) -> None:
        from adapters.notifiers.delivery import deliver

        for name in alert.channels:
            if name in self._channels:
                ended = asyncio.run(deliver(self._channels[name], alert, deadline_s=self._interval_ms / 1000))
                if not ended.delivered:
                    log.warning("alert %s was not delivered: %s", alert.id, ended.reason)

    def _run(self) -> None:
        while not self._ended.wait(self._interval_ms / 1000):
            self.check()


def _named(features: Mapping[str, float] | Sequence[float]) -> dict[str, float]:
    if isinstance(features, Mapping):
        return {str(name): float(value) for name, value in features.items()}
    return {f"x{place}": float(value) for place, value in enumerate(features)}


def _readings() -> dict[str, float]:
    import psutil

    return {"gauge/cpu_percent": psutil.cpu_percent(), "gauge/memory_percent": psutil.virtual_memory().percent}


def create_performance_monitor(
    *,
    monitoring_interval: float = 60,
    enable_slack_alerts: bool = False,
    enable_email_alerts: bool = False,
    enable_webhook_alerts: bool = False,
    environment: Mapping[str, str] | None = None,
    clock: Callable[[], int] = now_ms,
) -> PerformanceMonitor:
    """A monitor that judges once in `monitoring_interval` seconds.

    A channel that is enabled and not set in the environment is named in the log, and left out.
    """
    from evenhand.client.checkout import root

    root()
    from adapters.notifiers.channels import channels

    found, _ = channels(Alerts(), os.environ if environment is None else environment)
    asked = {"slack": enable_slack_alerts, "email": enable_email_alerts, "webhook": enable_webhook_alerts}
    for name, enabled in asked.items():
        if enabled and name not in found:
            log.warning("channel %s is enabled and not set: see docs/alerts.md", name)
        if not enabled:
            found.pop(name, None)
    return PerformanceMonitor(monitoring_interval, found, clock)
