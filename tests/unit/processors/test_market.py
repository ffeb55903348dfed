"""The autumn of 2018 in memory, as the demo plays it: what drifts is told, and what does not is not."""

from collections import Counter
from pathlib import Path

import pytest

from adapters.configuration import read_configuration
from evenhand.cli.demo import market
from evenhand.demonstration.play import Play
from evenhand.demonstration.trial import CONTROL_LAG_S, monitored
from evenhand.demonstration.users import Plot
from evenhand.drift.signals import signal_of
from evenhand.events import DriftCleared, DriftDetected
from evenhand.judgement import Judgement
from evenhand.offline import Log, Runner, loop
from evenhand.topics import DECISIONS, DRIFT_SIGNALS, EVIDENCE, PARTITIONS
from models.store import ModelStore

ROOT = Path(__file__).parents[3]
DAY_MS = 86_400_000
FALL = 1_542_153_600_000  # 2018-11-14
AT_ONCE = 48


@pytest.mark.timeout(240)
def test_the_fall_of_november_is_told_within_72_hours_and_names_volatility_and_the_ten_days_before_are_quiet(
    tmp_path: Path,
) -> None:
    signals = played(tmp_path)
    began = [each for each in signals if isinstance(each, DriftDetected)]
    assert [each for each in began if FALL - 10 * DAY_MS <= each.time < FALL] == []
    told = [each for each in began if FALL <= each.time <= FALL + 3 * DAY_MS]
    volatility = next(each for each in told if each.kind == "inputs")
    assert (volatility.feature, volatility.version) == ("rolling_volatility_24", "1.0.0")
    assert volatility.effect_size > 1.5
    assert "losses" in {each.kind for each in told}, "the model is worse, too"
    first = next(each for each in began if each.kind == "inputs")
    assert (first.feature, first.reference_size) == ("rolling_volatility_24", 4096)
    assert first.effect_size < 0, "the autumn was calmer than what the version had learned from"
    assert Counter(type(each) for each in signals)[DriftCleared] >= 1


def played(folder: Path) -> list[DriftDetected | DriftCleared]:
    endpoint = read_configuration(ROOT / "config").models.endpoint(market.MODEL)
    candles, store = market.read(ROOT / "data" / "btc-usd-1h.parquet", endpoint), ModelStore(folder)
    prepared = market.prepare(candles, "candles", store, endpoint, "lightgbm", None, 7)
    plot = Plot(
        model=market.MODEL, grace_ms=prepared.experiment.grace_s * 1000, wait_ms=endpoint.wait_s * 1000,
        scene_ms=prepared.experiment.epoch_s * 1000, seed=7,
    )  # fmt: skip
    watched = monitored(prepared.endpoint.signature().features)
    play = Play(prepared.hours, plot, prepared.experiment, Judgement(PARTITIONS), CONTROL_LAG_S * 1000, watched)
    log = Log(PARTITIONS)
    runner, heard = Runner(log, loop(store, controls=False, references=store)), Counter[tuple[str, int]]()
    while not play.is_over:
        for (topic, partition), rows in play.next(AT_ONCE).items():
            log.append(topic, partition, rows)
        runner.run()
        for topic, hear in ((EVIDENCE, play.judgement.hear_report), (DECISIONS, play.judgement.hear_decision)):
            for partition in range(PARTITIONS):
                records = log.records[topic, partition]
                for record in records[heard[topic, partition] :]:
                    hear(record.value or b"")
                heard[topic, partition] = len(records)
    found = [signal for value in log.values(DRIFT_SIGNALS) if (signal := signal_of(value)) is not None]
    return sorted(found, key=lambda each: each.time)
