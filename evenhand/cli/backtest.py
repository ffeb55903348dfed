"""What `evenhand alerts backtest` and `evenhand alerts rules check` do."""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evenhand.alerts.backtest import Change, Checked
from evenhand.alerts.backtest import check as check_rules
from evenhand.alerts.books import Book, compare
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
    from adapters.configuration import text_of

    return text_of(file)


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

        recorded_ = await recorded(source)
        said = await backtest(source, change)

    def within(time_ms: int) -> bool:
        return (start is None or time_ms >= start) and (end is None or time_ms < end)

    def fired(values: list[bytes]) -> Counter[str]:
        events = (msgspec.json.decode(value, type=AlertFired | AlertResolved) for value in values)
        return Counter(one.labels["alertname"] for one in events if isinstance(one, AlertFired) and within(one.time))

    compared = compare(recorded_, Book(said.alerts, recorded_.reached))
    was, is_ = fired(recorded_.alerts), fired(said.alerts)
    return {
        "equal": compared.equal, "alerts": compared.alerts, "difference": compared.difference,
        "counts": {name: (was[name], is_[name]) for name in sorted(was.keys() | is_.keys())},
        "pages": [one for one in said.routed if within(one.time)],
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
