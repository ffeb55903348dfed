"""What is logged arrives once, whatever MLflow does in between; and what it refuses for good holds up nothing."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from adapters.mlflow.remote import Remote, Start
from adapters.mlflow.settings import TrackingSettings, read_tracking
from adapters.mlflow.spool import Said, Spool
from adapters.mlflow.tracking import Tracking, metric_event
from evenhand.errors import InvalidConfiguration

AWAY = TrackingSettings(tracking_uri="http://127.0.0.1:1")


class ForgetfulMlflow:
    """It takes what it is sent, sees no duplicates, and loses every second answer."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, int]] = []
        self.params: dict[str, str] = {}
        self.ended: list[str] = []
        self._calls = 0

    def log_batch(self, run: str, metrics: list[Any], params: list[Any], tags: list[Any]) -> None:
        if any(isinstance(metric.step, bytes) for metric in metrics):
            raise TypeError("Object of type bytes is not JSON serializable")
        if any(param.key == "bad" for param in params):
            raise MlflowException("no such param", error_code=INVALID_PARAMETER_VALUE)
        self.metrics += [(metric.key, metric.step) for metric in metrics]
        self.params |= {param.key: param.value for param in params}
        self._calls += 1
        if self._calls % 2:
            raise ConnectionError("the answer is lost")

    def get_metric_history(self, run: str, key: str) -> list[Any]:
        return [Metric(name, 0.0, 7, step) for name, step in self.metrics if name == key]

    def set_terminated(self, run: str, status: str, end_time: int) -> None:
        self.ended.append(status)


@pytest.fixture
def spool(tmp_path: Path) -> Any:
    found = Spool(tmp_path / "spool.db")
    found.open_run("r", "1 x")
    found.name_remote("r", "remote")
    yield found
    found.close()


def metric(name: str, step: int, value: float = 0.5) -> Said:
    return Said("metric", name, step, 7, repr(value).encode())


def deliver(spool: Spool, remote: Remote) -> None:
    for _ in range(100):
        entries = spool.unsent("mlflow", 50)
        if not entries:
            return
        try:
            remote.deliver(entries)
        except ConnectionError:
            continue
    raise AssertionError("it does not get through")


def test_a_metric_whose_answer_was_lost_is_not_sent_again(spool: Spool) -> None:
    mlflow = ForgetfulMlflow()
    for step in range(300):
        spool.add("r", [metric("loss", step), metric("error", step)], streams=False)
    deliver(spool, Remote(spool, "", mlflow))
    assert Counter(mlflow.metrics) == Counter((name, step) for name in ("loss", "error") for step in range(300))
    assert not spool.waiting("mlflow")


def test_what_is_said_twice_counts_once(spool: Spool) -> None:
    assert spool.add("r", [metric("loss", 1), metric("loss", 1, 9.0)], streams=True) == 1
    assert spool.add("r", [metric("loss", 1, 4.0)], streams=True) == 0
    (entry,) = spool.unsent("stream", 10)
    event, again = metric_event(entry), metric_event(entry)
    assert event is not None
    assert (event.name, event.value, event) == ("training/loss", 0.5, again)
    for value in (b"nan", b"-inf", b"1e200"):  # of a training that diverges
        assert metric_event(entry._replace(body=value)) is None


def test_a_run_that_goes_on_says_nothing_twice(spool: Spool) -> None:
    mlflow = ForgetfulMlflow()
    spool.add("r", [metric("loss", 1)], streams=False)
    deliver(spool, Remote(spool, "", mlflow))
    spool.end_run("r")
    spool.forget_ended()
    spool.open_run("r", "2 y")
    spool.add("r", [metric("loss", 1), metric("loss", 2)], streams=False)
    deliver(spool, Remote(spool, "", mlflow))
    assert mlflow.metrics == [("loss", 1), ("loss", 2)]


def test_the_newest_tag_counts_and_is_sent_again(spool: Spool) -> None:
    spool.add("r", [Said("tag", "state", 0, 7, b"old")], streams=False)
    before = spool.unsent("mlflow", 10)
    spool.add("r", [Said("tag", "state", 0, 7, b"new")], streams=False)
    spool.sent("mlflow", before)  # what was sent is not what holds now
    assert [entry.body for entry in spool.unsent("mlflow", 10)] == [b"new"]


