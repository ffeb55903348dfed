"""`evenhand health KIND`: for the health checks of containers."""

from typing import Annotated

import typer

from evenhand.cli import exits
from evenhand.cli.output import complain, say

KINDS = ("worker", "clock", "notifier", "registry", "learner")


def register(app: typer.Typer) -> None:
    """Add the command; it is not listed, for it is not meant for people."""
    app.command(hidden=True)(health)


def health(kind: Annotated[str, typer.Argument(help="worker, clock, notifier, registry or learner")]) -> None:
    """Whether a process of that kind lives and works on this machine (or in this container)."""
    from evenhand.client.checkout import root
    from evenhand.errors import InvalidConfiguration

    if kind not in KINDS:
        raise InvalidConfiguration(f"there is no health of {kind!r}: ask for {' or '.join(KINDS)}")
    root()
    from adapters.beat import STALE_MS, read_beats
    from adapters.run_state import home

    reasons = []
    for beat in read_beats(home(), kind):
        if not beat.alive():
            continue
        if beat.age_ms() > STALE_MS:
            reasons.append(f"{beat.name} has given no sign of life for {beat.age_ms() // 1000} s")
        elif kind == "worker" and beat.generation is None:
            reasons.append(f"{beat.name} has no partitions yet")
        else:
            say(f"{beat.name} is well")
            return
    complain("; ".join(reasons) or f"no {kind} runs here")
    raise typer.Exit(exits.FAILED)
