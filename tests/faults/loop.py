"""The loop with real workers: models whose weights are known, an experiment, and a wait until nothing moves."""

import asyncio
import time
from pathlib import Path

import msgspec
import numpy as np

from adapters.beat import read_beats
from adapters.kafka.settings import KafkaSettings
from evenhand import topics as t
from evenhand.codec import encode
from evenhand.events import Served
from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.processors.control import control
from models.broken import Broken
from models.card import Description
from models.linear import Ridge
from models.signature import Signature
from models.store import ModelStore
from tests.faults.fold import Line
from tests.faults.readings import settle
from tests.faults.story import EACH, FEATURES, MODEL, Story, Told
from tests.integration.kafka.cluster import Cluster, Worker

STEPS, HORIZON_S = 2, 5
WEIGHTS = {"1.0.0": (0.5, 0.1, 0.0), "1.1.0": (0.9, 0.0, 0.05), "1.2.0": (0.8, -0.1, 0.0), "1.3.0": (0.5, 0.0, 0.1)}
BROKEN, EQUAL = "1.2.0", "1.3.0"  # EQUAL is as good as 1.0.0: features are drawn alike, and only the first counts
LINES = {
    (MODEL, version): Line(
        FEATURES, np.array([weights, np.array(weights) / 2]), np.array([0.01, -0.01]), HORIZON_S, version == BROKEN
    )
    for version, weights in WEIGHTS.items()
}
NEVER_ENDS = Rule(minimum_sample_size=10**9, minimum_exposures=10**9)  # judged, but never promoted or stopped


def save_models(folder: Path) -> None:
    """Write the versions where workers look for them."""
    signature = Signature(
        features=FEATURES, target="value", unit="1", horizon_s=HORIZON_S, aligned=True, max_horizon=STEPS
    )
    for (name, version), line in LINES.items():
        learned = {"weights": line.weights.tolist(), "intercepts": line.intercepts.tolist()}
        files = {
            "learned.json": msgspec.json.encode({"residual_sd": [1.0] * STEPS, "parameters": {"alpha": 1.0}}),
            "ridge.json": msgspec.json.encode(learned),
        }
        kind = Broken if line.fails else Ridge
        ModelStore(folder).save(name, version, kind.load(signature, files), Description(summary="for fault tests"))


def trial(story: Story, rule: Rule = NEVER_ENDS, *challengers: str) -> Experiment:
    """The champion against some of the other versions, all if none is named."""
    others = challengers or ("1.1.0", BROKEN)
    return Experiment(
        name="trial", model=MODEL, champion="old", epoch_s=story.epoch_s, grace_s=story.grace_s, rule=rule,
        variants=(
            Variant(name="old", version="1.0.0", weight=50),
            *(Variant(name=f"v{version}", version=version, weight=50 // len(others)) for version in others),
        ),
    )  # fmt: skip


def controls(story: Story, experiment: Experiment) -> list[Told]:
    """What holds from the start on, for every partition of the requests."""
    served = Served(champion="1.0.0", wait_s=story.wait_s, experiment=experiment)
    return [Told(t.REQUESTS, None, encode(control(served, MODEL, story.start_ms, "first")), partition=EACH)]


class Loop(Cluster):
    """Workers of the whole loop. `app` may name a module that changes how they work."""

    def __init__(
        self, settings: KafkaSettings, var: Path, app: str = "tests.faults.worker", **environment: str
    ) -> None:
        super().__init__(settings, var, app)
        self.home = var / "home"
        save_models(self.home / "models")
        self._environment = {
            "EVENHAND_HOME": str(self.home), "EVENHAND_CONTROLS": "given", "OMP_NUM_THREADS": "1", **environment,
        }  # fmt: skip

    def start(self, **environment: str) -> Worker:
        return super().start(**{**self._environment, "WORKER_NAME": str(self._started), **environment})

    async def member(self, worker: Worker, timeout_s: float = 60) -> None:
        """Wait until a worker has partitions."""
        deadline = time.monotonic() + timeout_s
        while not self._owned(worker):
            assert worker.process.poll() is None, worker.text
            assert time.monotonic() < deadline, f"no partitions within {timeout_s:g} s\n{worker.text}"
            await asyncio.sleep(0.1)

    def _owned(self, worker: Worker) -> list[int]:
        beats = (beat for beat in read_beats(self.home, "worker") if beat.pid == worker.process.pid)
        return next((beat.partitions for beat in beats if beat.generation is not None), [])

    async def one_owner_each(self, timeout_s: float = 30) -> None:
        """Wait until every partition has one owner (I7)."""
        every = list(range(self.settings.partitions))
        deadline = time.monotonic() + timeout_s
        while (owned := sorted(number for worker in self.workers for number in self._owned(worker))) != every:
            assert time.monotonic() < deadline, f"after {timeout_s:g} s the workers own {owned}"
            await asyncio.sleep(0.2)

    async def settle(self, timeout_s: float = 120) -> float:
        """Keep workers up until nothing moves; return the seconds."""
        return await settle(self.settings, self.replace_dead, timeout_s)
