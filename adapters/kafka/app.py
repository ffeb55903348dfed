"""The Faust application on our transport."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import faust
from faust.transport.drivers import TRANSPORTS

from adapters.kafka import failpoints
from adapters.kafka.heart import Heart
from adapters.kafka.lanes import Lanes, Membership
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.timing import Timing

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

    from adapters.kafka.consumer import BatchConsumer
    from adapters.kafka.sending import Outbox
    from adapters.kafka.transport import BatchProducer

SCHEME = "batchkafka"
TRANSPORTS.aliases[SCHEME] = "adapters.kafka.transport:BatchTransport"


class BatchApp(faust.App):
    """A Faust application, and what our transport shares with its agents."""

    kafka: KafkaSettings
    timing: Timing
    heart: Heart
    membership: Membership
    lanes: Lanes
    readers: defaultdict[str, set[str]]  # full topic name -> names of the agents that read it
    topics_of: dict[str, tuple[str, ...]]  # name of an agent -> full topic names
    outboxes: dict[tuple[str, int], Outbox]  # by topic (bare name) and partition
    working: set[asyncio.Task[None]]  # tasks of the agents, one a partition number
    at_end: list[Callable[[], Awaitable[None]]]  # to be closed when the worker ends

    def kafka_producer(self) -> AIOKafkaProducer:
        """The client under Faust's producer."""
        return cast("BatchProducer", self.producer).client()

    async def confirm_membership(self) -> None:
        """Raise unless the broker takes this worker for a member of its group."""
        await cast("BatchConsumer", self.consumer).confirm_membership()


def make_app(settings: KafkaSettings, *, app_id: str, timing: Timing | None = None, **options: Any) -> BatchApp:
    """Build the application; `app_id` is also the consumer group. `options` are further Faust settings."""
    failpoints.arm(os.environ)
    timing = timing or Timing.from_environment()
    chosen: dict[str, Any] = {
        "broker": ";".join(f"{SCHEME}://{server.strip()}" for server in settings.bootstrap_servers.split(",")),
        "store": "memory://",
        "topic_partitions": settings.partitions,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 1,  # selects the assignor that keeps equal partition numbers together
        "stream_wait_empty": False,
        "stream_buffer_maxsize": 4096,  # in batches; the lanes are the back-pressure
        "broker_max_poll_records": 4000,
        "broker_request_timeout": timing.request_timeout_s,
        "broker_session_timeout": timing.session_timeout_s,
        "broker_heartbeat_interval": min(3.0, timing.session_timeout_s / 6),
        "broker_rebalance_timeout": timing.rebalance_timeout_s,
        "broker_commit_interval": timing.commit_interval_s,
        "producer_max_batch_size": timing.max_batch_bytes,
        "producer_max_request_size": 1 << 20,
        "producer_request_timeout": timing.request_timeout_s,
        "web_enabled": False,
        **options,
    }
    app = BatchApp(app_id, **chosen)
    app.kafka, app.timing = settings, timing
    app.heart = Heart(timing.session_timeout_s / 2)
    app.membership, app.lanes = Membership(), Lanes()
    app.readers, app.topics_of = defaultdict(set), {}
    app.outboxes, app.working, app.at_end = {}, set(), []
    return app
