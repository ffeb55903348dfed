"""Removes what was played under a prefix of its own: its topics and its consumer group. Live topics have no prefix."""

import asyncio
import logging

from aiokafka.protocol.admin import DeleteGroupsRequest

from adapters.errors import DependencyUnavailable
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import admin

_TRIES, _PAUSE_S, _LIMIT_S = 5, 0.5, 20.0
_GONE = (0, 16, 69)  # done; no coordinator for it; no such group
log = logging.getLogger(__name__)


async def delete_all(settings: KafkaSettings, group: str) -> None:
    """Delete the topics of the prefix and the group, as far as the broker lets us; what stays behind is logged."""
    prefix = settings.topic_prefix
    if not prefix:
        raise ValueError("without a prefix these would be the live topics")
    try:
        async with asyncio.timeout(_LIMIT_S), admin(settings) as client:
            names = [name for name in await client.list_topics() if name.startswith(prefix)]
            if names:
                await client.delete_topics(names)
            for _ in range(_TRIES):
                node = await client.find_coordinator(group)
                answer = await client._send_request(DeleteGroupsRequest([group]), node)  # noqa: SLF001
                if all(code in _GONE for _, code in answer.results):
                    return
                await asyncio.sleep(_PAUSE_S)
        log.warning("the consumer group %s is left behind: it has members", group)
    except (TimeoutError, DependencyUnavailable, ConnectionError) as error:
        log.warning("topics with the prefix %s may be left behind: %s", prefix, error)
