"""`evenhand models as-of`: which version held an alias at a time, who gave it to it, and on what evidence."""

import asyncio
import re
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from evenhand.cli.output import Json, note, result, table, when


def register(group: typer.Typer) -> None:
    """Add the command to the group of models."""
    group.command("as-of", cls=TakesAgo)(tell_as_of)


class TakesAgo(TyperCommand):
    """A command whose arguments may be times such as -15m, which are no options; its options have no values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Let options come first, and all else behind `--`."""
        words = [arg for arg in args if not arg.startswith("-") or re.fullmatch(r"-\d+\w", arg)]
        options = [arg for arg in args if arg.startswith("-") and arg != "--" and arg not in words]
        return super().parse_args(ctx, [*options, "--", *words])


def tell_as_of(
    time: Annotated[str, typer.Argument(help="Such as 2026-11-27T08:00:00Z, milliseconds UTC, or `now`")],
    name: Annotated[str | None, typer.Argument(help="A model; by default, all")] = None,
    json: Json = False,
) -> None:
    """Which version held which alias then: from the commands and decisions in the log, which are kept for ever."""
    from evenhand.client.identity import now_ms
    from evenhand.client.start import AtTime, parse_start
    from evenhand.errors import ModelUnavailable
    from evenhand.holdings import as_of

    start = parse_start(time, now_ms()) if time != "now" else AtTime(now_ms())
    if not isinstance(start, AtTime):
        raise typer.BadParameter(f"{time!r} is no time: write 2026-11-27T08:00:00Z, milliseconds, -15m, or now")
    time_ms = start.time_ms
    histories = asyncio.run(_read())
    if name is not None and name not in histories:
        raise ModelUnavailable(
            f"no command about a model {name!r} is in the log: those are {', '.join(histories) or 'none'}"
        )
    found = [as_of(changes, time_ms) for model, changes in histories.items() if name in {None, model}]
    held = [change for change in found if change is not None]
    if not held:
        note(f"nothing was served at {when(time_ms)}")
    result(held, json, lambda: "\n\n".join(_text(change) for change in held))


async def _read() -> dict[str, Any]:
    """All changes by model; says so if the loop holds something else than follows from its log."""
    from evenhand.cli.loop import open_log
    from evenhand.holdings import CHAMPION, histories
    from evenhand.processors.control import Control

    async with open_log() as (settings, reader):
        from adapters.loop_state import holding

        places = await reader.places(*Control.reads)
        ends = await reader.ends(places)
        log: dict[tuple[str, int], list[Any]] = {}
        async for record in reader.read(await reader.beginnings(places), ends):
            log.setdefault((settings.bare(record.topic), record.partition), []).append(record)
        found = histories(log, settings.partitions)
        for model, control in (await holding(reader)).items():
            changes = found.get(model)
            if not changes or changes[-1].aliases[CHAMPION] != control.served.champion:
                note(f"{model}: the loop holds {control.served.champion} since {when(control.time)}, for another cause "
                     "than commands.v1 and decisions.v1 say")  # fmt: skip
    return found


def _text(change: Any) -> str:
    rows: list[list[object]] = [
        ["model", change.model], *[[alias, version] for alias, version in change.aliases.items()],
        ["since", when(change.since)], ["until", when(change.until)], ["cause", f"{change.kind} ({change.cause})"],
        ["by", change.by], ["why", "; ".join(change.reasons)],
    ]  # fmt: skip
    if change.evidence:
        rows += [["evidence", change.evidence], ["epochs", f"{change.epochs[0]} to {change.epochs[1]}"]]
        rows += [["lies in", str(change.places)]]
    rows += [[each.command, f"{each.by}, {when(each.time)}: {each.reason}"] for each in change.approvals]
    return table(["what", ""], rows)
