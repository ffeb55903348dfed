"""How commands end, and what they say, where nothing runs."""

from pathlib import Path

import pytest

from evenhand.cli import exits
from evenhand.cli.run import run


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder in which nothing was started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENHAND_HOME", str(tmp_path / "var"))
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["--version"], exits.OK, ""),
        (["down"], exits.OK, ""),
        (["status"], exits.FAILED, ""),
        (["tail", "decisions.v1"], exits.UNREACHABLE, "evenhand up"),
        (["replay"], exits.UNREACHABLE, "evenhand up"),
        (["replay", "--log", "nowhere"], exits.FAILED, "evenhand topics export"),
        (["replay", "--from", "earliest"], exits.USAGE, "--from"),
        (["replay", "--from", "2020-01-02", "--to", "2020-01-01"], exits.USAGE, "--to"),
        (["produce", "decisions.v1", "-"], exits.USAGE, "prediction-requests.v1"),
        (["produce", "outcomes.v1", "nowhere.ndjson"], exits.USAGE, "nowhere.ndjson"),
        (["models", "show", "nothing"], exits.FAILED, "evenhand models list"),
        (["dead-letters", "redrive"], exits.USAGE, "--all"),
        (["health", "nobody"], exits.USAGE, "worker or clock"),
        (["health", "worker"], exits.FAILED, "no worker runs here"),
        (["nonsense"], exits.USAGE, ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_ends_with_its_code_and_says_what_to_do(
    command: list[str], code: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(command) == code
    assert said in capfd.readouterr().err
