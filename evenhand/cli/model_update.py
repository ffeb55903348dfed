"""`evenhand models update`: a version goes on from what has matured in the log since it was made."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.output import Json, note, result

if TYPE_CHECKING:
    from adapters.kafka.log_reader import LogReader
    from trainer.updating import Updated

EVERY_S = 5.0


def register(group: typer.Typer) -> None:
    """Add the command to the group of models."""
    group.command()(update)


def update(
    name: Annotated[str | None, typer.Argument(help="Such as btc-usd-1h; none with --follow")] = None,
    version: Annotated[str | None, typer.Option(help="What it goes on from; by default the last one")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on, for all models whose `learn` says when")] = False,
    json: Json = False,
) -> None:
    """Learn from outcomes that have matured: intervals, confidence, an ensemble's weights. Saves the next version."""
    from evenhand.cli.loop import model_store, open_log
    from evenhand.errors import ModelUnavailable
    from trainer.updating import update as run

    if (name is None) != follow:
        raise typer.BadParameter("name a model, or --follow all whose `learn` in models.yaml says when")
    store = model_store()
    if name is None:
        _follow()
        return
    released = [one for one in store.versions(name) if "-" not in one]
    if not released:
        raise ModelUnavailable(f"{name} has no version yet: `evenhand models train` or `evenhand train` makes one")

    async def read() -> "Updated":
        async with open_log() as (_, reader):
            return await run(reader, store, name, version or released[-1])

    updated = asyncio.run(read())
    result(updated, json, lambda: f"{_said(updated)}; try it beside the champion by `evenhand experiment start`")


def _said(updated: "Updated") -> str:
    return (
        f"{updated.model} {updated.version} goes on from {updated.follows} by {updated.outcomes} outcomes of "
        f"{updated.rows} rows"
    )


def _follow() -> None:
    from evenhand.cli.following import follow
    from evenhand.cli.loop import configuration, model_store
    from evenhand.cli.worker import run_until_signal
    from trainer.updating import Learner

    learn = {name: each.learn for name, each in configuration().models.models.items() if each.learn is not None}
    if not learn:
        note("there is nothing to do: no model in models.yaml has `learn`, such as `learn: {after: 500}`")
    learner = Learner(model_store(), {name: each.after for name, each in learn.items()})

    async def look(reader: "LogReader") -> None:
        from adapters.loop_state import holding

        held = await holding(reader)
        for updated in await learner.look(reader, {name: each.served.champion for name, each in held.items()}):
            note(_said(updated))
            if learn[updated.model].serve:
                await asyncio.to_thread(_serve, updated)

    run_until_signal(follow("learner", EVERY_S, look))


def _serve(updated: "Updated") -> None:
    """Let it take the place of the champion, if no trial would lose its champion by that."""
    import msgspec

    from evenhand.cli.loop import obey, what_holds

    served = what_holds()[updated.model].served
    if served.experiment is not None:
        note(f"{updated.version} is not served: {served.experiment.name} tries the champion")
        return
    obey(
        updated.model, "apply_configuration", f"{_said(updated)}, as `learn` says", 30.0,
        served=msgspec.structs.replace(served, champion=updated.version),
    )  # fmt: skip
