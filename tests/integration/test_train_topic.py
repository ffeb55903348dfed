"""`evenhand train --topic`: from a range of offsets to versions that name it."""

import asyncio
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from adapters.kafka.candle_log import offsets, read_candle_log
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import admin
from evenhand.errors import EvenhandError, InvalidConfiguration
from models.candle_files import InvalidCandles, read_candles
from models.card import Source
from models.store import ModelStore
from trainer.history import read_history
from trainer.pipeline import train
from trainer.progress import Told
from trainer.settings import TrainingSettings

ROOT = Path(__file__).parents[2]
TOPIC = "candles.v1"
CANDLES = read_candles(ROOT / "data" / "btc-usd-1h.parquet").slice(0, 1500)
QUIET = Told(lambda _: None)
pytestmark = pytest.mark.timeout(120)


async def produced(settings: KafkaSettings, records: list[tuple[str, dict[str, object] | str]]) -> None:
    """Write records of two keys, each into a partition of its own."""
    async with admin(settings) as client:
        await client.create_topics([NewTopic(settings.topic(TOPIC), 2, 1)])
    producer = AIOKafkaProducer(**settings.client_kwargs())
    await producer.start()
    try:
        for key, record in records:
            value = record if isinstance(record, str) else json.dumps(record)
            partition = 0 if key == "BTC-USD" else 1
            await producer.send(settings.topic(TOPIC), value.encode(), key.encode(), partition)
    finally:
        await producer.stop()


def candles() -> list[dict[str, object]]:
    return [{**candle._asdict(), "others": None, "closed": True} for candle in CANDLES]


async def test_a_range_of_offsets_is_learned_from_and_the_version_names_it(
    settings: KafkaSettings, tmp_path: Path
) -> None:
    every = candles()
    again = [every[99], every[100]]  # a producer that was started again repeats what it had sent
    growing = {**every[-1], "close": 1.0, "closed": False}  # a candle that is still being traded
    ours = [*every[:101], *again, *every[101:-1], growing, every[-1]]
    await produced(settings, [*(("BTC-USD", one) for one in ours), ("ETH-USD", every[0])])

    def run(**given: object) -> tuple[ModelStore, list[str]]:
        told: list[str] = []
        asked = TrainingSettings(topic=TOPIC, models=("ridge",), folds=2, **given)  # type: ignore[arg-type]
        store = ModelStore(tmp_path / "models")
        train(asked, None, store, tmp_path / "kept", Told(told.append), settings)
        return store, told

    with pytest.raises(EvenhandError, match="holds 2 series: name one by --key"):
        await asyncio.to_thread(run)
    store, told = await asyncio.to_thread(run, key="BTC-USD")
    assert f"{TOPIC}: 2 records repeat others and count once" in told
    card = store.describe(TOPIC, "1.0.0")
    assert card.description.data_digest == CANDLES.digest()
    assert card.description.origin.sources == (Source(TOPIC, 0, 0, len(ours) - 1),)
    store, _ = await asyncio.to_thread(run, key="BTC-USD", offsets="0:0-1203", model="btc")
    card = store.describe("btc", "1.0.0")
    assert card.description.origin.sources == (Source(TOPIC, 0, 0, 1202),)
    assert card.description.data_digest == CANDLES.slice(0, 1201).digest()
    for wrong, why in (("0:0-9999", "holds offsets"), ("7:0-1", "no partition 7"), ("0", "PARTITION:FIRST-END")):
        with pytest.raises(EvenhandError, match=why):
            await asyncio.to_thread(run, key="BTC-USD", offsets=wrong)
    with pytest.raises(EvenhandError, match="no record with key 'DOGE'"):
        await asyncio.to_thread(run, key="DOGE")


async def test_bad_records_are_refused_or_repaired(settings: KafkaSettings) -> None:
    every = candles()[:5]
    await produced(settings, [("BTC-USD", one) for one in (every[1], every[0], *every[2:])])
    asked = TrainingSettings(topic=TOPIC, models=("ridge",))
    with pytest.raises(InvalidCandles, match=rf"{TOPIC}.*\n  row 2: open_time lies before"):
        await asyncio.to_thread(read_history, asked, QUIET, settings)
    repaired = TrainingSettings(topic=TOPIC, models=("ridge",), repair=True)
    history = await asyncio.to_thread(read_history, repaired, QUIET, settings)
    assert history.candles.digest() == CANDLES.slice(0, 5).digest()
    await produced(settings, [("BTC-USD", "{")])
    with pytest.raises(EvenhandError, match=rf"{TOPIC}\[0\] offset 5: no JSON"):
        await read_candle_log(settings, TOPIC)


def test_offsets_are_read_as_they_are_written() -> None:
    assert offsets("0:100-200, 2:5-") == {0: (100, 200), 2: (5, None)}
    for wrong in ("0", "0:1", "a:1-2", "0:x-2", ""):
        with pytest.raises(EvenhandError, match="PARTITION:FIRST-END"):
            offsets(wrong)


def test_a_run_has_one_history() -> None:
    with pytest.raises(InvalidConfiguration, match="either a file"):
        TrainingSettings(models=("ridge",))
    with pytest.raises(InvalidConfiguration, match="either a file"):
        TrainingSettings(models=("ridge",), data=Path("a.csv"), topic="a")
    with pytest.raises(InvalidConfiguration, match="--topic"):
        TrainingSettings(models=("ridge",), data=Path("a.csv"), key="a")
