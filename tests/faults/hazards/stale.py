"""Hands an agent an event of a past generation and prints what became of it; for an interpreter without Cython."""

import asyncio
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from faust import streams
from faust.events import Event

from adapters.kafka.lanes import Delivery
from tests.faults.hazards.rigs import PARTITION, Ours, Rig, Stock, message, record


class Patching:
    """Sets attributes for good: the process ends with the scenario."""

    @staticmethod
    def setattr(target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)


async def main(kind: str) -> None:
    logging.disable(logging.CRITICAL)
    seen: list[int] = []

    async def see(offset: int, value: bytes) -> None:
        seen.append(offset)

    tmp = Path(tempfile.mkdtemp())
    rig: Rig = Stock(see, tmp) if kind == "stock" else Ours(see, tmp, Patching())
    await rig.start()
    stale = message(7, generation=0)
    if isinstance(rig, Ours):
        lane = rig.app.lanes.of(PARTITION)
        delivery = Delivery(lane, [record(7)], 1, 0, {"agent"})
        lane.add(delivery)
        stale.value = cast("Any", delivery)
    stale.incref()
    next(iter(rig.agent._actors)).stream.channel.queue.put_nowait(Event(rig.app, b"k", stale.value, {}, stale))
    await asyncio.sleep(0.5)
    has_cython = vars(streams)["_CStreamIterator"] is not None
    print(json.dumps({"cython": has_cython, "seen": seen, "committable": rig.committable}), flush=True)
    os._exit(0)  # what Faust started need not be ended one by one


asyncio.run(main(sys.argv[1]))
