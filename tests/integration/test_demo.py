"""The demo as a user runs it: what it decides, that its books balance, and that nothing but data and seed matter."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 240
pytestmark = pytest.mark.timeout(900)


class Shown(NamedTuple):
    """What a demo left behind."""

    summary: dict[str, Any]
    decisions: bytes
    stderr: str


def demo(folder: Path, *options: str) -> Shown:
    """Run it to the end, and check what is true of every demo."""
    out = folder / "out"
    done = run(folder, *options, "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["requests"] == summary["predictions"] + summary["errors"] > 0
    assert summary["predictions"] == summary["matured"] + summary["pending"] + summary["never"]
    assert summary["pending"] == 0
    assert min(summary["late"], summary["duplicates"], summary["never"]) > 0
    decisions = (out / "decisions.ndjson").read_bytes()
    assert len(decisions.splitlines()) == summary["decisions"] == sum(summary["actions"].values())
    assert all(json.loads(line)["reasons"] for line in decisions.splitlines())
    alerts = [json.loads(line) for line in (out / "alerts.ndjson").read_text().splitlines()]
    assert alerts == summary["alerts"]
    books: dict[str, list[str]] = {}
    for alert in alerts:
        books.setdefault(alert["fingerprint"], []).append(alert["status"])
    assert all(book == ["firing", "resolved"] * (len(book) // 2) for book in books.values()), (
        "all that fired is resolved"
    )
    return Shown(summary, decisions, done.stderr)


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The command."""
    return subprocess.run(
        [sys.executable, "-m", "evenhand.cli", "demo", *options],
        cwd=ROOT, env={**os.environ, "EVENHAND_HOME": str(folder / "home"), "EVENHAND_SESSION_TIMEOUT_S": "6"},
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip


def test_the_decision_log_does_not_depend_on_workers_kills_or_the_order_of_arrival(tmp_path: Path) -> None:
    hours = ("--hours", "240")
    alone = demo(tmp_path / "alone", *hours)
    others = demo(tmp_path / "others", *hours, "--workers", "3", "--kills", "2", "--shuffle", "5")
    assert others.summary["kills"] == 2
    assert alone.summary["decisions"] >= 20
    assert set(alone.summary["actions"]) == {"continue", "no_data", "stop_harm"}
    assert others.decisions == alone.decisions
    assert others.summary["alerts"] == alone.summary["alerts"]
    fired = {alert["labels"]["alertname"] for alert in alone.summary["alerts"]}
    assert fired >= {"error-rate burns its error budget", "faulty-release was stopped"}
    assert demo(tmp_path / "seed", *hours, "--seed", "8").decisions != alone.decisions


def test_a_version_that_knows_part_of_the_answer_is_promoted(tmp_path: Path) -> None:
    shown = demo(tmp_path, "--challenger", "oracle", "--hours", "864")
    assert shown.summary["actions"]["promote"] == 1
    assert [control["served"]["champion"] for control in shown.summary["controls"]] == ["1.2.0-oracle"]


def test_a_version_that_fails_is_stopped_and_its_users_see_errors_not_silence(tmp_path: Path) -> None:
    shown = demo(tmp_path, "--challenger", "broken", "--hours", "96")
    assert shown.summary["actions"]["stop_harm"] == 1
    assert shown.summary["errors"] > 0


def test_ones_own_candles_as_csv(tmp_path: Path) -> None:
    rng, hours = np.random.default_rng(3), 1200
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, hours)))
    lines = ["time,open,high,low,close,volume"]
    for i, price in enumerate(close):
        lines.append(
            f"{1_577_836_800_000 + 3_600_000 * i},{price},{price * 1.01},{price * 0.99},{price},{rng.uniform(1, 9)}"
        )
    own = tmp_path / "own.csv"
    own.write_text("\n".join(lines))
    shown = demo(tmp_path, "--data", str(own), "--hours", "72")
    assert shown.summary["hours"] == 72


def test_what_cannot_be_replayed_is_named(tmp_path: Path) -> None:
    missing = run(tmp_path, "--data", str(tmp_path / "none.csv"))
    assert missing.returncode != 0
    assert "none.csv" in missing.stderr
    assert "Traceback" not in missing.stderr
    unknown = run(tmp_path, "--challenger", "crystal-ball")
    assert unknown.returncode != 0
    assert "oracle" in unknown.stderr


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_champion_under_another_name_is_promoted_in_none_of_20_seeds(tmp_path: Path) -> None:
    def actions(seed: int) -> dict[str, int]:
        shown = demo(tmp_path / str(seed), "--challenger", "twin", "--seed", str(seed))
        return dict(shown.summary["actions"])

    with ThreadPoolExecutor(2) as pool:
        promoted = [seed for seed, of in enumerate(pool.map(actions, range(20))) if "promote" in of]
    assert promoted == []


@pytest.mark.slow
def test_the_whole_demo_takes_less_than_four_minutes_and_decides_the_same_with_three_workers(tmp_path: Path) -> None:
    whole = demo(tmp_path / "whole")
    assert whole.summary["hours"] >= 2000
    assert whole.summary["matured"] >= 10_000
    killed = demo(tmp_path / "killed", "--workers", "3", "--kills", "2")
    assert killed.decisions == whole.decisions
    assert killed.summary["drift"] == whole.summary["drift"] != []
