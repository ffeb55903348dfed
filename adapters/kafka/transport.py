"""What `broker="batchkafka://..."` selects: our consumer and producer under Faust's application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver

from adapters.kafka.consumer import BatchConsumer


class BatchProducer(driver.Producer):  # type: ignore[misc]
    """Waits for all in-sync replicas, and repeats nothing where the broker can tell repeats apart."""

    def _settings_extra(self) -> Mapping[str, Any]:
        settings = self.app.kafka
        return {**settings.client_kwargs(), "acks": "all", "enable_idempotence": settings.idempotence}

    def _settings_auth(self) -> Mapping[str, Any]:
        return {}  # client_kwargs has it


class BatchTransport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with both ends replaced."""

    Consumer = BatchConsumer
    Producer = BatchProducer
