"""Experiments and standings by chance: all metrics, guardrails, phases, blocks, and states that a look can meet."""

import random

from evenhand.events import CoMoments, Moments, Phase, VariantEvidence
from evenhand.experiments.blocks import Block
from evenhand.experiments.experiment import Bandit, Experiment, Guardrail, Rule, Variant
from evenhand.experiments.slow import Slow
from evenhand.experiments.standing import Standing
from evenhand.experiments.user_metric import UserMetric
from evenhand.metrics import slow_responses

CLICKS = UserMetric(name="clicks", reported="click", per="requests", better="higher")
COST = UserMetric(name="cost", covariate="before")
LOSSES = "squared_error", "absolute_error", "direction_error"


def chance(seed: int) -> tuple[Experiment, Standing]:
    """The same for a seed on every machine."""
    r = random.Random(seed)
    names = "a" + "bcd"[: r.choice((1, 1, 1, 2, 3))]
    metric = r.choice((*LOSSES, *LOSSES, "clicks", "cost"))
    experiment = Experiment(
        name="t", model="m", champion="a", epoch_s=60, block_s=r.choice((0, 0, 0, 240)),
        variants=tuple(Variant(name=name, version="1.0.0", weight=r.randint(1, 9)) for name in names),
        success_metric=metric, metrics=(CLICKS, COST), rule=_rule(r),
        bandit=Bandit(every_s=60) if r.random() < 0.1 else None,
    )  # fmt: skip
    return experiment, _standing(r, experiment, names, metric)


def _rule(r: random.Random) -> Rule:
    possible = [
        Guardrail(metric="error_rate", margin=1.5, harm=r.choice((None, 3.0))),
        Guardrail(metric="response_time", margin=1.2, too_good=0.7),
        Guardrail(metric="response_time", margin=5.0, harm=20.0, unit="difference"),
        Guardrail(metric="response_time_log", margin=1.1, harm=1.5),
        Guardrail(metric=slow_responses.NAME, margin=1.5),
        Guardrail(metric="success_metric", margin=1.02, harm=1.3),
        Guardrail(metric="success_metric", margin=0.05, unit="difference"),
        Guardrail(metric="clicks", margin=1.1),
    ]
    given = {each.metric: each for each in r.sample(possible, r.choice((0, 0, 1, 2, 5)))}
    return Rule(
        minimum_sample_size=r.choice((2, 50, 200)), maximum_sample_size=r.choice((None, None, 500, 5000)),
        minimum_duration_s=r.choice((0, 0, 3600)), minimum_detectable_effect=r.choice((0.02, 0.05, 0.3)),
        power=r.choice((0.8, 0.9)), confidence_level=r.choice((0.8, 0.95, 0.99)),
        early_stopping_enabled=r.random() < 0.8, early_stopping_confidence=r.choice((0.8, 0.95)),
        max_expected_loss=r.choice((0.001, 1.0)), multiplicity=r.choice(("split", "split", "e_bh")),
        guardrails=tuple(given.values()), missing_deviations=r.choice((0.0, 2.0)),
    )  # fmt: skip


def _standing(r: random.Random, experiment: Experiment, names: str, metric: str) -> Standing:
    n, base, apart = (
        r.choice((0, 1, 2, 29, 40, 300, 800, 2000, 2000, 9000, 9000)),
        r.uniform(0.1, 3.0),
        r.choice((0.0, 0.1, 0.5, 1.0)),
    )
    broken = r.random() < 0.05
    variants, losses = {}, {}
    for name in names:
        effect = base * apart * r.gauss(0.0, 0.1)
        losses[name] = _moments(r, n, base + effect)
        paired = {} if name == "a" else {metric: _moments(r, n, effect)}
        if experiment.block_s and r.random() < 0.5:
            paired = {}
        errors = r.choice((0, 0, 0, 0, 3, n // 20))
        variants[name] = VariantEvidence(
            served=n, predictions=2 * n, errors=min(n, errors), matured=n, losses={metric: losses[name]}, paired=paired
        )
    phases = {f"c{k}": _phase(r, names, n, broken=broken) for k in range(r.choice((0, 1, 1, 1, 3)))}
    counts = {of: {name: (r.randint(0, n // 8), n) for name in names} for of in phases}
    challengers = names[1:]
    return Standing(
        variants=variants if r.random() < 0.95 else {}, phases=phases,
        closed={name: _comoments(r, r.choice((0, 1, 40, 500)), effect=0.0) for name in challengers},
        open={name: Block(3, 1.0, 4) for name in challengers},
        began_ms=1000, reached_ms=r.choice((61_000, 7_200_000)), base=r.choice((None, base)),
        past_end=tuple(challengers) if r.random() < 0.1 else (), stopped=("b",) if r.random() < 0.1 else (),
        frozen="for a test" if r.random() < 0.03 else "", absent=("c",) if r.random() < 0.1 else (),
        slow=Slow({}, 230, counts) if r.random() < 0.7 else Slow({230: n}),
        prior_sd=r.choice((None, None, 0.02)),
    )  # fmt: skip


def _phase(r: random.Random, names: str, n: int, *, broken: bool) -> Phase:
    weights = {name: r.randint(1, 3) for name in names}
    total = sum(weights.values())
    served = {
        name: round(n * weight / total + r.uniform(-1, 1) * n**0.5) if n else 0 for name, weight in weights.items()
    }
    served = {name: max(0, count) for name, count in served.items()}
    if broken:
        served["a"] *= 3
    came = r.choice((1.0, 1.0, 0.98, 0.7))
    returned = {name: round(came * count) for name, count in served.items()}
    ratios = {
        name: {
            "response_time": _comoments(r, n // 2, effect=0.0, mean=100.0),
            "response_time_log": _comoments(r, n // 2, effect=r.choice((0.0, 0.0, 0.6)), mean=4.6),
            "clicks": _comoments(r, n // 2, effect=r.gauss(0.0, 0.05), mean=0.3),
            "cost": _comoments(r, n // 2, effect=0.0, mean=2.0),
            COST.adjusted: _comoments(r, n // 2, effect=r.gauss(0.0, 0.05), mean=2.0),
        }
        for name in names
    }
    return Phase(
        weights=weights, served=served, matured=returned, due=served, returned=returned, requests=n, ratios=ratios,
        crossed=r.choice((0, 0, 0, 0, 0, 0, 1, n // 20)),
    )  # fmt: skip


def _moments(r: random.Random, n: int, mean: float) -> Moments:
    sd = r.choice((0.0, 0.1, 0.5, 2.0)) if r.random() < 0.2 else 0.5
    return Moments(n, mean + (r.gauss(0.0, sd) / n**0.5 if n else 0.0), sd * sd * max(0, n - 1)) if n else Moments()


def _comoments(r: random.Random, n: int, *, effect: float, mean: float = 0.5) -> CoMoments:
    if not n:
        return CoMoments()
    spread = (0.3 * mean) ** 2 * max(0, n - 1)
    x = mean + effect + r.gauss(0.0, 0.3 * mean) / n**0.5
    return CoMoments(
        n, x, 1.0 + r.uniform(-0.1, 0.1), spread, 0.1 * n, r.uniform(-0.2, 0.2) * (spread * 0.1 * n) ** 0.5
    )
