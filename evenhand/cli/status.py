"""`evenhand status`: what runs, how far it has come, the books, and what needs attention."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evenhand.cli import exits
from evenhand.cli.output import Json, result, table, when
from evenhand.cli.progress import progress
from evenhand.cli.progress import text as progress_text

if TYPE_CHECKING:
    from adapters.kafka.log_reader import LogReader
    from adapters.loop_state import Lateness
    from adapters.run_state import RunState

_MUCH_LATE = 0.2
_ENOUGH_EVENTS = 20


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(json: Json = False) -> None:
    """Show workers, broker, Redis, lag, books, and what needs attention.

    Exit status 0 if all is well, 1 if nothing runs here or something that should run does not, 3 if the broker does
    not answer.
    """
    from evenhand.cli.loop import home_folder

    folder = home_folder()
    from adapters.run_state import read_state

    shown, code = asyncio.run(_status(folder, read_state(folder)))
    result(shown, json, lambda: _text(shown))
    if code:
        raise typer.Exit(code)


async def _status(folder: Path, state: "RunState | None") -> tuple[dict[str, Any], int]:
    from evenhand.errors import EvenhandError

    running = state is not None and state.alive()
    warnings: list[str] = []
    shown: dict[str, Any] = {
        "home": str(folder), "running": running,
        "phase": state.phase if state is not None and (running or state.phase == "failed") else "down",
        "ready": running and state is not None and state.phase == "ready", "warnings": warnings,
        "message": state.message if state is not None else "",
        **_processes(folder, state if running else None),
    }  # fmt: skip
    code = exits.OK if shown["ready"] and all(each["alive"] for each in shown["workers"]) else exits.FAILED
    if state is not None and not running:
        if state.phase == "failed":
            warnings.append(f"the last `evenhand up` failed: {state.message}")
        else:
            warnings.append("the supervisor was killed: `evenhand down` makes sure that nothing is left")
    try:
        await _from_log(shown, warnings)
    except EvenhandError as error:
        shown["broker"]["answers"] = False
        if running:
            warnings.append(str(error))
            code = exits.UNREACHABLE
        elif not warnings:
            warnings.append(str(error))
    return shown, code


def _processes(folder: Path, state: "RunState | None") -> dict[str, Any]:
    from adapters.beat import read_beats

    def one(name: str) -> dict[str, Any]:
        kept = None if state is None else state.children.get(name)
        if kept is None:
            return {"pid": None, "alive": False, "restarts": 0}
        return {"pid": kept.pid, "alive": kept.alive(), "restarts": kept.restarts}

    broker, redis = one("broker"), one("redis")
    if state is not None:
        broker |= {"kind": state.broker, "bootstrap": state.environment.get("KAFKA_BOOTSTRAP_SERVERS")}
        redis |= {"kind": state.redis, "url": state.environment.get("REDIS_URL")}
        for each in (broker, redis):
            if each["kind"] == "external":
                each["alive"] = None
    beats = {beat.name: beat for beat in read_beats(folder, "worker")}
    workers = []
    for name, restarts in ({} if state is None else state.workers).items():
        kept = one(name)
        beat = beats.get(name)
        mine = beat is not None and beat.pid == kept["pid"]
        partitions = beat.partitions if beat is not None and mine else []
        workers.append({"name": name, **kept, "restarts": restarts, "partitions": partitions, "lag": None})
    return {"broker": broker, "redis": redis, "clock": one("clock"), "workers": workers}


async def _from_log(shown: dict[str, Any], warnings: list[str]) -> None:
    """What the log says, if there is a broker to ask."""
    from evenhand.cli.loop import open_log

    async with open_log() as (settings, reader):
        from adapters import loop_state

        shown["broker"]["answers"] = True
        shown["broker"].setdefault("bootstrap", settings.bootstrap_servers)
        shown["broker"]["lacks"] = list(settings.capabilities.lacking())
        at = await loop_state.progress(settings, reader)
        topics: dict[str, dict[str, int]] = {}
        for place, each in at.items():
            row = topics.setdefault(settings.bare(place.topic), {"end": 0, "lag": 0})
            row["end"] += each.end
            row["lag"] += each.lag
        shown["topics"] = [{"topic": name, **row} for name, row in topics.items()]
        for worker in shown["workers"]:
            if worker["alive"]:
                worker["lag"] = loop_state.lag_of(worker["partitions"], at)
        counts = await loop_state.books(reader)
        shown["books"] = {name: getattr(counts, name) for name in (*counts.__struct_fields__, "pending")}
        found = await loop_state.lateness(reader)
        shown["lateness"] = {"events": found.events, "late": found.late, "oldest": found.oldest_ms}
        warnings.extend(_late(found))
        holding = await loop_state.holding(reader)
        shown["models"], differing = _compared(holding)
        shown["experiments"] = await progress(reader, holding)
        shown["incidents"] = await _incidents(reader)
        warnings.extend(differing)


async def _incidents(reader: "LogReader") -> list[dict[str, Any]]:
    from adapters.alert_log import desks

    held = {model: desk.paging.incident for model, desk in (await desks(reader)).items()}
    return [
        {
            "model": model, "incident": one.id, "severity": one.severity, "since": one.opened_ms,
            "alerts": sorted(one.causes.values()), "acknowledged_by": one.acknowledged_by,
        }
        for model, one in sorted(held.items())
        if one is not None
    ]  # fmt: skip


def _late(found: "Lateness") -> list[str]:
    if found.events < _ENOUGH_EVENTS or found.late < _MUCH_LATE * found.events:
        return []
    warning = (
        f"{found.late} of the last {found.events} events are late, from {when(found.oldest_ms)} on: history that is "
        "sent into live topics is no evidence. `evenhand replay` plays a recording, and `evenhand demo --data FILE` "
        "candles"
    )
    return [warning]


def _compared(holding: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What holds for each model, and where `config/*.yaml` say otherwise."""
    from evenhand.cli.config import differences
    from evenhand.cli.loop import configuration
    from evenhand.errors import InvalidConfiguration

    shown: dict[str, Any] = {}
    warnings = []
    declared = None
    try:
        declared = configuration()
    except InvalidConfiguration as error:
        warnings.append(f"the configuration is wrong: {error}")
    for name, control in holding.items():
        experiment = control.served.experiment
        shown[name] = {
            "champion": control.served.champion, "experiment": experiment.name if experiment else None,
            "since": control.time, "control": control.digest, "cause": control.cause, "reason": control.reason,
            "differs": [],
        }  # fmt: skip
        if declared is not None and name in declared.models.models:
            differs = differences(control, declared.served(name))
            shown[name]["differs"] = differs
            if differs:
                because = f" (because: {control.reason})" if control.reason else ""
                warnings.append(f"{name}: {'; '.join(differs)}{because}. `evenhand config apply` lets the files hold")
    if declared is not None:
        missing = [name for name in declared.models.models if name not in holding]
        warnings.extend(
            f"{name} is declared, but not served: `evenhand config apply` lets the files hold" for name in missing
        )
    return shown, warnings


