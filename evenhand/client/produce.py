"""Sends events: typed, checked before they leave, each to the topic that carries it, and acknowledged by the broker."""

import asyncio
import threading
from collections.abc import AsyncIterable, Coroutine, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from evenhand.client.connection import kafka_settings
from evenhand.codec import decode, encode
from evenhand.envelope import cloud_headers
from evenhand.errors import InvalidEvent
from evenhand.events import CommandGiven, Event
from evenhand.topics import TOPICS, USERS

if TYPE_CHECKING:
    from adapters.kafka.settings import KafkaSettings

SOURCE = "/evenhand/client"
WRITABLE = tuple(name for name, topic in TOPICS.items() if set(USERS) <= set(topic.written_by))
_IN_FLIGHT = 5000
T = TypeVar("T")


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


def check_sendable(topic: str, event: Event) -> None:
    """Raise InvalidEvent for what only evenhand itself may write."""
    name = type(event).__name__
    if name in {"Ticked", "ControlChanged"}:
        writer = "the clock" if name == "Ticked" else "the control agent"
        raise InvalidEvent(f"{name} is written by {writer} alone: send what {topic} carries for its users")


def topic_of(event: Event) -> str:
    """The topic that takes this event from users."""
    for name in WRITABLE:
        if type(event) in TOPICS[name].events:
            check_sendable(name, event)
            return name
    raise InvalidEvent(
        f"{type(event).__name__} is written by evenhand, not by its users: they write {', '.join(WRITABLE)}"
    )


def key_of(event: Event) -> str:
    """The Kafka key: the event's key; for a command the model, whose partition decides about it."""
    return event.model if isinstance(event, CommandGiven) else event.key


class Producer:
    """`async with Producer() as producer: await producer.send(event)`."""

    def __init__(self, settings: "KafkaSettings | None" = None, *, source: str = SOURCE) -> None:
        """Talk to the broker of `settings`, by default to the one that `kafka_settings` finds."""
        self._settings, self._source = settings, source
        self._client: Any = None
        self._known: frozenset[str] = frozenset()  # topics of the broker

    async def __aenter__(self) -> Self:
        """Connect. Raises DependencyUnavailable, naming the setting, if no broker answers."""
        self._settings = settings = self._settings or kafka_settings()
        from aiokafka import AIOKafkaProducer

        from adapters.kafka.connection import check_connection

        await check_connection(settings)
        client = AIOKafkaProducer(
            **settings.client_kwargs(), acks="all", enable_idempotence=settings.idempotence, linger_ms=2,
            max_batch_size=256 << 10, request_timeout_ms=20_000,
        )  # fmt: skip
        try:
            await client.start()
        except BaseException:
            await client.stop()
            raise
        self._client = client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send what is still waiting, and disconnect."""
        await self._client.stop()

    async def send(self, event: Event) -> Place:
        """Send an event and wait until the broker has it. Raises InvalidEvent before anything leaves."""
        topic, value = topic_of(event), encode(event)
        decode(topic, value)  # a Struct made in Python has not been checked against its constraints
        return await place(await self.enqueue(topic, event, value))

    async def send_all(self, events: Iterable[Event] | AsyncIterable[Event]) -> int:
        """Send many, thousands at a time, and wait for all acknowledgements; how many there were."""
        waiting: list[asyncio.Future[Any]] = []
        count = 0
        async for event in _each(events):
            topic, value = topic_of(event), encode(event)
            decode(topic, value)
            waiting.append(await self.enqueue(topic, event, value))
            count += 1
            if len(waiting) >= _IN_FLIGHT:
                await _acknowledged(waiting)
                waiting.clear()
        await _acknowledged(waiting)
        return count

    async def enqueue(self, topic: str, event: Event, value: bytes) -> "asyncio.Future[Any]":
        """Hand over bytes that were checked; the future is done when the broker has them (`place` awaits it)."""
        headers = cloud_headers(type(event).__name__, event.id, self._source, event.time)
        return await self.enqueue_raw(topic, key_of(event).encode(), value, headers)

    async def enqueue_raw(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> "asyncio.Future[Any]":
        """Hand over a record as it is, for one that was in a topic before."""
        full = self._connected().topic(topic)
        if full not in self._known:
            await self._check(full)
        future: asyncio.Future[Any] = await self._client.send(full, value, key=key, headers=headers)
        return future

    async def _check(self, full: str) -> None:
        """Raise if a topic does not exist: a broker would make one, with as many partitions as it likes."""
        from adapters.errors import DependencyUnavailable

        self._known = frozenset((await self._client.client.fetch_all_metadata()).topics())
        if full not in self._known:
            raise DependencyUnavailable(
                f"topic {full} does not exist at {self._connected().bootstrap_servers}: `evenhand up` creates all "
                "topics, and so does `evenhand topics create`"
            )

    def _connected(self) -> "KafkaSettings":
        if self._settings is None or self._client is None:
            raise RuntimeError("a Producer connects when it is entered: write `async with Producer() as producer`")
        return self._settings


async def place(future: "asyncio.Future[Any]") -> Place:
    """Wait for the acknowledgement. Raises DependencyUnavailable if there is none."""
    from aiokafka.errors import KafkaError

    from adapters.errors import DependencyUnavailable

    try:
        ack = await future
    except (KafkaError, TimeoutError) as error:
        raise DependencyUnavailable(f"the broker did not take a record: {error!r}") from error
    return Place(ack.topic, ack.partition, ack.offset)


async def _acknowledged(futures: "list[asyncio.Future[Any]]") -> None:
    await asyncio.gather(*(place(future) for future in futures))


async def _each(events: Iterable[Event] | AsyncIterable[Event]) -> AsyncIterable[Event]:
    if isinstance(events, AsyncIterable):
        async for event in events:
            yield event
    else:
        for event in events:
            yield event


class BlockingProducer:
    """`with BlockingProducer() as producer: producer.send(event)`: without asyncio. Threads may share it."""

    def __init__(self, settings: "KafkaSettings | None" = None, *, source: str = SOURCE) -> None:
        """As `Producer`."""
        self._producer = Producer(settings, source=source)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="evenhand producer", daemon=True)

    def __enter__(self) -> Self:
        """Connect."""
        self._thread.start()
        try:
            self._run(self._producer.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send what is still waiting, and disconnect."""
        try:
            self._run(self._producer.__aexit__(kind, error, traceback))
        finally:
            self._end()

    def send(self, event: Event) -> Place:
        """Send an event and wait until the broker has it."""
        return self._run(self._producer.send(event))

    def send_all(self, events: Iterable[Event]) -> int:
        """Send many, and wait for all acknowledgements; how many there were."""
        return self._run(self._producer.send_all(events))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def produce(events: Iterable[Event], *, settings: "KafkaSettings | None" = None) -> int:
    """Connect, send events, wait for all acknowledgements; how many there were."""
    with BlockingProducer(settings) as producer:
        return producer.send_all(events)
