"""The experiment of the demo: a champion, and who is on trial beside it."""

from collections.abc import Mapping

from evenhand.experiments.experiment import Experiment, Rule, Variant
from evenhand.monitoring import DriftRule, Monitoring

EPOCH_S = 6 * 3600
GRACE_S = 2 * 3600
CONTROL_LAG_S = 24 * 3600  # a decision acts a day after the end of its epoch
CHALLENGERS_WEIGHT = 40  # of a hundred, shared
DETECTABLE = 0.15  # hourly returns are heavy-tailed: three months of them show no smaller change of the squared error
PLANNED_HOURS = 2000  # about what the demo replays

REFERENCE_HOURS = 1000  # six weeks of the market are a new reference
MAX_THINNING = 12  # volatility over a day, looked at twice a day: it is told apart from calm sooner, and less surely


def monitored(features: tuple[str, ...]) -> Monitoring:
    """What is watched meanwhile: an hour of the market is one row, and one false alarm a month is allowed."""
    drift = DriftRule(
        features=features, false_alarms_per_month=1.0, reference_size=REFERENCE_HOURS, max_thinning=MAX_THINNING
    )
    return Monitoring(epoch_s=EPOCH_S, grace_s=GRACE_S, cluster_s=3600, drift=drift)


def trial(model: str, champion: tuple[str, str], challengers: Mapping[str, str]) -> Experiment:
    """An experiment of named versions; `champion` is (name, version).

    >>> [variant.weight for variant in trial("m", ("ridge", "1.0.0"), {"a": "1.1.0", "b": "1.2.0"}).variants]
    [60, 20, 20]
    """
    name, version = champion
    share = CHALLENGERS_WEIGHT // len(challengers)
    return Experiment(
        name="-or-".join([name, *challengers]),
        model=model,
        champion=name,
        variants=(
            Variant(name=name, version=version, weight=100 - share * len(challengers)),
            *(Variant(name=each, version=its, weight=share) for each, its in challengers.items()),
        ),
        epoch_s=EPOCH_S,
        grace_s=GRACE_S,
        rule=Rule(minimum_detectable_effect=DETECTABLE, maximum_sample_size=PLANNED_HOURS),
    )
