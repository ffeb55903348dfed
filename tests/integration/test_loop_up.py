"""`evenhand up` as a stranger uses it: plain clients, events of now, and an independent fold of what they wrote."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import pytest

from adapters.kafka.settings import KafkaSettings
from evenhand import topics as t
from tests.faults.clients import Clients
from tests.faults.fold import Line
from tests.faults.play import reckon, told_is_there
from tests.faults.readings import read, settle
from tests.faults.story import Story, poisoned

ROOT = Path(__file__).parents[2]
MODEL = "btc-usd-1h"
HOUR_S = 3600
pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
EXPERIMENTS = """
experiments:
  - name: ridge-or-trees
    model: btc-usd-1h
    champion: ridge
    variants:
      - {{name: ridge, version: 1.0.0, weight: 60}}
      - {{name: trees, version: 1.1.0, weight: 40}}
    epoch_s: {epoch_s}
    grace_s: {grace_s}
    rule: {{minimum_sample_size: 1000000000, minimum_exposures: 1000000000}}  # a trial that ended would report no more
"""


class Trees(NamedTuple):
    """LightGBM's own text, asked without our code."""

    features: tuple[str, ...]
    booster: lightgbm.Booster
    decay: list[float]
    horizon_s: int = HOUR_S

    def values(self, features: Any, horizon: int) -> list[float] | None:
        row = [features[name] for name in self.features] if isinstance(features, dict) else features
        if len(row) != len(self.features):
            return None
        first = float(np.asarray(self.booster.predict(np.array([row])))[0])
        return [first * part for part in self.decay[:horizon]]


class Loop:
    """What `evenhand up` runs in a folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.home = folder / "home"
        self.environment = {**os.environ, "EVENHAND_HOME": str(self.home), **environment}
        self.settings = KafkaSettings()

    def command(self, *arguments: str, timeout_s: float = 200) -> Any:
        """Run a command; what it prints as JSON."""
        done = subprocess.run(
            [sys.executable, "-m", "evenhand.cli", *arguments, "--json"], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def workers(self) -> list[dict[str, Any]]:
        """The workers, as `evenhand status` lists them."""
        found: list[dict[str, Any]] = self.command("status")["workers"]
        return found

    def versions(self) -> Mapping[tuple[str, str], Line | Trees]:
        """The trained versions, read from their files."""
        shown = self.command("models", "show", MODEL)
        features = tuple(shown["features"])
        ridge = json.loads((self.home / "models" / MODEL / "1.0.0" / "ridge.json").read_bytes())
        trees = self.home / "models" / MODEL / "1.1.0"
        return {
            (MODEL, "1.0.0"): Line(features, np.array(ridge["weights"]), np.array(ridge["intercepts"]), HOUR_S),
            (MODEL, "1.1.0"): Trees(
                features, lightgbm.Booster(model_str=(trees / "trees.txt").read_text()),
                json.loads((trees / "decay.json").read_bytes()),
            ),
        }  # fmt: skip

    @contextmanager
    def third_worker(self) -> Iterator[None]:
        """A worker that comes, and goes again."""
        with (self.home / "log" / "third.log").open("ab") as log:
            third = subprocess.Popen(
                [sys.executable, "-m", "evenhand.cli", "worker", "--name", "third"],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            yield
        finally:
            third.terminate()
            assert third.wait(30) == 0, (self.home / "log" / "third.log").read_text()


@contextmanager
def up(folder: Path, **environment: str) -> Iterator[Loop]:
    """Two workers, and everything that they need; nothing is left afterwards."""
    loop = Loop(folder, **environment)
    try:
        shown = loop.command("up", "--detach", "--workers", "2")
        loop.settings = KafkaSettings(bootstrap_servers=shown["kafka"])
        yield loop
    finally:
        ended = loop.command("down")
        assert {"w1", "w2", "clock", "broker"} <= set(ended["stopped"])


async def tell(clients: Clients, story: Story) -> None:
    """Each event when the story says, by this machine's clock."""
    told = story.told()
    for second in sorted(told):
        await asyncio.sleep(max(0.0, story.start_ms / 1000 + second - time.time()))
        await clients.tell(told[second])


