"""A topic's candles are one series, whichever partitions they lie in and whatever their time is called."""

from typing import Any

import pytest

import trainer.history
from adapters.kafka.candle_log import CandleLog, Spread
from trainer.history import read_history
from trainer.progress import Progress
from trainer.settings import TrainingSettings


@pytest.mark.parametrize("name", ["open_time", "timestamp", "date", "Datetime"])
def test_candles_of_several_partitions_are_put_in_order_of_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prices: dict[str, Any] = {"open": 1.0, "high": 2.0, "low": 1.0, "close": 2.0, "volume": 1.0}
    records = [{name: 1_500_000_000_000 + hour * 3_600_000, **prices} for hour in (0, 2, 4, 1, 3, 5)]

    async def read(*_: object) -> CandleLog:
        return CandleLog("candles", records, [Spread(0, 0, 2), Spread(1, 0, 2)], 0)

    monkeypatch.setattr(trainer.history, "read_candle_log", read)
    found = read_history(TrainingSettings(models=("ridge",), topic="candles"), Progress())
    assert found.candles.open_time.tolist() == sorted(record[name] for record in records)
