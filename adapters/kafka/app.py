"""The Faust application on our transport."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import Any

import faust
from faust.transport.drivers import TRANSPORTS

from adapters.kafka import failpoints
from adapters.kafka.heart import Heart
from adapters.kafka.lanes import Lanes, Membership
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.timing import Timing

SCHEME = "batchkafka"
TRANSPORTS.aliases[SCHEME] = "adapters.kafka.transport:BatchTransport"


class BatchApp(faust.App):  # type: ignore[misc]
    """A Faust application that knows what our transport shares with its agents."""

    kafka: KafkaSettings
    timing: Timing
    heart: Heart
    membership: Membership
    lanes: Lanes
    readers: defaultdict[str, set[str]]  # full topic name -> names of the agents that read it
    topics_of: dict[str, tuple[str, ...]]  # name of an agent -> full topic names
    working: set[Any]  # the tasks of the agents, one a partition number


def make_app(settings: KafkaSettings, *, app_id: str, timing: Timing | None = None, **options: Any) -> BatchApp:
    """Build the application; `app_id` is also the consumer group. `options` are further Faust settings."""
    timing = timing or Timing.from_environment()
    failpoints.arm(os.environ)
    servers = ";".join(f"{SCHEME}://{server.strip()}" for server in settings.bootstrap_servers.split(","))
    app = BatchApp(
        app_id,
        **{
            "broker": servers,
            "store": "memory://",
            "topic_partitions": settings.partitions,
            "topic_allow_declare": False,
            "topic_disable_leader": True,
            "table_standby_replicas": 1,  # selects the assignor that keeps equal partitions together
            "stream_wait_empty": False,
            "stream_buffer_maxsize": 4096,  # of batches; ours is the back-pressure
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
        },
    )
    app.kafka, app.timing = settings, timing
    app.heart = Heart(timing.session_timeout_s / 2)
    app.membership = Membership()
    app.lanes = Lanes()
    app.readers = defaultdict(set)
    app.topics_of = {}
    app.working = set()
    return app