def _text(shown: dict[str, Any]) -> str:
    parts = [f"{shown['home']}: {shown['phase']}" + (f" ({shown['message']})" if shown["message"] else "")]
    rows = []
    for name in ("broker", "redis", "clock"):
        each = shown[name]
        rows.append(
            [name, each["pid"], each["alive"], each["restarts"], each.get("bootstrap") or each.get("url"), None]
        )
    for each in shown["workers"]:
        partitions = ",".join(map(str, each["partitions"])) or None
        rows.append(
            [each["name"], each["pid"], each["alive"], each["restarts"], f"partitions {partitions}", each["lag"]]
        )
    if shown["running"]:
        parts.append(table(["process", "pid", "alive", "restarts", "where", "lag"], rows))
    if "topics" in shown:
        parts.append(
            table(["topic", "end", "lag"], [[each["topic"], each["end"], each["lag"]] for each in shown["topics"]])
        )
        parts.append(table(list(shown["books"]), [list(shown["books"].values())]))
        parts.append(
            table(
                ["model", "champion", "experiment", "since"],
                [
                    [name, each["champion"], each["experiment"], when(each["since"])]
                    for name, each in shown["models"].items()
                ],
            )
        )
    if shown.get("experiments"):
        parts.append(progress_text(shown["experiments"]))
    parts += [
        f"attention: incident {one['incident']} of {one['model']} ({one['severity']}, since {when(one['since'])}): "
        f"{', '.join(one['alerts'])}; `evenhand alerts list` says more"
        for one in shown.get("incidents", ())
        if one["acknowledged_by"] is None
    ]
    parts += [f"attention: {warning}" for warning in shown["warnings"]]
    return "\n\n".join(parts)
