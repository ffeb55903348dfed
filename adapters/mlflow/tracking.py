"""What a training says about itself: runs within runs, their parameters, metrics, files and versions.

Nothing here waits for MLflow or fails for it: a call writes to the spool and returns.
"""

import hashlib
import logging
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, SupportsFloat, SupportsInt

import msgspec

from adapters import processes
from adapters.mlflow.remote import VERSION_TAG, Registered, Remote, Start
from adapters.mlflow.sender import Sender
from adapters.mlflow.settings import TrackingSettings
from adapters.mlflow.spool import Entry, Said, Spool
from evenhand.codec import stable_id
from evenhand.events import MetricObserved
from evenhand.finite import LARGEST

LOGGER = logging.getLogger("evenhand.tracking")
Status = Literal["FINISHED", "FAILED", "KILLED"]
WAIT_S = 10.0  # at the end, for what has not arrived
LONGEST_VALUE = 6000  # of a parameter in MLflow
_NAME = re.compile(r"[^\w./ :-]")  # what MLflow allows in the name of a metric or parameter
Stream = Callable[[Sequence[MetricObserved]], None]


def now_ms() -> int:
    """The time of something that is said now."""
    return time.time_ns() // 1_000_000


class Tracking:
    """`with Tracking(settings, home) as tracking, tracking.start_run("a name") as run: run.metrics({"loss": 0.1}, 1)`.

    `stream` gets the metrics, too, and raises while it cannot take them.
    """

    def __init__(
        self, settings: TrackingSettings, home: Path, *, stream: Stream | None = None, wait_s: float | None = None
    ) -> None:
        """Open the spool of a home; at the end, wait up to `wait_s` seconds for what has not arrived."""
        self.settings, self.streams, self.wait_s = settings, stream is not None, WAIT_S if wait_s is None else wait_s
        self.spool = Spool(home / "tracking" / f"{_slug(settings.tracking_uri)}.db")
        self.lost = 0
        """How many calls could not be written to the disk."""
        self.left = 0
        """How many entries had not arrived when it was closed."""
        self._calls = 0
        self.registry = Remote(self.spool, settings.tracking_uri)
        """What MLflow has; asking it waits for it."""
        self._senders = [Sender(self.spool, "mlflow", Remote(self.spool, settings.tracking_uri).deliver)]
        if stream is not None:

            def deliver(entries: Sequence[Entry]) -> None:
                stream([event for event in map(metric_event, entries) if event is not None])
                self.spool.sent("stream", entries)

            self._senders.append(Sender(self.spool, "stream", deliver))

    def __enter__(self) -> Self:
        """Begin to send, first what earlier processes could not."""
        self._note(self._end_orphans)
        for sender in self._senders:
            sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait a little for what has not arrived. What is left waits for the next time."""
        self._note(self._close)

    def _close(self) -> None:
        try:
            self.left = 0 if self.flush(self.wait_s) else self.waiting
        finally:
            for sender in self._senders:
                sender.stop()
        for sender in self._senders:
            sender.join(self.wait_s)
        if not any(sender.is_alive() for sender in self._senders):
            self.spool.forget_ended()
            self.spool.close()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything has arrived; False if that takes longer."""
        give_up = time.monotonic() + timeout_s
        return all(sender.drain(max(0.0, give_up - time.monotonic())) for sender in self._senders)

    @property
    def waiting(self) -> int:
        """How many entries have not arrived."""
        return sum(self.spool.waiting(sender.sink) for sender in self._senders)

    @property
    def trouble(self) -> str:
        """Why something does not arrive; empty while all is well."""
        return next((sender.trouble for sender in self._senders if sender.trouble), "")

    def start_run(
        self, name: str, *, run: str = "", parent: str = "", tags: Mapping[str, object] | None = None
    ) -> "Run":
        """Begin a run. The same `run` again goes on with it; `parent` is the id of another one."""
        begun = Run(self, run or uuid.uuid4().hex, name)
        start = Start(
            experiment=self.settings.experiment_name, artifact_location=self.settings.artifact_location, name=str(name),
            parent=parent, tags={str(key): str(value) for key, value in (tags or {}).items()},
        )  # fmt: skip
        self._note(lambda: self.spool.open_run(begun.id, f"{os.getpid()} {processes.identity(os.getpid())}"))
        self.say(begun.id, Said("start", "", 0, now_ms(), msgspec.json.encode(start)))
        return begun

    def say(self, run: str, *said: Said) -> None:
        """Write entries; never raises for a disk that is full, but counts."""
        self._note(lambda: self.spool.add(run, said, streams=self.streams))
        self._calls += 1
        if self._calls % self.settings.log_frequency == 0:
            for sender in self._senders:
                sender.wake()

    def alias(self, model: str, alias: str, version: str | None) -> None:
        """Let an alias of a model stand for a version; None takes it away."""
        self.say("", Said("alias", f"{model}/{alias}", 0, now_ms(), (version or "").encode()))

    def _note(self, write: Callable[[], object]) -> None:
        try:
            write()
        except (sqlite3.Error, OSError) as error:
            self.lost += 1
            if self.lost == 1:
                LOGGER.warning("tracking cannot use %s, training goes on without: %s", self.spool.path, error)

    def _end_orphans(self) -> None:
        """End the runs of processes that have died."""
        for run, owner in self.spool.open_runs():
            pid, _, identity = owner.partition(" ")
            if not processes.running(int(pid), identity):
                self.end(run, "KILLED")

    def end(self, run: str, status: Status) -> None:
        """End a run."""
        self.say(run, Said("end", "", 0, now_ms(), status.encode()))
        self._note(lambda: self.spool.end_run(run))


