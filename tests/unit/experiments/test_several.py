"""Several challengers, a covariate, and a prior that past experiments have earned."""

import math
from typing import Any

import msgspec
import numpy as np
import pytest

from evenhand.codec import encode
from evenhand.errors import InvalidConfiguration
from evenhand.events import CoMoments, EvidenceReported, Moments, Phase, VariantEvidence
from evenhand.experiments.comoments import comoments
from evenhand.experiments.decision import decide
from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.experiments.past import prior_of
from evenhand.experiments.sequential import asymptotic_half_width
from evenhand.experiments.several import called, log_e_value
from evenhand.experiments.standing import Standing, absorb
from evenhand.experiments.strata import adjusted_difference, difference_of_means
from evenhand.experiments.user_metric import UserMetric
from evenhand.offline import MemoryRecord
from evenhand.processors.posterior import Posterior
from evenhand.topics import EVIDENCE


def trial(challengers: str = "bcdefghijk", name: str = "t", **rule: Any) -> Experiment:
    return Experiment(
        name=name, model="m", champion="a", epoch_s=3600,
        variants=tuple(Variant(name=each, version="1.0.0", weight=1) for each in "a" + challengers),
        rule=msgspec.convert({"minimum_detectable_effect": 0.1, "missing_deviations": 0.0, **rule}, Rule),
    )  # fmt: skip


def standing(differences: dict[str, float], n: int = 1000, sd: float = 1.0) -> Standing:
    spread = sd * sd * (n - 1)
    arms = {
        name: VariantEvidence(predictions=2 * n, paired={"squared_error": Moments(n, difference, spread)})
        for name, difference in differences.items()
    }
    champion = VariantEvidence(predictions=2 * n, losses={"squared_error": Moments(n, 1.0, spread)})
    return Standing(variants={"a": champion, **arms}, reached_ms=n * 3_600_000)


def test_the_e_value_is_what_the_confidence_sequence_inverts() -> None:
    half = float(asymptotic_half_width(1000.0, 1.0, 0.05, 200.0))
    at_the_edge = Moments(1000, -half, 999.0)
    assert log_e_value(at_the_edge, 0.05, 200) == pytest.approx(math.log(20))
    assert log_e_value(Moments(100, -9.0, 99.0), 0.05, 200) == -math.inf


def test_where_many_are_better_ebh_calls_them_and_the_split_waits() -> None:
    many = standing(dict.fromkeys("bcdefghijk", -0.118))
    alone = standing(dict.fromkeys("bcdefghijk", 0.0) | {"b": -0.118})
    huge: dict[str, Any] = {"maximum_sample_size": 10**6}
    assert decide(trial(multiplicity="e_bh", **huge), many).action == "promote"
    assert decide(trial(**huge), many).action == "continue"
    assert decide(trial(multiplicity="e_bh", **huge), alone).action == "continue"


def test_of_ten_that_are_no_better_ebh_rarely_calls_one() -> None:
    """400 runs, ten challengers that share a champion, looks over 3,000: with 5 %, more than 32 would be chance."""
    r, wrong = np.random.default_rng(1), 0
    looks = np.unique(np.geomspace(200, 3000, 30).astype(int))
    for _ in range(400):
        shared = r.normal(size=3000)
        x = 0.7 * shared + 0.7 * r.normal(size=(10, 3000))
        totals, squares = np.cumsum(x, axis=1), np.cumsum(x * x, axis=1)
        for n in looks.tolist():
            of = {
                str(k): log_e_value(
                    Moments(n, float(totals[k, n - 1] / n), float(squares[k, n - 1] - totals[k, n - 1] ** 2 / n)),
                    0.05,
                    200,
                )
                for k in range(10)
            }
            if called(of, 10, 0.05):
                wrong += 1
                break
    assert wrong <= 32


def _alone(sums: CoMoments) -> CoMoments:
    return CoMoments(sums.n, sums.mean_x, 1.0, sums.m2_x)


