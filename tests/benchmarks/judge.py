"""What a look costs: posterior and decision of an experiment, evidence of an event, beside gbstats' Bayesian result.

`python -m tests.benchmarks.judge` measures it alone. gbstats is asked in the environment that `tests.oracles.make` has
made; without it, its column is empty.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from evenhand.events import Moments, Phase, VariantEvidence
from evenhand.experiments.comparison import designs, look
from evenhand.experiments.decision import decide
from evenhand.experiments.evidence import Exposure, Pair, fold
from evenhand.experiments.experiment import Experiment, Variant
from evenhand.experiments.posterior import belief
from evenhand.experiments.standing import Standing
from tests.oracles.make import VAR

GOALS = {"look": 20.0, "evidence": 1.0}
ASK = """
import json, time
from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig
from gbstats.models.statistics import SampleMeanStatistic
a, b = (SampleMeanStatistic(n=5000, sum=10000.0 + k, sum_squares=25000.0) for k in (0.0, 100.0))
config = EffectBayesianConfig(difference_type="absolute")
best = 1e9
for _ in range(7):
    began = time.process_time()
    for _ in range(20):
        EffectBayesianABTest(a, b, config).compute_result()
    best = min(best, (time.process_time() - began) / 20)
print(json.dumps(1e6 * best))
"""


class Costs(msgspec.Struct, frozen=True):
    """Microseconds of the processor, the best of several rounds: what it takes, and not what others take from it."""

    look: float
    few_errors: float
    posterior: float
    test: float
    evidence: float
    gbstats: float | None


def per_call(call: Callable[[], object], calls: int, rounds: int = 150) -> float:
    """Microseconds."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(calls):
            call()
        best = min(best, (time.process_time() - began) / calls)
    return 1e6 * best


def trial() -> Experiment:
    """One challenger."""
    variants = tuple(Variant(name=name, version="1.0.0", weight=1) for name in ("old", "new"))
    return Experiment(name="bench", model="m", champion="old", variants=variants)


def standing(n: int = 5000, errors: tuple[int, int] = (3, 2)) -> Standing:
    """Half way: nothing is decided yet. One set of weights, and few outcomes that never came."""
    losses = {"squared_error": Moments(n, 1.0, 0.25 * n)}
    served = {"old": n // 2 + 10, "new": n // 2 - 10}
    came = {"old": n // 2 + 8, "new": n // 2 - 14}
    phase = Phase(weights={"old": 1, "new": 1}, served=served, matured=came, due=served, returned=came, requests=n)
    return Standing(
        variants={
            "old": VariantEvidence(served=n, predictions=2 * n, errors=errors[0], matured=2 * n, losses=losses),
            "new": VariantEvidence(
                served=n, predictions=2 * n, errors=errors[1], matured=2 * n, losses=losses,
                paired={"squared_error": Moments(n, -0.001, 4.0 * n)},
            ),
        },
        phases={"c": phase}, began_ms=1, reached_ms=2,
    )  # fmt: skip


def measure() -> Costs:
    """All of it; some seconds."""
    experiment, known = trial(), standing()
    known = decide(experiment, known).standing
    few = decide(experiment, standing(500, (20, 20))).standing
    promote, harm = designs(experiment.rule, 0.05, 1)
    moments = known.observations(experiment, "new")
    r, n = np.random.default_rng(1), 20_000
    values, outcomes = r.normal(size=(2, n)).tolist(), r.normal(size=n).tolist()
    pairs = [
        Pair(k, f"BTC-USD@{k // 20}", outcomes[k], {"old": values[0][k], "new": values[1][k]}, (0, "", "", ""))
        for k in range(n)
    ]
    exposures = [Exposure(k, "old", {"old": False, "new": False}) for k in range(n)]
    return Costs(
        look=per_call(lambda: decide(experiment, known), 200),
        few_errors=per_call(lambda: decide(experiment, few), 200),
        posterior=per_call(lambda: _believed(moments), 1000),
        test=per_call(lambda: look(promote, harm, moments, is_past_end=False), 1000),
        evidence=per_call(lambda: fold(experiment, exposures, pairs), 1) / n / 2,
        gbstats=_gbstats(),
    )


def _believed(moments: Moments) -> tuple[object, ...]:
    """As much as gbstats gives: chance to win, interval and both risks."""
    found = belief(moments.mean, moments.m2 / (moments.n - 1) / moments.n, 0.03)
    return found.probability_better, found.interval(0.95), found.loss_of_challenger, found.loss_of_champion


def _gbstats() -> float | None:
    python: Path = VAR / "gbstats" / "bin" / "python"
    if not python.exists():
        return None
    done = subprocess.run([python, "-c", ASK], check=True, capture_output=True, text=True, env={**os.environ})
    return float(json.loads(done.stdout))


def table(costs: Costs) -> str:
    """For people, with what is wanted."""
    gbstats = "not here: python -m tests.oracles.make" if costs.gbstats is None else f"{costs.gbstats:.0f}"
    rows = [
        ("posterior, test, guardrails and decision, a look", f"{costs.look:.1f}", f"{GOALS['look']:g}", gbstats),
        ("... while errors are few: 20 of 1,000 on either side", f"{costs.few_errors:.1f}", f"{GOALS['look']:g}", ""),
        ("... of which the posterior: chance to win, interval, risks", f"{costs.posterior:.1f}", "", gbstats),
        ("... of which the sequential test", f"{costs.test:.1f}", "", ""),
        ("evidence, an event and variant, in batches of 20,000", f"{costs.evidence:.2f}", f"{GOALS['evidence']:g}", ""),
    ]
    head = ("µs", "evenhand", "at most", "gbstats 0.8.0")
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in (head, *rows))  # fmt: skip


def main() -> int:
    """1 if something costs more than is wanted."""
    costs = measure()
    print(table(costs))
    return int(max(costs.look, costs.few_errors) > GOALS["look"] or costs.evidence > GOALS["evidence"])


if __name__ == "__main__":
    sys.exit(main())
