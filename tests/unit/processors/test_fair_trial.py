"""What a trial is for: who is better wins, who fails goes, a broken split freezes; each replays to the same bytes."""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from evenhand.codec import decoder, encode
from evenhand.demonstration.play import Play
from evenhand.demonstration.users import HOUR_MS, Hour, Plot
from evenhand.events import DecisionMade, RequestAssigned
from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.judgement import Judgement
from evenhand.offline import Log, Make, MemoryRecord, Runner
from evenhand.partitioning import partition_of
from evenhand.processors.base import Output, Processor, Record
from evenhand.processors.inference import Answer, Inference
from evenhand.topics import DECISIONS, EVIDENCE, METRICS, OUTCOMES, REQUESTS
from tests.unit.processors.play import PARTITIONS, Lines, decisions, judged, play, served, story, trial, write

CANDLES = Path(__file__).parents[3] / "data" / "btc-usd-1h.parquet"
GRACE_MS, WAIT_MS, EPOCH_S = 2 * HOUR_MS, 12 * HOUR_MS, 6 * 3600


class Feature:
    """Answers a feature of the request: a forecast that users bring along."""

    horizon_s, aligned, reference_price = 3600, True, None

    def __init__(self, name: str) -> None:
        self.features = (name,)

    def predict(self, rows: NDArray[np.float64], horizon: int) -> Answer:
        values = [[float(row[0])] * horizon for row in rows]
        return Answer(values, [[0.5] * horizon for _ in values])


class Forecasts:
    """The random walk says that nothing changes; the oracle knows the return to come, with noise as large as that."""

    def get(self, model: str, version: str) -> Feature:
        return Feature({"1.0.0": "nothing", "1.1.0": "hint"}[version])


def hours(count: int) -> list[Hour]:
    """The last hours of the real candles."""
    candles = pl.read_parquet(CANDLES).sort("open_time").tail(count + 1)
    returns = np.diff(np.log(candles["close"].to_numpy()))
    first = int(candles["open_time"].dt.epoch("ms")[0])
    noise = np.random.default_rng(1).normal(size=count)
    return [
        Hour(first + HOUR_MS * (i + 1), {"nothing": 0.0, "hint": 0.5 * float(r) * (1 + float(noise[i]))}, float(r))
        for i, r in enumerate(returns)
    ]


def performed() -> tuple[Log, Judgement]:
    """Four weeks of hours through the loop in memory, as the demo plays them."""
    experiment = Experiment(
        name="oracle-trial", model="btc", champion="walk", epoch_s=EPOCH_S, grace_s=GRACE_MS // 1000,
        variants=(
            Variant(name="walk", version="1.0.0", weight=60), Variant(name="oracle", version="1.1.0", weight=40),
        ),
        rule=Rule(minimum_detectable_effect=0.15, maximum_sample_size=2000),
    )  # fmt: skip
    plot = Plot(model="btc", grace_ms=GRACE_MS, wait_ms=WAIT_MS, scene_ms=EPOCH_S * 1000, partitions=PARTITIONS)
    judgement, log, judge = Judgement(PARTITIONS), Log(PARTITIONS), partition_of("btc", PARTITIONS)
    played = Play(hours(24 * 28), plot, experiment, judgement, 24 * HOUR_MS)
    runner, heard = Runner(log, judged(Forecasts())), dict.fromkeys((EVIDENCE, DECISIONS), 0)
    while not played.is_over:
        for place, rows in played.next(12).items():
            log.append(*place, rows)
        runner.run()
        for topic, hear in ((EVIDENCE, judgement.hear_report), (DECISIONS, judgement.hear_decision)):
            for record in log.records[topic, judge][heard[topic] :]:
                hear(record.value or b"")
            heard[topic] = len(log.records[topic, judge])
    return log, judgement


def again(log: Log, makes: Sequence[Make], seed: int) -> list[bytes]:
    """What is decided over the users' part of a log, in another order, with crashes."""
    copy = Log(log.partitions)
    for topic in (REQUESTS, OUTCOMES, METRICS):
        for partition in range(log.partitions):
            copy.records[topic, partition] = list(log.records[topic, partition])
    Runner(copy, makes).run(random.Random(seed), 0.2, 150)
    return decisions(copy)


def test_an_oracle_with_some_noise_is_promoted_over_real_candles() -> None:
    log, judgement = performed()
    made = judgement.decisions()
    assert {each.action for each in made} == {"continue", "promote"}
    assert [each.variant for each in made if each.action == "promote"] == ["oracle"]
    assert b'"champion":"1.1.0"' in b"".join(log.values(REQUESTS)), "it serves"
    assert again(log, judged(Forecasts()), seed=3) == judgement.log()


def test_a_challenger_that_fails_one_request_in_ten_is_stopped_for_harm() -> None:
    log = write(story(3), served(trial("1.2.0")), 3)
    play(log)
    found = [msgspec.json.decode(value, type=DecisionMade) for value in decisions(log)]
    (stopped,) = [each for each in found if each.action == "stop_harm"]
    assert "error_rate is breached" in stopped.reasons[0]
    assert "promote" not in {each.action for each in found}
    assert again(log, judged(Lines()), seed=4) == decisions(log)


class Careless(Inference):
    """A model server that gives a fifth of those who were assigned to the challenger the champion's answer."""

    def apply(self, topic: str, records: Sequence[Record]) -> Output:
        return super().apply(topic, [self._read(record) for record in records])

    @staticmethod
    def _read(record: Record) -> Record:
        if b'"type":"RequestAssigned"' not in (record.value or b""):
            return record
        event = decoder(RequestAssigned).decode(record.value or b"")
        if event.variant == "old" or int.from_bytes(event.id[:4].encode()) % 5:
            return record
        (champion,) = event.shadows
        swapped = msgspec.structs.replace(
            event, variant=champion.variant, version=champion.version,
            shadows=(msgspec.structs.replace(champion, variant=event.variant, version=event.version),),
        )  # fmt: skip
        return MemoryRecord(record.offset, record.timestamp, record.key, encode(swapped), list(record.headers))


def test_a_broken_split_is_frozen() -> None:
    def careless(partition: int, partitions: int) -> Processor:
        return Careless(partition, partitions, Lines(), clock=lambda: 0.0)

    makes = judged(Lines())
    makes[2] = careless
    log = write(story(1, requests=3000), served(trial(minimum_sample_size=10**9)), 1)
    Runner(log, makes).run()
    found = [msgspec.json.decode(value, type=DecisionMade) for value in decisions(log)]
    frozen = [each.action == "frozen" for each in found if each.action != "no_data"]
    assert frozen[-1]
    assert frozen == sorted(frozen), "for good"
    reason = next(each.reasons[0] for each in found if each.action == "frozen")
    assert "do not follow the weights" in reason
    assert again(log, makes, seed=5) == decisions(log)
