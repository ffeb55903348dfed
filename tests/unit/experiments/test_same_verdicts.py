"""On thousands of standings by chance: shortcuts give what the formulas give, and no verdict changes unseen."""

import math
import random
from collections import Counter
from hashlib import blake2b

import msgspec

from evenhand.events import Phase
from evenhand.experiments.decision import decide
from evenhand.experiments.guardrail import log_e_above, reaches
from evenhand.experiments.posterior import Belief
from evenhand.experiments.sequential import Design, asymptotic_half_width, half_width, planned_size
from evenhand.experiments.srm import LOG_ENOUGH, mismatch, missing, of_phase
from tests.unit.experiments.chances import chance

VERDICTS = "338e1bcce4ec23c86703f38e6ae7d71e"


def test_verdicts_are_those_of_before() -> None:
    """Whoever changes a rule or a reason on purpose puts the digest of the new ones here."""
    actions, digest = Counter[str](), blake2b(digest_size=16)
    for seed in range(3000):
        found = decide(*chance(seed))
        actions[found.action] += 1
        digest.update(msgspec.json.encode([found.action, found.variant, found.reasons, found.weights]))
    assert set(actions) == {"continue", "promote", "stop_harm", "stop_futility", "frozen"}
    assert min(actions.values()) >= 50, "each is met often"
    assert digest.hexdigest() == VERDICTS


def test_a_threshold_is_reached_where_log_e_reaches_it() -> None:
    r, seen = random.Random(1), Counter[bool]()
    for _ in range(5000):
        m = r.choice((1, 5, 40, 1000, 20_000))
        theta = r.choice((0.01, 0.5, 0.66, 0.98))
        k = min(m, max(0, round(m * theta + r.gauss(1.0, 3.0) * (m * theta * (1.0 - theta)) ** 0.5)))
        enough = r.choice((3.0, 3.7, 6.9))
        found = reaches(k, m, theta, enough)
        assert found == (log_e_above(k, m, theta) >= enough), (k, m, theta, enough)
        seen[found] += 1
    assert min(seen.values()) > 500


def test_a_split_is_broken_where_its_bayes_factors_say_so() -> None:
    r, seen = random.Random(2), Counter[bool]()
    for _ in range(3000):
        names = "abc"[: r.choice((2, 2, 3))]
        phases = []
        for _ in range(r.choice((1, 1, 2))):
            weights = {name: r.choice((1, 2, 5)) for name in names}
            size = r.choice((0, 20, 500, 5000)) / sum(weights.values())
            served, matured, due, returned = (
                {name: max(0, round(size * weight + r.gauss(0.0, 1.8) * (size * weight) ** 0.5))
                 for name, weight in weights.items()}
                for _ in range(4)
            )  # fmt: skip
            came = {name: min(due[name], round(r.choice((0.5, 0.9, 1.0)) * returned[name])) for name in names}
            phases.append(Phase(weights=weights, served=served, matured=matured, due=due, returned=came))
        totals = [
            math.fsum(of_phase(phase.weights, phase.served) for phase in phases),
            math.fsum(of_phase(phase.weights, phase.matured) for phase in phases),
            math.fsum(of_phase(phase.due, missing(phase)) for phase in phases),
        ]
        assert (mismatch(phases) is not None) == (max(totals) >= LOG_ENOUGH), totals
        seen[max(totals) >= LOG_ENOUGH] += 1
    assert min(seen.values()) > 300
    stranger = Phase(weights={"a": 1, "b": 0}, served={"a": 5, "b": 1})
    assert mismatch([stranger]) is not None, "who has no weight is served by nobody"


def test_of_numbers_and_of_arrays_is_the_same() -> None:
    r = random.Random(3)
    for _ in range(500):
        found, margin = Belief(r.gauss(0.0, 1.0), r.uniform(0.01, 2.0)), r.uniform(0.0, 0.5)
        assert found.of_numbers(margin) == (
            found.probability_better, found.loss_of_challenger, found.probability_within(margin)
        )  # fmt: skip
        design = Design(r.uniform(0.001, 0.2), 0.05, minimum=r.choice((2, 200)), planned=r.choice((None, 900)))
        n, sd = float(r.choice((40, 250, 3000, 50_000))), r.uniform(0.1, 3.0)
        half = half_width(design, n, sd)
        assert half == half_width(design, n, sd, end=planned_size(design, sd))
        if half < math.inf:
            past = half_width(design, n, sd, is_past_end=True)
            assert half <= past == asymptotic_half_width(n, sd, 0.02 * design.alpha, max(design.minimum, 30))
