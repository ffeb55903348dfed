"""What `evenhand alerts backtest` and `evenhand alerts rules check` do."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evenhand.alerts.backtest import Change, Checked
from evenhand.alerts.backtest import check as check_rules
from evenhand.alerts.configured import Alerts, read_alerts
from evenhand.events import AlertFired, AlertResolved
from evenhand.monitoring import Monitoring
from evenhand.slo.configured import Objectives, read_objectives

if TYPE_CHECKING:
    from adapters.recording import Recording


def _alerts(file: Path | None) -> Alerts | None:
    return None if file is None else read_alerts(_text(file), str(file))


def _objectives(file: Path | None) -> Objectives | None:
    return None if file is None else read_objectives(_text(file), str(file))


def _text(file: Path) -> str:
    from evenhand.errors import InvalidConfiguration

    if not file.is_file():
        raise InvalidConfiguration(f"{file} does not exist")
    return file.read_text(encoding="utf-8")


def changed(alerts: Alerts | None, objectives: Objectives | None) -> Change:
    """What holds, with the alerts and objectives of other files. Epochs stay as they were recorded."""

    def change(model: str, monitoring: Monitoring) -> Monitoring:
        if alerts is not None:
            monitoring = msgspec.structs.replace(monitoring, alerts=alerts.policy(model))
        if objectives is not None:
            monitoring = msgspec.structs.replace(monitoring, objectives=objectives.of(model))
        return monitoring

    return change


async def run(
    file: Path | None, slo: Path | None, from_: str | None, to: str | None, log: Path | None
) -> dict[str, Any]:
    """Both books of alerts between two event times, and the pages of the backtest."""
    from evenhand.client.start import parse_time

    start, end = (None if text is None else parse_time(text) for text in (from_, to))
    change = changed(_alerts(file), _objectives(slo))
    async with recording(log) as source:
        from adapters.alert_log import backtest, recorded

        before, reached = await recorded(source)
        said = await backtest(source, change)

    def within(time_ms: int) -> bool:
        return (start is None or time_ms >= start) and (end is None or time_ms < end)

    ours, theirs = _decoded(said.alerts), _decoded(before)
    mine = [value for value, event in ours if within(event.time) and event.time <= reached.get(_model(event), -1)]
    recorded_ = [value for value, event in theirs if within(event.time)]
    names = sorted({event.labels["alertname"] for _, event in (*ours, *theirs) if within(event.time)})
    was = Counter(event.labels["alertname"] for _, event in theirs if _fired(event) and within(event.time))
    is_ = Counter(event.labels["alertname"] for _, event in ours if _fired(event) and within(event.time))
    different = next((a or b for a, b in _pairs(recorded_, mine) if a != b), None)
    return {
        "equal": recorded_ == mine, "difference": None if different is None else different.decode(),
        "counts": {name: (was[name], is_[name]) for name in names},
        "pages": [one for one in said.routed if within(one.time)], "recorded": len(recorded_), "alerts": len(mine),
    }  # fmt: skip


async def check(file: Path | None, slo: Path | None, log: Path | None) -> list[Checked]:
    """How the rules and objectives of the files fare on what was recorded."""
    from evenhand.client.checkout import root

    checkout = root()
    from adapters.configuration import config_folder, read_alerting, read_slo

    folder = config_folder(checkout)
    alerts, objectives = _alerts(file) or read_alerting(folder), _objectives(slo) or read_slo(folder)
    change = changed(alerts, objectives)
    async with recording(log) as source:
        from adapters.alert_log import backtest

        said = await backtest(source, change)
    models = sorted({each.model for each in said.levels})
    return [one for model in models for one in check_rules(model, change(model, Monitoring()), said)]


@contextlib.asynccontextmanager
async def recording(log: Path | None) -> "AsyncIterator[Recording]":
    """A folder, or the topics of the loop."""
    from evenhand.client.checkout import root

    root()
    from adapters.recording import Export, Topics

    if log is not None:
        yield Export(log)
        return
    from evenhand.cli.loop import open_log

    async with open_log() as (settings, reader):
        yield Topics(settings, reader)


Decoded = list[tuple[bytes, AlertFired | AlertResolved]]


def _decoded(values: list[bytes]) -> Decoded:
    decoder = msgspec.json.Decoder(AlertFired | AlertResolved)
    return [(value, decoder.decode(value)) for value in values]


def _fired(event: AlertFired | AlertResolved) -> bool:
    return isinstance(event, AlertFired)


def _model(event: AlertFired | AlertResolved) -> str:
    return event.labels.get("model", "")


def _pairs(one: list[bytes], other: list[bytes]) -> list[tuple[bytes, bytes]]:
    most = max(len(one), len(other))
    return list(zip([*one, *[b""] * (most - len(one))], [*other, *[b""] * (most - len(other))], strict=True))
