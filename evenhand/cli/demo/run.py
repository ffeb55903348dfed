"""One demo: a broker, topics, workers, models, the play, and what is left of it."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from adapters.configuration import config_folder, read_alerting, read_configuration, read_slo, watched
from adapters.kafka.broker import Broker, start_broker
from adapters.kafka.settings import KafkaSettings
from adapters.run_state import home
from adapters.stage import Stage, stage
from evenhand.cli.demo import market
from evenhand.cli.demo.driver import Performance, perform
from evenhand.cli.demo.progress import Progress
from evenhand.cli.demo.summary import Summary
from evenhand.client.checkout import child_environment
from evenhand.codec import encode
from evenhand.demonstration.play import Play
from evenhand.demonstration.trial import CONTROL_LAG_S, monitored
from evenhand.demonstration.users import Plot
from evenhand.judgement import Judgement, log_digest
from evenhand.topics import PARTITIONS
from models.store import ModelStore


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    data: Path
    hours: int | None
    seed: int
    workers: int
    challenger: str
    kills: int
    shuffle: int | None
    out: Path | None


def run(options: Options, root: Path) -> Summary:
    """Perform, and leave the summary and the decision log. Nothing that was started outlives this call."""
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    base = home() / "demo"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=base))
    broker = start_broker(folder)
    try:
        found, log = asyncio.run(_perform(options, root, folder, broker))
    finally:
        broker.stop()
        shutil.rmtree(folder / "kafka", ignore_errors=True)  # what a broker of our own has kept
    found.wall_s = round(time.monotonic() - began, 3)
    for place in filter(None, (folder, options.out)):
        _leave(found, log, place)
    return found


async def _perform(options: Options, root: Path, folder: Path, broker: Broker) -> tuple[Summary, list[bytes]]:
    endpoint = read_configuration(config_folder(root)).models.endpoint(market.MODEL)
    candles = market.read(options.data, endpoint)
    environment = child_environment()
    settings = KafkaSettings.from_environment({**environment, **broker.environment()}).with_prefix(
        "" if broker.pid is not None else f"demo-{uuid.uuid4().hex[:8]}."
    )
    with Progress() as progress:
        async with stage(
            settings,
            folder,
            models_home=folder,
            workers=options.workers,
            environment=environment,
            root=root,
            say=progress.say,
        ) as on:
            progress.say("training the models")
            prepared = await asyncio.to_thread(
                market.prepare, candles, options.data.name, ModelStore(folder / "models"), endpoint, options.challenger,
                options.hours, options.seed,
            )  # fmt: skip
            play = _play(prepared, options, root)
            done = await perform(play, on, progress.tell, options.kills)
            return _summary(options, prepared, play, done, on, broker), play.judgement.log()


def _play(prepared: market.Market, options: Options, root: Path) -> Play:
    experiment = prepared.experiment
    plot = Plot(
        model=market.MODEL, grace_ms=experiment.grace_s * 1000, wait_ms=prepared.endpoint.wait_s * 1000,
        scene_ms=experiment.epoch_s * 1000, seed=options.seed, shuffle=options.shuffle,
    )  # fmt: skip
    policy = root / "config" / "demo"
    base = monitored(prepared.endpoint.signature().features)
    monitoring = watched(base, read_slo(policy), read_alerting(policy), market.MODEL)
    return Play(prepared.hours, plot, experiment, Judgement(PARTITIONS), CONTROL_LAG_S * 1000, monitoring)


def _summary(
    options: Options, prepared: market.Market, play: Play, done: Performance, on: Stage, broker: Broker
) -> Summary:
    counts, decisions, requests = done.counts, play.judgement.decisions(), play.users.requests
    with_data = [decision for decision in decisions if decision.action != "no_data"]
    return Summary(
        hours=len(prepared.hours),
        first_hour=prepared.hours[0].time,
        last_hour=prepared.hours[-1].time,
        data=str(options.data),
        trained_rows=prepared.trained_rows,
        seed=options.seed,
        workers=options.workers,
        kills=done.killed,
        broker=broker.name,
        challenger=options.challenger,
        experiment=prepared.experiment,
        requests=requests,
        predictions=counts.predictions,
        errors=counts.errors,
        matured=counts.matured,
        pending=counts.pending,
        never=counts.never,
        late=counts.late,
        duplicates=counts.duplicates,
        outcomes=counts.outcomes,
        orphans=counts.orphans,
        expired=counts.expired,
        conflicting=counts.conflicting,
        books_balance=requests == counts.predictions + counts.errors
        and counts.predictions == counts.matured + counts.pending + counts.never
        and counts.pending >= 0,
        decisions=len(decisions),
        actions=dict(Counter(decision.action for decision in decisions)),
        last_decision=with_data[-1] if with_data else None,
        turning_points=[decision for decision in decisions if decision.action != "continue"],
        controls=play.changes,
        drift=done.drift,
        alerts=done.alerts,
        decisions_digest=log_digest(play.judgement.log()),
        records=done.records,
        wall_s=done.wall_s,
        decision_log=str((options.out or on.home) / "decisions.ndjson"),
        logs=str(on.home / "log"),
        models=str(on.home / "models"),
    )


def _leave(found: Summary, log: list[bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    (folder / "decisions.ndjson").write_bytes(b"".join(value + b"\n" for value in log))
    (folder / "alerts.ndjson").write_bytes(b"".join(encode(alert) + b"\n" for alert in found.alerts))


def _interrupt(number: int, frame: object) -> None:  # noqa: ARG001 - the signature of a handler
    signal.signal(number, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGINT)
