"""`evenhand alerts` over an exported log: no broker is needed to ask what rules would have said."""

import json
from pathlib import Path

import pytest

from adapters.exports import CONTENTS
from adapters.recording import NEEDED
from evenhand.cli.run import run
from evenhand.offline import Log
from evenhand.topics import ALERTS, DRIFT_SIGNALS, MEASUREMENTS, REPORTS, SERVICE_LEVELS
from tests.unit.processors.test_alerting import TROUBLE, causes
from tests.unit.processors.watched import PARTITIONS, judged, log_of, measured

TOPICS = dict.fromkeys((*NEEDED, MEASUREMENTS, REPORTS, DRIFT_SIGNALS, SERVICE_LEVELS, ALERTS))
RULES = "rules: [{name: slow, metric: response_time_p95_ms, comparison: '>', threshold: 10, unit: ms, window_s: 60}]"
HOPELESS = (
    "objectives: [{name: fast, metric: response_time_p95_ms, comparison: '<', threshold: 1, unit: ms, target: 0.9}]"
)


def export(log: Log, folder: Path) -> Path:
    """As `evenhand topics export` writes it."""
    counts: dict[str, list[int]] = {}
    for topic in TOPICS:
        (folder / topic).mkdir(parents=True)
        counts[topic] = []
        for partition in range(PARTITIONS):
            records = log.records[topic, partition]
            lines = [
                {
                    "offset": one.offset, "timestamp": one.timestamp, "key": (one.key or b"").decode(),
                    "value": (one.value or b"").decode(), "headers": [[k, v.decode()] for k, v in one.headers],
                }
                for one in records
            ]  # fmt: skip
            (folder / topic / f"{partition}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
            counts[topic].append(len(records))
    (folder / CONTENTS).write_text(json.dumps({"format": 1, "exported_at": 0, "prefix": "", "topics": counts}))
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(judged(log_of(measured(TROUBLE[:60]), causes())), tmp_path_factory.mktemp("export"))


def test_the_rules_that_held_give_the_same_alerts(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["alerts", "backtest", "--log", str(exported)]) == 0
    shown = capsys.readouterr().out
    assert "alerts, the same to the byte" in shown
    assert "errors burns its error budget" in shown


def test_an_alert_that_was_changed_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = judged(log_of(measured(TROUBLE[:60]), causes()))
    for held in log.records.values():
        held[:] = [one._replace(value=(one.value or b"").replace(b"too fast", b"too slow")) for one in held]
    assert run(["alerts", "backtest", "--log", str(export(log, tmp_path / "other"))]) == 1
    assert "the first that differs" in capsys.readouterr().out


def test_other_rules_are_counted_beside_those_that_held(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    assert run(["alerts", "backtest", str(tmp_path / "rules.yaml"), "--log", str(exported), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["counts"]["slow"] == [0, 1]
    assert any(page["labels"]["alertname"] == "slow" for page in shown["pages"])


def test_a_check_says_what_cannot_be_kept(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "slo.yaml").write_text(HOPELESS)
    files = [str(tmp_path / "rules.yaml"), "--slo", str(tmp_path / "slo.yaml")]
    assert run(["alerts", "rules", "check", *files, "--log", str(exported), "--json"]) == 0
    (fast, slow) = json.loads(capsys.readouterr().out)
    assert (fast["name"], fast["breached"], fast["fired"] > 0) == ("fast", 1.0, True)
    assert fast["proposed"] > 19
    assert (slow["name"], slow["breached"]) == ("slow", 1.0)


def test_a_file_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rules.yaml").write_text("ruels: []")
    assert run(["alerts", "backtest", str(tmp_path / "rules.yaml"), "--log", str(tmp_path)]) == 2
    assert "did you mean rules?" in capsys.readouterr().err
    (tmp_path / "rules.yaml").write_bytes(b"rules: [] # \xe9")
    assert run(["alerts", "backtest", str(tmp_path / "rules.yaml"), "--log", str(tmp_path)]) == 2
    assert "write it as UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("span", ["0h", "99999999d", "soon"])
def test_a_silence_that_the_log_would_refuse_is_not_given(span: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["alerts", "silence", "m", "--for", span]) == 2
    assert f"--for {span}" in capsys.readouterr().err
