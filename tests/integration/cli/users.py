"""Users of a running loop: they ask, and tell what came of it, which is closer to what the trees said."""

import asyncio
import itertools
import random
from collections.abc import Callable

from adapters.kafka.settings import KafkaSettings
from evenhand.client import Producer, now_ms, subscribe_async
from evenhand.events import OutcomeObserved, PredictionMade, PredictionRequested

RIDGE, TREES = "1.0.0", "1.1.0"
_ASKED_AT_ONCE, _PAUSE_S, _NOISE = 12, 0.4, 0.2
_names = itertools.count()


async def live(settings: KafkaSettings, enough: Callable[[], bool], timeout_s: float) -> int:
    """Ask and tell until it is enough; how many requests there were."""
    began = now_ms()
    async with Producer(settings) as producer:
        telling = asyncio.create_task(_tell(settings, producer, began))
        try:
            async with asyncio.timeout(timeout_s):
                return await _ask(producer, enough)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


async def _ask(producer: Producer, enough: Callable[[], bool]) -> int:
    r, asked = random.Random(7), 0
    while not await asyncio.to_thread(enough):
        for _ in range(_ASKED_AT_ONCE):
            name = f"user-{next(_names)}"
            features = [r.gauss(0, 0.01) for _ in range(7)] + [abs(r.gauss(0, 0.01)), 1.0]
            request = PredictionRequested(id=name, time=now_ms(), key=name, model="btc-usd-1h", features=features)
            await producer.send_all([request, request] if r.random() < 0.05 else [request])
            asked += 1
        await asyncio.sleep(_PAUSE_S)
    return asked


async def _tell(settings: KafkaSettings, producer: Producer, began: int) -> None:
    r = random.Random(11)
    async for made in subscribe_async("predictions.v1", from_="earliest", settings=settings):
        if not isinstance(made, PredictionMade) or made.time < began or r.random() < 0.05:
            continue
        values = {made.version: made.values, **{shadow.version: shadow.values for shadow in made.shadows}}
        if len(values) == 2:
            truth = values[TREES][0] + (values[TREES][0] - values[RIDGE][0]) * r.gauss(0, _NOISE)
            await producer.send(
                OutcomeObserved(
                    id=f"saw-{made.id}", time=now_ms(), key=made.key, request_id=made.request_id, value=truth
                )
            )
