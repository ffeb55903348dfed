"""`evenhand config`: what is set and by whom, and to let what `config/*.yaml` say hold."""

from typing import Annotated, Any

import typer

from evenhand.cli.output import Json, note, result, table
from evenhand.events import ControlChanged, Served

group = typer.Typer(
    name="config", help="Settings and configuration: what holds, and where it comes from.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group)


@group.command()
def show(json: Json = False) -> None:
    """Every setting with its value and where that comes from. Secrets are masked."""
    from evenhand.cli.loop import configuration, home_folder
    from evenhand.cli.settings import values

    folder = home_folder()
    from adapters.run_state import running_state

    running = running_state(folder)
    found = values({} if running is None else running.environment)
    declared = configuration()
    models = {name: declared.served(name) for name in declared.models.models}
    shown = {"settings": [value._asdict() for value in found], "folder": str(declared.folder), "models": models}
    result(
        shown, json,
        lambda: table(["setting", "value", "source", "meaning"], found)
        + f"\n\n{declared.folder} says:\n"
        + table(["model", "champion", "experiment", "wait_s"], [
            [name, served.champion, served.experiment.name if served.experiment else None, served.wait_s]
            for name, served in models.items()
        ]),
    )  # fmt: skip


@group.command()
def apply(
    model: Annotated[list[str] | None, typer.Option("--model", help="Only this one; may be repeated.")] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only models for which the log holds nothing yet.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for those who read the log later.")] = "",
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait for the answer.")] = 30.0,
    json: Json = False,
) -> None:
    """Let what `config/*.yaml` say hold, by a command for each model that differs. Refused ones lead to status 4."""
    from evenhand.cli.loop import configuration, model_store, obey, what_holds

    declared, store = configuration(), model_store()
    names = model or list(declared.models.models)
    if missing:
        _wait_for_commands(timeout)
    holding = what_holds()
    rows: list[dict[str, Any]] = []
    for name in names:
        served, held = declared.served(name), holding.get(name)
        if held is not None and (missing or held.served == served):
            rows.append({"model": name, "applied": False, "control": held.digest, "differs": differences(held, served)})
            continue
        declared.check_versions(name, served, store.versions(name))
        note(f"applying {declared.folder} to {name}")
        control = obey(name, "apply_configuration", reason or f"{declared.folder} was applied", timeout, served=served)
        rows.append({"model": name, "applied": True, "control": control.digest, "differs": []})
    result(
        rows,
        json,
        lambda: "\n".join(f"{row['model']}: {'applied' if row['applied'] else 'held already'}" for row in rows),
    )


def differences(held: ControlChanged, served: Served) -> list[str]:
    """What the files say otherwise than what holds, in words.

    >>> from evenhand.processors.control import control
    >>> held = control(Served(champion="1.1.0"), "m", 1_542_153_600_000, "decision")
    >>> differences(held, Served(champion="1.0.0"))
    ['champion is 1.1.0, the files say 1.0.0']
    """
    found = []
    if held.served.champion != served.champion:
        found.append(f"champion is {held.served.champion}, the files say {served.champion}")
    if held.served.wait_s != served.wait_s:
        found.append(f"wait_s is {held.served.wait_s}, the files say {served.wait_s}")
    if held.served.monitoring != served.monitoring:
        found.append("monitoring (drift, objectives, alerts) is another than the files say")
    ours, theirs = held.served.experiment, served.experiment
    if ours != theirs:
        one, other = (each.name if each else "none" for each in (ours, theirs))
        same = " with other settings" if one == other else ""
        found.append(f"experiment is {one}, the files say {other}{same}")
    return found


def _wait_for_commands(timeout_s: float) -> None:
    """Return when the control agent has obeyed every command that stands in the log."""
    import asyncio

    from evenhand.cli.loop import open_log
    from evenhand.client.commands import NoAnswer
    from evenhand.topics import COMMANDS, DECISIONS

    async def wait() -> None:
        from adapters.kafka.log_reader import committed
        from adapters.loop_state import group as reading_group

        async with open_log() as (settings, reader):
            places = await reader.places(COMMANDS, DECISIONS)
            ends = await reader.ends(places)
            while True:
                done = await committed(settings, reading_group(settings), places)
                if all(done.get(place, 0) >= end for place, end in ends.items() if end):
                    return
                await asyncio.sleep(0.2)

    try:
        asyncio.run(asyncio.wait_for(wait(), timeout_s))
    except TimeoutError:
        raise NoAnswer(
            f"the control agent has not read all commands within {timeout_s:g} s: is a worker running? See "
            "`evenhand status`"
        ) from None