def test_what_mlflow_refuses_for_good_is_noted_and_the_rest_arrives(spool: Spool) -> None:
    mlflow = ForgetfulMlflow()
    said = [Said("param", name, 0, 7, b"1") for name in ("good", "bad", "fine")]
    spool.add("r", [*said, Said("end", "", 0, 9, b"FINISHED")], streams=False)
    deliver(spool, Remote(spool, "", mlflow))
    assert set(mlflow.params) == {"good", "fine"}
    assert [(run, key) for run, key, _ in spool.refused()] == [("r", "bad")]
    assert set(mlflow.ended) == {"FINISHED"}


def test_what_cannot_be_put_into_words_is_noted_and_the_rest_arrives(spool: Spool) -> None:
    mlflow, numbers = ForgetfulMlflow(), np.arange(4)
    spool.add("r", [metric("loss", numbers[3]), metric("loss", 4)], streams=False)  # SQLite keeps the first as bytes
    spool.add("q", [Said("start", "", 0, 7, b'{"experiment": "e", "tags": {"fold": 3}}')], streams=False)
    deliver(spool, Remote(spool, "", mlflow))
    assert set(mlflow.metrics) == {("loss", 4)}
    assert sorted((run, key) for run, key, _ in spool.refused()) == [("q", ""), ("r", "loss")]


def test_numbers_of_any_kind_are_taken_for_what_they_are(tmp_path: Path) -> None:
    with Tracking(AWAY, tmp_path, wait_s=0.1) as tracking:
        run = tracking.start_run("a run", tags={"fold": 3})
        run.metrics({"loss": np.float32(0.5)}, step=np.arange(4)[3])
        run.tags({"epochs": 9})
        said = {entry.kind: entry for entry in tracking.spool.unsent("mlflow", 50)}
    assert msgspec.json.decode(said["start"].body, type=Start).tags == {"fold": "3"}
    assert (said["metric"].step, said["metric"].body, said["tag"].body) == (3, b"0.5", b"9")


def test_a_later_process_finds_what_waits(tmp_path: Path, spool: Spool) -> None:
    spool.add("r", [metric("loss", 1)], streams=False)
    other = Spool(spool.path)
    assert [entry.key for entry in other.unsent("mlflow", 10)] == ["loss"]
    other.close()


def test_a_run_whose_process_died_is_ended_by_the_next_one(tmp_path: Path) -> None:
    with Tracking(AWAY, tmp_path, wait_s=0.1) as tracking:
        tracking.spool.open_run("dead", "999999999 somebody")
        alive = tracking.start_run("alive")
        with Tracking(AWAY, tmp_path, wait_s=0.1) as other:
            ended = {entry.run: entry.body for entry in other.spool.unsent("mlflow", 50) if entry.kind == "end"}
            assert ended == {"dead": b"KILLED"}
        alive.end()
    assert tracking.left == 3


def test_a_training_goes_on_without_a_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Tracking(AWAY, tmp_path, wait_s=0.1) as tracking:
        run = tracking.start_run("a run")
        tracking.spool.close()
        run.metrics({"loss": 1.0})
        run.metrics({"loss": 2.0}, step=1)
        assert tracking.lost == 2  # and the end finds no disk, either
        assert len([one for one in caplog.records if "goes on without" in one.message]) == 1


def test_settings_are_those_of_mlflow(tmp_path: Path) -> None:
    (tmp_path / "mlflow.yaml").write_text(
        'tracking_uri: "http://mlflow-server:5000"\nexperiment_name: "crypto_prediction_production"\n'
        'artifact_location: "s3://ml-artifacts/crypto-models"\nauto_log: true\nlog_frequency: 10\n'
    )
    settings = read_tracking(tmp_path)
    assert settings.at(tmp_path, {}) == settings
    assert settings.at(tmp_path, {"MLFLOW_TRACKING_URI": "http://other:1"}).tracking_uri == "http://other:1"
    own = TrackingSettings().at(tmp_path, {})
    assert (own.tracking_uri, own.artifact_location) == (
        f"sqlite:///{tmp_path}/mlflow.db", f"file://{tmp_path}/mlartifacts",
    )  # fmt: skip
    (tmp_path / "mlflow.yaml").write_text("log_frequenzy: 10\n")
    with pytest.raises(InvalidConfiguration, match="log_frequency"):
        read_tracking(tmp_path)
