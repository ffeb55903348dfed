"""What the commands about models take for true."""

from pathlib import Path

import pytest

from adapters.errors import DependencyUnavailable
from evenhand.cli.models import all_aliases
from evenhand.holdings import alias_changes


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder in which nothing was started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


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