@asynccontextmanager
async def time_stands_still(loop: Loop, after_ms: int) -> AsyncIterator[None]:
    """Wait until all epochs up to a time are judged, then stop clock and exporter, and wait until nothing moves."""
    async with asyncio.timeout(240):
        while True:
            reports = [r.event for r in await read(loop.settings, t.EVIDENCE)]
            reached = {r["partition"]: (r["last_epoch"] + 1) * r["epoch_s"] * 1000 for r in reports}
            if len(reached) == loop.settings.partitions and min(reached.values()) > after_ms:
                break
            await asyncio.sleep(1)
    children = json.loads((loop.home / "run" / "up.json").read_text())["children"]
    telling = [children[name]["pid"] for name in ("clock", "exporter")]
    for pid in telling:
        os.kill(pid, signal.SIGSTOP)
    try:
        await settle(loop.settings, lambda: None, 120)
        yield
    finally:
        for pid in telling:
            os.kill(pid, signal.SIGCONT)


async def killed_at_random(loop: Loop, times: int, until: "asyncio.Task[None]") -> None:
    """Kill workers with -9, while a third one comes and goes."""
    chance = random.Random(times)
    for number in range(times):
        await asyncio.sleep(chance.uniform(2, 6))
        alive = [worker["pid"] for worker in loop.workers() if worker["alive"]]
        if number % 2:
            with loop.third_worker():
                await asyncio.sleep(chance.uniform(3, 8))
                os.kill(chance.choice(alive), signal.SIGKILL)
        else:
            os.kill(chance.choice(alive), signal.SIGKILL)
    await until
    assert sum(worker["restarts"] for worker in loop.workers()) >= times


async def books_of(loop: Loop, story: Story, kills: int) -> dict[str, list[Any]]:
    clients, versions = Clients(loop.settings), loop.versions()
    await clients.tell(poisoned())
    telling = asyncio.create_task(tell(clients, story))
    await killed_at_random(loop, kills, telling)
    await clients.tell(poisoned())
    async with time_stands_still(loop, int(time.time() * 1000)):
        reckoning = await reckon(loop.settings, loop.home / "models", versions)
    told_is_there(reckoning, clients, story)
    return reckoning.faults


def story_of(loop: Loop, **options: int) -> Story:
    features = tuple(loop.command("models", "show", MODEL)["features"])
    start_ms = (int(time.time()) + 1) * 1000
    return Story(start_ms=start_ms, model=MODEL, features=features, horizon_s=HOUR_S, **options)


def configured(folder: Path, epoch_s: int, grace_s: int) -> str:
    """A folder with the models of this repository, and an experiment on two of them."""
    config = folder / "config"
    config.mkdir()
    (config / "models.yaml").write_text((ROOT / "config" / "models.yaml").read_text())
    (config / "experiments.yaml").write_text(EXPERIMENTS.format(epoch_s=epoch_s, grace_s=grace_s))
    return str(config)


async def test_what_plain_clients_send_comes_out_right(tmp_path: Path) -> None:
    with up(tmp_path, EVENHAND_CONFIG=configured(tmp_path, 3, 4)) as loop:
        story = story_of(loop, requests=1_500, seconds=12, epoch_s=3, grace_s=4, wait_s=4)
        assert await books_of(loop, story, 0) == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_same_while_workers_are_killed_and_a_third_one_comes_and_goes(tmp_path: Path) -> None:
    with up(tmp_path, EVENHAND_CONFIG=configured(tmp_path, 20, 20)) as loop:
        story = story_of(loop, requests=20_000, seconds=60, epoch_s=20, grace_s=20, wait_s=15)
        assert await books_of(loop, story, 5) == {}
