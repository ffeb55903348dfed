"""Clients from another world, which know nothing of evenhand: librdkafka, JSON without headers."""

import asyncio
from collections.abc import Iterable
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

from adapters.kafka.settings import KafkaSettings
from tests.faults.story import CLIENTS, EACH, Told


class Clients:
    """Three producers, each with a partitioner of its own. `acked` counts what the broker has taken."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self.acked = self.asked = 0
        self.refused: list[str] = []
        common: dict[str, Any] = {
            "bootstrap.servers": settings.bootstrap_servers,
            "acks": "all",
            "linger.ms": 2,
            "log_level": 2,
        }
        self._producers = [Producer(common if name == "none" else {**common, "partitioner": name}) for name in CLIENTS]

    async def tell(self, told: Iterable[Told], timeout_s: float = 60) -> None:
        """Produce in order, and wait until the broker has all of it."""
        await asyncio.to_thread(self._tell, list(told), timeout_s)

    def _tell(self, told: list[Told], timeout_s: float) -> None:
        for each in told:
            if each.partition is None:
                self._produce(each, -1)
            else:
                every = range(self._settings.partitions)
                for partition in every if each.partition == EACH else (each.partition,):
                    self._produce(each, partition)
        left = sum(producer.flush(timeout_s) for producer in self._producers)
        if left or self.refused:
            raise AssertionError(f"{left} records were not taken within {timeout_s:g} s; refused: {self.refused[:3]}")

    def _produce(self, told: Told, partition: int) -> None:
        key = None if CLIENTS[told.client] == "none" else told.key
        self.asked += 1
        self._producers[told.client].produce(
            self._settings.topic(told.topic), told.value, key, partition, on_delivery=self._delivered
        )

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acked += 1
        else:
            self.refused.append(f"{message.topic()}[{message.partition()}]: {error}")
