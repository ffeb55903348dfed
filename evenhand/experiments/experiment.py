"""An experiment: which model versions are on trial, who gets them, and by which rule they are judged."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from evenhand.errors import InvalidConfiguration
from evenhand.experiments.user_metric import UserMetric
from evenhand.metrics import loss, slow_responses
from evenhand.metrics.measure import MEASURES

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Confidence = Annotated[float, Meta(ge=0.5, lt=1.0)]
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")]
ERROR_RATE, SUCCESS = "error_rate", "success_metric"
RATIOS_ONLY = {ERROR_RATE, "response_time_log", slow_responses.NAME}


class Variant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One arm of an experiment: a model version and its share of the traffic.

    `weight` is an integer share; the weights of an experiment add up to any positive number.
    """

    name: Name
    version: Name
    weight: Annotated[int, Meta(ge=0, le=1_000_000)]


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """A piece of the ring of 2^64 places: from `start`, sixteen hexadecimal digits, up to the next segment's start."""

    start: Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$")]
    variant: Name


class Guardrail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A metric that must not get worse, and how much worse is how bad.

    `metric` is `error_rate`, `response_time` (means), `response_time_log` (geometric means), `response_time_p95` (how
    many are slower than the 95 % quantile of the champion's first thousand), `success_metric`, or one of the
    experiment's own metrics; of one that is better higher, how much lower it is.
    `unit` is `ratio` (challenger over champion) or `difference` (challenger less champion, in the metric's own unit:
    milliseconds, or a fraction of one). A promotion needs the metric certified below `margin`. When it is certified
    above `harm` (default: the margin), the challenger is stopped. Below `too_good`, decisions freeze: nobody answers
    in no time, and a metric that says so has a broken join or a leak.
    """

    metric: Annotated[str, Meta(min_length=1, max_length=200)]
    unit: Literal["ratio", "difference"] = "ratio"
    margin: float
    harm: float | None = None
    too_good: float | None = None

    def __post_init__(self) -> None:
        neutral = 1.0 if self.unit == "ratio" else 0.0
        if self.margin < neutral:
            raise InvalidConfiguration(
                f"guardrail {self.metric}: a margin of {self.margin} asks for more than no change, which is {neutral} "
                f"for a {self.unit}: write {neutral} or more"
            )
        if self.harm is not None and self.harm < self.margin:
            raise InvalidConfiguration(
                f"guardrail {self.metric}: harm {self.harm} lies below the margin {self.margin}: what may be promoted "
                "cannot be harm"
            )
        if self.too_good is not None and self.too_good >= neutral:
            raise InvalidConfiguration(
                f"guardrail {self.metric}: too_good {self.too_good} is not better than no change, {neutral}: lower it"
            )
        if self.unit == "difference" and self.metric in RATIOS_ONLY:
            raise InvalidConfiguration(
                f"guardrail {self.metric}: give it as a ratio; a fraction of errors that is safe whatever the champion "
                "does is max_error_fraction_increase of the rule"
            )


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When to stop, and what for. All fractions are of one, all losses in the unit of the success metric.

    It may be looked at after every event. A challenger is promoted when it has at least `minimum_sample_size` matured
    clusters, the experiment has run for `minimum_duration_s`, an anytime-valid test at `confidence_level` says that it
    is better, choosing it is expected to cost at most `max_expected_loss` of the champion's own loss, and every
    guardrail is certified safe. It is stopped for harm when the same test at `early_stopping_confidence` says that it
    is worse, or when a guardrail is breached. It is stopped for futility when an improvement of half of
    `minimum_detectable_effect` (relative to the champion's loss) has become unlikely, or when the evidence that was
    planned for is all in: `maximum_sample_size` clusters, or as many as a fixed test of that effect with `power`
    would take. Outcomes that never came are taken at their worst: the greatest loss that the metric can have or,
    where it has no bound, `missing_deviations` standard deviations more than the mean difference; a promotion that they
    could overturn is blocked. Without `early_stopping_enabled` there is one look, at the planned end; guardrails act at
    all times.

    The confidences: 1 - `confidence_level` bounds how often a challenger that is no better is promoted, and is the
    level of the intervals. 1 - `early_stopping_confidence` bounds how often one that is no worse is stopped early.
    Several challengers divide both; with `multiplicity` e_bh, 1 - `confidence_level` is the fraction of false ones
    among those that are called better.

    The `prior` of the posterior is sceptical, or fitted to the effects of at least ten past experiments of the model.
    """

    minimum_sample_size: Annotated[int, Meta(ge=2)] = 200
    maximum_sample_size: Annotated[int, Meta(ge=2)] | None = None
    minimum_duration_s: Annotated[int, Meta(ge=0)] = 0
    minimum_detectable_effect: Annotated[float, Meta(gt=0.0)] = 0.05
    power: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.8
    confidence_level: Confidence = 0.95
    early_stopping_enabled: bool = True
    early_stopping_confidence: Confidence = 0.95
    max_expected_loss: Annotated[float, Meta(gt=0.0)] = 0.001
    multiplicity: Literal["split", "e_bh"] = "split"
    prior: Literal["sceptical", "past_experiments"] = "sceptical"
    guardrails: tuple[Guardrail, ...] = ()
    missing_deviations: Annotated[float, Meta(ge=0.0)] = 2.0
    minimum_exposures: Annotated[int, Meta(ge=1)] = 100
    max_error_fraction_increase: Fraction = 0.02

    def __post_init__(self) -> None:
        if self.maximum_sample_size is not None and self.maximum_sample_size < self.minimum_sample_size:
            raise InvalidConfiguration(
                f"maximum_sample_size {self.maximum_sample_size} is below minimum_sample_size "
                f"{self.minimum_sample_size}: no promotion could ever happen"
            )
        metrics = [guardrail.metric for guardrail in self.guardrails]
        if len(set(metrics)) < len(metrics):
            raise InvalidConfiguration(f"guardrails: a metric is given twice: {metrics}")

    @property
    def watches_response_times(self) -> bool:
        """Whether a guardrail needs to know how long an answer took."""
        return bool(self.guardrails) and any(each.metric.startswith("response_time") for each in self.guardrails)

    def watches(self, metric: str) -> bool:
        """Whether a guardrail is of that metric."""
        return bool(self.guardrails) and any(guardrail.metric == metric for guardrail in self.guardrails)


class Bandit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Traffic follows the posterior: other weights every so many seconds of event time, by top-two Thompson sampling.

    `leader` is the fraction for who is drawn as the best; the rest goes to who is drawn beside it. Nobody falls below
    `minimum_share`. See `bandit` for what it costs.
    """

    every_s: Annotated[int, Meta(ge=1)] = 86_400
    leader: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.8
    minimum_share: Annotated[float, Meta(gt=0.0, le=0.5)] = 0.05


class Experiment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trial of challengers against the champion of one served model.

    The variant named `champion` serves by default. Every variant that does not serve a request predicts on it in
    shadow. `salt` belongs to this experiment alone, so that its split is independent of every other one. `ring` says
    who has which places once the weights have changed; without it they follow each other in order.

    >>> Experiment(
    ...     name="ridge-or-trees",
    ...     model="btc-usd-1h",
    ...     champion="ridge",
    ...     variants=(
    ...         Variant(name="ridge", version="1.0.0", weight=80),
    ...         Variant(name="trees", version="1.1.0", weight=20),
    ...     ),
    ... ).challengers
    ('trees',)
    """

    name: Name
    model: Name
    champion: Name
    variants: tuple[Variant, ...]
    success_metric: str = "squared_error"
    epoch_s: Annotated[int, Meta(ge=1)] = 60
    grace_s: Annotated[int, Meta(ge=0)] = 60
    salt: str = ""
    block_s: Annotated[int, Meta(ge=0)] = 0
    metrics: tuple[UserMetric, ...] = ()
    rule: Rule = Rule()
    bandit: Bandit | None = None
    ring: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if len(names) < 2:
            raise InvalidConfiguration(f"experiment {self.name!r} needs at least two variants, it has {names}")
        if len(set(names)) != len(names):
            raise InvalidConfiguration(f"experiment {self.name!r} names a variant twice: {names}")
        if self.champion not in names:
            raise InvalidConfiguration(f"experiment {self.name!r}: champion {self.champion!r} is none of {names}")
        if sum(variant.weight for variant in self.variants) <= 0:
            raise InvalidConfiguration(f"experiment {self.name!r}: the weights of {names} are all zero")
        if self.block_s % self.epoch_s:
            raise InvalidConfiguration(
                f"experiment {self.name!r}: block_s {self.block_s} is no multiple of epoch_s {self.epoch_s}: write "
                f"{-(-self.block_s // self.epoch_s) * self.epoch_s}"
            )
        self._check_metrics()
        starts = [segment.start for segment in self.ring]
        if self.ring and (starts[0].strip("0") or starts != sorted(set(starts))):
            raise InvalidConfiguration(
                f"experiment {self.name!r}: its ring must begin at 0 and ascend, it has {starts}"
            )
        if strange := sorted({segment.variant for segment in self.ring} - set(names)):
            raise InvalidConfiguration(f"experiment {self.name!r}: its ring names {strange}, which are none of {names}")

    def _check_metrics(self) -> None:
        own, given = [metric.name for metric in self.metrics], {ERROR_RATE, SUCCESS, slow_responses.NAME, *MEASURES}
        if len(set(own)) != len(own) or given & set(own):
            raise InvalidConfiguration(
                f"experiment {self.name!r}: its metrics {own} need names of their own, none of {sorted(given)}"
            )
        known = sorted({*given, *own})
        if strange := sorted({guardrail.metric for guardrail in self.rule.guardrails} - set(known)):
            raise InvalidConfiguration(
                f"experiment {self.name!r}: no guardrail is of {strange}: they are of {known}; what users report is "
                "named under metrics"
            )
        if self.measure is None:
            loss(self.success_metric)

    @property
    def measure(self) -> UserMetric | None:
        """The metric of users that decides, if it is one."""
        if not self.metrics:
            return None
        return next((metric for metric in self.metrics if metric.name == self.success_metric), None)

    @property
    def challengers(self) -> tuple[str, ...]:
        """Names of the variants on trial, in order."""
        names, champion = [], self.champion
        for variant in self.variants:
            if variant.name != champion:
                names.append(variant.name)  # noqa: PERF401 - half the cost of a comprehension, asked at every look
        return tuple(names)

    def variant(self, name: str) -> Variant:
        """The variant of that name; KeyError if there is none."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)
