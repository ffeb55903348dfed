"""`evenhand replay`: the recorded log once more, and whether the same is decided."""

import asyncio
import contextlib
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, note, result, table, when

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings
    from adapters.recording import Range, Recording
    from evenhand.events import DecisionMade


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Leave out what arrived before: ISO 8601, ms, or -15m.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Leave out what arrived then or later.")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log", metavar="DIR", help="Replay what `evenhand topics export DIR` wrote; default: the topics."
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, max=16, help="Worker processes.")] = 1,
    json: Json = False,
) -> None:
    """Run the recorded log again, and compare what is decided with what was decided. Live topics are not touched.

    All that users, the clock and control have written is copied under a topic prefix of its own and goes through
    workers of its own; models are those of this folder. Then the digest of the decision log stands beside the recorded
    one, over all epochs that the copy closes and that the recording had decided. Exit status 1 if a decision differs:
    the first that does is shown.

    With --from, state begins empty there: an experiment is judged only if its first control arrived after it, and what
    began before is left out and named. With --to, nothing that arrived later is known.
    """
    from evenhand.client.checkout import root

    checkout = root()
    signal.signal(signal.SIGTERM, _interrupt)
    within = _range(from_, to)
    if log is None:
        shown = asyncio.run(_from_topics(within, workers, checkout))
    else:
        shown = _from_export(log, within, workers, checkout)
    result(shown, json, lambda: _text(shown))
    if not shown["equal"]:
        raise typer.Exit(exits.FAILED)


def _range(from_: str | None, to: str | None) -> "Range":
    from adapters.recording import Range
    from evenhand.client.identity import now_ms
    from evenhand.client.start import AtTime, parse_start
    from evenhand.errors import InvalidConfiguration

    places: list[int | None] = []
    for option, text in (("--from", from_), ("--to", to)):
        place = None if text is None else parse_start(text, now_ms())
        if place is not None and not isinstance(place, AtTime):
            raise InvalidConfiguration(f"{option} {text}: write a time, such as 2018-11-14T00:00:00Z or -15m")
        places.append(None if place is None else place.time_ms)
    start, end = places
    if start is not None and end is not None and end <= start:
        raise InvalidConfiguration(f"--to {to} is not after --from {from_}")
    return Range(start, end)


async def _from_topics(within: "Range", workers: int, checkout: Path) -> dict[str, Any]:
    from evenhand.cli.loop import open_log

    async with open_log() as (settings, reader):
        from adapters.recording import Topics

        return await _replayed(Topics(settings, reader), settings, within, workers, checkout)


def _from_export(log: Path, within: "Range", workers: int, checkout: Path) -> dict[str, Any]:
    """Needs no loop that runs: where the environment names no broker, one is started for the replay alone."""
    from adapters.kafka.broker import start_broker
    from adapters.kafka.settings import KafkaSettings
    from adapters.recording import Export

    recording = Export(log)
    with _folder() as folder:
        broker = start_broker(folder)
        try:
            settings = KafkaSettings.from_environment(
                {**os.environ, **broker.environment(), "EVENHAND_PARTITIONS": str(recording.partitions)}
            )
            return asyncio.run(_replayed(recording, settings, within, workers, checkout))
        finally:
            broker.stop()


async def _replayed(
    recording: "Recording", settings: "KafkaSettings", within: "Range", workers: int, checkout: Path
) -> dict[str, Any]:
    from adapters.replaying import Setting, replay
    from evenhand.cli.loop import home_folder
    from evenhand.client.checkout import child_environment

    with _folder() as folder:
        prefixed = settings.with_prefix(f"{settings.topic_prefix}replay-{folder.name}.")
        setting = Setting(prefixed, folder, home_folder(), workers, child_environment(), checkout)
        copy, found, alerts = await replay(recording, within, setting, note)
    return {
        "equal": found.equal and alerts.equal, "alerts": alerts.alerts, "alert_difference": alerts.difference,
        "compared": found.compared, "recorded": found.recorded_digest,
        "replayed": found.replayed_digest, "difference": found.difference, "beyond": found.beyond,
        "left_out": found.left_out, "unlike": found.unlike, "drift": found.drift, "records": copy.records,
        "controls": len(copy.controls), "watermark": copy.watermark,
    }  # fmt: skip


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for logs, which stays if the replay fails."""
    from evenhand.cli.loop import home_folder

    folder = home_folder() / "replay" / uuid.uuid4().hex[:8]
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _text(shown: dict[str, Any]) -> str:
    from evenhand.alerts.payload import alert_line

    rows = [["recorded", shown["recorded"]], ["replayed", shown["replayed"]]]
    parts = [table(["decision log", "digest"], rows)]
    if shown["difference"] is None:
        parts.append(
            f"{shown['compared']} decisions, the same to the byte" if shown["compared"] else "no decision to compare"
        )
    else:
        first = shown["difference"]
        parts.append(
            f"{shown['compared']} decisions were compared; the first that differs:\n"
            + table(["", "decision"], [["recorded", _line(first.recorded)], ["replayed", _line(first.replayed)]])
        )
    if shown["alerts"]:
        other = shown["alert_difference"]
        parts.append(
            f"{shown['alerts']} alerts, "
            + ("the same to the byte" if other is None else f"the first that differs: {alert_line(other)}")
        )
    parts += [
        f"control {each.digest} of {when(each.time)} does not follow from the decision {each.cause}: {each.reason}"
        for each in shown["unlike"]
    ]
    drift = shown["drift"]
    if drift.differing:
        parts.append(f"signals of drift that differ: {', '.join(drift.differing)}, see `evenhand drift show ID`")
    elif drift.compared:
        parts.append(f"{drift.compared} signals of drift, the same to the byte")
    if shown["beyond"]:
        parts.append(f"{shown['beyond']} more were replayed, which the recording had not decided yet")
    if shown["left_out"]:
        parts.append(f"not compared, for they began before what was copied: {', '.join(shown['left_out'])}")
    parts.append(f"{shown['records']:,} records were copied, up to {when(shown['watermark'])} of event time")
    return "\n\n".join(parts)


def _line(decision: "DecisionMade | None") -> str:
    if decision is None:
        return "no such decision"
    variant = f" {decision.variant}" if decision.variant else ""
    return (
        f"{when(decision.time)}  {decision.subject}, epoch {decision.epochs[0]}: {decision.action}{variant} "
        f"({'; '.join(decision.reasons)}); evidence {decision.evidence_digest}"
    )


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
    signal.signal(number, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGINT)
