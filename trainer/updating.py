"""Goes on with a version from what has matured in the log since, and saves what came of it as the next version."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from aiokafka.structs import TopicPartition

from evenhand.codec import decoder
from evenhand.errors import EvenhandError
from evenhand.events import ControlChanged, PredictionRequested, PredictionScored, Ticked
from evenhand.processors.inference import target_times
from evenhand.topics import REQUESTS, SCORED
from evenhand.training.matured import Asked, Matured, matured
from evenhand.training.versioning import parse
from models.base import Model
from models.card import Card, Description, Lineage, Source
from models.lineage import Reproduced, reproduced
from models.store import ModelStore

_SCORED = decoder(PredictionScored, Ticked, ControlChanged)


class Stored(Protocol):
    """A record of the log."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...


class Reader(Protocol):
    """Who reads the log; `adapters.kafka.log_reader` has one."""

    async def places(self, *topics: str) -> list[TopicPartition]: ...
    async def beginnings(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]: ...
    async def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]: ...
    def read(
        self, start: Mapping[TopicPartition, int], end: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[Stored]: ...


class Updated(msgspec.Struct, frozen=True):
    """The version that was saved, what it goes on from, and how many rows and outcomes it has learned from."""

    model: str
    follows: str
    version: str
    rows: int
    outcomes: int
    sources: tuple[Source, ...]


class NothingToLearn(EvenhandError):
    """Fewer outcomes have matured than were waited for."""

    def __init__(self, message: str, outcomes: int) -> None:
        """Say how many there are."""
        super().__init__(message)
        self.outcomes = outcomes


class Learner:
    """Goes on with a model each time that so many outcomes (`after`, by model) have matured.

    With the champion, or with the last version that went on from it.
    """

    def __init__(self, store: ModelStore, after: Mapping[str, int]) -> None:
        self._store, self._after = store, after
        self._at: dict[TopicPartition, int] = {}
        self._scored: Counter[str] = Counter()  # by model, since it last tried: at least as many as outcomes

    async def look(self, reader: Reader, champions: Mapping[str, str]) -> list[Updated]:
        """Return the versions that have come of it."""
        places = await reader.places(SCORED)
        ends = await reader.ends(places)
        async for record in reader.read({**await reader.beginnings(places), **self._at}, ends):
            event = _SCORED.decode(record.value or b"")
            if type(event) is PredictionScored:
                self._scored[event.model] += 1
        self._at = ends
        made = []
        for name, least in self._after.items():
            if name in champions and self._scored[name] >= least:
                self._scored[name] = 0
                version = newest(self._store, name, champions[name])
                try:
                    made.append(await update(reader, self._store, name, version, least))
                except NothingToLearn as nothing:  # many requests share an outcome: it needs at least so many more
                    self._scored[name] = nothing.outcomes
        return made


def newest(store: ModelStore, name: str, version: str) -> str:
    """Return the last version that went on from this one by what has matured; itself if none has."""
    for other in store.versions(name):
        origin = store.describe(name, other).description.origin
        if origin.follows == version and any(source.topic == SCORED for source in origin.sources):
            version = other
    return version


async def update(reader: Reader, store: ModelStore, name: str, version: str, least: int = 1) -> Updated:
    """Learn from what was scored after the offsets that the version names. The same log gives the same bytes.

    Raises NothingToLearn if fewer than `least` outcomes have matured.
    """
    card, signature = store.describe(name, version), store.load(name, version).signature
    newer, table, sources, matured_to = await _learn(reader, store, name, version, least)
    next_version = _next(store, name, version)
    example = np.array([card.description.origin.example or table.rows[-1].tolist()])
    answer = tuple(newer.forecast(example, signature.max_horizon)[0].tolist())
    about = _description(card, version, table.outcomes, sources, matured_to)
    lineage = msgspec.structs.replace(about.origin, example=tuple(example[0].tolist()), answer=answer)
    normal = store.reference(name, version)
    store.save(
        name, next_version, newer, msgspec.structs.replace(about, lineage=lineage),
        None if normal is None else np.column_stack(list(normal.values())),
    )  # fmt: skip
    return Updated(name, version, next_version, len(table.rows), table.outcomes, sources)


async def reproduce(reader: Reader, store: ModelStore, name: str, version: str) -> Reproduced:
    """Go on once more from the version before, by the records that this one names, and compare."""
    origin = store.describe(name, version).description.origin
    upto = {one.partition: one for one in origin.sources if one.topic == SCORED}
    newer, table, *_ = await _learn(reader, store, name, origin.follows, 1, upto)
    return reproduced(store, name, version, newer, table.rows)


class _Learned(NamedTuple):
    model: Model
    table: Matured
    sources: tuple[Source, ...]
    matured_to: int


async def _learn(
    reader: Reader, store: ModelStore, name: str, version: str, least: int, upto: Mapping[int, Source] | None = None
) -> _Learned:
    model, card = store.load(name, version), store.describe(name, version)
    seen = {one.partition: (one.first, one.last) for one in card.description.origin.sources if one.topic == SCORED}
    scored, sources = await _scored(reader, name, seen, upto)
    signature = model.signature
    asked = Asked(signature.features, signature.max_horizon, signature.horizon_s * 1000, signature.aligned)
    requests, trained_to = await _requests(reader, name), card.description.trained_to or 0
    # What its training has seen, it would learn twice, and take itself for better than it is.
    times = {one.id: _target_time(requests.get(one.request_id), one.step, model) for one in scored}
    table = matured(requests, [one for one in scored if times[one.id] > trained_to], asked)
    if table.outcomes < least:
        raise NothingToLearn(
            f"{table.outcomes or 'no'} outcomes have matured for {name} since {version}: wait for {least} of them",
            table.outcomes,
        )
    matured_to = max(times.values(), default=0)
    return _Learned(
        model.updated(table.rows, table.targets), table, sources, max(matured_to, card.description.origin.matured_to)
    )


def _target_time(request: PredictionRequested | None, step: int, model: Model) -> int:
    return 0 if request is None else target_times(request.time, step, model)[step - 1]


class _Read(NamedTuple):
    events: list[PredictionScored]
    sources: tuple[Source, ...]


async def _scored(
    reader: Reader, name: str, seen: Mapping[int, tuple[int, int]], upto: Mapping[int, Source] | None
) -> _Read:
    places = await reader.places(SCORED)
    begins, ends = await reader.beginnings(places), await reader.ends(places)
    start = {place: max(begins[place], seen.get(place.partition, (0, -1))[1] + 1) for place in places}
    if upto is not None:  # exactly these, or not at all
        of = {place: (place.partition, upto[place.partition]) for place in places if place.partition in upto}
        start = {place: seen[number][1] + 1 if number in seen else one.first for place, (number, one) in of.items()}
        ends = {place: one.last + 1 for place, (_, one) in of.items()}
        for place in start:
            if begins[place] > start[place]:
                raise EvenhandError(
                    f"{place.topic}[{place.partition}] begins at {begins[place]} by now: what {name} learned from was "
                    f"at {start[place]}"
                )
    events: dict[str, PredictionScored] = {}
    spread = dict(seen)
    async for record in reader.read(start, ends):
        first, _ = spread.get(record.partition, (record.offset, 0))
        spread[record.partition] = (first, record.offset)
        event = _SCORED.decode(record.value or b"")
        if type(event) is PredictionScored and event.model == name:
            events.setdefault(event.id, event)
    sources = tuple(Source(SCORED, partition, *span) for partition, span in sorted(spread.items()))
    return _Read(list(events.values()), sources)


async def _requests(reader: Reader, name: str) -> dict[str, PredictionRequested]:
    places = await reader.places(REQUESTS)
    found: dict[str, PredictionRequested] = {}
    read: Callable[[bytes], object] = decoder(PredictionRequested, Ticked, ControlChanged).decode
    async for record in reader.read(await reader.beginnings(places), await reader.ends(places)):
        try:
            event = read(record.value or b"")
        except (msgspec.DecodeError, ValueError):
            continue  # it has become a dead letter
        if type(event) is PredictionRequested and event.model == name:
            found.setdefault(event.id, event)
    return found


def _next(store: ModelStore, name: str, version: str) -> str:
    """The next patch of its major and minor number: it answers the same questions, and has seen more."""
    held = [parse(one) for one in store.versions(name) if "-" not in one]
    major, minor, _ = parse(version)
    return f"{major}.{minor}.{max(patch for *same, patch in held if same == [major, minor]) + 1}"


def _description(card: Card, version: str, outcomes: int, sources: tuple[Source, ...], matured_to: int) -> Description:
    origin = card.description.origin
    others = tuple(source for source in origin.sources if source.topic != SCORED)
    lineage = Lineage(
        features=origin.features, sources=tuple(sorted((*others, *sources))), follows=version, change="patch",
        reasons=(f"goes on from {outcomes} outcomes",), matured_to=matured_to,
    )  # fmt: skip
    return msgspec.structs.replace(
        card.description, summary=f"{version}, and {outcomes} outcomes that have matured since", lineage=lineage
    )
