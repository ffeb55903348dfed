"""What the commands about models take for true."""

from pathlib import Path

import pytest

from adapters.errors import DependencyUnavailable
from evenhand.cli import exits
from evenhand.cli.models import all_aliases
from evenhand.cli.predictions import Answers
from evenhand.cli.run import run
from evenhand.events import PredictionMade, ShadowPrediction
from evenhand.holdings import alias_changes


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder in which nothing was started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


@pytest.mark.parametrize("words", [["-15m"], ["-2h", "--json"], ["--json", "-2h", "btc-usd-1h"], ["--", "-15m"]])
def test_a_time_that_is_so_long_ago_is_no_option(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "as-of", *words]) == exits.UNREACHABLE  # it went on to ask the log
    assert "nothing was started" in capsys.readouterr().err
    assert run(["models", "as-of", "--jsn", "now"]) == exits.USAGE
    assert run(["models", "as-of", "-h"]) == exits.OK


def test_the_declared_champion_is_told_only_where_no_broker_could_know_better(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all_aliases(sure=True) == {"btc-usd-1h": {"champion": "1.0.0"}}
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(DependencyUnavailable, match="KAFKA_BOOTSTRAP_SERVERS"):
        all_aliases(sure=True)


@pytest.mark.parametrize(
    ("known", "now", "told"),
    [
        ({}, {"champion": "1.0.0"}, [("champion", "1.0.0")]),
        ({"champion": "1.0.0"}, {"champion": "1.0.0"}, []),
        ({"champion": "1.0.0", "challenger": "1.1.0"}, {"champion": "1.1.0"},
         [("challenger", None), ("champion", "1.1.0")]),
        ({"champion": ""}, {}, [("champion", None)]),
    ],
)  # fmt: skip
def test_a_registry_is_told_what_it_does_not_know(
    known: dict[str, str], now: dict[str, str], told: list[tuple[str, str | None]]
) -> None:
    assert alias_changes(known, now) == told


def test_answers_and_shadows_of_a_version_are_told_by_where_they_lie() -> None:
    answers = Answers({("m", "1.0.0")})
    for offset, (version, shadow) in enumerate([("1.0.0", "1.1.0"), ("1.1.0", "1.0.0"), ("1.1.0", "1.2.0")]):
        shadows = (ShadowPrediction(variant="s", version=shadow),)
        for partition, model in ((0, "m"), (1, "other")):
            answers.take(
                PredictionMade(
                    id=f"p{offset}", time=1_500_000_000_000, key="k", request_id="r", model=model, unit="u",
                    variant="v", version=version, shadows=shadows,
                ),
                partition, offset,
            )  # fmt: skip
    assert answers.rows() == [
        {"model": "m", "version": "1.0.0", "partition": 0, "answers": 1, "shadows": 1, "first": 0, "last": 1}
    ]
