"""When the loop is ready: a stranger's first event would get its answer."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from adapters.beat import Beat, read_beats
from adapters.clock import now_ms
from adapters.errors import DependencyUnavailable
from adapters.kafka.log_reader import log_reader
from adapters.kafka.settings import KafkaSettings
from evenhand.codec import decoder
from evenhand.events import Ticked
from evenhand.topics import SCORED

_POLL_S = 0.1


async def wait_ready(
    settings: KafkaSettings, home: Path, workers: Sequence[str], *, deadline_s: float, say: Callable[[str], None]
) -> None:
    """Return when the workers share all partitions, and a tick of now has come through every agent and partition.

    A tick reaches `scored-predictions.v1` only behind everything that stood before it: in every partition of the
    requests and the outcomes, through assignment, inference, intake and attribution.
    """
    waiting_for = ""
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                waiting_for = f"workers {', '.join(workers)} to share the partitions"
                say("waiting for the workers")
                generation = await _shared(settings, home, workers)
                waiting_for = f"a tick in every partition of {SCORED}"
                say("waiting for the first ticks to come through")
                if await _ticked(settings, home, workers, generation):
                    return
    except TimeoutError:
        raise DependencyUnavailable(
            f"not ready within {deadline_s:g} s: still waiting for {waiting_for}; see {home / 'log'}"
        ) from None


def sharing(home: Path, workers: Sequence[str], partitions: int) -> int | None:
    """The generation in which these workers share all partitions; None while they do not."""
    beats: list[Beat] = [beat for beat in read_beats(home, "worker") if beat.name in workers and beat.alive()]
    generations = {beat.generation for beat in beats}
    if len(beats) < len(workers) or len(generations) != 1:
        return None
    numbers = {number for beat in beats for number in beat.partitions}
    return generations.pop() if numbers == set(range(partitions)) else None


async def _shared(settings: KafkaSettings, home: Path, workers: Sequence[str]) -> int:
    while (generation := sharing(home, workers, settings.partitions)) is None:
        await asyncio.sleep(_POLL_S)
    return generation


async def _ticked(settings: KafkaSettings, home: Path, workers: Sequence[str], generation: int) -> bool:
    """Whether ticks came through everywhere before the workers shared the partitions anew."""
    began, ticked = now_ms(), set[int]()
    async with log_reader(settings) as reader:
        places = await reader.places(SCORED)
        starts = await reader.ends(places)
        async with contextlib.aclosing(reader.read(starts)) as records:
            async for record in records:
                if b'"Ticked"' not in (record.value or b""):
                    continue
                with contextlib.suppress(msgspec.DecodeError):
                    if decoder(Ticked).decode(record.value).time >= began:
                        ticked.add(record.partition)
                if len(ticked) == len(places):
                    return True
                if sharing(home, workers, settings.partitions) != generation:
                    return False
    return False
