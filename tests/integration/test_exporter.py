"""The exporter beside a broker: readings come into the log, and reports to Prometheus."""

import asyncio
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest

from adapters.exporter import address_path, export
from adapters.kafka.appending import appender
from adapters.kafka.log_reader import log_reader
from adapters.kafka.settings import KafkaSettings
from adapters.kafka.topics import ensure_topics
from evenhand.codec import encode
from evenhand.events import MetricObserved, MetricReported
from evenhand.partitioning import partition_of
from evenhand.processors.base import Row
from evenhand.topics import METRICS, REPORTS, every_topic

DEADLINE_S = 60


def scraped(folder: Path) -> str:
    if not address_path(folder).exists():
        return ""
    address = address_path(folder).read_text().strip()
    if not address:
        return ""
    try:
        with urllib.request.urlopen(address, timeout=5) as response:  # noqa: S310 - our own server
            text: str = response.read().decode()
            return text
    except urllib.error.URLError:
        return ""


@pytest.mark.timeout(180)
async def test_readings_are_in_the_log_and_reports_are_scraped(settings: KafkaSettings, tmp_path: Path) -> None:
    await ensure_topics(settings, every_topic())
    report = MetricReported(
        id="r", time=1_600_000_000_000, key="m", model="m", epoch=1, epoch_s=60, values={"accuracy": 0.625}
    )
    async with appender(settings) as write:
        await write.append({(REPORTS, partition_of("m", settings.partitions)): [Row(b"m", encode(report), [])]})
    task = asyncio.create_task(export(settings, tmp_path, 0, every_s=0.2))
    try:
        text = ""
        async with asyncio.timeout(DEADLINE_S):
            while "evenhand_consumer_lag_records" not in text or "evenhand_report{" not in text:
                assert not task.done(), task.exception()
                await asyncio.sleep(0.1)
                text = await asyncio.to_thread(scraped, tmp_path)
        assert 'evenhand_report{metric="accuracy",model="m",version=""} 0.625' in text
        async with log_reader(settings) as reader:
            read: dict[str, MetricObserved] = {}
            async with asyncio.timeout(DEADLINE_S):
                while len(read) < 4:
                    places = await reader.places(METRICS)
                    async for record in reader.read(await reader.beginnings(places), await reader.ends(places)):
                        event = msgspec.json.decode(record.value or b"", type=MetricObserved)
                        read[event.name] = event
        assert set(read) == {"cpu_percent", "memory_percent", "disk_percent", "consumer_lag_records"}
        assert {each.key for each in read.values()} == {"_host"}
        assert 0 <= read["cpu_percent"].value <= 100
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not address_path(tmp_path).exists()
