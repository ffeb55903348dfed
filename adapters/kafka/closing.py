"""Ends consumers of aiokafka 0.14, which may wait for long, or for ever, in `stop`.

Its fetch task, cancelled while it waits for a fetch that it has cancelled itself, takes one cancellation for the other
and goes on. And a group that waits for a member that is gone answers nobody's request to join before that member's
session ends: the client does not give up the request, and on its connection nothing passes it.
"""

import asyncio
import contextlib

from aiokafka import AIOKafkaConsumer
from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

_PATIENCE_S = 0.2
_LEAVE_S = 2.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop it: leave a group that it still waits to join, and cancel its fetch task until that has noticed."""
    stopping = asyncio.ensure_future(consumer.stop())
    while not (await asyncio.wait([stopping], timeout=_PATIENCE_S))[0]:
        coordination = getattr(consumer._coordinator, "_coordination_task", None)  # noqa: SLF001 - no other way
        if coordination is not None and not coordination.done():
            await _leave(consumer)
        elif consumer._fetcher is not None:  # noqa: SLF001 - no other way
            consumer._fetcher._fetch_task.cancel()  # noqa: SLF001
    await stopping


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """Leave the group on the connection of the fetches: the broker then refuses the request to join, and it ends."""
    coordinator = consumer._coordinator  # noqa: SLF001 - no other way
    if coordinator.coordinator_id is None or not coordinator.member_id:
        return
    leave = LeaveGroupRequest(coordinator.group_id, coordinator.member_id)
    with contextlib.suppress(KafkaError, TimeoutError):
        sending = consumer._client.send(coordinator.coordinator_id, leave, group=ConnectionGroup.DEFAULT)  # noqa: SLF001
        await asyncio.wait_for(sending, _LEAVE_S)