class Run:
    """One run; `id` is our name of it, which MLflow keeps as the tag `evenhand.run`."""

    def __init__(self, tracking: Tracking, run: str, name: str) -> None:
        self._tracking, self.id, self.name = tracking, run, name

    def params(self, values: Mapping[str, object]) -> None:
        """Note parameters. The first value of a name counts."""
        self._say(Said("param", _name(name), 0, now_ms(), str(value)[:LONGEST_VALUE].encode())
                  for name, value in values.items())  # fmt: skip

    def metrics(self, values: Mapping[str, SupportsFloat], step: SupportsInt = 0) -> None:
        """Note metrics of a step. The first value of a name and step counts."""
        time_ms, number = now_ms(), int(step)  # SQLite keeps an integer of numpy's as bytes
        self._say(Said("metric", _name(name), number, time_ms, repr(float(value)).encode())
                  for name, value in values.items())  # fmt: skip

    def tags(self, values: Mapping[str, object]) -> None:
        """Set tags; the newest value of a name counts."""
        self._say(Said("tag", name, 0, now_ms(), str(value).encode()) for name, value in values.items())

    def artifact(self, path: str, content: bytes) -> None:
        """Keep a file under a relative path; the newest of a path counts."""
        where = f"{self.id}/{hashlib.sha256(content).hexdigest()[:16]}/{path}"
        file = self._tracking.spool.folder / where
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        except OSError as error:
            self._tracking.lost += 1
            LOGGER.warning("the artifact %s cannot be written: %s", path, error)
        else:
            self._say([Said("artifact", path, 0, now_ms(), where.encode())])

    def version(self, model: str, version: str, path: str, *, description: str, tags: Mapping[str, str]) -> None:
        """Register what lies under `path` among the artifacts as a version of a model."""
        registered = Registered(
            model=model, path=path, description=description, tags={VERSION_TAG: version, **tags}
        )  # fmt: skip
        self._say([Said("version", f"{model}/{version}", 0, now_ms(), msgspec.json.encode(registered))])

    def child(self, name: str, *, run: str = "", tags: Mapping[str, object] | None = None) -> "Run":
        """Begin a run within this one."""
        return self._tracking.start_run(name, run=run, parent=self.id, tags=tags)

    def end(self, status: Status = "FINISHED") -> None:
        """Say nothing more."""
        self._tracking.end(self.id, status)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End as whatever happened says."""
        interrupted = isinstance(error, (KeyboardInterrupt, SystemExit))
        self.end("FINISHED" if error is None else "KILLED" if interrupted else "FAILED")

    def _say(self, said: Iterable[Said]) -> None:
        self._tracking.say(self.id, *said)


def metric_event(entry: Entry) -> MetricObserved | None:
    """Return the event of a metric; None for a value that no event may have. A repeat has the same id."""
    value = float(entry.body)
    if not abs(value) <= LARGEST:  # NaN is not, either
        return None
    return MetricObserved(
        id=stable_id("training", entry.run, entry.key, entry.step), time=entry.time, key=entry.run,
        name=f"training/{entry.key}"[:256], value=value, unit=str(entry.step),
    )  # fmt: skip


def _name(name: str) -> str:
    """A name that MLflow takes.

    >>> _name("loss (validation)")
    'loss _validation_'
    """
    return _NAME.sub("_", name)[:250]


def _slug(uri: str) -> str:
    """A file name for an address: what is meant for one MLflow never goes to another."""
    return hashlib.sha256(uri.encode()).hexdigest()[:12]
