"""What the loop reports, for Prometheus: gauges with labels of bounded number, whatever names users invent."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from evenhand.events import DriftCleared, DriftDetected, MetricReported

MOST = {"model": 50, "version": 200, "metric": 200, "topic": 100, "process": 70, "kind": 10}
OTHER = "other"


class Bounded:
    """Label values: the first so many distinct ones, then all others under one name.

    >>> bounded = Bounded({"model": 1})
    >>> bounded("model", "a"), bounded("model", "b"), bounded("model", "a")
    ('a', 'other', 'a')
    """

    def __init__(self, most: dict[str, int]) -> None:
        self._most = most
        self._known: dict[str, set[str]] = {}

    def __call__(self, label: str, value: str) -> str:
        known = self._known.setdefault(label, set())
        if value in known or len(known) < self._most[label]:
            known.add(value)
            return value
        return OTHER


class Gauges:
    """Everything that is exported. Series: at most models x versions x metrics of the bounds above."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._bounded = Bounded(MOST)
        self._report = self._gauge(
            "evenhand_report", "A model's metric in its last epoch", "model", "version", "metric"
        )
        self._count = self._gauge("evenhand_report_count", "Of how many", "model", "version", "metric")
        self._epoch = self._gauge("evenhand_report_epoch_end_seconds", "Event time of the last report", "model")
        self._drifted = self._gauge("evenhand_drifted", "1 while it is drifted", "model", "kind")
        self._system = self._gauge("evenhand_system", "CPU, memory, disk; process is empty for the host",
                                   "process", "metric")  # fmt: skip
        self._lag = self._gauge("evenhand_consumer_lag_records", "Records that wait for the agents", "topic")
        self._alarms = Counter(
            "evenhand_drift_alarms", "Alarms of drift that the log holds", ["model", "kind"],
            registry=self.registry,
        )  # fmt: skip
        self._seen: dict[Gauge, int] = {}

    def _gauge(self, name: str, text: str, *labels: str) -> Callable[..., Gauge]:
        gauge = Gauge(name, text, labels, registry=self.registry)

        def of(*values: str) -> Gauge:
            return gauge.labels(*[self._bounded(label, value) for label, value in zip(labels, values, strict=True)])

        return of

    def report(self, event: MetricReported) -> None:
        """Take a report; an older one than that before changes nothing."""
        version = event.version or ""
        for name, value in event.values.items():
            self._newer(event.time, self._report(event.model, version, name), value)
        for name, count in event.counts.items():
            self._newer(event.time, self._count(event.model, version, name), float(count))
        self._newer(event.time, self._epoch(event.model), event.time / 1000)

    def drift(self, event: DriftDetected | DriftCleared) -> None:
        """Take a signal of drift."""
        kind, is_alarm = event.kind or "inputs", isinstance(event, DriftDetected)
        self._newer(event.time, self._drifted(event.model, kind), float(is_alarm))
        if is_alarm:
            self._alarms.labels(self._bounded("model", event.model), self._bounded("kind", kind)).inc()

    def system(self, process: str, name: str, value: float) -> None:
        """A reading of the machine or of a process."""
        self._system(process, name).set(value)

    def lag(self, topic: str, records: int) -> None:
        """What waits in a topic."""
        self._lag(topic).set(records)

    def _newer(self, time: int, gauge: Gauge, value: float) -> None:
        if self._seen.get(gauge, -1) <= time:
            self._seen[gauge] = time
            gauge.set(value)

    def serve(self, port: int) -> tuple[str, Callable[[], None]]:
        """Answer on the loopback interface alone; its address, and how to end it. Another port where this is taken."""
        try:
            server, thread = start_http_server(port, "127.0.0.1", self.registry)
        except OSError:
            server, thread = start_http_server(0, "127.0.0.1", self.registry)

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return f"http://127.0.0.1:{server.server_address[1]}/metrics", end
