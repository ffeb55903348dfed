"""Appends rows to named partitions, in order, outside of any worker: what the demo and the replay write with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from adapters.errors import DependencyUnavailable
from adapters.kafka.connection import check_connection
from adapters.kafka.settings import KafkaSettings
from evenhand.processors.base import Row

_MAX_BATCH_BYTES = 900_000
_TIMEOUT_S = 60.0


@contextlib.asynccontextmanager
async def appender(settings: KafkaSettings) -> AsyncIterator["Appender"]:
    """An appender that is closed afterwards."""
    await check_connection(settings)
    producer = AIOKafkaProducer(
        **settings.client_kwargs(), acks="all", enable_idempotence=settings.idempotence, linger_ms=0,
        max_batch_size=_MAX_BATCH_BYTES, request_timeout_ms=20_000,
    )  # fmt: skip
    try:
        await producer.start()
        yield Appender(settings, producer)
    finally:
        await producer.stop()


class Appender:
    """One producer. Topics are given by their bare names."""

    def __init__(self, settings: KafkaSettings, producer: AIOKafkaProducer) -> None:
        self._settings, self._producer = settings, producer

    async def append(self, rows: Mapping[tuple[str, int], Sequence[Row]]) -> int:
        """Append rows by (topic, partition) and wait until the broker has all of them; how many there were."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await asyncio.gather(*(self._append(topic, partition, of) for (topic, partition), of in rows.items()))
        except (KafkaError, TimeoutError) as error:
            raise DependencyUnavailable(
                f"the broker at {self._settings.bootstrap_servers} did not take what was appended: {error!r}"
            ) from error
        return sum(map(len, rows.values()))

    async def _append(self, topic: str, partition: int, rows: Sequence[Row]) -> None:
        """One produce batch after the other: a next one only after the ack of the one before."""
        full, batch = self._settings.topic(topic), self._producer.create_batch()
        for row in rows:
            fields = {"key": row.key, "value": row.value, "headers": row.headers, "timestamp": None}
            if batch.append(**fields) is None:
                await self._send(batch, full, partition)
                batch = self._producer.create_batch()
                batch.append(**fields)
        if batch.record_count():
            await self._send(batch, full, partition)

    async def _send(self, batch: object, topic: str, partition: int) -> None:
        acknowledged = await self._producer.send_batch(batch, topic, partition=partition)
        await acknowledged
