"""`evenhand alerts`: what fires, who looks after it, and what other rules would have said."""

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, note, result, table, when

if TYPE_CHECKING:
    from evenhand.alerts.desk import Desk

group = typer.Typer(name="alerts", help="What fires, and what other rules would have said.", no_args_is_help=True)
rules = typer.Typer(name="rules", help="The rules of config/alerts.yaml and the objectives of slo.yaml.",
                    no_args_is_help=True)  # fmt: skip
group.add_typer(rules)
Reason = Annotated[str, typer.Option("--reason", help="Why, for those who read the log later.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait until it holds.")]
Model = Annotated[str, typer.Argument(help="The served model.")]
Recorded = Annotated[
    Path | None,
    typer.Option("--log", metavar="DIR", help="What `evenhand topics export DIR` wrote; default: the topics."),
]
From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="Show what fired from then on: ISO 8601.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="... and before then. Both are event time.")]
_SPAN = re.compile(r"(\d+)(s|m|h|d)")
_UNITS_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_POLL_S = 0.3


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group)


@group.command("list")
def list_alerts(
    all_: Annotated[bool, typer.Option("--all", help="Incidents that are over, too.")] = False, json: Json = False
) -> None:
    """Open incidents with all that fires in them, and silences."""
    found = asyncio.run(_desks())
    rows = [row for desk in found.values() for row in _rows(desk, all_)]
    silences = [
        {"model": desk.model, "matches": each.matches, "until": each.until_ms, "by": each.by, "reason": each.reason}
        for desk in found.values()
        for each in desk.paging.silences
        if each.until_ms > desk.now_ms
    ]
    shown = {"alerts": rows, "silences": silences}
    result(shown, json, lambda: _listed(rows, silences))


@group.command()
def ack(
    model: Model,
    incident: Annotated[str | None, typer.Option("--incident", help="Only if this one is open.")] = None,
    reason: Reason = "",
    timeout: Timeout = 30.0,
) -> None:
    """Say that you look after a model's incident: it is repeated no more, and its end is still told."""
    from evenhand.errors import InvalidConfiguration

    desk = asyncio.run(_desks()).get(model)
    held = None if desk is None else desk.paging.incident
    if held is None or incident not in {None, held.id}:
        raise InvalidConfiguration(f"{model} has no such incident open: `evenhand alerts list` shows them")
    _give(model, "acknowledge", reason, timeout, lambda now: _acknowledged(now, held.id), subject=held.id)
    note(f"incident {held.id} of {model} is acknowledged")


@group.command()
def silence(
    model: Model,
    for_: Annotated[str, typer.Option("--for", help="How long, such as 30m, 2h, 1d.")] = "1h",
    match: Annotated[
        list[str] | None, typer.Option("--match", help="Only alerts with this label, NAME=VALUE; may be repeated.")
    ] = None,
    reason: Reason = "",
    timeout: Timeout = 30.0,
) -> None:
    """Tell nobody of a model's alerts for some time. They stand in `alerts.v1` all the same."""
    from evenhand.client.identity import now_ms
    from evenhand.errors import InvalidConfiguration
    from evenhand.events import LAST_MS

    span = _SPAN.fullmatch(for_)
    if span is None:
        raise InvalidConfiguration(f"--for {for_}: write a number and s, m, h or d, such as 2h")
    matches = {"model": model}
    for each in match or ():
        name, is_pair, value = each.partition("=")
        if not is_pair:
            raise InvalidConfiguration(f"--match {each}: write NAME=VALUE, such as alertname=slow")
        matches[name] = value
    until = now_ms() + int(span[1]) * _UNITS_MS[span[2]]
    if until > LAST_MS or not int(span[1]):
        raise InvalidConfiguration(f"--for {for_}: a silence has a length, and ends before the year 2100")
    _give(
        model, "silence", reason, timeout, lambda desk: any(s.until_ms == until for s in desk.paging.silences),
        matches=matches, until=until,
    )  # fmt: skip
    note(f"silence for {', '.join(f'{k}={v}' for k, v in matches.items())} until {when(until)}")


@group.command("test")
def test_channel(
    channel: Annotated[str, typer.Option("--channel", help="slack, email, webhook, console, or one of your own.")],
) -> None:
    """Send a test alert through a channel, from here, and say how that went."""
    from evenhand.cli.notifier import configured
    from evenhand.errors import InvalidConfiguration

    _, channels = configured()
    if channel not in channels:
        raise InvalidConfiguration(f"channel {channel} is not set: these are: {', '.join(channels)}")
    from adapters.notifiers.delivery import deliver
    from evenhand.alerts.payload import iso
    from evenhand.client.identity import new_id, now_ms, who
    from evenhand.events import AlertFired

    now = now_ms()
    event = AlertFired(
        id=new_id(), time=now, key="test", fingerprint="test", status="firing", startsAt=iso(now),
        labels={"alertname": "test", "severity": "info"},
        annotations={"summary": f"a test of this channel by {who()}: nothing is wrong"},
    )  # fmt: skip
    ended = asyncio.run(deliver(channels[channel], event, deadline_s=5))
    if not ended.delivered:
        note(ended.reason)
        raise typer.Exit(exits.FAILED)
    note(f"{channel} has taken it")


