"""Tracking for commands: to the MLflow of `config/mlflow.yaml` or MLFLOW_TRACKING_URI, and to `metrics.v1`."""

import contextlib
import importlib.util
import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from evenhand.cli.output import note
from evenhand.events import MetricObserved

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings
    from adapters.mlflow.settings import TrackingSettings
    from adapters.mlflow.tracking import Tracking


@contextlib.contextmanager
def tracking(settings: "TrackingSettings | None" = None) -> "Iterator[Tracking | None]":
    """Open tracking, and say at the end what has not arrived yet. None where MLflow is not installed."""
    from evenhand.cli.loop import home_folder

    home = home_folder()
    if importlib.util.find_spec("mlflow") is None:
        note("this run is not tracked, for MLflow is not installed: pip install 'evenhand[tracking]'")
        yield None
        return
    from adapters.configuration import config_folder
    from adapters.mlflow.settings import read_tracking
    from adapters.mlflow.tracking import Tracking
    from evenhand.client.checkout import root

    chosen = settings or read_tracking(config_folder(root())).at(home)
    with Stream() as stream:
        try:
            opened = Tracking(chosen, home, stream=stream.send if stream.configured else None)
        except (sqlite3.Error, OSError) as error:
            note(f"this run is not tracked, for {home / 'tracking'} cannot be written: {error}")
            yield None
            return
        try:
            with opened:
                yield opened
        finally:
            if opened.left:
                note(f"{opened.left} entries wait in {opened.spool.path}: the next run or `evenhand models sync` sends "
                     f"them to {chosen.tracking_uri} ({opened.trouble or 'it is slow'})")  # fmt: skip


class Stream:
    """Metrics to the broker that is configured, if there is one; a broker that is away is tried again."""

    def __init__(self) -> None:
        self._settings = _broker()
        self._producer: Any = None

    @property
    def configured(self) -> bool:
        """Whether there is a broker."""
        return self._settings is not None

    def send(self, metrics: Sequence[MetricObserved]) -> None:
        """Send them and wait for the acknowledgements; raises if the broker does not take them."""
        from evenhand.client.produce import BlockingProducer

        if self._producer is None:
            producer = BlockingProducer(self._settings, source="/evenhand/trainer")
            producer.__enter__()
            self._producer = producer
        try:
            self._producer.send_all(metrics)
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(Exception):
                producer.__exit__(None, None, None)

    def __enter__(self) -> Self:
        """Itself; it connects when there is something to send."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._close()


def _broker() -> "KafkaSettings | None":
    from evenhand.client.connection import kafka_settings
    from evenhand.errors import EvenhandError

    with contextlib.suppress(EvenhandError):
        return kafka_settings()
    return None
