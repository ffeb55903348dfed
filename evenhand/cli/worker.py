"""`evenhand worker` and `evenhand clock`: the processes that a loop consists of."""

import asyncio
import logging
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.output import note

if TYPE_CHECKING:
    from adapters.beat import Beat
    from adapters.kafka.settings import KafkaSettings

PATIENCE_S = 5.0  # with what asks for the end; others kill after 10
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(worker)
    app.command()(clock)


def worker(
    name: Annotated[
        str, typer.Option("--name", help="Its name in `evenhand status`; its process number if it has none.")
    ] = "",
    log_level: Annotated[str, typer.Option("--log-level", "-l", help="debug, info, warn or error.")] = "warn",
) -> None:
    """Run a worker with all agents: what `faust -A agents.app worker -l warn --without-web` runs, with signs of life.

    Topics that are missing are created, and wrong ones refused.
    """
    settings = _prepare()
    from adapters.beat import first_beat, keep_beating
    from adapters.run_state import home
    from evenhand.client.checkout import root

    app = _agents_app(root())
    beat = first_beat("worker", name or f"{platform.node()}-{os.getpid()}")

    def look(beat: "Beat") -> None:
        membership = app.membership
        beat.generation = membership.generation
        beat.partitions = sorted({place.partition for place in membership.assigned})
        beat.topics = sorted({settings.bare(place.topic) for place in membership.assigned})

    keep_beating(home(), beat, look)
    from faust.cli.faust import cli

    cli.main(
        args=["-A", "agents.app", "worker", "-l", log_level, "--without-web"], prog_name="evenhand worker",
        standalone_mode=True,
    )  # fmt: skip


def clock() -> None:
    """Say once a second, in every partition that users write, how far event time has come."""
    logging.basicConfig(format=_FORMAT, level=logging.WARNING, stream=sys.stderr)
    settings = _prepare()
    from adapters.beat import first_beat, write_beat
    from adapters.run_state import home
    from agents.clock import run_clock

    folder = home()
    beat = first_beat("clock", platform.node())

    def told(time_ms: int) -> None:
        beat.reached = time_ms
        write_beat(folder, beat)

    run_until_signal(run_clock(settings, told))


def _prepare() -> "KafkaSettings":
    """The settings, in the environment too, where the agents read them; and all topics."""
    from evenhand.client.connection import kafka_settings

    settings = kafka_settings()
    from adapters.kafka.topics import ensure_topics
    from evenhand.cli.loop import declared_topics

    os.environ.update(settings.environment())
    created = asyncio.run(ensure_topics(settings, declared_topics()))
    asyncio.set_event_loop(asyncio.new_event_loop())  # Faust takes the current one
    if created:
        note(f"{len(created)} topics created")
    return settings


def _agents_app(root: Path) -> Any:
    """The application of `agents.app`, and no other package of that name."""
    from agents import app as module
    from evenhand.errors import InvalidConfiguration

    found = Path(module.__file__ or "").absolute()
    if root not in found.parents:
        raise InvalidConfiguration(
            f"`agents` is {found.parent}, another package than evenhand's in {root}: run in an environment without it, "
            f"or set PYTHONPATH={root}"
        )
    return module.app


def run_until_signal(work: Any) -> None:
    """Run until it ends, or until SIGTERM or Ctrl-C ask for the end.

    Clients that cannot reach their broker may never finish what they do last, a commit for instance. Whoever waits too
    long is ended as a kill would end it: what was not committed is done again.
    """
    import contextlib
    import signal

    async def run() -> None:
        task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()

        def end() -> None:
            task.cancel()
            loop.call_later(PATIENCE_S, _end_at_once)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


def _end_at_once() -> None:
    from evenhand.cli.exits import FAILED

    note(f"asked to end {PATIENCE_S:g} s ago, and still at it, as when the broker is gone: ended without a last commit")
    sys.stderr.flush()
    os._exit(FAILED)
