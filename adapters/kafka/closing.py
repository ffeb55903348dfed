"""Ends consumers that were assigned by hand.

aiokafka 0.14 may never return from `stop` when the assignment has just changed: its fetch task, cancelled while it
waits for a fetch that it has cancelled itself, takes one cancellation for the other and goes on.
"""

import asyncio

from aiokafka import AIOKafkaConsumer

_PATIENCE_S = 0.2


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop it, and cancel its fetch task for as long as that has not noticed."""
    stopping = asyncio.ensure_future(consumer.stop())
    while not (await asyncio.wait([stopping], timeout=_PATIENCE_S))[0]:
        if consumer._fetcher is not None:  # noqa: SLF001 - there is no other way to reach it
            consumer._fetcher._fetch_task.cancel()  # noqa: SLF001
    await stopping
