"""Sends entries to MLflow so that each arrives once, whatever was lost on the way: what may have arrived is asked for.

A run is found again by the tag `evenhand.run`, a version by its tag `version`; a metric by name, step, time and value.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from adapters.mlflow.spool import Entry, Kind, Spool

RUN_TAG, VERSION_TAG, PARENT_TAG = "evenhand.run", "version", "mlflow.parentRunId"
KIND = {"mlflow.experimentKind": "custom_model_development"}  # so that the page shows runs, not chats
# What a second attempt would not change.
FINAL = {
    "INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE",
}  # fmt: skip
UNSENDABLE = (TypeError, msgspec.ValidationError)  # an entry that cannot be put into words holds up nothing else
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # it would hold everything up for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout is for the command's result
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_BATCHED: tuple[Kind, ...] = ("param", "metric", "tag")
_IN_TURN: tuple[Kind, ...] = ("artifact", "version", "alias", "end")
_CHUNK = 100  # params and tags of one call
T = TypeVar("T")


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a start: `parent` is our name of another run."""

    experiment: str
    artifact_location: str | None = None
    name: str = ""
    parent: str = ""
    tags: dict[str, str] = {}


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a version: `path` is where its artifacts lie in its run."""

    model: str
    path: str
    description: str = ""
    tags: dict[str, str] = {}


class Remote:
    """An MLflow at `uri`: a server, or a database."""

    def __init__(self, spool: Spool, uri: str, client: Any = None) -> None:
        """Connect at the first delivery, unless there is a client."""
        self._spool, self._uri, self._client = spool, uri, client

    @property
    def client(self) -> Any:
        """MLflow's own client."""
        if self._client is None:
            for name, value in _ENVIRONMENT.items():
                os.environ.setdefault(name, value)
            from mlflow import MlflowClient  # noqa: PLC0415  seconds that only the thread should wait

            for talkative in ("mlflow", "alembic"):
                logging.getLogger(talkative).setLevel(logging.WARNING)
            self._client = MlflowClient(self._uri, registry_uri=self._uri)
        return self._client

    def deliver(self, entries: Sequence[Entry]) -> None:
        """Send entries and note what has arrived. Raises if MLflow is away; what it refuses for good is noted."""
        of_run: dict[str, list[Entry]] = {}  # in order of their first entry: a parent before its children
        for entry in entries:
            of_run.setdefault(entry.run, []).append(entry)
        for run, found in of_run.items():
            by_kind = {kind: list(each) for kind, each in groupby(sorted(found, key=_rank), key=attrgetter("kind"))}
            for entry in by_kind.get("start", []):
                self._one(entry)
            batched = [entry for kind in _BATCHED for entry in by_kind.get(kind, [])]
            for chunk in _chunks(batched):
                self._batch(run, self._unknown(run, chunk))
            for kind in _IN_TURN:
                for entry in by_kind.get(kind, []):
                    self._one(entry)

    def _unknown(self, run: str, entries: list[Entry]) -> list[Entry]:
        """The entries without metrics that have arrived in an attempt that got no answer."""
        arrived: list[Entry] = []
        doubted = [entry for entry in entries if entry.kind == "metric" and entry.doubted]
        for key in {entry.key for entry in doubted}:
            held = {one.step for one in self.client.get_metric_history(self._remote(run), key)}
            arrived += [entry for entry in doubted if entry.key == key and entry.step in held]
        self._spool.sent("mlflow", arrived)
        return [entry for entry in entries if entry not in arrived]

    def _batch(self, run: str, entries: list[Entry]) -> None:
        if not entries:
            return
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        self._spool.doubt([entry.seq for entry in entries if entry.kind == "metric"])
        try:
            self.client.log_batch(
                self._remote(run),
                metrics=[Metric(e.key, float(e.body), e.time, e.step) for e in entries if e.kind == "metric"],
                params=[Param(e.key, e.body.decode()) for e in entries if e.kind == "param"],
                tags=[RunTag(e.key, e.body.decode()) for e in entries if e.kind == "tag"],
            )
        except (MlflowException, *UNSENDABLE) as error:
            if not _final(error):
                raise
            if len(entries) > 1:
                for entry in entries:
                    self._batch(run, [entry])
            else:
                self._spool.refuse("mlflow", entries[0], str(error))
        else:
            self._spool.sent("mlflow", entries)

    def _one(self, entry: Entry) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            getattr(self, f"_{entry.kind}")(entry)
        except (MlflowException, *UNSENDABLE) as error:
            if not _final(error):
                raise
            self._spool.refuse("mlflow", entry, str(error))
        else:
            self._spool.sent("mlflow", [entry])

    def _start(self, entry: Entry) -> None:
        start = msgspec.json.decode(entry.body, type=Start)
        experiment = self._experiment(start)
        found = self.client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{entry.run}'", max_results=1)
        if found:
            remote = found[0].info.run_id
        else:
            tags = {**start.tags, RUN_TAG: entry.run}
            if start.parent:
                tags[PARENT_TAG] = self._remote(start.parent)
            made = self.client.create_run(experiment, start_time=entry.time, tags=tags, run_name=start.name or None)
            remote = made.info.run_id
        self._spool.name_remote(entry.run, remote)

    def _experiment(self, start: Start) -> str:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        held = self.client.get_experiment_by_name(start.experiment)
        if held is None:
            try:
                made = self.client.create_experiment(start.experiment, start.artifact_location, KIND)
                return str(made)
            except MlflowException:  # another made it between
                held = self.client.get_experiment_by_name(start.experiment)
                if held is None:
                    raise
        if held.lifecycle_stage == "deleted":
            self.client.restore_experiment(held.experiment_id)
        return str(held.experiment_id)

    def _artifact(self, entry: Entry) -> None:
        folder, _, _ = entry.key.rpartition("/")
        file = self._spool.folder / entry.body.decode()
        if file.exists():  # else it has arrived, and only the note of that was lost
            self.client.log_artifact(self._remote(entry.run), str(file), folder or None)
            file.unlink()

    def _version(self, entry: Entry) -> None:
        version = msgspec.json.decode(entry.body, type=Registered)
        self._ensure_model(version.model)
        if self.number(version.model, version.tags[VERSION_TAG]) is None:
            remote = self._remote(entry.run)
            source = f"{self.client.get_run(remote).info.artifact_uri}/{version.path}"
            self.client.create_model_version(
                version.model, source, run_id=remote, tags=version.tags, description=version.description
            )

    def _ensure_model(self, model: str) -> None:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            self.client.create_registered_model(model)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def number(self, model: str, version: str) -> str | None:
        """What MLflow's registry calls a version; None if it has none of that name."""
        found = self.client.search_model_versions(f"name = '{model}'", max_results=10_000)
        numbers = [str(one.version) for one in found if one.tags.get(VERSION_TAG) == version]
        return min(numbers, key=int) if numbers else None

    def aliases(self, model: str) -> list[str]:
        """Return the aliases that a model has there; none if there is no such model."""
        from mlflow.exceptions import MlflowException  # noqa: PLC0415

        try:
            return sorted(self.client.get_registered_model(model).aliases)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return []

    def _alias(self, entry: Entry) -> None:
        model, _, alias = entry.key.rpartition("/")
        if not entry.body:
            self.client.delete_registered_model_alias(model, alias)
        elif (number := self.number(model, entry.body.decode())) is not None:
            self.client.set_registered_model_alias(model, alias, number)

    def _end(self, entry: Entry) -> None:
        self.client.set_terminated(self._remote(entry.run), entry.body.decode(), entry.time)

    def _remote(self, run: str) -> str:
        return self._spool.remote(run)


def _final(error: Exception) -> bool:
    """Whether a second attempt would end the same."""
    return isinstance(error, UNSENDABLE) or getattr(error, "error_code", None) in FINAL


def _rank(entry: Entry) -> int:
    return ("start", *_BATCHED, *_IN_TURN).index(entry.kind)


def _chunks(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Parts that MLflow takes in one call: at most a hundred params or tags."""
    few = [entry for entry in entries if entry.kind != "metric"]
    metrics = [entry for entry in entries if entry.kind == "metric"]
    yield from _parts(few, _CHUNK)
    yield from _parts(metrics, 1000)


def _parts(entries: list[T], size: int) -> Iterable[list[T]]:
    return (entries[at : at + size] for at in range(0, len(entries), size))
