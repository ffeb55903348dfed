"""What commands do that go on beside the loop: a look at the log every few seconds, and signs of life."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from evenhand.cli.output import note

if TYPE_CHECKING:
    from adapters.kafka.log_reader import LogReader


async def follow(kind: str, every_s: float, look: "Callable[[LogReader], Awaitable[None]]") -> None:
    """Look at the log for ever. What goes wrong is said when it begins, and tried again."""
    from evenhand.cli.loop import open_log
    from evenhand.client.connection import kafka_settings

    kafka_settings()  # without any broker there is nothing to follow
    trouble = ""
    async with asyncio.TaskGroup() as group:
        group.create_task(beat(kind))
        while True:
            try:
                async with open_log() as (_, reader):
                    while True:
                        await look(reader)
                        trouble = ""
                        await asyncio.sleep(every_s)
            except Exception as error:  # noqa: BLE001 - whatever a client of something that is away raises
                if str(error) != trouble:
                    note(f"{kind} tries again, for {str(error) or repr(error)}")
                trouble = str(error)
            await asyncio.sleep(every_s)


async def beat(kind: str) -> None:
    """Signs of life, from the event loop that does the work."""
    import platform

    from adapters.beat import BEAT_S, first_beat, write_beat
    from adapters.run_state import home

    sign = first_beat(kind, platform.node())
    while True:
        write_beat(home(), sign)
        await asyncio.sleep(BEAT_S)
