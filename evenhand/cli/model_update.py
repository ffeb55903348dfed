"""`evenhand models update`: a version goes on from what has matured in the log since it was made."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from evenhand.cli.output import Json, result

if TYPE_CHECKING:
    from trainer.updating import Updated


def register(group: typer.Typer) -> None:
    """Add the command to the group of models."""
    group.command()(update)


def update(
    name: Annotated[str, typer.Argument(help="Such as btc-usd-1h")],
    version: Annotated[str | None, typer.Option(help="What it goes on from; by default the last one")] = None,
    json: Json = False,
) -> None:
    """Learn from outcomes that have matured: intervals, confidence, an ensemble's weights. Saves the next version."""
    from evenhand.cli.loop import model_store, open_log
    from evenhand.errors import ModelUnavailable
    from trainer.updating import update as run

    store = model_store()
    released = [one for one in store.versions(name) if "-" not in one]
    if not released:
        raise ModelUnavailable(f"{name} has no version yet: `evenhand models train` or `evenhand train` makes one")

    async def read() -> "Updated":
        async with open_log() as (_, reader):
            return await run(reader, store, name, version or released[-1])

    updated = asyncio.run(read())
    result(
        updated, json,
        lambda: f"{name} {updated.version} goes on from {updated.follows} by {updated.outcomes} outcomes of "
        f"{updated.rows} rows; try it beside the champion by `evenhand experiment start`, or serve it by a rollout",
    )  # fmt: skip
