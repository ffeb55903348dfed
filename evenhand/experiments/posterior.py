"""What the evidence says of a challenger: a Normal posterior of the loss difference, Beta posteriors of errors.

The prior of the difference is sceptical: Normal around zero, with a standard deviation at which an effect of the
minimum detectable size is what one challenger in ten reaches.
"""

import math
from statistics import NormalDist

from evenhand.events import Moments, VariantEvidence, VariantPosterior
from evenhand.experiments.experiment import Experiment

_NORMAL = NormalDist()
_Z95 = 1.959963984540054


def difference(paired: Moments, prior_sd: float) -> tuple[float, float] | None:
    """Posterior mean and standard deviation of a mean difference; None while it has no spread to be judged by.

    >>> mean, sd = difference(Moments(100, -1.0, 99.0), prior_sd=1.0)
    >>> round(mean, 4), round(sd, 4)
    (-0.9901, 0.0995)
    """
    if paired.n < 2 or paired.m2 <= 0.0 or prior_sd <= 0.0:
        return None
    variance = paired.m2 / (paired.n - 1) / paired.n
    precision = 1.0 / variance + 1.0 / prior_sd**2
    return paired.mean / variance / precision, math.sqrt(1.0 / precision)


def expected_loss(mean: float, sd: float) -> float:
    """What choosing the challenger is expected to cost: E[max(difference, 0)].

    >>> round(expected_loss(0.0, 1.0), 6)
    0.398942
    """
    z = mean / sd
    return sd * _NORMAL.pdf(z) + mean * _NORMAL.cdf(z)


def probability_more_errors(champion: VariantEvidence, challenger: VariantEvidence, margin: float) -> float | None:
    """P(the challenger's error fraction is more than `margin` above the champion's), Beta(1/2, 1/2) each.

    Moments of the two posteriors, and a Normal for their difference: within 0.01 once both have ten predictions.
    """
    if champion.predictions == 0 or challenger.predictions == 0:
        return None
    (a, va), (b, vb) = (_beta(champion), _beta(challenger))
    return _NORMAL.cdf((b - a - margin) / math.sqrt(va + vb))


def _beta(evidence: VariantEvidence) -> tuple[float, float]:
    failed, answered = evidence.errors + 0.5, evidence.predictions - evidence.errors + 0.5
    total = failed + answered
    return failed / total, failed * answered / (total * total * (total + 1.0))


def posterior(experiment: Experiment, evidence: dict[str, VariantEvidence], name: str) -> VariantPosterior:
    """What is believed of one challenger."""
    none, metric, rule = VariantEvidence(), experiment.success_metric, experiment.rule
    champion, own = evidence.get(experiment.champion, none), evidence.get(name, none)
    paired = own.paired.get(metric, Moments())
    base = champion.losses.get(metric, Moments()).mean
    believed = difference(paired, rule.minimum_detectable_effect * abs(base) / 1.64)
    errors = probability_more_errors(champion, own, rule.max_error_fraction_increase)
    fraction = own.errors / own.predictions if own.predictions else None
    if believed is None:
        return VariantPosterior(
            clusters=paired.n, exposures=own.predictions, error_fraction=fraction, probability_more_errors=errors
        )
    mean, sd = believed
    return VariantPosterior(
        clusters=paired.n,
        exposures=own.predictions,
        mean_difference=mean,
        credible_interval=(mean - _Z95 * sd, mean + _Z95 * sd),
        probability_better=_NORMAL.cdf(-mean / sd),
        expected_loss=expected_loss(mean, sd),
        relative_difference=mean / base if base else None,
        error_fraction=fraction,
        probability_more_errors=errors,
    )
