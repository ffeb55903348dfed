"""The command as its users run it: from nothing to decisions, the same decisions again, and nothing left over."""

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evenhand.cli import exits
from evenhand.client import now_ms
from evenhand.client.connection import kafka_settings
from tests.integration.cli.home import Done, Home
from tests.integration.cli.users import live

pytestmark = pytest.mark.timeout(300)
FEATURES = [0.0021, -0.0007, 0.0012, 0.0080, -0.0113, 0.0061, 0.0045, 0.0058, 1.3]
ENOUGH = 4  # decisions before a worker is killed


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A folder in which a loop with two workers runs."""
    found = Home(tmp_path_factory.mktemp("cli") / "home")
    try:
        found.ok("up", "--detach", "--json", "--workers", "2", timeout_s=240)
        yield found
    finally:
        found.run("down")


def decisions(home: Home) -> list[Any]:
    """The decision log so far."""
    return home.ok("tail", "decisions.v1", "--from", "earliest", "--no-follow", "--json").lines()


def wait_for(what: str, holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < give_up, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.3)


def play(home: Home, enough: Callable[[], bool]) -> None:
    """Let users live until it is enough."""
    settings = kafka_settings({**home.environment, "EVENHAND_HOME": str(home.var)})
    asyncio.run(live(settings, enough, timeout_s=150))


def test_a_second_up_says_that_it_runs_and_where(home: Home) -> None:
    done = home.run("up", "--detach", "--json")
    assert done.code == exits.FAILED
    assert "already runs" in done.err
    assert "evenhand down" in done.err
    endpoints = done.json()
    assert endpoints["kafka"].startswith("127.0.0.1:")
    assert endpoints["redis"].startswith("redis://127.0.0.1:")
    assert endpoints["phase"] == "ready"


def test_the_first_event_gets_its_answer_and_what_is_no_event_its_reason(home: Home) -> None:
    assert len(home.ok("models", "show", "btc-usd-1h", "--json").json()["features"]) == len(FEATURES)
    request = {
        "type": "PredictionRequested", "id": "first", "time": now_ms(), "key": "ETH-USD", "model": "btc-usd-1h",
        "features": FEATURES,
    }  # fmt: skip
    lines = [json.dumps(request), "no JSON", "", json.dumps({**request, "time": "noon"})]
    done = home.run("produce", "prediction-requests.v1", "-", "--json", stdin="\n".join(lines))
    summary = done.json()
    assert (done.code, summary["acknowledged"], summary["refused"]) == (exits.FAILED, 1, 2)
    assert [each["line"] for each in summary["refusals"]] == [2, 4]
    assert "time" in summary["refusals"][1]["reason"]
    (made,) = home.ok("tail", "predictions.v1", "--from", "earliest", "--max", "1", "--json").lines()
    assert made["request_id"] == "first"
    assert {made["version"], made["shadows"][0]["version"]} == {"1.0.0", "1.1.0"}


def test_a_better_version_is_promoted_though_a_worker_is_killed(home: Home) -> None:
    killed: list[int] = []

    def enough() -> bool:
        log = decisions(home)
        if not killed and len(log) >= ENOUGH:
            killed.append(home.ok("status", "--json").json()["workers"][0]["pid"])
            os.kill(killed[0], signal.SIGKILL)
        return any(each["action"] == "promote" for each in log)

    play(home, enough)
    assert killed, "it was promoted before there was a worker to kill"
    wait_for("the worker to be started again", lambda: _restarts(home) == [1, 0])
    wait_for("the promotion to hold", lambda: _champion(home) == "1.1.0")


def _restarts(home: Home) -> list[int]:
    workers = home.run("status", "--json").json()["workers"]
    return [each["restarts"] for each in workers if each["alive"]]


def _champion(home: Home) -> str | None:
    champion: str | None = home.run("status", "--json").json()["models"]["btc-usd-1h"]["champion"]
    return champion


def test_mlflow_follows_what_holds(home: Home) -> None:
    wait_for("MLflow to hear of the promotion", lambda: _in_mlflow(home).get("champion") == "1.1.0", 90.0)


def _in_mlflow(home: Home) -> dict[str, str]:
    """What the aliases stand for there, in our numbers."""
    if not (home.var / "mlflow.db").exists():
        return {}
    with contextlib.closing(sqlite3.connect(f"file:{home.var / 'mlflow.db'}?mode=ro", uri=True, timeout=30)) as db:
        try:
            return dict(db.execute(
                "SELECT alias, value FROM registered_model_aliases JOIN model_version_tags USING (name, version) "
                "WHERE key = 'version'"
            ))  # fmt: skip
        except sqlite3.OperationalError:  # no such table yet
            return {}


def test_what_has_matured_is_learned(home: Home) -> None:
    wait_for("a version that goes on", lambda: bool({"1.0.1", "1.1.1"} & _versions(home).keys()))
    learned = _versions(home)[min({"1.0.1", "1.1.1"} & _versions(home).keys())]
    assert "outcomes that have matured since" in learned["summary"]


def _versions(home: Home) -> dict[str, Any]:
    shown = home.ok("models", "show", "btc-usd-1h", "--json").json()
    return {each["version"]: each for each in shown["details"]}


def test_a_report_has_the_reason_and_leads_to_the_same_decisions(home: Home) -> None:
    found = home.ok("experiment", "report", "first", "--json").json()
    assert (found["agrees"], found["state"], found["variant"]) == (True, "promoted", "trees")
    assert found["reasons"] == next(each for each in decisions(home) if each["action"] == "promote")["reasons"]
    assert found["evidence"], "where it lies"
    done = home.ok("experiment", "report", "first", "--markdown", "--html", "first.html")
    assert done.out.startswith("# Experiment first")
    assert (home.folder / "first.html").read_text().startswith("<!doctype html>")
    planned = home.ok("experiment", "plan", "first", "--json").json()
    assert planned["is_seen"]
    assert planned["progress"]["trees"]["requests"] > planned["progress"]["trees"]["clusters"] > 0
    refused = home.run("experiment", "report", "nothing")
    assert refused.code == exits.USAGE
    assert "evenhand experiment list" in refused.err


def test_a_worse_version_is_stopped_for_harm(home: Home) -> None:
    home.ok("experiment", "start", "second", "--file", "second.yaml", "--reason", "the other way round")
    assert [each["name"] for each in home.ok("experiment", "list", "--json").json() if each["running"]] == ["second"]
    rows: list[Any] = []

    def enough() -> bool:
        rows.extend(home.run("status", "--json").json()["experiments"])
        return bool(decisions(home)[-1]["action"] == "stop_harm")

    play(home, enough)
    assert {(each["experiment"], each["challenger"]) for each in rows} == {("second", "ridge")}
    assert rows[-1]["requests"] >= rows[-1]["clusters"] > 0
    shown = home.ok("experiment", "show", "second", "--json").json()
    assert shown["decisions"][-1]["action"] == "stop_harm"
    assert shown["decisions"][-1]["reasons"][0].startswith("ridge: certified worse at")


def test_a_name_that_has_run_is_refused(home: Home) -> None:
    done = home.run("experiment", "start", "second", "--file", "second.yaml")
    assert done.code == exits.REFUSED
    assert "use a new name" in done.err


def test_weights_change_while_a_trial_runs_and_wrong_ones_are_refused(home: Home) -> None:
    home.ok("experiment", "start", "third", "--file", "third.yaml")
    looks = len(decisions(home))
    play(home, lambda: len(decisions(home)) >= looks + 2)
    for wrong, said in (
        (("reweight", "third", "rige=1"), "has no variants ['rige']"),
        (("reweight", "third", "ridge=0", "trees=0"), "leave nobody to serve"),
        (("drop", "third", "trees"), "drop_variant needs"),
    ):
        refused = home.run("experiment", *wrong)
        assert (refused.code, said in refused.err) == (exits.REFUSED, True), refused.err
    changed = home.ok("experiment", "reweight", "third", "ridge=100", "trees=0", "--json").json()
    play(home, lambda: bool(_answers(home, changed["digest"])))
    assert _answers(home, changed["digest"]) == {"ridge"}
    dropped = home.ok("experiment", "drop", "third", "ridge", "--json").json()
    assert "experiment" not in dropped["served"]
    found = home.ok("experiment", "report", "third", "--json").json()
    assert (found["state"], found["agrees"]) == ("ended by a command", True)
    assert found["phases"][0]["weights"] == {"trees": 60, "ridge": 40}, "in the order in which they began"


def _answers(home: Home, control: str) -> set[str]:
    """Who has answered under a control."""
    made = home.ok("tail", "predictions.v1", "--from", "earliest", "--no-follow", "--json").lines()
    return {each["variant"] for each in made if each.get("control") == control}


def test_a_replay_decides_what_was_decided_live(home: Home) -> None:
    log = decisions(home)
    assert len({each["id"] for each in log}) >= 20
    assert len({each["action"] for each in log}) >= 3
    found = replay(home).json()
    assert found["equal"]
    assert found["recorded"] == found["replayed"]
    assert found["compared"] == len({each["id"] for each in log})
    assert (found["beyond"], found["left_out"], found["unlike"], found["difference"]) == (0, [], [], None)
    prefixed = [each["topic"] for each in home.ok("topics", "list", "--json").json() if "replay" in each["topic"]]
    assert prefixed == []


@pytest.mark.slow
def test_what_began_before_a_replay_is_named_and_not_compared(home: Home) -> None:
    found = replay(home, "--from", "-1s").json()
    assert (found["equal"], found["compared"], found["left_out"]) == (True, 0, ["first", "second", "third"])


def test_an_export_decides_the_same_and_a_changed_one_shows_where_it_differs(home: Home) -> None:
    home.ok("topics", "export", "log")
    found = replay(home, "--log", "log", "--workers", "2").json()
    assert found["equal"]
    assert found["compared"] == len({each["id"] for each in decisions(home)})
    exported = home.ok("experiment", "report", "second", "--log", "log", "--json").json()
    assert exported == home.ok("experiment", "report", "second", "--json").json()
    _change_an_outcome(home.folder / "log" / "outcomes.v1")
    done = home.run("replay", "--log", "log")
    assert done.code == exits.FAILED
    assert "the first that differs" in done.out
    assert "first, epoch" in done.out


def replay(home: Home, *options: str) -> Done:
    return home.ok("replay", "--json", *options)


def _change_an_outcome(folder: Path) -> None:
    for path in sorted(folder.glob("*.ndjson")):
        lines = path.read_text().splitlines(keepends=True)
        for at, line in enumerate(lines):
            if '\\"OutcomeObserved\\"' in line:
                record = json.loads(line)
                event = json.loads(record["value"])
                record["value"] = json.dumps({**event, "value": event["value"] + 1})
                lines[at] = json.dumps(record) + "\n"
                path.write_text("".join(lines))
                return
    raise AssertionError("no outcome was exported")


def test_the_log_tells_who_was_champion_at_any_time_and_why(home: Home) -> None:
    (held,) = home.ok("models", "as-of", "now", "btc-usd-1h", "--json").json()
    shown = home.ok("models", "show", "btc-usd-1h", "--json").json()
    assert (held["aliases"], held["experiment"]) == (shown["aliases"], shown["experiment"])
    (before,) = home.ok("models", "as-of", str(held["since"] - 1), "btc-usd-1h", "--json").json()
    assert before["until"] == held["since"]
    assert home.ok("models", "as-of", "2001-01-01", "--json").json() == []


def test_nothing_has_drifted_so_far(home: Home) -> None:
    assert home.ok("drift", "list", "--json").json() == []
    assert all(row["model"] == "btc-usd-1h" for row in home.ok("drift", "status", "--json").json())


def test_doctor_finds_nothing_wrong(home: Home) -> None:
    assert all(each["ok"] for each in home.ok("doctor", "--json").json())


def test_down_leaves_nothing_that_runs(home: Home) -> None:
    assert len(home.processes()) >= 6, "broker, Redis, clock, two workers and their supervisor"
    stopped = home.ok("down", "--json").json()["stopped"]
    assert sorted(stopped) == ["broker", "clock", "exporter", "learner", "redis", "registry", "w1", "w2"]
    wait_for("processes to be gone", lambda: not home.processes())
    done = home.run("status", "--json")
    assert (done.code, done.json()["phase"]) == (exits.FAILED, "down")
    assert "evenhand up" in home.run("tail", "decisions.v1").err
