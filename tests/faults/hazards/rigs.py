"""One agent on stock Faust, and one on our transport, in process and without a broker.

Both get the same records through Faust's real conductor, stream and agent. `committable` is the offset that a commit
would store: where a new owner of the partition goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import faust
import pytest
from aiokafka import ConsumerRecord
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from adapters.kafka import delivery, reading
from adapters.kafka.app import make_app
from adapters.kafka.capabilities import EVERYTHING
from adapters.kafka.delivery import Batch
from adapters.kafka.settings import KafkaSettings

TOPIC = "t"
PARTITION = TP(TOPIC, 0)
Handle = Callable[[int, bytes], Awaitable[None]]


class Ended(BaseException):
    """Stands for the end of the process."""


def record(offset: int, value: bytes = b"{}") -> ConsumerRecord:
    return ConsumerRecord(TOPIC, 0, offset, 0, 0, b"k", value, None, 1, len(value), ())


def message(offset: int, value: bytes = b"{}", generation: int = 1) -> ConsumerMessage:
    return ConsumerMessage(TOPIC, 0, offset, 0.0, 0, [], b"k", value, None, tp=PARTITION, generation_id=generation)


class Rig:
    """What both have in common."""

    app: Any

    def __init__(self) -> None:
        self.codes: list[int] = []

    async def start(self) -> Self:
        self.app.finalize()
        self.consumer = self.app.consumer
        self.app.flow_control.resume()
        self.app.consumer_generation_id = 1
        (agent,) = [found for found in self.app.agents.values() if found.name.endswith("agent")]
        self.agent = agent
        await agent.start()
        channels = {actor.stream.channel for actor in agent._actors}
        self.app.topics._tp_to_callback[PARTITION] = self.app.topics._compiler.build(
            self.app.topics, PARTITION, channels
        )
        return self

    async def feed(self, *offsets: int, values: Sequence[bytes] = ()) -> None:
        raise AssertionError

    @property
    def committable(self) -> int | None:
        raise AssertionError

    async def stop(self) -> None:
        for name in ("cancel", "stop"):
            try:
                done = getattr(self.agent, name)()
                if asyncio.iscoroutine(done):
                    await asyncio.wait_for(done, 2)
            except (Exception, asyncio.CancelledError):  # noqa: BLE001, S110  whatever it was in the middle of
                pass
        self.consumer._thread.thread_loop.close()


class Stock(Rig):
    """Faust as its manual says."""

    def __init__(self, handle: Handle, tmp: Path, *, concurrency: int = 1, serializer: str = "raw") -> None:
        super().__init__()
        self.app = faust.App("stock", broker="kafka://localhost:9", store="memory://", datadir=str(tmp))
        topic = self.app.topic(TOPIC, value_serializer=serializer)

        async def agent(stream: Any) -> None:
            async for _ in stream:
                found = stream.current_event.message
                await handle(found.offset, found.value or b"")

        self.app.agent(topic, name="agent", concurrency=concurrency)(agent)

    async def start(self) -> Self:
        await super().start()
        self.app.topics._acking_topics.add(TOPIC)
        self.committed: dict[Any, int] = {}

        async def commit(offsets: Any, start_new_transaction: bool = True) -> bool:
            self.committed.update(offsets)
            return True

        self.consumer._commit_offsets = commit  # Faust commits when an agent crashes, too
        return self

    async def feed(self, *offsets: int, values: Sequence[bytes] = ()) -> None:
        for i, offset in enumerate(offsets):
            await self.app.topics.on_message(message(offset, values[i] if values else b"{}"))
        await asyncio.sleep(0.3)

    @property
    def committable(self) -> int | None:
        return self.consumer._new_offset(PARTITION) or self.committed.get(PARTITION)


class Ours(Rig):
    """The same agent on our transport."""

    def __init__(self, handle: Handle, tmp: Path, monkeypatch: Any, *, readers: Sequence[Handle] = ()) -> None:
        super().__init__()
        self.app = make_app(KafkaSettings(known_capabilities=EVERYTHING), app_id="ours", datadir=str(tmp))

        def end(code: int, reason: str, cause: BaseException | None = None) -> None:
            self.codes.append(code)
            raise Ended(reason)

        for module in (delivery, reading):
            monkeypatch.setattr(module, "end_process", end)

        @reading.reads(self.app, TOPIC, name="agent")
        async def agent(batch: Batch) -> None:
            for found in batch.records:
                await handle(found.offset, found.value or b"")

    async def start(self) -> Self:
        await super().start()
        self.app.membership.join(1, {PARTITION})
        self.consumer.flow_active = True
        return self

    async def feed(self, *offsets: int, values: Sequence[bytes] = ()) -> None:
        records = [record(offset, values[i] if values else b"{}") for i, offset in enumerate(offsets)]
        await self.consumer._deliver({PARTITION: records}, self.app.membership.generation or 1)
        await asyncio.sleep(0.3)

    @property
    def committable(self) -> int | None:
        return self.app.lanes.next_offsets().get(PARTITION)  # type: ignore[no-any-return]

    async def stop(self) -> None:
        for task in list(self.app.working):
            task.cancel()
        await asyncio.gather(*self.app.working, return_exceptions=True)
        await super().stop()


async def nothing(offset: int, value: bytes) -> None:
    """An agent that is done at once."""


class Rigs:
    """Makes rigs and ends them."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._tmp, self._monkeypatch, self._made = tmp, monkeypatch, list[Rig]()

    async def stock(self, handle: Any = nothing, **options: Any) -> Stock:
        made = await Stock(handle, self._tmp, **options).start()
        self._made.append(made)
        return made

    async def ours(self, handle: Any = nothing) -> Ours:
        made = await Ours(handle, self._tmp, self._monkeypatch).start()
        self._made.append(made)
        return made

    async def stop(self) -> None:
        for made in self._made:
            await made.stop()
