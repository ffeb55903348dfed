"""What `broker="batchkafka://..."` selects: our consumer and producer under Faust's application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer
from faust.transport.drivers import aiokafka as driver

from adapters.kafka.consumer import BatchConsumer

if TYPE_CHECKING:
    from adapters.kafka.app import BatchApp


class BatchProducer(driver.Producer):
    """Waits for all in-sync replicas, and never repeats a batch where the broker can tell repeats apart."""

    app: BatchApp

    def client(self) -> AIOKafkaProducer:
        """The client that sends."""
        return self._ensure_producer()

    def _settings_extra(self) -> Mapping[str, Any]:
        settings = self.app.kafka
        return {**settings.client_kwargs(), "acks": "all", "enable_idempotence": settings.idempotence}

    def _settings_auth(self) -> Mapping[str, Any]:
        return {}  # stands in client_kwargs


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with both ends replaced."""

    Consumer = BatchConsumer
    Producer = BatchProducer
