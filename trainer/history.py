"""Where a run's candles come from: a file, or a range of offsets of a topic."""

import asyncio
from typing import NamedTuple

from adapters.kafka.candle_log import offsets, read_candle_log
from adapters.kafka.settings import KafkaSettings
from models.candle_files import TIME_NAMES, candles_from_frame, read_candles
from models.candles import Candles
from models.card import Source
from trainer.progress import Progress
from trainer.settings import TrainingSettings


class History(NamedTuple):
    """Candles, and the records that they were in, if they came from a log."""

    candles: Candles
    sources: tuple[Source, ...] = ()


def read_history(settings: TrainingSettings, progress: Progress, kafka: KafkaSettings | None = None) -> History:
    """Read the candles that a run is asked to learn from, and tell what was repaired, if that was asked for."""
    repairs: list[str] | None = [] if settings.repair else None
    if settings.data is not None:
        found = History(read_candles(settings.data, repairs=repairs))
    else:
        found = _from_topic(settings, progress, kafka, repairs)
    for repair in repairs or ():
        progress.tell(f"repaired: {repair}")
    return found


def _from_topic(
    settings: TrainingSettings, progress: Progress, kafka: KafkaSettings | None, repairs: list[str] | None
) -> History:
    import polars as pl  # noqa: PLC0415  half a second that only a reader of candles should pay

    topic = settings.topic or ""
    ranges = offsets(settings.offsets) if settings.offsets else None
    log = asyncio.run(read_candle_log(kafka or KafkaSettings(), topic, settings.key, ranges))
    if log.repeats:
        progress.tell(f"{topic}: {log.repeats} records repeat others and count once")
    frame = pl.DataFrame(log.records, infer_schema_length=None)
    if len(log.spreads) > 1:  # one series in several partitions: their order is that of time
        called = {name.strip().lower(): name for name in frame.columns}
        names = [called[name] for name in TIME_NAMES if name in called]
        frame = frame.sort(names[:1], maintain_order=True) if names else frame
    sources = tuple(Source(topic, one.partition, one.first, one.last) for one in log.spreads)
    return History(candles_from_frame(frame, topic, repairs=repairs), sources)
