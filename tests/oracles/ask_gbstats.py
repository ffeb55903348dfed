"""What gbstats 0.8.0 says of the samples, as JSON. Runs in an environment of its own: its pins are old."""

# mypy: ignore-errors
# ruff: noqa: ANN001, ANN201, B905 - it runs in an environment of its own, whose packages have no types

import json

import samples
from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig, GaussianPrior
from gbstats.frequentist.tests import (
    FrequentistConfig,
    OneSidedTreatmentLesserTTest,
    SequentialConfig,
    SequentialTwoSidedTTest,
)
from gbstats.models.statistics import RatioStatistic, SampleMeanStatistic


def statistic(values):
    return SampleMeanStatistic(n=len(values), sum=sum(values), sum_squares=sum(v * v for v in values))


def asked(case):
    a, b = map(statistic, samples.pair(case))
    alpha, prior_sd, tightest = samples.settings(case)
    found = EffectBayesianABTest(
        a,
        b,
        EffectBayesianConfig(
            difference_type="absolute",
            prior_type="absolute",
            inverse=True,
            alpha=alpha,
            prior_effect=GaussianPrior(0.0, prior_sd**2, True),
        ),
    ).compute_result()
    flat = EffectBayesianABTest(
        a,
        b,
        EffectBayesianConfig(difference_type="absolute", prior_type="absolute", inverse=True, alpha=alpha),
    ).compute_result()
    sequential = SequentialTwoSidedTTest(
        a, b, SequentialConfig(difference_type="absolute", alpha=alpha, sequential_tuning_parameter=tightest)
    )
    sums, counts = samples.clusters(case)
    ratio = RatioStatistic(
        n=len(sums),
        m_statistic=statistic(sums),
        d_statistic=statistic(counts),
        m_d_sum_of_products=sum(x * y for x, y in zip(sums, counts)),
    )
    return {
        "mean": found.uplift.mean,
        "sd": found.uplift.stddev,
        "interval": found.ci,
        "win": found.chance_to_win,
        "risk": found.risk,
        "flat_win": flat.chance_to_win,
        "flat_risk": flat.risk,
        "sequential": sequential.confidence_interval,
        "ratio": ratio.mean,
        "ratio_variance": ratio.variance / ratio.n,
    }


def defects():
    a, b = map(statistic, samples.pair(0))
    lesser = OneSidedTreatmentLesserTTest(a, b, FrequentistConfig(difference_type="absolute"))
    return {
        "one_sided_estimate": lesser.point_estimate,
        "one_sided_upper": lesser.confidence_interval[1],
        "variance_around_a_billion": statistic(samples.around_a_billion()).variance,
    }


print(json.dumps({"cases": [asked(case) for case in range(samples.CASES)], "defects": defects()}, default=float))