def test_a_covariate_takes_out_what_it_explains_and_moves_no_estimate() -> None:
    estimates, spreads, plain = [], [], []
    r = np.random.default_rng(2)
    for _ in range(200):

        def arm(lift: float) -> CoMoments:
            before = r.normal(5, 2, 300)
            return comoments((before + lift + r.normal(0, 1, 300)).tolist(), before.tolist())

        strata = [(arm(0.0), arm(0.3))]
        found = adjusted_difference(strata)
        ((a, b),) = strata
        without = difference_of_means([(_alone(a), _alone(b))])
        assert found is not None
        assert without is not None
        estimates.append(found.mean)
        spreads.append(found.variance)
        plain.append(without.variance)
    assert np.mean(estimates) == pytest.approx(0.3, abs=0.02)
    assert np.var(estimates) == pytest.approx(np.mean(spreads), rel=0.3)
    assert np.mean(spreads) < 0.25 * np.mean(plain)


def test_a_covariate_decides_sooner() -> None:
    r = np.random.default_rng(3)
    before = {name: r.normal(5, 2, 600) for name in "ab"}
    value = {"a": before["a"] + r.normal(0, 0.5, 600), "b": before["b"] - 0.2 + r.normal(0, 0.5, 600)}

    def action(metric: UserMetric) -> str:
        experiment = msgspec.structs.replace(
            trial("b", minimum_detectable_effect=0.02, maximum_sample_size=10**4),
            metrics=(metric,),
            success_metric="cost",
        )
        ratios = {
            name: {
                "cost": comoments(value[name].tolist(), [1.0] * 600),
                "cost|before": comoments(value[name].tolist(), before[name].tolist()),
            }
            for name in "ab"
        }
        phases = {"c": Phase(weights={"a": 1, "b": 1}, ratios=ratios)}
        served = {name: VariantEvidence(predictions=1200) for name in "ab"}
        return decide(experiment, absorb(experiment, Standing(), 1, served, phases)).action

    assert action(UserMetric(name="cost")) == "continue"
    assert action(UserMetric(name="cost", covariate="before")) == "promote"
    with pytest.raises(InvalidConfiguration, match="leave out `per`"):
        UserMetric(name="cost", covariate="before", per="requests")


def report(experiment: Experiment, epoch: int, difference: float, partition: int) -> MemoryRecord:
    n = 300
    event = EvidenceReported(
        id=f"{experiment.name}-{epoch}-{partition}", time=(epoch + 1) * 3_600_000 + 10**12, key="m", model="m",
        subject=experiment.name, experiment=experiment, partition=partition, first_epoch=epoch, last_epoch=epoch,
        epoch_s=3600,
        variants={
            "a": VariantEvidence(predictions=n, losses={"squared_error": Moments(n, 1.0, n * 0.04)}),
            "b": VariantEvidence(predictions=n, paired={"squared_error": Moments(n, difference, n * 0.04)}),
        },
    )  # fmt: skip
    return MemoryRecord(0, 0, b"m", encode(event), [])


def played(records: list[MemoryRecord], batch: int) -> Posterior:
    judge = Posterior(0, 2)
    for start in range(0, len(records), batch):
        part = [r._replace(offset=start + i) for i, r in enumerate(records[start : start + batch])]
        judge.apply(EVIDENCE, part)
        judge_again = Posterior(0, 2)
        judge_again.load(judge.rows())
        judge = judge_again
    return judge


def test_a_prior_is_fitted_to_ten_past_experiments_whatever_the_batches() -> None:
    r, records = np.random.default_rng(4), []
    effects = r.normal(0, 0.05, 12)
    for epoch, effect in enumerate(effects.tolist()):
        experiment = trial("b", f"t{epoch}", prior="past_experiments", minimum_sample_size=200)
        records += [report(experiment, epoch, effect, partition) for partition in (0, 1)]
    found = [played(records, batch) for batch in (1, 3, 24)]
    priors = [[each.trials[f"t{epoch}"].standing.prior_sd for epoch in range(12)] for each in found]
    assert priors[0] == priors[1] == priors[2]
    assert priors[0][:10] == [None] * 10
    assert all(each is not None and 0.02 < each < 0.12 for each in priors[0][10:]), "0.05 is the truth"
    assert prior_of([]) is None
    posterior = found[0].trials["t11"]
    running = msgspec.structs.replace(posterior.standing, stopped=())
    other = msgspec.structs.replace(running, prior_sd=None)
    shown = [decide(posterior.experiment, s).summary.get("b") for s in (running, other)]
    assert all(each is not None and each.mean_difference is not None for each in shown)
    assert len({each.mean_difference for each in shown if each is not None}) == 2, "another prior, another estimate"