@group.command()
def backtest(
    file: Annotated[Path | None, typer.Argument(help="Another alerts.yaml; default: what held.")] = None,
    slo: Annotated[Path | None, typer.Option("--slo", help="Another slo.yaml; default: what held.")] = None,
    from_: From = None,
    to: To = None,
    log: Recorded = None,
    json: Json = False,
) -> None:
    """Say which alerts and pages rules would have given on the recorded history, beside those that it gave.

    Without a file the rules that held are judged again: then every alert must be the same to the byte, and status 1
    says that one is not.
    """
    from evenhand.cli.backtest import run

    shown = asyncio.run(run(file, slo, from_, to, log))
    result(shown, json, lambda: _backtested(shown))
    if file is None and slo is None and not shown["equal"]:
        raise typer.Exit(exits.FAILED)


@rules.command("check")
def check(
    file: Annotated[Path | None, typer.Argument(help="Another alerts.yaml; default: config/alerts.yaml.")] = None,
    slo: Annotated[Path | None, typer.Option("--slo", help="Another slo.yaml; default: config/slo.yaml.")] = None,
    log: Recorded = None,
    json: Json = False,
) -> None:
    """Check the files, and say of every rule and objective how often it would have fired on the recorded history.

    Of one that cannot be kept, a threshold that could have been is proposed.
    """
    from evenhand.cli.backtest import check as run

    found = asyncio.run(run(file, slo, log))
    columns = ["model", "name", "kind", "metric", "threshold", "unit", "epochs", "breached", "fired", "proposed"]
    result(
        found, json,
        lambda: table(
            columns,
            [
                [
                    one.model, one.name, one.kind, one.metric, f"{one.comparison} {one.threshold:g}", one.unit,
                    one.epochs, None if one.breached is None else f"{one.breached:.1%}", one.fired,
                    None if one.proposed is None else f"{one.comparison} {one.proposed:g}",
                ]
                for one in found
            ],
        ) if found else "nothing was recorded yet: the files are right in themselves",
    )  # fmt: skip


async def _desks() -> "dict[str, Desk]":
    from evenhand.cli.loop import open_log

    async with open_log() as (_, reader):
        from adapters.alert_log import desks

        return await desks(reader)


def _give(model: str, command: Any, reason: str, timeout_s: float, holds: Any, **more: Any) -> None:
    """Give a command, and wait until the alerting agent has obeyed it."""
    from evenhand.client.commands import NoAnswer
    from evenhand.client.identity import new_id, now_ms, who
    from evenhand.client.produce import produce
    from evenhand.events import CommandGiven

    given = CommandGiven(
        id=new_id(), time=now_ms(), key=model, model=model, command=command, by=who(), reason=reason, **more
    )
    produce([given])

    async def wait() -> None:
        while True:
            desk = (await _desks()).get(model)
            if desk is not None and holds(desk):
                return
            await asyncio.sleep(_POLL_S)

    try:
        asyncio.run(asyncio.wait_for(wait(), timeout_s))
    except TimeoutError:
        raise NoAnswer(
            f"the alerting agent has not obeyed within {timeout_s:g} s; the command stands in the log and will be "
            "obeyed: see `evenhand status`"
        ) from None


def _acknowledged(desk: "Desk", incident: str) -> bool:
    held = desk.paging.incident
    return held is None or held.id != incident or held.acknowledged_by is not None


def _rows(desk: "Desk", everything: bool) -> list[dict[str, Any]]:
    incident = desk.paging.incident
    found = [
        {
            "model": desk.model, "alert": one.alert.labels["alertname"], "severity": one.alert.labels["severity"],
            "since": one.alert.startsAt, "summary": one.alert.annotations.get("summary", ""), "status": "firing",
            "incident": None if incident is None else incident.id,
            "by": None if incident is None else incident.acknowledged_by,
        }
        for one in desk.paging.firing.values()
    ]  # fmt: skip
    past = [
        {
            "model": desk.model, "alert": ", ".join(sorted(each.past.values())), "severity": each.severity,
            "since": when(each.opened_ms), "summary": f"over since {when(each.closed_ms)}", "status": "resolved",
            "incident": each.id, "by": each.acknowledged_by,
        }
        for each in desk.paging.past
    ]  # fmt: skip
    return [*(past if everything else []), *found]


def _listed(rows: list[dict[str, Any]], silences: list[dict[str, Any]]) -> str:
    columns = ["status", "model", "severity", "alert", "since", "incident", "by", "summary"]
    parts = [table(columns, [[row[name] for name in columns] for row in rows]) if rows else "nothing fires"]
    parts += [
        f"silence until {when(each['until'])} by {each['by']}: "
        + ", ".join(f"{name}={value}" for name, value in each["matches"].items())
        for each in silences
    ]
    return "\n".join(parts)


def _backtested(shown: dict[str, Any]) -> str:
    counts = [[name, *each] for name, each in shown["counts"].items()]
    parts = [table(["alert", "recorded", "backtest"], counts) if counts else "no alert in either"]
    pages = [
        [when(one.time), one.why, ", ".join(one.channels), one.annotations.get("summary", "")] for one in shown["pages"]
    ]
    parts.append(table(["when", "why", "channels", "summary"], pages) if pages else "nobody would have been told")
    if shown["equal"]:
        parts.append(f"{shown['alerts']} alerts, the same to the byte")
    else:
        from evenhand.alerts.payload import alert_line

        other = shown["difference"]
        parts.append(f"the first that differs: {when(other.time)}  {alert_line(other)}")
    return "\n\n".join(parts)
